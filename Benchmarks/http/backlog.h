/* How many orders are placed and not confirmed while others are offered: counted in the log once a
 * second, on a thread of its own, and then until there are none. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

#include "tally.h"

enum { OFFERED_SECONDS_MAX = 3600 };

typedef struct {
  tally_t *tally;
  pthread_t thread;
  double started;
  int seconds;
  int64_t before[COUNTED_TYPES]; /* what the log had when it began */
  int64_t open[OFFERED_SECONDS_MAX + 1]; /* orders, after so many seconds */
  double placed_a_second, confirmed_a_second;
  double drained_after; /* seconds after the offer has ended */
  atomic_bool all_answered; /* to be set when no more orders will come */
} backlog_t;

/* Fails when the log has orders that are open still. */
void backlog_open(backlog_t *backlog, const char *uri);

/* Begins to count: orders are offered from `started` on, on the clock of `seconds_now`. */
void backlog_start(backlog_t *backlog, double started, int seconds);

/* Waits until no order is open, or for a minute from the end of the offer; prints what was counted.
 * Fails unless the log has the `accepted` orders, and none beyond the `doubtful` ones. */
void backlog_finish(backlog_t *backlog, int64_t accepted, int64_t doubtful);
