/* Keep-alive connections to 127.0.0.1 for load generators: one request at a time on each, its
 * answer read whole, and nothing that blocks once they stand. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { ANSWER_MAX = 16384 };

typedef struct {
  int socket; /* -1 when it was cut */
  bool is_busy;
  double sent_at;
  size_t filled;
  char answer[ANSWER_MAX + 1];
} connection_t;

/* Opens connections, which stand in the poll's events as their addresses. */
connection_t *connections_open(int port, size_t count, int poll);

/* Sends a request; false when the connection was cut. */
bool connection_send(connection_t *connection, const char *request, size_t length);

enum { ANSWER_DUE = 0, ANSWER_CUT = -1 };

/* Takes what has come in. The status when the answer is there whole, and the connection idle
 * again; ANSWER_DUE when there is more to come; ANSWER_CUT when none will. */
int connection_receive(connection_t *connection);

/* Whether the last answer says that the connection ends. */
bool connection_is_closing(const connection_t *connection);

/* Where the value of a header of the last answer starts, its end being in `length`; NULL when there
 * is none. The name is in lower case. */
const char *connection_header(const connection_t *connection, const char *name, size_t *length);

void connection_close(connection_t *connection);

/* Idle connections, taken in turn so that all take part. Starts as zeroes. */
typedef struct {
  connection_t **ring;
  size_t room, first, count;
} idle_t;

void idle_add(idle_t *idle, connection_t *connection);

/* One that still stands; NULL when there is none. */
connection_t *idle_take(idle_t *idle);

/* All of `count` connections are idle. */
void idle_start(idle_t *idle, connection_t *connections, size_t count);
