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
#define _GNU_SOURCE /* strcasestr */
#include "../program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 2048, BODY_MAX = 1024, ANSWER_MAX = 8192, EVENTS_MAX = 512 };
static const double answer_seconds_max = 10; /* later than this it is as good as none */

typedef struct {
  int socket; /* -1 when it was cut */
  bool is_busy;
  double sent_at;
  size_t filled;
  char answer[ANSWER_MAX + 1];
} connection_t;

static const char *path, *template;
static long first_product = 1, last_product = 1, next_product = 1;
static connection_t *connections;
static connection_t **idle; /* a ring, so that all connections take part */
static size_t connection_count, idle_first, idle_count, busy_count;
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

static void lose(connection_t *connection) {
  close(connection->socket);
  connection->socket = -1;
  cut++;
  if (connection->is_busy) busy_count--;
  connection->is_busy = false;
}

static void send_request(connection_t *connection) {
  char body[BODY_MAX], request[REQUEST_MAX];
  size_t body_length = write_body(body);
  int length = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: offered\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        path, body_length, body);
  connection->sent_at = seconds_now();
  connection->filled = 0;
  connection->is_busy = true;
  busy_count++;
  sent++;
  /* One small request at a time: the socket's buffer takes it whole, or the connection is gone. */
  if (send(connection->socket, request, (size_t)length, MSG_NOSIGNAL) != length) lose(connection);
}

/* An idle connection that still stands; NULL when there is none. */
static connection_t *take_idle(void) {
  while (idle_count) {
    connection_t *connection = idle[idle_first];
    idle_first = (idle_first + 1) % connection_count;
    idle_count--;
    if (connection->socket >= 0) return connection;
  }
  return NULL;
}

static void become_idle(connection_t *connection) {
  connection->is_busy = false;
  idle[(idle_first + idle_count++) % connection_count] = connection;
}

/* Sends what has arrived until now: at `rate` a second, or (0) as much as there are connections. */
static void offer(double now, double rate) {
  if (rate > 0) {
    long long due = (long long)((now - started) * rate);
    for (; offered < due; offered++) {
      connection_t *connection = take_idle();
      if (connection) send_request(connection);
      else unsent++;
    }
  } else {
    for (connection_t *connection; (connection = take_idle());) send_request(connection);
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

/* Takes the answer if all of it is there. */
static void read_answer(connection_t *connection) {
  char *answer = connection->answer;
  answer[connection->filled] = '\0';
  char *body = strstr(answer, "\r\n\r\n");
  if (!body) return;
  body += 4;
  char *length = strcasestr(answer, "\r\ncontent-length:");
  if (!length || length >= body) fail("an answer without a length: %s", answer);
  size_t whole = (size_t)(body - answer) + strtoul(length + 17, NULL, 10);
  if (whole > ANSWER_MAX) fail("an answer of %zu bytes", whole);
  if (connection->filled < whole) return;

  int status = 0;
  if (sscanf(answer, "HTTP/1.1 %d", &status) != 1) fail("no HTTP/1.1: %s", answer);
  char *retry_after = strcasestr(answer, "\r\nretry-after:");
  char *closing = strcasestr(answer, "\r\nconnection: close");
  count_answer(connection, status, retry_after && retry_after < body);
  busy_count--;
  become_idle(connection);
  if (closing && closing < body) lose(connection);
}

static void receive(connection_t *connection) {
  if (connection->socket < 0) return;
  ssize_t count = recv(connection->socket, connection->answer + connection->filled,
                       ANSWER_MAX - connection->filled, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0 || !connection->is_busy) {
    lose(connection);
    return;
  }
  connection->filled += (size_t)count;
  read_answer(connection);
}

static void open_connections(int port, int poll) {
  connections = calloc(connection_count, sizeof *connections);
  idle = calloc(connection_count, sizeof *idle);
  if (!connections || !idle) fail("no memory for %zu connections", connection_count);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (size_t i = 0; i < connection_count; i++) {
    connection_t *connection = &connections[i];
    int one = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->socket < 0) fail("socket: %s", strerror(errno));
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address)) {
      fail("connection %zu: %s", i + 1, strerror(errno));
    }
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->socket, &event)) {
      fail("epoll_ctl: %s", strerror(errno));
    }
    become_idle(connection);
  }
}

int main(int count, char **arguments) {
  if (count != 7 && count != 9) {
    fail("usage: offered PORT PATH BODY CONNECTIONS RATE SECONDS [FIRST LAST]");
  }
  path = arguments[2];
  template = arguments[3];
  connection_count = (size_t)positive(arguments[4], "CONNECTIONS");
  double rate = strcmp(arguments[5], "max") == 0 ? 0 : positive(arguments[5], "RATE");
  double seconds = positive(arguments[6], "SECONDS");
  if (count == 9) {
    next_product = first_product = (long)positive(arguments[7], "FIRST");
    last_product = (long)positive(arguments[8], "LAST");
  }
  int poll = epoll_create1(0);
  open_connections((int)positive(arguments[1], "PORT"), poll);

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
