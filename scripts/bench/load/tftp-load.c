/*
 * TFTP load: so many clients at once, each reading one file after the other, each read from a socket (port) of its own as
 * real machines do. RFC 1350, 2347, 2348, 2349 (tsize), 7440.
 *
 *   tftp-load HOST PORT LIST clients=64 blksize=1408 windowsize=1 seconds=2     as many reads as fit
 *   tftp-load HOST PORT LIST clients=8 blksize=1408 windowsize=16 reads=1       so many reads a client
 *
 * `sources=127.100.0.0` lets the reader of the list's first file have the address after it, of the second the next, and so
 * on: each machine has an address of its own (all of 127/8 is this host's).
 *
 * In `seconds` mode what is under way at the end is aborted with an ERROR as soon as it has been answered: one that is
 * left alone would be a transfer for minutes, and slow a server that goes through all of them at each packet. Its bytes
 * count, it is no read. The clock of
 * a read runs from before its socket is opened until its last block is here and right. A packet that gets no answer for
 * a second is sent again; after five the read is an error.
 */
#include "load.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { OP_RRQ = 1, OP_DATA = 3, OP_ACK = 4, OP_ERROR = 5, OP_OACK = 6 };
enum { BLKSIZE_MAX = 65464, WINDOW_MAX = 64, TRIES_MAX = 5, RETRY_US = 1000000, SCAN_US = 100000, CLIENTS_MAX = 4096 };

struct client {
  int fd, tries, connected, active;
  unsigned reads_left;
  const struct target *target;
  uint64_t started, last_sent;
  struct sockaddr_in peer; /* TID; port 0 until the first answer */
  uint32_t expected;       /* number of the next block, not wrapped */
  unsigned in_window, blksize, windowsize;
  int gap_reported;
  uint8_t last[600];
  size_t last_size;
};

static struct client clients[CLIENTS_MAX];
static struct sockaddr_in server, sources;
static struct target *targets;
static size_t target_count, next_target;
static struct results results;
static unsigned client_count = 1, blksize = 0, windowsize = 0, reads_each = 0;
static double seconds = 0;
static int epoll_fd;
static unsigned active_count;
static uint64_t begun, deadline;
static uint8_t (*buffers)[BLKSIZE_MAX + 4];
static struct mmsghdr messages[WINDOW_MAX];
static struct iovec vectors[WINDOW_MAX];
static struct sockaddr_in senders[WINDOW_MAX];

static void transmit(struct client *c) {
  const struct sockaddr_in *to = c->peer.sin_port ? &c->peer : &server;
  ssize_t sent = c->connected ? send(c->fd, c->last, c->last_size, 0)
                              : sendto(c->fd, c->last, c->last_size, 0, (const struct sockaddr *)to, sizeof *to);
  if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) die("send", c->target->name);
  c->last_sent = now_us();
}

static void acknowledge(struct client *c, uint32_t block) {
  uint8_t packet[4] = {0, OP_ACK, (uint8_t)(block >> 8), (uint8_t)block};
  memcpy(c->last, packet, 4);
  c->last_size = 4;
  c->tries = 0;
  transmit(c);
}

static size_t put(uint8_t *to, size_t at, const char *text) {
  size_t length = strlen(text) + 1;
  memcpy(to + at, text, length);
  return at + length;
}

static void begin_read(struct client *c) {
  uint64_t now = now_us();
  c->active = 0;
  if (seconds > 0 ? now >= deadline : c->reads_left == 0) return;
  if (c->reads_left > 0) c->reads_left--;
  size_t index = next_target++ % target_count;
  c->target = &targets[index];
  c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket", c->target->name);
  if (sources.sin_family) {
    struct sockaddr_in own = sources;
    own.sin_addr.s_addr = htonl(ntohl(sources.sin_addr.s_addr) + 1 + (uint32_t)index);
    if (bind(c->fd, (struct sockaddr *)&own, sizeof own) < 0) die("bind", c->target->name);
  }
  c->active = 1;
  active_count++;
  c->started = now;
  c->tries = c->connected = c->gap_reported = 0;
  c->peer.sin_port = 0;
  c->expected = 1;
  c->in_window = 0;
  c->blksize = 512;
  c->windowsize = 1;
  c->last[0] = 0;
  c->last[1] = OP_RRQ;
  size_t at = put(c->last, 2, c->target->name);
  char number[16];
  at = put(c->last, at, "octet");
  at = put(c->last, put(c->last, at, "tsize"), "0");
  if (blksize) {
    snprintf(number, sizeof number, "%u", blksize);
    at = put(c->last, put(c->last, at, "blksize"), number);
  }
  if (windowsize > 1) {
    snprintf(number, sizeof number, "%u", windowsize);
    at = put(c->last, put(c->last, at, "windowsize"), number);
  }
  c->last_size = at;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl", c->target->name);
  transmit(c);
}

static void end_read(struct client *c) {
  close(c->fd);
  active_count--;
  begin_read(c);
}

static void abort_read(struct client *c) {
  if (!c->active || !c->peer.sin_port) return;
  static const uint8_t stop[] = {0, OP_ERROR, 0, 0, 'e', 'n', 'o', 'u', 'g', 'h', 0};
  memcpy(c->last, stop, sizeof stop);
  c->last_size = sizeof stop;
  transmit(c);
  close(c->fd);
  c->active = 0;
  active_count--;
}

/* Checks the options granted against what was asked and the file's size. */
static int take_oack(struct client *c, const uint8_t *packet, size_t size) {
  size_t at = 2;
  while (at < size) {
    const char *key = (const char *)packet + at;
    at += strnlen(key, size - at) + 1;
    const char *value = (const char *)packet + at;
    if (at >= size) return 0;
    at += strnlen(value, size - at) + 1;
    if (at > size) return 0;
    unsigned long number = strtoul(value, 0, 10);
    if (!strcasecmp(key, "blksize") && blksize && number >= 8 && number <= blksize) c->blksize = (unsigned)number;
    else if (!strcasecmp(key, "windowsize") && windowsize > 1 && number >= 1 && number <= windowsize) c->windowsize = (unsigned)number;
    else if (!strcasecmp(key, "tsize") && number == c->target->size) continue;
    else return 0;
  }
  return 1;
}

/* True while the read goes on. */
static int take_packet(struct client *c, const uint8_t *packet, size_t size, const struct sockaddr_in *from) {
  if (!c->connected) {
    if (!c->peer.sin_port) c->peer = *from;
    else if (c->peer.sin_port != from->sin_port) return 1;
  }
  if (size < 4) {
    count_error(&results, "%s: a packet of %zu bytes", c->target->name, size);
    return 0;
  }
  unsigned opcode = packet[0] << 8 | packet[1], number = packet[2] << 8 | packet[3];
  if (opcode == OP_OACK && c->expected == 1) {
    if (!take_oack(c, packet, size)) {
      count_error(&results, "%s: an OACK that does not fit the request", c->target->name);
      return 0;
    }
    if (c->target->size > c->blksize && !c->connected) { /* a file: a connected socket costs less a packet */
      if (connect(c->fd, (struct sockaddr *)&c->peer, sizeof c->peer) < 0) die("connect", c->target->name);
      c->connected = 1;
    }
    acknowledge(c, 0);
    return 1;
  }
  if (opcode == OP_ERROR) {
    count_error(&results, "%s: ERROR %u %.*s", c->target->name, number, (int)strnlen((const char *)packet + 4, size - 4), packet + 4);
    return 0;
  }
  if (opcode != OP_DATA) {
    count_error(&results, "%s: opcode %u", c->target->name, opcode);
    return 0;
  }
  if (number != (c->expected & 0xffff)) {
    if (((c->expected - 1) & 0xffff) == number && c->windowsize == 1) transmit(c); /* our ACK was lost */
    else if ((int16_t)(number - (c->expected & 0xffff)) > 0 && !c->gap_reported) {
      acknowledge(c, c->expected - 1); /* RFC 7440 §4: the window begins again behind the gap */
      results.retransmissions++;
      c->in_window = 0;
      c->gap_reported = 1;
    }
    return 1;
  }
  size_t offset = (size_t)(c->expected - 1) * c->blksize, length = size - 4;
  size_t want = c->target->size - offset < c->blksize ? c->target->size - offset : c->blksize;
  if (length != want || memcmp(packet + 4, c->target->content + offset, length) != 0) {
    count_error(&results, "%s: block %u is not the file's (%zu bytes, %zu expected)", c->target->name, c->expected, length, want);
    return 0;
  }
  results.bytes += length;
  c->gap_reported = 0;
  if (length < c->blksize) {
    uint64_t latency = now_us() - c->started;
    acknowledge(c, c->expected);
    count_read(&results, latency);
    return 0;
  }
  c->in_window++;
  c->expected++;
  if (c->in_window >= c->windowsize) {
    acknowledge(c, c->expected - 1);
    c->in_window = 0;
  } else c->last_sent = 0; /* the scan stamps it: cheaper than a clock for every block */
  return 1;
}

static void receive(struct client *c) {
  unsigned room = c->windowsize;
  if (room == 1) {
    socklen_t length = sizeof senders[0];
    ssize_t size = recvfrom(c->fd, buffers[0], BLKSIZE_MAX + 4, 0, (struct sockaddr *)&senders[0], &length);
    if (size < 0) {
      if (errno != EAGAIN && errno != ECONNREFUSED) die("recv", c->target->name);
      return;
    }
    if (!take_packet(c, buffers[0], (size_t)size, &senders[0])) end_read(c);
    return;
  }
  for (unsigned i = 0; i < room; i++) messages[i].msg_hdr.msg_namelen = sizeof senders[i];
  int got = recvmmsg(c->fd, messages, room, MSG_DONTWAIT, 0);
  if (got < 0 && errno != EAGAIN && errno != ECONNREFUSED) die("recv", c->target->name);
  for (int i = 0; i < got; i++) {
    if (take_packet(c, buffers[i], messages[i].msg_len, &senders[i])) continue;
    end_read(c);
    return;
  }
}

static void send_again(uint64_t now) {
  for (unsigned i = 0; i < client_count; i++) {
    struct client *c = &clients[i];
    if (!c->active) continue;
    if (c->last_sent == 0) c->last_sent = now;
    if (now - c->last_sent < RETRY_US) continue;
    if (++c->tries > TRIES_MAX) {
      count_error(&results, "%s: no answer", c->target->name);
      end_read(c);
      continue;
    }
    results.retransmissions++;
    if (c->expected > 1) { /* in the middle of a window: what has come in order so far */
      c->last[3] = (uint8_t)(c->expected - 1);
      c->last[2] = (uint8_t)((c->expected - 1) >> 8);
      c->in_window = 0;
    }
    transmit(c);
  }
}

static void read_options(int argc, char **argv) {
  for (int i = 4; i < argc; i++) {
    unsigned value;
    if (!strncmp(argv[i], "sources=", 8) && inet_pton(AF_INET, argv[i] + 8, &sources.sin_addr) == 1) sources.sin_family = AF_INET;
    else if (sscanf(argv[i], "clients=%u", &value) == 1 && value >= 1 && value <= CLIENTS_MAX) client_count = value;
    else if (sscanf(argv[i], "blksize=%u", &value) == 1 && value >= 8 && value <= BLKSIZE_MAX) blksize = value;
    else if (sscanf(argv[i], "windowsize=%u", &value) == 1 && value >= 1 && value <= WINDOW_MAX) windowsize = value;
    else if (sscanf(argv[i], "reads=%u", &value) == 1 && value >= 1) reads_each = value;
    else if (sscanf(argv[i], "seconds=%lf", &seconds) != 1 || seconds <= 0) {
      fprintf(stderr, "tftp-load: bad option %s\n", argv[i]);
      exit(2);
    }
  }
}

int main(int argc, char **argv) {
  server.sin_family = AF_INET;
  if (argc >= 4) read_options(argc, argv);
  if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || (seconds > 0) == (reads_each > 0)) {
    fprintf(stderr, "usage: tftp-load HOST PORT LIST clients=N blksize=N windowsize=N [sources=A] (seconds=S | reads=N)\n");
    return 2;
  }
  server.sin_port = htons((uint16_t)atoi(argv[2]));
  targets = read_targets(argv[3], &target_count);
  for (size_t i = 0; i < target_count; i++)
    if (strlen(targets[i].name) > 500) {
      fprintf(stderr, "tftp-load: name too long: %s\n", targets[i].name);
      return 2;
    }
  buffers = malloc(WINDOW_MAX * sizeof *buffers);
  for (int i = 0; i < WINDOW_MAX; i++) {
    vectors[i] = (struct iovec){buffers[i], BLKSIZE_MAX + 4};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &senders[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  begun = now_us();
  deadline = begun + (uint64_t)(seconds * 1e6);
  for (unsigned i = 0; i < client_count; i++) {
    clients[i].reads_left = reads_each;
    begin_read(&clients[i]);
  }
  struct epoll_event events[256];
  uint64_t scanned = begun, ended = begun;
  while (active_count > 0) {
    int ready = epoll_wait(epoll_fd, events, 256, 100);
    if (ready < 0 && errno != EINTR) die("epoll_wait", "");
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
    ended = now_us();
    if (ended - scanned >= SCAN_US) {
      send_again(ended);
      scanned = ended;
    }
    if (seconds > 0 && ended >= deadline)
      for (unsigned i = 0; i < client_count; i++) abort_read(&clients[i]);
  }
  print_results(&results, ended - begun);
  return 0;
}
