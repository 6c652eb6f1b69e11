/* How fast MongoDB takes commits: ordered insertMany of BATCH documents, THREADS threads with one
 * insert in flight each.
 *
 *   append_ceiling URI NAME THREADS BATCH SECONDS
 *
 * 1 thread and 1000 a batch is the ceiling of one appender; 50 threads and 1 a batch is what a
 * server reaches that sends one insert for each request: the naive rate; 1 thread and 1 a batch
 * is the shortest time that a lone caller can wait. The latencies printed are those of inserts. */
#include "log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 512, BATCH_MAX = 10000 };

static mongoc_client_pool_t *pool;
static size_t batch;
static double deadline;
static atomic_llong last_position;
static atomic_llong acknowledged;
static latencies_t latencies[THREADS_MAX];

static void insert_batch(mongoc_collection_t *log, bson_t **documents, const bson_t *options,
                         log_random_t *random) {
  int64_t position = atomic_fetch_add(&last_position, (long long)batch) + 1;
  for (size_t i = 0; i < batch; i++) {
    bson_reinit(documents[i]);
    log_append_commit(documents[i], position + (int64_t)i, NUMBER_IS_ID, random);
  }
  bson_error_t error;
  if (!mongoc_collection_insert_many(log, (const bson_t **)documents, batch, options, NULL,
                                     &error)) {
    fail("insertMany: %s", error.message);
  }
  atomic_fetch_add(&acknowledged, (long long)batch);
}

static void *insert_until_deadline(void *number) {
  log_random_t random = {.state = (uint64_t)(uintptr_t)number << 48};
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  mongoc_collection_t *log = log_collection(client, "log");
  /* The driver's look at the documents' UTF-8 is not MongoDB's work. */
  bson_t *options = BCON_NEW("ordered", BCON_BOOL(true), "validate", BCON_BOOL(false));
  bson_t **documents = calloc(batch, sizeof *documents);
  for (size_t i = 0; i < batch; i++) documents[i] = bson_sized_new(1024);

  latencies_t *mine = &latencies[(uintptr_t)number];
  for (double started; (started = seconds_now()) < deadline;) {
    insert_batch(log, documents, options, &random);
    latencies_add(mine, seconds_now() - started);
  }

  for (size_t i = 0; i < batch; i++) bson_destroy(documents[i]);
  free(documents);
  bson_destroy(options);
  mongoc_collection_destroy(log);
  mongoc_client_pool_push(pool, client);
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 6) fail("usage: append_ceiling URI NAME THREADS BATCH SECONDS");
  const char *name = arguments[2];
  size_t threads = (size_t)positive(arguments[3], "THREADS");
  batch = (size_t)positive(arguments[4], "BATCH");
  double seconds = positive(arguments[5], "SECONDS");
  if (threads < 1 || threads > THREADS_MAX) fail("THREADS is 1 to %d", THREADS_MAX);
  if (batch < 1 || batch > BATCH_MAX) fail("BATCH is 1 to %d", BATCH_MAX);

  mongoc_init();
  pool = log_connect(arguments[1], THREADS_MAX + 1);
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  mongoc_collection_t *log = log_collection(client, "log");
  log_create(client, log, NUMBER_IS_ID);

  pthread_t workers[THREADS_MAX];
  double started = seconds_now();
  deadline = started + seconds;
  for (size_t i = 0; i < threads; i++) {
    if (pthread_create(&workers[i], NULL, insert_until_deadline, (void *)(uintptr_t)i)) {
      fail("no thread could be started");
    }
  }
  for (size_t i = 0; i < threads; i++) pthread_join(workers[i], NULL);
  double elapsed = seconds_now() - started;

  bson_error_t error;
  int64_t stored = mongoc_collection_estimated_document_count(log, NULL, NULL, NULL, &error);
  if (stored != atomic_load(&acknowledged)) {
    fail("%lld commits were acknowledged, %lld are stored", (long long)atomic_load(&acknowledged),
         (long long)stored);
  }
  printf("%s %.0f events/s\n", name, (double)stored / elapsed);
  for (size_t i = 1; i < threads; i++) latencies_take(&latencies[0], &latencies[i]);
  latencies_print(&latencies[0], name);

  mongoc_collection_destroy(log);
  mongoc_client_pool_push(pool, client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
