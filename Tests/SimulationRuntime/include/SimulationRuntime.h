#ifndef SIMULATION_RUNTIME_H
#define SIMULATION_RUNTIME_H

#include <stdint.h>

/// From now on this process runs no task by itself: every job is handed to `enqueue`, with the
/// delay in nanoseconds after which it may run (0: at once). The jobs of a Swift program are its
/// tasks between two suspensions.
void simulation_take_over(void (*enqueue)(void *job, uint64_t delay_nanoseconds));

/// Runs a job on this thread, until it suspends or ends.
void simulation_run(void *job);

/// From now on the random numbers of the standard library are drawn from `next`.
void simulation_draw_from(uint64_t (*next)(void));

/// Prints `line`, if there is one, when the process is killed by a fault of its own.
void simulation_print_when_killed(const char *line);

/// What every clock of this process shows from now on, in nanoseconds.
void simulation_set_time(int64_t nanoseconds);

#endif
