/* What the C programs of this folder share: the log's collection as Magasin lays it out (its
 * documents, its indexes, its write concern). Nothing here is meant to be clever: a ceiling shows
 * what MongoDB allows with nothing of ours in the way. */
#pragma once
#include <mongoc/mongoc.h>
#include <stdint.h>

#include "../program.h"

/* Fails when a BSON document could not take another element. */
void must(bool appended);

/* A pool of at most `clients` clients. The URI has to name a database. */
mongoc_client_pool_t *log_connect(const char *uri, uint32_t clients);

/* The collection `name` of the URI's database, with `w: majority, j: true`. */
mongoc_collection_t *log_collection(mongoc_client_t *client, const char *name);

/* Where the number of a commit stands: in `_id`, or (the rival) in a field of its own, `seq`. */
typedef enum { NUMBER_IS_ID, NUMBER_IS_SEQ } log_number_t;

/* Drops the collection, makes it again with the log's indexes, and checks that they are there. */
void log_create(mongoc_client_t *client, mongoc_collection_t *log, log_number_t number);

/* Fails unless the collection has every index of the log, unique where the log's are, and none
 * more: listIndexes is asked. Figures taken without the indexes are three times too high. */
void log_require_indexes(mongoc_collection_t *log, log_number_t number);

/* A sequence of random numbers; each thread has its own. */
typedef struct {
  uint64_t state;
} log_random_t;

/* Makes `document` the commit of one placed order, in the shape that the HTTP API writes:
 * one OrderInitiated, the first of its stream. */
void log_append_commit(bson_t *document, int64_t position, log_number_t number,
                       log_random_t *random);
