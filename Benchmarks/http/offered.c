/* Offers POST requests to 127.0.0.1 on keep-alive connections and says what became of each.
 *
 *   offered PORT PATH BODY CONNECTIONS RATE SECONDS [FIRST LAST]
 *
 * RATE requests a second arrive whether or not earlier ones are answered: an open loop, as buyers
 * are. An arrival that finds every connection waiting is not sent, and counted. With RATE `max`
 * each connection sends its next request when it has its answer: a closed loop.
 *
 * In BODY, {order} becomes a new order id, and {product} each number from FIRST to LAST in turn.
 *
 * When the time is over, answers still due are waited for, so that the counts are of all that was
 * sent; `rate` is of the requests accepted within the time. An answer is accepted (2xx), rejected
 * (4xx), refused (503 with Retry-After) or wrong (anything else). A latency counts from sending. */
#include "../program.h"
#include "connection.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 2048, BODY_MAX = 1024, EVENTS_MAX = 512 };
static const double answer_seconds_max = 10; /* later than this it is as good as none */

static const char *path, *template;
static long first_product = 1, last_product = 1, next_product = 1;
static idle_t idle;
static size_t busy_count;
static double started, ended;

static latencies_t accepted_latencies, refused_latencies;
static long long offered, sent, unsent, accepted_in_time, accepted, rejected, refused, wrong, cut,
    late;

static size_t write_order(char *text, size_t room) {
  static uint32_t run;
  static uint64_t number;
  if (!run) run = (uint32_t)time(NULL) ^ (uint32_t)getpid() << 12;
  number++;
  return (size_t)snprintf(text, room, "order_%08x-0000-7000-8000-%012llx", run,
                          (unsigned long long)number);
}

static size_t write_product(char *text, size_t room) {
  long number = next_product;
  next_product = number == last_product ? first_product : number + 1;
  return (size_t)snprintf(text, room, "%ld", number);
}

static size_t write_body(char body[static BODY_MAX]) {
  size_t length = 0;
  for (const char *from = template; *from;) {
    size_t room = BODY_MAX - length;
    if (room < 64) fail("the body is longer than %d bytes", BODY_MAX - 64);
    if (strncmp(from, "{order}", 7) == 0) {
      length += write_order(body + length, room);
      from += 7;
    } else if (strncmp(from, "{product}", 9) == 0) {
      length += write_product(body + length, room);
      from += 9;
    } else {
      body[length++] = *from++;
    }
  }
  body[length] = '\0';
  return length;
}

static void send_request(connection_t *connection) {
  char body[BODY_MAX], request[REQUEST_MAX];
  size_t body_length = write_body(body);
  int length = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: offered\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        path, body_length, body);
  sent++;
  if (connection_send(connection, request, (size_t)length)) busy_count++;
  else cut++;
}

/* Sends what has arrived until now: at `rate` a second, or (0) as much as there are connections. */
static void offer(double now, double rate) {
  if (rate > 0) {
    long long due = (long long)((now - started) * rate);
    for (; offered < due; offered++) {
      connection_t *connection = idle_take(&idle);
      if (connection) send_request(connection);
      else unsent++;
    }
  } else {
    for (connection_t *connection; (connection = idle_take(&idle));) send_request(connection);
  }
}

static void count_answer(const connection_t *connection, int status, bool has_retry_after) {
  double now = seconds_now(), latency = now - connection->sent_at;
  if (latency > answer_seconds_max) late++;
  if (status >= 200 && status < 300) {
    accepted++;
    if (now <= ended) accepted_in_time++;
    latencies_add(&accepted_latencies, latency);
  } else if (status == 503 && has_retry_after) {
    refused++;
    latencies_add(&refused_latencies, latency);
  } else if (status >= 400 && status < 500) {
    if (!rejected++) fprintf(stderr, "the first rejection: %s\n", connection->answer);
  } else {
    if (!wrong++) fprintf(stderr, "the first wrong answer: %s\n", connection->answer);
  }
}

static void receive(connection_t *connection) {
  bool was_busy = connection->is_busy;
  int status = connection_receive(connection);
  if (status == ANSWER_DUE) return;
  if (was_busy) busy_count--;
  if (status != ANSWER_CUT) {
    size_t length;
    count_answer(connection, status, connection_header(connection, "retry-after", &length));
    idle_add(&idle, connection);
    if (!connection_is_closing(connection)) return;
  }
  connection_close(connection);
  cut++;
}

int main(int count, char **arguments) {
  if (count != 7 && count != 9) {
    fail("usage: offered PORT PATH BODY CONNECTIONS RATE SECONDS [FIRST LAST]");
  }
  path = arguments[2];
  template = arguments[3];
  size_t connection_count = (size_t)positive(arguments[4], "CONNECTIONS");
  double rate = strcmp(arguments[5], "max") == 0 ? 0 : positive(arguments[5], "RATE");
  double seconds = positive(arguments[6], "SECONDS");
  if (count == 9) {
    next_product = first_product = (long)positive(arguments[7], "FIRST");
    last_product = (long)positive(arguments[8], "LAST");
  }
  int poll = epoll_create1(0);
  connection_t *connections =
      connections_open((int)positive(arguments[1], "PORT"), connection_count, poll);
  idle_start(&idle, connections, connection_count);

  started = seconds_now();
  ended = started + seconds;
  while (true) {
    double now = seconds_now();
    if (now < ended) offer(now, rate);
    else if (!busy_count || now > ended + answer_seconds_max) break;
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poll, events, EVENTS_MAX, 1);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  late += (long long)busy_count;

  printf("rate %.0f requests/s\n", (double)accepted_in_time / seconds);
  latencies_print(&accepted_latencies, "accepted");
  printf("sent %.0f requests/s\n", (double)sent / seconds);
  printf("unsent %lld requests\n", unsent);
  printf("accepted %lld requests\n", accepted);
  printf("rejected %lld requests\n", rejected);
  printf("refused %lld requests\n", refused);
  latencies_print(&refused_latencies, "refused");
  printf("wrong %lld requests\n", wrong);
  printf("cut %lld connections\n", cut);
  printf("late %lld requests\n", late);
  return 0;
}
