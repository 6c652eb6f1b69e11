#include "tally.h"

#include "../ceilings/log.h"

#include <stdlib.h>
#include <string.h>

static const char *const type_names[COUNTED_TYPES] = {
    [CONFIRMED] = "OrderConfirmed",
    [CANCELLED] = "OrderCancelled",
    [INITIATED] = "OrderInitiated",
    [SAGAS_COMPLETED] = "SagaCompleted",
    [SAGAS_COMPENSATED] = "SagaCompensated",
    [SAGAS_STARTED] = "SagaStarted",
};

struct tally {
  mongoc_client_pool_t *pool;
  mongoc_client_t *client;
  mongoc_collection_t *log;
  int64_t counts[COUNTED_TYPES];
  int64_t lasts[COUNTED_TYPES]; /* the position of the last commit counted */
};

tally_t *tally_open(const char *uri) {
  tally_t *tally = calloc(1, sizeof *tally);
  if (!tally) fail("no memory for a tally");
  mongoc_init();
  tally->pool = log_connect(uri, 1);
  tally->client = mongoc_client_pool_pop(tally->pool);
  tally->log = log_collection(tally->client, "log");
  mongoc_read_concern_t *majority = mongoc_read_concern_new();
  mongoc_read_concern_set_level(majority, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
  mongoc_collection_set_read_concern(tally->log, majority);
  mongoc_read_concern_destroy(majority);
  return tally;
}

static int64_t position_of(const bson_t *commit) {
  bson_iter_t position;
  if (!bson_iter_init_find(&position, commit, "_id")) fail("a commit has no position");
  return bson_iter_as_int64(&position);
}

/* A commit may have events of several orders. */
static int64_t events_of_type(const bson_t *commit, const char *type) {
  bson_iter_t events, event, name;
  int64_t count = 0;
  if (!bson_iter_init_find(&events, commit, "events") || !bson_iter_recurse(&events, &event)) {
    fail("a commit has no events");
  }
  while (bson_iter_next(&event)) {
    if (bson_iter_recurse(&event, &name) && bson_iter_find(&name, "event_type") &&
        strcmp(bson_iter_utf8(&name, NULL), type) == 0) {
      count++;
    }
  }
  return count;
}

static void update(tally_t *tally, counted_t type) {
  bson_t *later = BCON_NEW("events.event_type", BCON_UTF8(type_names[type]), "_id", "{", "$gt",
                           BCON_INT64(tally->lasts[type]), "}");
  bson_t *options =
      BCON_NEW("projection", "{", "events.event_type", BCON_INT32(1), "}", "sort", "{", "_id",
               BCON_INT32(1), "}", "hint", BCON_UTF8("type"), "batchSize", BCON_INT32(10000));
  mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(tally->log, later, options, NULL);
  const bson_t *commit;
  while (mongoc_cursor_next(cursor, &commit)) {
    tally->counts[type] += events_of_type(commit, type_names[type]);
    tally->lasts[type] = position_of(commit);
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor, &error)) fail("find: %s", error.message);
  mongoc_cursor_destroy(cursor);
  bson_destroy(options);
  bson_destroy(later);
}

void tally_orders(tally_t *tally) {
  for (counted_t type = CONFIRMED; type <= INITIATED; type++) update(tally, type);
}

void tally_sagas(tally_t *tally) {
  for (counted_t type = SAGAS_COMPLETED; type <= SAGAS_STARTED; type++) update(tally, type);
}

int64_t tally_count(const tally_t *tally, counted_t type) { return tally->counts[type]; }

int64_t tally_open_orders(const tally_t *tally) {
  return tally->counts[INITIATED] - tally->counts[CONFIRMED] - tally->counts[CANCELLED];
}

int64_t tally_waiting_sagas(const tally_t *tally) {
  return tally->counts[SAGAS_STARTED] - tally->counts[SAGAS_COMPLETED] -
         tally->counts[SAGAS_COMPENSATED];
}

int64_t tally_commits(const tally_t *tally) {
  bson_error_t error;
  int64_t count =
      mongoc_collection_estimated_document_count(tally->log, NULL, NULL, NULL, &error);
  if (count < 0) fail("count: %s", error.message);
  return count;
}

void tally_close(tally_t *tally) {
  mongoc_collection_destroy(tally->log);
  mongoc_client_pool_push(tally->pool, tally->client);
  mongoc_client_pool_destroy(tally->pool);
  free(tally);
  mongoc_cleanup();
}
