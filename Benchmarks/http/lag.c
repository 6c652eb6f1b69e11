/* How long after a command was acknowledged a query shows what it did: places orders on 127.0.0.1
 * at RATE a second, whether or not earlier ones are answered, and asks for some of them.
 *
 *   lag PORT RATE SECONDS
 *
 * As soon as the answer to such an order has come (its Location, its position in the log), the
 * order is asked for with that position in `Magasin-Position`: the server answers when its read
 * model has come so far. `lag` counts from the one answer to the other, both read whole.
 *
 * Nothing is printed, and the exit status is 1, unless every answer was good and at least 0.97 of
 * RATE was accepted: the lag of a smaller load would look better than it is. */
#include "../program.h"
#include "connection.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

enum { WRITERS = 1024, READERS = 512, REQUEST_MAX = 1024, EVENTS_MAX = 256 };
static const double answer_seconds_max = 10; /* later than this it is as good as none */
static const double rate_share_min = 0.97;
static const double samples_a_second = 100;

static const char order[] = "{\"user_id\":456,\"product_id\":101,\"quantity\":1}";

static connection_t *readers;
static double acknowledged_at[READERS];
static idle_t idle_writers, idle_readers;
static double started, ended;
static long long offered, accepted, accepted_in_time;
static size_t due;
static double sample_every = 1; /* orders */
static long long sampled;
static latencies_t lags;

static bool is_reader(const connection_t *connection) {
  return connection >= readers && connection < readers + READERS;
}

static void send_order(void) {
  char request[REQUEST_MAX];
  connection_t *connection = idle_take(&idle_writers);
  if (!connection) fail("the lag is void: all %d connections wait for their answers", WRITERS);
  int length = snprintf(request, sizeof request,
                        "POST /cqrs/commands/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "User-Agent: lag\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        sizeof order - 1, order);
  if (!connection_send(connection, request, (size_t)length)) fail("a connection was cut");
  due++;
}

/* Asks for the order that `answer` has acknowledged just now. */
static void ask_for_order(const connection_t *answer, double now) {
  char request[REQUEST_MAX];
  size_t path_length, position_length;
  const char *path = connection_header(answer, "location", &path_length);
  const char *position = connection_header(answer, "magasin-position", &position_length);
  if (!path || !position) fail("no Location or no Magasin-Position: %s", answer->answer);
  connection_t *connection = idle_take(&idle_readers);
  if (!connection) fail("the lag is void: %d queries wait for their answers", READERS);
  int length = snprintf(request, sizeof request,
                        "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: lag\r\n"
                        "Magasin-Position: %.*s\r\n\r\n",
                        (int)path_length, path, (int)position_length, position);
  if (length >= REQUEST_MAX) fail("a Location of %zu bytes", path_length);
  acknowledged_at[connection - readers] = now;
  if (!connection_send(connection, request, (size_t)length)) fail("a connection was cut");
  due++;
}

static void take_acknowledgement(connection_t *connection, int status, double now) {
  if (status < 200 || status > 299) {
    fail("the lag is void: an order was not accepted: %s", connection->answer);
  }
  accepted++;
  if (now <= ended) accepted_in_time++;
  if ((double)accepted >= (double)sampled * sample_every) {
    sampled++;
    ask_for_order(connection, now);
  }
}

static void take_row(connection_t *connection, int status, double now) {
  if (status != 200) fail("the lag is void: an order was not visible: %s", connection->answer);
  latencies_add(&lags, now - acknowledged_at[connection - readers]);
}

static void receive(connection_t *connection) {
  int status = connection_receive(connection);
  if (status == ANSWER_DUE) return;
  if (status == ANSWER_CUT) fail("a connection was cut");
  double now = seconds_now();
  due--;
  if (is_reader(connection)) take_row(connection, status, now);
  else take_acknowledgement(connection, status, now);
  if (connection_is_closing(connection)) fail("a connection was ended: %s", connection->answer);
  idle_add(is_reader(connection) ? &idle_readers : &idle_writers, connection);
}

int main(int count, char **arguments) {
  if (count != 4) fail("usage: lag PORT RATE SECONDS");
  int port = (int)positive(arguments[1], "PORT");
  double rate = positive(arguments[2], "RATE"), seconds = positive(arguments[3], "SECONDS");
  if (rate > samples_a_second) sample_every = rate / samples_a_second;
  int poll = epoll_create1(0);
  idle_start(&idle_writers, connections_open(port, WRITERS, poll), WRITERS);
  readers = connections_open(port, READERS, poll);
  idle_start(&idle_readers, readers, READERS);

  started = seconds_now();
  ended = started + seconds;
  for (double now; (now = seconds_now()) < ended || due;) {
    if (now > ended + answer_seconds_max) fail("the lag is void: %zu answers never came", due);
    while (now < ended && offered < (long long)((now - started) * rate)) {
      send_order();
      offered++;
    }
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poll, events, EVENTS_MAX, 1);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }

  double reached = (double)accepted_in_time / seconds;
  if (reached < rate * rate_share_min) {
    fail("the lag is void: %.0f orders a second were accepted, not %.0f", reached, rate);
  }
  printf("lag.rate %.0f requests/s\n", reached);
  printf("lag.samples %zu samples\n", lags.count);
  latencies_print(&lags, "lag");
  return 0;
}
