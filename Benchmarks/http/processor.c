#include "processor.h"

#include "../program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Seconds of processor that a process has used, its children's not counted. */
static double seconds_used(int pid) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  size_t length = file ? fread(line, 1, sizeof line - 1, file) : 0;
  if (file) fclose(file);
  line[length] = '\0';
  /* The name in parentheses may hold anything: what follows it starts with the third field. */
  const char *fields = strrchr(line, ')');
  unsigned long user, system;
  if (!fields ||
      sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) !=
          2) {
    fail("process %d has ended", pid);
  }
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void processor_start(processor_t *processor, size_t count, char **pids) {
  if (count > WATCHED_MAX) fail("at most %d processes can be watched", WATCHED_MAX);
  processor->count = count;
  processor->started = seconds_now();
  for (size_t i = 0; i < count; i++) {
    processor->pids[i] = (int)positive(pids[i], "a process id");
    processor->used[i] = -seconds_used(processor->pids[i]);
  }
}

void processor_stop(processor_t *processor) {
  for (size_t i = 0; i < processor->count; i++) {
    processor->used[i] += seconds_used(processor->pids[i]);
  }
  processor->seconds = seconds_now() - processor->started;
}

void processor_print(const processor_t *processor) {
  for (size_t i = 0; i < processor->count; i++) {
    printf("cpu.%zu %.2f %%\n", i + 1, 100 * processor->used[i] / processor->seconds);
  }
}
