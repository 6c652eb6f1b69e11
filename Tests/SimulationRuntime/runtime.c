// The Swift runtime asks these hooks before it hands a job to its own threads
// (swift/stdlib/public/Concurrency/GlobalExecutor.cpp). They are not declared in any header that is
// installed; the calling convention is Swift's.
#define _GNU_SOURCE
#include "SimulationRuntime.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SWIFT_CALL __attribute__((swiftcall))

typedef SWIFT_CALL void (*original_t)(void *job);
typedef SWIFT_CALL void (*original_delay_t)(unsigned long long delay, void *job);
typedef SWIFT_CALL void (*original_deadline_t)(
    long long seconds, long long nanoseconds, long long tolerance_seconds,
    long long tolerance_nanoseconds, int clock, void *job);

extern SWIFT_CALL void (*swift_task_enqueueGlobal_hook)(void *job, original_t original);
extern SWIFT_CALL void (*swift_task_enqueueGlobalWithDelay_hook)(
    unsigned long long delay, void *job, original_delay_t original);
extern SWIFT_CALL void (*swift_task_enqueueGlobalWithDeadline_hook)(
    long long seconds, long long nanoseconds, long long tolerance_seconds,
    long long tolerance_nanoseconds, int clock, void *job, original_deadline_t original);
extern SWIFT_CALL void swift_job_run(void *job, void *identity, void *implementation);

static int64_t now_nanoseconds = -1;

void simulation_set_time(int64_t nanoseconds) { now_nanoseconds = nanoseconds; }

// Instead of the C library's: every clock of the process, Swift's among them.
int clock_gettime(clockid_t clock, struct timespec *time) {
  if (now_nanoseconds < 0) return (int)syscall(SYS_clock_gettime, clock, time);
  time->tv_sec = now_nanoseconds / 1000000000;
  time->tv_nsec = now_nanoseconds % 1000000000;
  return 0;
}

static void (*enqueue_job)(void *, uint64_t);

static SWIFT_CALL void enqueue(void *job, original_t original) {
  (void)original;
  enqueue_job(job, 0);
}

static SWIFT_CALL void enqueue_after(
    unsigned long long delay, void *job, original_delay_t original) {
  (void)original;
  enqueue_job(job, delay);
}

static SWIFT_CALL void enqueue_at(
    long long seconds, long long nanoseconds, long long tolerance_seconds,
    long long tolerance_nanoseconds, int clock, void *job, original_deadline_t original) {
  (void)tolerance_seconds;
  (void)tolerance_nanoseconds;
  (void)original;
  (void)clock;
  long long delay = seconds * 1000000000LL + nanoseconds - now_nanoseconds;
  enqueue_job(job, delay > 0 ? (uint64_t)delay : 0);
}

// Instead of the dispatch library's: where tasks go that yield.
void dispatch_async_f(void *queue, void *job, void (*run)(void *)) {
  (void)queue;
  (void)run;
  enqueue_job(job, 0);
}

// Instead of the dispatch library's: where sleeping tasks go. The time of the clock that Swift sleeps
// by has the highest bit set.
void dispatch_after_f(uint64_t when, void *queue, void *job, void (*run)(void *)) {
  (void)queue;
  (void)run;
  int64_t delay = (int64_t)(when & ~(1ULL << 63)) - now_nanoseconds;
  enqueue_job(job, delay > 0 ? (uint64_t)delay : 0);
}

void simulation_take_over(void (*enqueue_)(void *, uint64_t)) {
  enqueue_job = enqueue_;
  swift_task_enqueueGlobal_hook = enqueue;
  swift_task_enqueueGlobalWithDelay_hook = enqueue_after;
  swift_task_enqueueGlobalWithDeadline_hook = enqueue_at;
}

void simulation_run(void *job) { swift_job_run(job, NULL, NULL); }

static uint64_t (*next_word)(void);

void simulation_draw_from(uint64_t (*next)(void)) { next_word = next; }

static void draw(unsigned char *bytes, size_t size) {
  while (size > 0) {
    uint64_t word = next_word();
    size_t count = size < sizeof word ? size : sizeof word;
    memcpy(bytes, &word, count);
    bytes += count;
    size -= count;
  }
}

// Instead of the C library's: by this the standard library asks the kernel for random numbers. To take
// the place of swift_stdlib_random would not do: what the standard library calls within itself, and in
// a debug build that is nearly all, is its own.
long syscall(long number, ...) {
  long a[6];
  va_list list;
  va_start(list, number);
  for (size_t i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_getrandom && next_word) {
    draw((unsigned char *)a[0], (size_t)a[1]);
    return a[1];
  }
  static long (*original)(long, ...);
  if (!original) original = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return original(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static const char *last_words;

static void on_fault(int number) {
  if (last_words) (void)!write(STDOUT_FILENO, last_words, strlen(last_words));
  signal(number, SIG_DFL);
  raise(number);
}

void simulation_print_when_killed(const char *line) {
  last_words = line;
  int numbers[] = {SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) signal(numbers[i], on_fault);
}
