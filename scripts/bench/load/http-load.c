/*
 * HTTP load: so many keep-alive connections, each sending its next GET when the whole answer to the last one is here.
 *
 *   http-load HOST PORT LIST connections=32 seconds=2
 *
 * An answer has to be 200 with a Content-Length and exactly the expected body. A connection that the server closes between
 * two answers is opened again (counted as a retransmission); one that ends inside an answer is an error. What is under way
 * at the end is dropped: its bytes count, it is no read. The clock of a read runs from its request to its last byte.
 */
#include "load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CONNECTIONS_MAX = 1024, HEAD_MAX = 16384, BUFFER = 1 << 18, WAIT_MAX_US = 10000000 };

struct connection {
  int fd;
  const struct target *target;
  uint64_t started;
  char head[HEAD_MAX + 1];
  size_t head_size, body_at, answers;
  int in_body;
};

static struct connection connections[CONNECTIONS_MAX];
static struct sockaddr_in server;
static const char *host;
static struct target *targets;
static size_t target_count, next_target;
static struct results results;
static unsigned connection_count = 1;
static double seconds = 0;
static int epoll_fd;
static uint8_t buffer[BUFFER];

static void ask(struct connection *c) {
  char request[1024];
  c->target = &targets[next_target++ % target_count];
  int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", c->target->name, host);
  c->head_size = c->body_at = 0;
  c->in_body = 0;
  c->started = now_us();
  if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size && errno != EPIPE && errno != ECONNRESET) die("send", c->target->name);
}

static void open_connection(struct connection *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect", host);
  int yes = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->answers = 0;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl", host);
  ask(c);
}

static void reopen(struct connection *c) {
  close(c->fd);
  open_connection(c);
}

/* Status and Content-Length of a complete head; 0 where it is not what is wanted. */
static int take_head(struct connection *c) {
  char *length = strcasestr(c->head, "\r\nContent-Length:");
  if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || !length) {
    count_error(&results, "%s: %.*s%s", c->target->name, (int)strcspn(c->head, "\r"), c->head, length ? "" : ", no Content-Length");
    return 0;
  }
  unsigned long long size = strtoull(length + 17, 0, 10);
  if (size == c->target->size) return 1;
  count_error(&results, "%s: Content-Length %llu, expected %zu", c->target->name, size, c->target->size);
  return 0;
}

/* 1: goes on, 0: the connection has to be opened again. */
static int take_body(struct connection *c, const uint8_t *bytes, size_t size) {
  if (size > c->target->size - c->body_at || memcmp(bytes, c->target->content + c->body_at, size) != 0) {
    count_error(&results, "%s: the body differs within %zu bytes from byte %zu", c->target->name, size, c->body_at);
    return 0;
  }
  c->body_at += size;
  results.bytes += size;
  if (c->body_at < c->target->size) return 1;
  count_read(&results, now_us() - c->started);
  c->answers++;
  ask(c);
  return 1;
}

static int take(struct connection *c, uint8_t *bytes, size_t size) {
  if (c->in_body) return take_body(c, bytes, size);
  size_t room = HEAD_MAX - c->head_size, part = size < room ? size : room, before = c->head_size;
  memcpy(c->head + before, bytes, part);
  c->head_size += part;
  c->head[c->head_size] = 0;
  char *end = strstr(c->head, "\r\n\r\n");
  if (!end) {
    if (c->head_size < HEAD_MAX) return 1;
    count_error(&results, "%s: a head over %d bytes", c->target->name, HEAD_MAX);
    return 0;
  }
  size_t head_length = (size_t)(end - c->head) + 4;
  end[2] = 0;
  if (!take_head(c)) return 0;
  c->in_body = 1;
  return take_body(c, bytes + (head_length - before), size - (head_length - before));
}

static void receive(struct connection *c) {
  ssize_t size = recv(c->fd, buffer, BUFFER, 0);
  if (size > 0) {
    if (!take(c, buffer, (size_t)size)) reopen(c);
    return;
  }
  if (size < 0 && errno == EAGAIN) return;
  if (c->answers > 0 && c->head_size == 0) results.retransmissions++; /* an idle connection may be closed */
  else count_error(&results, "%s: the connection ended inside an answer", c->target->name);
  reopen(c);
}

int main(int argc, char **argv) {
  server.sin_family = AF_INET;
  for (int i = 4; i < argc; i++)
    if ((sscanf(argv[i], "connections=%u", &connection_count) != 1 || connection_count < 1 || connection_count > CONNECTIONS_MAX) &&
        sscanf(argv[i], "seconds=%lf", &seconds) != 1) {
      fprintf(stderr, "http-load: bad option %s\n", argv[i]);
      return 2;
    }
  if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || seconds <= 0) {
    fprintf(stderr, "usage: http-load HOST PORT LIST connections=N seconds=S\n");
    return 2;
  }
  host = argv[1];
  server.sin_port = htons((uint16_t)atoi(argv[2]));
  targets = read_targets(argv[3], &target_count);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  uint64_t begun = now_us(), deadline = begun + (uint64_t)(seconds * 1e6), now = begun;
  for (unsigned i = 0; i < connection_count; i++) open_connection(&connections[i]);
  struct epoll_event events[CONNECTIONS_MAX];
  while (now < deadline && results.errors < 100) {
    int ready = epoll_wait(epoll_fd, events, CONNECTIONS_MAX, (int)((deadline - now) / 1000 + 1));
    if (ready < 0 && errno != EINTR) die("epoll_wait", "");
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
    now = now_us();
  }
  for (unsigned i = 0; i < connection_count; i++)
    if (now - connections[i].started > WAIT_MAX_US && connections[i].body_at == 0) count_error(&results, "%s: no answer", connections[i].target->name);
  print_results(&results, now - begun);
  return 0;
}
