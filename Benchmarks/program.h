/* What every C program here needs: words of failure, a clock, latencies. */
#pragma once
#include <stddef.h>

/* Prints one sentence to standard error and exits with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds of a clock that only goes forward. */
double seconds_now(void);

/* A positive number given on the command line; fails on anything else. */
double positive(const char *text, const char *what);

/* Latencies, every one of them: no buckets, no estimates. Starts as zeroes. */
typedef struct {
  float *milliseconds;
  size_t count, room;
} latencies_t;

void latencies_add(latencies_t *latencies, double seconds);

/* Adds all of `more`, and empties it. */
void latencies_take(latencies_t *latencies, latencies_t *more);

/* Prints the lines `NAME.p50 N ms` and `NAME.p99 N ms`; nothing when there are none. */
void latencies_print(latencies_t *latencies, const char *name);
