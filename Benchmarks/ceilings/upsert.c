/* How fast MongoDB takes the rows of a read model: unordered bulks of 1,000 upserts by `_id`, one
 * bulk in flight, of rows that are not there yet, with two secondary indexes.
 *
 *   upsert URI ROWS SECONDS
 *
 * The rows are those of the collection ROWS, a read model of orders that was built before: copies
 * of up to 1,000 of them under new ids, so that size and form are those of the rows to be compared
 * with. `upsert.bytes` is their mean size. The collection written to is dropped at the end. */
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000 };

/* What is written anew in each copy. */
#define ORDER_FIELD "position_created"
#define OWNER_FIELD "user_id"

typedef struct {
  bson_t *rows[BATCH];
  size_t count;
} samples_t;

static mongoc_collection_t *open_majority(mongoc_client_t *client, const char *name) {
  mongoc_collection_t *collection = log_collection(client, name);
  mongoc_read_concern_t *majority = mongoc_read_concern_new();
  mongoc_read_concern_set_level(majority, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
  mongoc_collection_set_read_concern(collection, majority);
  mongoc_read_concern_destroy(majority);
  return collection;
}

/* The rows without what each copy gets anew. */
static void load(mongoc_client_t *client, const char *name, samples_t *samples) {
  mongoc_collection_t *rows = open_majority(client, name);
  bson_t all = BSON_INITIALIZER;
  bson_t *options = BCON_NEW("limit", BCON_INT64(BATCH));
  mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(rows, &all, options, NULL);
  const bson_t *row;
  while (mongoc_cursor_next(cursor, &row)) {
    if (!bson_has_field(row, ORDER_FIELD) || !bson_has_field(row, OWNER_FIELD)) {
      fail("a row of %s lacks " ORDER_FIELD " or " OWNER_FIELD, name);
    }
    bson_t *copy = bson_new();
    bson_copy_to_excluding_noinit(row, copy, "_id", ORDER_FIELD, NULL);
    samples->rows[samples->count++] = copy;
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor, &error)) fail("find: %s", error.message);
  if (!samples->count) fail("%s has no rows", name);
  mongoc_cursor_destroy(cursor);
  bson_destroy(options);
  mongoc_collection_destroy(rows);
}

static void create(mongoc_client_t *client, mongoc_collection_t *target) {
  bson_error_t error;
  const char *name = mongoc_collection_get_name(target);
  mongoc_collection_drop(target, &error); /* fails when there is none: as well */
  bson_t *command = BCON_NEW(
      "createIndexes", BCON_UTF8(name), "indexes", "[",                           //
      "{", "name", "newest", "key", "{", ORDER_FIELD, BCON_INT32(-1), "}", "}",   //
      "{", "name", "owner", "key", "{", OWNER_FIELD, BCON_INT32(1), ORDER_FIELD,  //
      BCON_INT32(-1), "}", "}", "]");
  const char *database = mongoc_uri_get_database(mongoc_client_get_uri(client));
  if (!mongoc_client_write_command_with_opts(client, database, command, NULL, NULL, &error)) {
    fail("createIndexes: %s", error.message);
  }
  bson_destroy(command);
}

/* An order's id, the later the greater, as a UUID of version 7 is: 42 characters. */
static void name_row(char text[static 43], int64_t number) {
  uint64_t mixed = (uint64_t)number * 0x9E3779B97F4A7C15u;
  snprintf(text, 43, "order_%08x-%04x-7%03x-8%03x-%012llx", (unsigned)(number >> 16),
           (unsigned)(number & 0xFFFF), (unsigned)(mixed >> 52), (unsigned)(mixed >> 40 & 0xFFF),
           (unsigned long long)(mixed & 0xFFFFFFFFFFFF));
}

/* Writes the rows `first` and on; answers how many bytes they had. */
static int64_t upsert_batch(mongoc_collection_t *target, const samples_t *samples, int64_t first) {
  bson_error_t error;
  bson_t reply;
  int64_t bytes = 0;
  bson_t *unordered = BCON_NEW("ordered", BCON_BOOL(false));
  /* The driver's look at the documents' UTF-8 is not MongoDB's work. */
  bson_t *upsert = BCON_NEW("upsert", BCON_BOOL(true), "validate", BCON_BOOL(false));
  mongoc_bulk_operation_t *bulk =
      mongoc_collection_create_bulk_operation_with_opts(target, unordered);
  for (int64_t number = first; number < first + BATCH; number++) {
    char id[43];
    name_row(id, number);
    bson_t filter = BSON_INITIALIZER, row = BSON_INITIALIZER;
    must(BSON_APPEND_UTF8(&filter, "_id", id));
    must(BSON_APPEND_UTF8(&row, "_id", id));
    must(bson_concat(&row, samples->rows[(size_t)number % samples->count]));
    must(BSON_APPEND_INT64(&row, ORDER_FIELD, number));
    bytes += row.len;
    if (!mongoc_bulk_operation_replace_one_with_opts(bulk, &filter, &row, upsert, &error)) {
      fail("replaceOne: %s", error.message);
    }
    bson_destroy(&filter);
    bson_destroy(&row);
  }
  if (!mongoc_bulk_operation_execute(bulk, &reply, &error)) fail("bulk: %s", error.message);
  bson_iter_t upserted;
  if (!bson_iter_init_find(&upserted, &reply, "nUpserted") ||
      bson_iter_as_int64(&upserted) != BATCH) {
    fail("a bulk made fewer than %d rows", BATCH);
  }
  bson_destroy(&reply);
  mongoc_bulk_operation_destroy(bulk);
  bson_destroy(upsert);
  bson_destroy(unordered);
  return bytes;
}

int main(int count, char **arguments) {
  if (count != 4) fail("usage: upsert URI ROWS SECONDS");
  double seconds = positive(arguments[3], "SECONDS");
  mongoc_init();
  mongoc_client_pool_t *pool = log_connect(arguments[1], 1);
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  static samples_t samples;
  load(client, arguments[2], &samples);
  mongoc_collection_t *target = log_collection(client, "upserted");
  create(client, target);

  int64_t rows = 0, bytes = 0;
  double started = seconds_now(), elapsed;
  do {
    bytes += upsert_batch(target, &samples, rows + 1);
    rows += BATCH;
    elapsed = seconds_now() - started;
  } while (elapsed < seconds);
  printf("upsert.rate %.0f rows/s\n", (double)rows / elapsed);
  printf("upsert.bytes %.0f bytes\n", (double)bytes / (double)rows);

  bson_error_t error;
  if (!mongoc_collection_drop(target, &error)) fail("drop: %s", error.message);
  for (size_t i = 0; i < samples.count; i++) bson_destroy(samples.rows[i]);
  mongoc_collection_destroy(target);
  mongoc_client_pool_push(pool, client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
