/* What the log says of orders and their sagas: how many events of each type it has. Only what has
 * come since the last look is read, through the index by type. One thread at a time. */
#pragma once
#include <stdint.h>

typedef enum {
  CONFIRMED,
  CANCELLED,
  INITIATED,
  SAGAS_COMPLETED,
  SAGAS_COMPENSATED,
  SAGAS_STARTED,
  COUNTED_TYPES
} counted_t;

typedef struct tally tally_t;

/* The URI has to name a database with a log. Nothing is counted yet. */
tally_t *tally_open(const char *uri);

/* Counts the orders' events, or the sagas', that a majority of the replica set has by now. Ends are
 * counted before beginnings, so that a backlog is never understated. */
void tally_orders(tally_t *tally);
void tally_sagas(tally_t *tally);

int64_t tally_count(const tally_t *tally, counted_t type);

/* Orders that have neither been confirmed nor cancelled. */
int64_t tally_open_orders(const tally_t *tally);

/* Sagas that have begun and not ended. */
int64_t tally_waiting_sagas(const tally_t *tally);

/* How many commits the log has; MongoDB's own count, which is exact on a set of one. */
int64_t tally_commits(const tally_t *tally);

void tally_close(tally_t *tally);
