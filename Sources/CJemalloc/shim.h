#pragma once
#include <stdbool.h>
#include <stddef.h>

// Of jemalloc(3). Its own header declares malloc and free again, with other attributes than libc's.
int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen);

// Gives memory back that was not used for ten seconds, on a thread of its own.
static inline int magasin_return_memory_in_background(void) {
  bool on = true;
  return mallctl("background_thread", NULL, NULL, &on, sizeof on);
}
