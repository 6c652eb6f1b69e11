/* The rival: the usual way to number a log in MongoDB. One transaction takes BATCH numbers from a
 * counter document and inserts as many commits, with a number `seq` of their own and the log's
 * other indexes.
 *
 *   append_transaction URI NAME BATCH SECONDS */
#include "log.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH_MAX = 10000 };

typedef struct {
  mongoc_client_t *client;
  mongoc_client_session_t *session;
  mongoc_transaction_opt_t *concerns;
  mongoc_collection_t *log;
  bson_t **documents;
  size_t batch;
  log_random_t random;
} sequencer_t;

static const char *database_of(mongoc_client_t *client) {
  return mongoc_uri_get_database(mongoc_client_get_uri(client));
}

/* A transaction does not take the concerns of its collections: they are set here. */
static mongoc_transaction_opt_t *durable_transaction(void) {
  mongoc_transaction_opt_t *options = mongoc_transaction_opts_new();
  mongoc_write_concern_t *write = mongoc_write_concern_new();
  mongoc_write_concern_set_wmajority(write, 4000);
  mongoc_write_concern_set_journal(write, true);
  mongoc_transaction_opts_set_write_concern(options, write);
  mongoc_write_concern_destroy(write);
  mongoc_read_concern_t *read = mongoc_read_concern_new();
  mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
  mongoc_transaction_opts_set_read_concern(options, read);
  mongoc_read_concern_destroy(read);
  return options;
}

static void create_counter(mongoc_client_t *client) {
  bson_error_t error;
  mongoc_collection_t *counter = log_collection(client, "counter");
  mongoc_collection_drop(counter, &error); /* fails when there is none: as well */
  bson_t *zero = BCON_NEW("_id", "log", "last", BCON_INT64(0));
  if (!mongoc_collection_insert_one(counter, zero, NULL, NULL, &error)) {
    fail("the counter: %s", error.message);
  }
  bson_destroy(zero);
  mongoc_collection_destroy(counter);
}

/* Takes `batch` numbers; answers the first. */
static int64_t take_numbers(sequencer_t *sequencer, const bson_t *in_session) {
  bson_t reply;
  bson_error_t error;
  bson_iter_t top, last;
  int64_t batch = (int64_t)sequencer->batch;
  bson_t *command =
      BCON_NEW("findAndModify", "counter", "query", "{", "_id", "log", "}", "update", "{", "$inc",
               "{", "last", BCON_INT64(batch), "}", "}", "new", BCON_BOOL(true));
  if (!mongoc_client_write_command_with_opts(sequencer->client, database_of(sequencer->client),
                                             command, in_session, &reply, &error)) {
    fail("findAndModify: %s", error.message);
  }
  if (!bson_iter_init(&top, &reply) || !bson_iter_find_descendant(&top, "value.last", &last)) {
    fail("findAndModify gave no number");
  }
  int64_t first = bson_iter_as_int64(&last) - batch + 1;
  bson_destroy(command);
  bson_destroy(&reply);
  return first;
}

static void append_batch(sequencer_t *sequencer) {
  bson_error_t error;
  if (!mongoc_client_session_start_transaction(sequencer->session, sequencer->concerns, &error)) {
    fail("start: %s", error.message);
  }
  bson_t options = BSON_INITIALIZER;
  if (!mongoc_client_session_append(sequencer->session, &options, &error)) {
    fail("session: %s", error.message);
  }
  int64_t first = take_numbers(sequencer, &options);
  for (size_t i = 0; i < sequencer->batch; i++) {
    bson_reinit(sequencer->documents[i]);
    log_append_commit(sequencer->documents[i], first + (int64_t)i, NUMBER_IS_SEQ,
                      &sequencer->random);
  }
  must(BSON_APPEND_BOOL(&options, "validate", false));
  if (!mongoc_collection_insert_many(sequencer->log, (const bson_t **)sequencer->documents,
                                     sequencer->batch, &options, NULL, &error)) {
    fail("insertMany: %s", error.message);
  }
  if (!mongoc_client_session_commit_transaction(sequencer->session, NULL, &error)) {
    fail("commit: %s", error.message);
  }
  bson_destroy(&options);
}

int main(int count, char **arguments) {
  if (count != 5) fail("usage: append_transaction URI NAME BATCH SECONDS");
  double batch = positive(arguments[3], "BATCH");
  double seconds = positive(arguments[4], "SECONDS");
  if (batch > BATCH_MAX) fail("BATCH is 1 to %d", BATCH_MAX);

  mongoc_init();
  bson_error_t error;
  mongoc_client_pool_t *pool = log_connect(arguments[1], 1);
  sequencer_t sequencer = {.batch = (size_t)batch, .random = {.state = 1}};
  sequencer.client = mongoc_client_pool_pop(pool);
  /* Not log_collection: a statement inside of a transaction may name no write concern. */
  sequencer.log =
      mongoc_client_get_collection(sequencer.client, database_of(sequencer.client), "log");
  log_create(sequencer.client, sequencer.log, NUMBER_IS_SEQ);
  create_counter(sequencer.client);
  sequencer.session = mongoc_client_start_session(sequencer.client, NULL, &error);
  if (!sequencer.session) fail("session: %s", error.message);
  sequencer.concerns = durable_transaction();
  sequencer.documents = calloc(sequencer.batch, sizeof *sequencer.documents);
  for (size_t i = 0; i < sequencer.batch; i++) sequencer.documents[i] = bson_sized_new(1024);

  int64_t appended = 0;
  double started = seconds_now();
  while (seconds_now() - started < seconds) {
    append_batch(&sequencer);
    appended += (int64_t)sequencer.batch;
  }
  double elapsed = seconds_now() - started;
  printf("%s %.0f events/s\n", arguments[2], (double)appended / elapsed);

  for (size_t i = 0; i < sequencer.batch; i++) bson_destroy(sequencer.documents[i]);
  free(sequencer.documents);
  mongoc_transaction_opts_destroy(sequencer.concerns);
  mongoc_client_session_destroy(sequencer.session);
  mongoc_collection_destroy(sequencer.log);
  mongoc_client_pool_push(pool, sequencer.client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
