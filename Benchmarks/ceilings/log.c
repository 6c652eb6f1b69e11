#include "log.h"

#include <stdio.h>
#include <string.h>

void must(bool appended) {
  if (!appended) fail("a BSON document grew too large");
}

mongoc_client_pool_t *log_connect(const char *text, uint32_t clients) {
  bson_error_t error;
  mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
  if (!uri) fail("%s: %s", text, error.message);
  if (!mongoc_uri_get_database(uri)) fail("%s names no database", text);
  mongoc_client_pool_t *pool = mongoc_client_pool_new(uri);
  mongoc_uri_destroy(uri);
  mongoc_client_pool_max_size(pool, clients);
  mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
  return pool;
}

mongoc_collection_t *log_collection(mongoc_client_t *client, const char *name) {
  const char *database = mongoc_uri_get_database(mongoc_client_get_uri(client));
  mongoc_collection_t *collection = mongoc_client_get_collection(client, database, name);
  mongoc_write_concern_t *durable = mongoc_write_concern_new();
  mongoc_write_concern_set_wmajority(durable, 4000);
  mongoc_write_concern_set_journal(durable, true);
  mongoc_collection_set_write_concern(collection, durable);
  mongoc_write_concern_destroy(durable);
  return collection;
}

/* ---- indexes ---- */

typedef struct {
  const char *name;
  const char *key; /* as relaxed JSON, which is also how it is compared */
  bool is_unique;
} index_t;

#define STREAM_KEY \
  "{ \"events.aggregate_type\" : 1, \"events.aggregate_id\" : 1, \"events.version\" : -1 }"
#define COMMAND_KEY "{ \"command_id\" : 1 }"

static const index_t indexes_by_id[] = {
    {"stream", STREAM_KEY, true},
    {"command", COMMAND_KEY, true},
    {"type", "{ \"events.event_type\" : 1, \"_id\" : 1 }", false},
    {"correlation", "{ \"correlation_id\" : 1, \"_id\" : 1 }", false},
    {NULL, NULL, false},
};

static const index_t indexes_by_seq[] = {
    {"seq", "{ \"seq\" : 1 }", true},
    {"stream", STREAM_KEY, true},
    {"command", COMMAND_KEY, true},
    {"type", "{ \"events.event_type\" : 1, \"seq\" : 1 }", false},
    {"correlation", "{ \"correlation_id\" : 1, \"seq\" : 1 }", false},
    {NULL, NULL, false},
};

static const index_t *indexes_of(log_number_t number) {
  return number == NUMBER_IS_ID ? indexes_by_id : indexes_by_seq;
}

void log_create(mongoc_client_t *client, mongoc_collection_t *log, log_number_t number) {
  const char *name = mongoc_collection_get_name(log);
  const char *database = mongoc_uri_get_database(mongoc_client_get_uri(client));
  bson_error_t error;
  mongoc_collection_drop(log, &error); /* fails when there is none: as well */

  bson_t command, indexes;
  bson_init(&command);
  must(BSON_APPEND_UTF8(&command, "createIndexes", name));
  must(BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &indexes));
  uint32_t count = 0;
  for (const index_t *index = indexes_of(number); index->name; index++) {
    char place[16];
    snprintf(place, sizeof place, "%u", count++);
    bson_t entry;
    bson_t *key = bson_new_from_json((const uint8_t *)index->key, -1, &error);
    must(BSON_APPEND_DOCUMENT_BEGIN(&indexes, place, &entry));
    must(BSON_APPEND_UTF8(&entry, "name", index->name));
    must(key && BSON_APPEND_DOCUMENT(&entry, "key", key));
    if (index->is_unique) must(BSON_APPEND_BOOL(&entry, "unique", true));
    must(bson_append_document_end(&indexes, &entry));
    bson_destroy(key);
  }
  must(bson_append_array_end(&command, &indexes));
  if (!mongoc_client_write_command_with_opts(client, database, &command, NULL, NULL, &error)) {
    fail("createIndexes: %s", error.message);
  }
  bson_destroy(&command);
  log_require_indexes(log, number);
}

static const index_t *index_with_key(const char *key, log_number_t number) {
  for (const index_t *index = indexes_of(number); index->name; index++) {
    if (strcmp(index->key, key) == 0) return index;
  }
  return NULL;
}

void log_require_indexes(mongoc_collection_t *log, log_number_t number) {
  size_t missing = 0;
  for (const index_t *index = indexes_of(number); index->name; index++) missing++;

  mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(log, NULL);
  const bson_t *description;
  while (mongoc_cursor_next(cursor, &description)) {
    bson_iter_t field;
    bson_t key;
    const uint8_t *bytes;
    uint32_t length;
    if (!bson_iter_init_find(&field, description, "key")) fail("an index has no key");
    bson_iter_document(&field, &length, &bytes);
    must(bson_init_static(&key, bytes, length));
    char *text = bson_as_relaxed_extended_json(&key, NULL);
    bool is_unique =
        bson_iter_init_find(&field, description, "unique") && bson_iter_as_bool(&field);
    if (strcmp(text, "{ \"_id\" : 1 }") != 0) {
      const index_t *index = index_with_key(text, number);
      if (!index) fail("the log has an index that it should not have: %s", text);
      if (index->is_unique != is_unique) fail("the index %s is not unique as it should be", text);
      missing--;
    }
    bson_free(text);
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor, &error)) fail("listIndexes: %s", error.message);
  mongoc_cursor_destroy(cursor);
  if (missing) fail("the log lacks %zu of its indexes: a figure taken so means nothing", missing);
}

/* ---- documents ---- */

/* splitmix64: fast, and even enough to spread keys over an index. */
static uint64_t next_random(log_random_t *random) {
  uint64_t mixed = random->state += 0x9E3779B97F4A7C15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

typedef struct {
  uint8_t bytes[16];
} uuid_t;

/* UUID version 7: 48 bits of milliseconds, then random bits, as our command ids are. */
static uuid_t time_ordered_uuid(int64_t milliseconds, log_random_t *random) {
  uuid_t uuid;
  uint64_t bits[2] = {next_random(random), next_random(random)};
  memcpy(uuid.bytes, bits, sizeof bits);
  for (int i = 0; i < 6; i++) uuid.bytes[i] = (uint8_t)(milliseconds >> (40 - 8 * i));
  uuid.bytes[6] = (uuid.bytes[6] & 0x0F) | 0x70;
  uuid.bytes[8] = (uuid.bytes[8] & 0x3F) | 0x80;
  return uuid;
}

static void append_uuid(bson_t *document, const char *key, const uuid_t *uuid) {
  must(BSON_APPEND_BINARY(document, key, BSON_SUBTYPE_UUID, uuid->bytes, sizeof uuid->bytes));
}

/* Writes `order_` and the lower-case text of a UUID: 42 characters. */
static void name_order(char text[static 43], const uuid_t *uuid) {
  static const char digits[] = "0123456789abcdef";
  char *next = stpcpy(text, "order_");
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *next++ = '-';
    *next++ = digits[uuid->bytes[i] >> 4];
    *next++ = digits[uuid->bytes[i] & 0x0F];
  }
  *next = '\0';
}

static void append_price(bson_t *document, const char *key) {
  /* 19999 with two decimals: the exponent, biased by 6176, stands from bit 49 of the high half. */
  bson_decimal128_t price = {.low = 19999, .high = (uint64_t)(6176 - 2) << 49};
  must(BSON_APPEND_DECIMAL128(document, key, &price));
}

static void append_order(bson_t *data, const char *order_id) {
  bson_t items, item;
  must(BSON_APPEND_UTF8(data, "order_id", order_id));
  must(BSON_APPEND_INT64(data, "user_id", 456));
  must(BSON_APPEND_UTF8(data, "user_name", "Alice Tremblay"));
  must(BSON_APPEND_UTF8(data, "user_email", "alice.tremblay@example.com"));
  must(BSON_APPEND_ARRAY_BEGIN(data, "items", &items));
  must(BSON_APPEND_DOCUMENT_BEGIN(&items, "0", &item));
  must(BSON_APPEND_INT64(&item, "product_id", 101));
  must(BSON_APPEND_UTF8(&item, "product_name", "Laptop"));
  must(BSON_APPEND_INT64(&item, "quantity", 1));
  append_price(&item, "unit_price");
  append_price(&item, "line_total");
  must(bson_append_document_end(&items, &item));
  must(bson_append_array_end(data, &items));
  append_price(data, "total_amount");
  must(BSON_APPEND_UTF8(data, "currency", "CAD"));
  must(BSON_APPEND_UTF8(data, "payment_method", "card"));
  must(BSON_APPEND_UTF8(data, "saga", "orchestrated"));
  must(BSON_APPEND_UTF8(data, "initiated_at", "2025-01-01T12:00:00.000Z"));
}

static void append_event(bson_t *events, const uuid_t *event_id, const char *order_id) {
  bson_t event, data;
  must(BSON_APPEND_DOCUMENT_BEGIN(events, "0", &event));
  append_uuid(&event, "event_id", event_id);
  must(BSON_APPEND_UTF8(&event, "event_type", "OrderInitiated"));
  must(BSON_APPEND_INT32(&event, "schema", 1));
  must(BSON_APPEND_UTF8(&event, "aggregate_type", "orders"));
  must(BSON_APPEND_UTF8(&event, "aggregate_id", order_id));
  must(BSON_APPEND_INT64(&event, "version", 1));
  must(BSON_APPEND_DOCUMENT_BEGIN(&event, "data", &data));
  append_order(&data, order_id);
  must(bson_append_document_end(&event, &data));
  must(bson_append_document_end(events, &event));
}

static void append_metadata(bson_t *document) {
  bson_t metadata;
  must(BSON_APPEND_DOCUMENT_BEGIN(document, "metadata", &metadata));
  must(BSON_APPEND_UTF8(&metadata, "source_ip", "127.0.0.1"));
  must(BSON_APPEND_UTF8(&metadata, "user_agent", "wrk"));
  must(bson_append_document_end(document, &metadata));
}

void log_append_commit(bson_t *document, int64_t position, log_number_t number,
                       log_random_t *random) {
  int64_t milliseconds = 1735732800000 + position / 10;
  uuid_t command = time_ordered_uuid(milliseconds, random);
  uuid_t event_id = command;
  event_id.bytes[15] ^= 1;
  char order_id[43];
  name_order(order_id, &command);

  must(BSON_APPEND_INT64(document, number == NUMBER_IS_ID ? "_id" : "seq", position));
  append_uuid(document, "command_id", &command);
  append_uuid(document, "correlation_id", &command);
  must(BSON_APPEND_DATE_TIME(document, "timestamp", milliseconds));
  must(BSON_APPEND_UTF8(document, "service_name", "commands"));
  append_metadata(document);

  bson_t events;
  must(BSON_APPEND_ARRAY_BEGIN(document, "events", &events));
  append_event(&events, &event_id, order_id);
  must(bson_append_array_end(document, &events));

  /* Not the chain, which costs MongoDB nothing: as many bytes, and as hard to compress. */
  uint64_t hash[4];
  for (int i = 0; i < 4; i++) hash[i] = next_random(random);
  must(BSON_APPEND_BINARY(document, "hash", BSON_SUBTYPE_BINARY, (const uint8_t *)hash,
                          sizeof hash));
}
