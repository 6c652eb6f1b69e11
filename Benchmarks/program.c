#include "program.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double positive(const char *text, const char *what) {
  char *end;
  double number = strtod(text, &end);
  bool is_number = end != text && *end == '\0';
  if (!is_number || !(number > 0)) fail("%s is no positive number: %s", what, text);
  return number;
}

static void make_room(latencies_t *latencies, size_t count) {
  if (latencies->room >= count) return;
  latencies->room = count * 2;
  latencies->milliseconds =
      realloc(latencies->milliseconds, latencies->room * sizeof *latencies->milliseconds);
  if (!latencies->milliseconds) fail("no memory for %zu latencies", count);
}

void latencies_add(latencies_t *latencies, double seconds) {
  make_room(latencies, latencies->count + 1);
  latencies->milliseconds[latencies->count++] = (float)(seconds * 1000);
}

void latencies_take(latencies_t *latencies, latencies_t *more) {
  if (more->count) {
    make_room(latencies, latencies->count + more->count);
    memcpy(latencies->milliseconds + latencies->count, more->milliseconds,
           more->count * sizeof *more->milliseconds);
    latencies->count += more->count;
  }
  free(more->milliseconds);
  *more = (latencies_t){0};
}

static int by_size(const void *left, const void *right) {
  float a = *(const float *)left, b = *(const float *)right;
  return (a > b) - (a < b);
}

/* The least latency that `percent` of all do not exceed; of sorted ones. */
static double percentile(const latencies_t *sorted, size_t percent) {
  size_t rank = (sorted->count * percent + 99) / 100;
  return sorted->milliseconds[rank ? rank - 1 : 0];
}

void latencies_print(latencies_t *latencies, const char *name) {
  if (!latencies->count) return;
  qsort(latencies->milliseconds, latencies->count, sizeof *latencies->milliseconds, by_size);
  printf("%s.p50 %.3f ms\n", name, percentile(latencies, 50));
  printf("%s.p99 %.3f ms\n", name, percentile(latencies, 99));
}
