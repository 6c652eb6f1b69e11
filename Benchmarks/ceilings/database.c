/* Makes a fresh mongod ready and clears up after a round.
 *
 *   database URI initiate HOST:PORT   configures a one-member replica set, waits for its primary
 *   database URI drop                 drops the database that the URI names
 *
 * `initiate` wants `directConnection=true` in the URI: there is no set to find yet. */
#include "log.h"

#include <string.h>
#include <unistd.h>

enum { ALREADY_INITIALIZED = 23 };

static bool is_primary(mongoc_client_t *client) {
  bson_t reply;
  bson_iter_t field;
  bson_t *hello = BCON_NEW("hello", BCON_INT32(1));
  bool answer = mongoc_client_command_simple(client, "admin", hello, NULL, &reply, NULL) &&
                bson_iter_init_find(&field, &reply, "isWritablePrimary") &&
                bson_iter_as_bool(&field);
  bson_destroy(hello);
  bson_destroy(&reply);
  return answer;
}

static void initiate(mongoc_client_t *client, const char *member) {
  bson_error_t error;
  bson_t *command =
      BCON_NEW("replSetInitiate", "{", "_id", "rs0", "members", "[", "{", "_id", BCON_INT32(0),
               "host", BCON_UTF8(member), "}", "]", "}");
  if (!mongoc_client_command_simple(client, "admin", command, NULL, NULL, &error) &&
      error.code != ALREADY_INITIALIZED) {
    fail("replSetInitiate: %s", error.message);
  }
  bson_destroy(command);
  double deadline = seconds_now() + 30;
  while (!is_primary(client)) {
    if (seconds_now() > deadline) fail("no primary within 30 s");
    usleep(50 * 1000);
  }
}

static void drop(mongoc_client_t *client) {
  bson_error_t error;
  const char *name = mongoc_uri_get_database(mongoc_client_get_uri(client));
  mongoc_database_t *database = mongoc_client_get_database(client, name);
  if (!mongoc_database_drop(database, &error)) fail("dropDatabase: %s", error.message);
  mongoc_database_destroy(database);
}

int main(int count, char **arguments) {
  mongoc_init();
  const char *verb = count > 2 ? arguments[2] : "";
  bool initiates = count == 4 && strcmp(verb, "initiate") == 0;
  bool drops = count == 3 && strcmp(verb, "drop") == 0;
  if (!initiates && !drops) fail("usage: database URI initiate HOST:PORT | database URI drop");

  mongoc_client_pool_t *pool = log_connect(arguments[1], 1);
  mongoc_client_t *client = mongoc_client_pool_pop(pool);
  if (initiates) initiate(client, arguments[3]);
  if (drops) drop(client);
  mongoc_client_pool_push(pool, client);
  mongoc_client_pool_destroy(pool);
  mongoc_cleanup();
  return 0;
}
