/* Reads a log from its first commit to its last, in order, with one cursor; checks its indexes, and
 * that its positions are 1, 2, 3 and so on without a hole.
 *
 *   scan URI
 *
 * `log.commits` and `log.commit_bytes` say what was read, so that figures of two logs can be seen
 * to be of documents alike; `log.scan` is the ceiling of whatever reads the log. */
#include "log.h"

#include <stdio.h>

static int64_t event_count(const bson_t *commit) {
  bson_iter_t events, event;
  int64_t count = 0;
  if (!bson_iter_init_find(&events, commit, "events") || !bson_iter_recurse(&events, &event)) {
    fail("a commit has no events");
  }
  while (bson_iter_next(&event)) count++;
  return count;
}

static int64_t position_of(const bson_t *commit) {
  bson_iter_t position;
  if (!bson_iter_init_find(&position, commit, "_id")) fail("a commit has no position");
  return bson_iter_as_int64(&position);
}

int main(int count, char **arguments) {
  if (count != 2) fail("usage: scan URI");
  mongoc_init();
  mongoc_client_pool_t *pool = log_connect(arguments[1], 1);
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  mongoc_collection_t *log = log_collection(client, "log");
  log_require_indexes(log, NUMBER_IS_ID);

  mongoc_read_concern_t *majority = mongoc_read_concern_new();
  mongoc_read_concern_set_level(majority, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
  mongoc_collection_set_read_concern(log, majority);
  bson_t all = BSON_INITIALIZER;
  bson_t *in_order =
      BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "batchSize", BCON_INT32(5000));

  int64_t commits = 0, events = 0, bytes = 0;
  const bson_t *document;
  double started = seconds_now();
  mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(log, &all, in_order, NULL);
  while (mongoc_cursor_next(cursor, &document)) {
    if (position_of(document) != events + 1) {
      fail("position %lld follows %lld", (long long)position_of(document), (long long)events);
    }
    commits++;
    events += event_count(document);
    bytes += document->len;
  }
  double elapsed = seconds_now() - started;
  bson_error_t error;
  if (mongoc_cursor_error(cursor, &error)) fail("find: %s", error.message);

  printf("log.commits %lld commits\n", (long long)commits);
  printf("log.events %lld events\n", (long long)events);
  printf("log.commit_bytes %.0f bytes\n", commits ? (double)bytes / (double)commits : 0);
  printf("log.scan %.0f commits/s\n", (double)commits / elapsed);

  mongoc_cursor_destroy(cursor);
  bson_destroy(in_order);
  mongoc_read_concern_destroy(majority);
  mongoc_collection_destroy(log);
  mongoc_client_pool_push(pool, client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
