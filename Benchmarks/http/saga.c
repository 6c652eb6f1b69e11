/* Places orders on 127.0.0.1 for the sagas to carry out, and says how far they came.
 *
 *   saga offer PORT URI RATE SECONDS SAMPLES [PID ...]
 *
 * RATE orders a second arrive whether or not earlier ones are answered. SAMPLES of them a second
 * ask with `Prefer: wait` to be answered when they are confirmed (201): `wait` counts from sending
 * to that answer; a sample that is open when the server has waited long enough (202) counts with
 * what it has waited until then. The log of URI is asked each second how many orders are placed and
 * how many confirmed. `placed` and `confirmed` are of SECONDS, from the first order on; then the
 * sagas have a minute to end what they have begun. `cpu` is of these processes and, the last one,
 * of this one, in the same SECONDS.
 *
 *   saga one PORT URI SAMPLES      one order at a time, each with `Prefer: wait`
 *   saga declined PORT URI SAMPLES the same, and each is cancelled (409): its card is declined
 *   saga place PORT ORDERS         so many orders, over a few connections; refused ones come again
 *   saga count URI                 orders and sagas of a log
 *   saga watch SECONDS PID [PID ...]   the processor time of these processes
 *
 * An answer is accepted (2xx), cancelled (409), refused (503: nothing was done), unknown (503: it
 * may have been), late (none within its time) or, anything else, wrong, which fails. An order that
 * finds every connection waiting is not sent, and counted. */
#include "../program.h"
#include "backlog.h"
#include "connection.h"
#include "processor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  WRITERS = 1024,
  WAITERS_MAX = 1536, /* with the writers, less than the server's 4,096 connections */
  PLACERS = 16,
  ONE_WARM_UP = 30, /* orders */
  WAIT_SECONDS = 30, /* the longest that the server waits */
  REQUEST_MAX = 512,
  EVENTS_MAX = 256
};
static const double answer_seconds_max = 10; /* later than this it is as good as none */

static const char paid[] = "{\"user_id\":456,\"product_id\":101,\"quantity\":1}";
static const char declined[] = "{\"user_id\":456,\"product_id\":101,\"quantity\":1,"
                               "\"payment_method\":\"test_card_declined\"}";
static const char *order = paid;

static idle_t idle_writers, idle_waiters;
static connection_t *writers, *waiters;
static size_t waiter_count;
static size_t due;
static double started, ended;
static long long offered, unsent, accepted, cancelled, refused, unknown, late;
static long long sampled, unconfirmed_samples;
static latencies_t waits, waits_by_quarter[4];

static bool is_waiter(const connection_t *connection) {
  return waiters && connection >= waiters && connection < waiters + waiter_count;
}

static void send_order(connection_t *connection, bool waits_for_end) {
  char request[REQUEST_MAX], preference[64] = "";
  if (waits_for_end) {
    snprintf(preference, sizeof preference, "Prefer: wait=%d\r\n", WAIT_SECONDS);
  }
  int length = snprintf(request, sizeof request,
                        "POST /cqrs/commands/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "User-Agent: saga\r\nContent-Type: application/json\r\n%s"
                        "Content-Length: %zu\r\n\r\n%s",
                        preference, strlen(order), order);
  if (!connection_send(connection, request, (size_t)length)) fail("a connection was cut");
  due++;
}

/* Counts an answer by its kind; true when the order is in the log. */
static bool count_answer(const connection_t *connection, int status) {
  if (connection_is_closing(connection)) fail("a connection was ended: %s", connection->answer);
  if (status >= 200 && status < 300) {
    accepted++;
    return true;
  }
  if (status == 409 && strstr(connection->answer, "order-cancelled")) {
    if (!cancelled++ && order != declined) fprintf(stderr, "the first cancellation: %s\n", connection->answer);
    accepted++;
    return true;
  }
  if (status != 503) fail("a wrong answer: %s", connection->answer);
  if (strstr(connection->answer, "outcome-unknown")) unknown++;
  else refused++;
  return false;
}

/* The status of an answer that is there whole, else ANSWER_DUE. A connection of which nothing is
 * asked may be ended by the server. */
static int receive(connection_t *connection) {
  bool was_busy = connection->is_busy;
  int status = connection_receive(connection);
  if (status == ANSWER_CUT && was_busy) fail("a connection was cut");
  if (status == ANSWER_CUT) {
    connection_close(connection);
    return ANSWER_DUE;
  }
  if (status != ANSWER_DUE) due--;
  return status;
}

/* ---- offer ---- */

static void add_wait(const connection_t *connection, double now) {
  int quarter = (int)(4 * (connection->sent_at - started) / (ended - started));
  double wait = now - connection->sent_at;
  latencies_add(&waits, wait);
  latencies_add(&waits_by_quarter[quarter < 3 ? quarter : 3], wait);
}

static void take_answer(connection_t *connection) {
  int status = receive(connection);
  if (status == ANSWER_DUE) return;
  double now = seconds_now();
  if (count_answer(connection, status)) {
    if (is_waiter(connection)) add_wait(connection, now);
    if (is_waiter(connection) && status != 201) unconfirmed_samples++;
  }
  idle_add(is_waiter(connection) ? &idle_waiters : &idle_writers, connection);
}

/* Sends the next order, as a sample when it is one's turn. */
static void offer_order(double orders_a_sample) {
  bool is_sample = (double)offered >= (double)sampled * orders_a_sample;
  connection_t *connection = idle_take(is_sample ? &idle_waiters : &idle_writers);
  offered++;
  if (is_sample) sampled++;
  if (connection) send_order(connection, is_sample);
  else unsent++;
}

/* Answers that have not come by now will not be waited for. */
static void give_up(const connection_t *connections, size_t count, double now) {
  for (size_t i = 0; i < count; i++) {
    if (!connections[i].is_busy) continue;
    late++;
    if (is_waiter(&connections[i])) add_wait(&connections[i], now);
  }
}

static void offer_orders(int poll, double rate, double samples, processor_t *processor) {
  bool is_over = false;
  double patience = answer_seconds_max + WAIT_SECONDS;
  for (double now; (now = seconds_now()) < ended || due;) {
    if (now >= ended && !is_over) {
      processor_stop(processor);
      is_over = true;
    }
    if (now > ended + patience) break;
    while (now < ended && offered < (long long)((now - started) * rate)) {
      offer_order(rate / samples);
    }
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poll, events, EVENTS_MAX, 1);
    for (int i = 0; i < ready; i++) take_answer(events[i].data.ptr);
  }
  if (!is_over) processor_stop(processor);
  give_up(writers, WRITERS, seconds_now());
  give_up(waiters, waiter_count, seconds_now());
}

static void print_offer(double seconds) {
  printf("offered %.0f orders/s\n", (double)offered / seconds);
  printf("unsent %lld orders\n", unsent);
  printf("refused %lld orders\n", refused);
  printf("unknown %lld orders\n", unknown);
  printf("late %lld orders\n", late);
  printf("samples %zu orders\n", waits.count);
  printf("samples.unconfirmed %lld orders\n", unconfirmed_samples);
  latencies_print(&waits, "wait");
  for (int quarter = 0; quarter < 4; quarter++) {
    char name[32];
    snprintf(name, sizeof name, "wait.quarter%d", quarter + 1);
    latencies_print(&waits_by_quarter[quarter], name);
  }
}

static void offer(int port, const char *uri, double rate, int seconds, double samples,
                  int pid_count, char **pids) {
  static backlog_t backlog;
  processor_t processor;
  char own[16], *watched[WATCHED_MAX];
  if (samples > rate) samples = rate;
  if (pid_count >= WATCHED_MAX) fail("at most %d processes can be watched", WATCHED_MAX - 1);
  memcpy(watched, pids, (size_t)pid_count * sizeof *watched);
  snprintf(own, sizeof own, "%d", (int)getpid());
  watched[pid_count] = own;

  backlog_open(&backlog, uri);
  int poll = epoll_create1(0);
  writers = connections_open(port, WRITERS, poll);
  /* Enough for all to wait as long as they may; not so many that one lies idle for a minute, after
   * which the server ends it. */
  waiter_count = (size_t)(samples * (WAIT_SECONDS + 2)) + 1;
  if (waiter_count > WAITERS_MAX) waiter_count = WAITERS_MAX;
  waiters = connections_open(port, waiter_count, poll);
  idle_start(&idle_writers, writers, WRITERS);
  idle_start(&idle_waiters, waiters, waiter_count);

  started = seconds_now();
  ended = started + seconds;
  processor_start(&processor, (size_t)pid_count + 1, watched);
  backlog_start(&backlog, started, seconds);
  offer_orders(poll, rate, samples, &processor);
  backlog_finish(&backlog, accepted, unknown + late);
  print_offer(seconds);
  processor_print(&processor);
}

/* ---- one, place ---- */

/* Answers come to connections of one poll; the status of the next. */
static int next_answer(int poll, connection_t **connection, double patience) {
  double deadline = seconds_now() + patience;
  while (seconds_now() < deadline) {
    struct epoll_event event;
    if (epoll_wait(poll, &event, 1, 100) != 1) continue;
    *connection = event.data.ptr;
    int status = receive(*connection);
    if (status != ANSWER_DUE) return status;
  }
  fail("no answer came within %.0f s", patience);
}

static void one_at_a_time(int port, const char *uri, long samples) {
  int end_status = order == declined ? 409 : 201;
  size_t end = order == declined ? CANCELLED : CONFIRMED;
  tally_t *tally = tally_open(uri);
  tally_orders(tally);
  int64_t before = tally_count(tally, end);
  int poll = epoll_create1(0);
  connection_t *connection = connections_open(port, 1, poll);
  for (long i = -ONE_WARM_UP; i < samples; i++) {
    send_order(connection, true);
    int status = next_answer(poll, &connection, WAIT_SECONDS + answer_seconds_max);
    double now = seconds_now();
    if (!count_answer(connection, status) || status != end_status) {
      fail("an order has another end: %s", connection->answer);
    }
    if (i >= 0) latencies_add(&waits, now - connection->sent_at);
  }
  tally_orders(tally);
  long long found = (long long)(tally_count(tally, end) - before);
  if (found != accepted) fail("of %lld orders %lld have that end", accepted, found);
  tally_close(tally);
  printf("samples %zu orders\n", waits.count);
  latencies_print(&waits, "wait");
}

static void place(int port, long long orders) {
  enum { REFUSED_PAUSE_MICROSECONDS = 10 * 1000 };
  int poll = epoll_create1(0);
  idle_start(&idle_writers, connections_open(port, PLACERS, poll), PLACERS);
  while (accepted < orders) {
    while (accepted + (long long)due < orders) {
      connection_t *idle = idle_take(&idle_writers);
      if (!idle) break;
      send_order(idle, false);
    }
    connection_t *connection;
    int status = next_answer(poll, &connection, answer_seconds_max);
    if (!count_answer(connection, status)) usleep(REFUSED_PAUSE_MICROSECONDS);
    if (unknown) fail("an order's outcome is unknown: %s", connection->answer);
    idle_add(&idle_writers, connection);
  }
  printf("placed %lld orders\n", accepted);
}

/* ---- count, watch ---- */

static void count_log(const char *uri) {
  tally_t *tally = tally_open(uri);
  tally_orders(tally);
  tally_sagas(tally);
  printf("commits %lld commits\n", (long long)tally_commits(tally));
  printf("orders %lld orders\n", (long long)tally_count(tally, INITIATED));
  printf("orders.open %lld orders\n", (long long)tally_open_orders(tally));
  printf("sagas %lld sagas\n", (long long)tally_count(tally, SAGAS_STARTED));
  printf("sagas.waiting %lld sagas\n", (long long)tally_waiting_sagas(tally));
  tally_close(tally);
}

static void watch(double seconds, int count, char **pids) {
  processor_t processor;
  processor_start(&processor, (size_t)count, pids);
  usleep((useconds_t)(seconds * 1e6));
  processor_stop(&processor);
  processor_print(&processor);
}

int main(int count, char **arguments) {
  const char *verb = count > 1 ? arguments[1] : "";
  if (strcmp(verb, "offer") == 0 && count >= 7) {
    offer((int)positive(arguments[2], "PORT"), arguments[3], positive(arguments[4], "RATE"),
          (int)positive(arguments[5], "SECONDS"), positive(arguments[6], "SAMPLES"), count - 7,
          arguments + 7);
  } else if ((strcmp(verb, "one") == 0 || strcmp(verb, "declined") == 0) && count == 5) {
    if (strcmp(verb, "declined") == 0) order = declined;
    one_at_a_time((int)positive(arguments[2], "PORT"), arguments[3],
                  (long)positive(arguments[4], "SAMPLES"));
  } else if (strcmp(verb, "place") == 0 && count == 4) {
    place((int)positive(arguments[2], "PORT"), (long long)positive(arguments[3], "ORDERS"));
  } else if (strcmp(verb, "count") == 0 && count == 3) {
    count_log(arguments[2]);
  } else if (strcmp(verb, "watch") == 0 && count >= 4) {
    watch(positive(arguments[2], "SECONDS"), count - 3, arguments + 3);
  } else {
    fail("usage: saga offer PORT URI RATE SECONDS SAMPLES [PID ...] | saga one PORT URI SAMPLES | "
         "saga declined PORT URI SAMPLES | "
         "saga place PORT ORDERS | saga count URI | saga watch SECONDS PID [PID ...]");
  }
  return 0;
}
