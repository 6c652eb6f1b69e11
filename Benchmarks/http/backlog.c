#include "backlog.h"

#include "../program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double drain_seconds_max = 60;
enum { DRAIN_PAUSE_MICROSECONDS = 100 * 1000 };

void backlog_open(backlog_t *backlog, const char *uri) {
  memset(backlog, 0, sizeof *backlog);
  backlog->tally = tally_open(uri);
  tally_orders(backlog->tally);
  if (tally_open_orders(backlog->tally)) {
    fail("the log has %lld open orders", (long long)tally_open_orders(backlog->tally));
  }
  for (counted_t type = 0; type < COUNTED_TYPES; type++) {
    backlog->before[type] = tally_count(backlog->tally, type);
  }
}

static int64_t since_then(const backlog_t *backlog, counted_t type) {
  return tally_count(backlog->tally, type) - backlog->before[type];
}

static void sleep_until(double moment) {
  struct timespec until = {.tv_sec = (time_t)moment,
                           .tv_nsec = (long)((moment - (double)(time_t)moment) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) continue;
}

static void *count(void *of) {
  backlog_t *backlog = of;
  for (int second = 1; second <= backlog->seconds; second++) {
    sleep_until(backlog->started + second);
    tally_orders(backlog->tally);
    backlog->open[second] = tally_open_orders(backlog->tally);
  }
  /* Counting takes its time, which counts too: what it has found may have come meanwhile. */
  double elapsed = seconds_now() - backlog->started;
  backlog->placed_a_second = (double)since_then(backlog, INITIATED) / elapsed;
  backlog->confirmed_a_second = (double)since_then(backlog, CONFIRMED) / elapsed;

  double ended = backlog->started + backlog->seconds;
  while (seconds_now() < ended + drain_seconds_max) {
    bool is_whole = atomic_load(&backlog->all_answered);
    tally_orders(backlog->tally);
    if (is_whole && tally_open_orders(backlog->tally) == 0) break;
    usleep(DRAIN_PAUSE_MICROSECONDS);
  }
  backlog->drained_after = seconds_now() - ended;
  return NULL;
}

void backlog_start(backlog_t *backlog, double started, int seconds) {
  backlog->started = started;
  backlog->seconds = seconds;
  if (seconds > OFFERED_SECONDS_MAX) fail("at most %d seconds", OFFERED_SECONDS_MAX);
  int error = pthread_create(&backlog->thread, NULL, count, backlog);
  if (error) fail("pthread_create: %s", strerror(error));
}

static long long at_quarter(const backlog_t *backlog, int quarter) {
  return (long long)backlog->open[(backlog->seconds * quarter + 3) / 4];
}

static void print(const backlog_t *backlog, int64_t accepted) {
  printf("placed %.1f orders/s\n", backlog->placed_a_second);
  printf("confirmed %.1f orders/s\n", backlog->confirmed_a_second);
  printf("backlog.quarter %lld orders\n", at_quarter(backlog, 1));
  printf("backlog.half %lld orders\n", at_quarter(backlog, 2));
  printf("backlog.three_quarters %lld orders\n", at_quarter(backlog, 3));
  printf("backlog.end %lld orders\n", at_quarter(backlog, 4));
  printf("drained %.1f s\n", backlog->drained_after);
  int64_t missing = accepted - since_then(backlog, CONFIRMED);
  printf("unconfirmed %lld orders\n", missing > 0 ? (long long)missing : 0);
  printf("cancelled %lld orders\n", (long long)since_then(backlog, CANCELLED));
  printf("backlogs");
  for (int second = 1; second <= backlog->seconds; second++) {
    printf(" %lld", (long long)backlog->open[second]);
  }
  printf("\n");
}

void backlog_finish(backlog_t *backlog, int64_t accepted, int64_t doubtful) {
  atomic_store(&backlog->all_answered, true);
  int error = pthread_join(backlog->thread, NULL);
  if (error) fail("pthread_join: %s", strerror(error));
  int64_t placed = since_then(backlog, INITIATED);
  if (placed < accepted || placed > accepted + doubtful) {
    fail("%lld orders were accepted and %lld are doubtful, the log has %lld", (long long)accepted,
         (long long)doubtful, (long long)placed);
  }
  if (since_then(backlog, CONFIRMED) > placed) fail("more orders were confirmed than placed");
  print(backlog, accepted);
  tally_close(backlog->tally);
}
