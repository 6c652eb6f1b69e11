/* How much of the processors other processes use, as /proc/PID/stat has it. */
#pragma once
#include <stddef.h>

enum { WATCHED_MAX = 8 };

typedef struct {
  size_t count;
  int pids[WATCHED_MAX];
  double started, seconds; /* a clock's; then how long it was watched */
  double used[WATCHED_MAX]; /* seconds of processor */
} processor_t;

/* Starts to watch the processes whose ids are given as text. */
void processor_start(processor_t *processor, size_t count, char **pids);

/* Fails when one of them has ended. */
void processor_stop(processor_t *processor);

/* Prints a line `cpu.N VALUE %` for each, the first one's N being 1: percent of one core. */
void processor_print(const processor_t *processor);
