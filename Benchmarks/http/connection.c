#include "connection.h"

#include "../program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

connection_t *connections_open(int port, size_t count, int poll) {
  connection_t *connections = calloc(count, sizeof *connections);
  if (!connections) fail("no memory for %zu connections", count);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (size_t i = 0; i < count; i++) {
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
  }
  return connections;
}

void connection_close(connection_t *connection) {
  close(connection->socket);
  connection->socket = -1;
  connection->is_busy = false;
}

bool connection_send(connection_t *connection, const char *request, size_t length) {
  connection->sent_at = seconds_now();
  connection->filled = 0;
  connection->is_busy = true;
  /* One small request at a time: the socket's buffer takes it whole, or the connection is gone. */
  ssize_t sent = send(connection->socket, request, length, MSG_NOSIGNAL);
  if (sent == (ssize_t)length) return true;
  connection_close(connection);
  return false;
}

const char *connection_header(const connection_t *connection, const char *name, size_t *length) {
  size_t name_length = strlen(name);
  const char *line = strstr(connection->answer, "\r\n");
  while (line && strncmp(line, "\r\n\r\n", 4) != 0) {
    line += 2;
    const char *end = strstr(line, "\r\n");
    if (!end) return NULL;
    if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
      const char *value = line + name_length + 1;
      while (*value == ' ') value++;
      *length = (size_t)(end - value);
      return value;
    }
    line = end;
  }
  return NULL;
}

bool connection_is_closing(const connection_t *connection) {
  size_t length;
  const char *value = connection_header(connection, "connection", &length);
  return value && length == 5 && strncasecmp(value, "close", 5) == 0;
}

/* The status if all of the answer is there, else ANSWER_DUE. */
static int status_of_whole(const connection_t *connection) {
  const char *answer = connection->answer;
  const char *body = strstr(answer, "\r\n\r\n");
  if (!body) return ANSWER_DUE;
  body += 4;
  size_t length;
  const char *value = connection_header(connection, "content-length", &length);
  if (!value) fail("an answer without a length: %s", answer);
  size_t whole = (size_t)(body - answer) + strtoul(value, NULL, 10);
  if (whole > ANSWER_MAX) fail("an answer of %zu bytes", whole);
  if (connection->filled < whole) return ANSWER_DUE;
  int status = 0;
  if (sscanf(answer, "HTTP/1.1 %d", &status) != 1) fail("no HTTP/1.1: %s", answer);
  return status;
}

int connection_receive(connection_t *connection) {
  if (connection->socket < 0) return ANSWER_DUE;
  ssize_t count = recv(connection->socket, connection->answer + connection->filled,
                       ANSWER_MAX - connection->filled, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return ANSWER_DUE;
  if (count <= 0 || !connection->is_busy) return ANSWER_CUT;
  connection->filled += (size_t)count;
  connection->answer[connection->filled] = '\0';
  int status = status_of_whole(connection);
  if (status != ANSWER_DUE) connection->is_busy = false;
  return status;
}

void idle_start(idle_t *idle, connection_t *connections, size_t count) {
  idle->room = count;
  idle->ring = calloc(count, sizeof(connection_t *));
  if (!idle->ring) fail("no memory for %zu connections", count);
  for (size_t i = 0; i < count; i++) idle_add(idle, &connections[i]);
}

void idle_add(idle_t *idle, connection_t *connection) {
  idle->ring[(idle->first + idle->count++) % idle->room] = connection;
}

connection_t *idle_take(idle_t *idle) {
  while (idle->count) {
    connection_t *connection = idle->ring[idle->first];
    idle->first = (idle->first + 1) % idle->room;
    idle->count--;
    if (connection->socket >= 0) return connection;
  }
  return NULL;
}
