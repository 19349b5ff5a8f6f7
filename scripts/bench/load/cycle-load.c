/*
 * Machines under test, so many at once as LIST has lines, each on one keep-alive connection: asks for its next test, sends
 * the log of it as the file of a form, asks again.
 *
 *   cycle-load HOST PORT LIST cycles=60
 *
 * LIST: `path of the question<TAB>path of the log`. Each answer has to be 200 with a Content-Length; that to a question names
 * the upload in X-Pxemngr-Upload, that to an upload is `uploaded`. Anything else ends the run of that machine as an error.
 * A read is one cycle: its clock runs from the question to the last byte of the answer to the upload.
 */
#include "load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { MACHINES_MAX = 1024, ANSWER_MAX = 65536, URL_MAX = 512, WAIT_MAX_MS = 10000 };

#define BOUNDARY "pxemngr-bench-0123456789"
static const char form_head[] = "--" BOUNDARY "\r\ncontent-disposition: form-data; name=\"file\"; filename=\"result\"\r\n"
                                "content-type: text/plain\r\n\r\n";
static const char form_end[] = "\r\n--" BOUNDARY "--\r\n";
static const char upload_header[] = "\r\nx-pxemngr-upload: http://";

struct machine {
  int fd;
  const struct target *target;
  unsigned left;
  uint64_t started;
  int uploads;
  char answer[ANSWER_MAX + 1];
  size_t size;
};

static struct machine machines[MACHINES_MAX];
static const char *host;
static struct results results;
static size_t going;
static char request[1 << 20];

static void end(struct machine *m) {
  close(m->fd);
  m->fd = -1;
  going--;
}

/* A request is smaller than what the kernel takes at once from a connection that waits for its answer. */
static void send_all(struct machine *m, size_t size) {
  m->size = 0;
  if (send(m->fd, request, size, MSG_NOSIGNAL) == (ssize_t)size) return;
  count_error(&results, "%s: a request could not be sent: %s", m->target->name, strerror(errno));
  end(m);
}

static void ask(struct machine *m) {
  m->uploads = 0;
  m->started = now_us();
  send_all(m, (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nhost: %s\r\n\r\n", m->target->name, host));
}

static void upload(struct machine *m, const char *path, size_t path_size) {
  const struct target *log = m->target;
  size_t body = sizeof form_head - 1 + log->size + sizeof form_end - 1;
  int head = snprintf(request, sizeof request,
                      "POST %.*s HTTP/1.1\r\nhost: %s\r\ncontent-type: multipart/form-data; boundary=" BOUNDARY
                      "\r\ncontent-length: %zu\r\n\r\n",
                      (int)path_size, path, host, body);
  char *at = request + head;
  at = mempcpy(at, form_head, sizeof form_head - 1);
  at = mempcpy(at, log->content, log->size);
  at = mempcpy(at, form_end, sizeof form_end - 1);
  m->uploads = 1;
  send_all(m, (size_t)(at - request));
}

/* The whole answer is here: `body` is what stands behind its head. */
static void answered(struct machine *m, const char *body) {
  if (!m->uploads) {
    char *url = strcasestr(m->answer, upload_header);
    char *path = url && url < body ? strchr(url + sizeof upload_header - 1, '/') : 0;
    if (path && path < body) return upload(m, path, strcspn(path, "\r"));
    count_error(&results, "%s: no run was handed out", m->target->name);
    return end(m);
  }
  if (strcmp(body, "uploaded") != 0) {
    count_error(&results, "%s: an upload was answered %.40s", m->target->name, body);
    return end(m);
  }
  count_read(&results, now_us() - m->started);
  results.bytes += m->target->size;
  if (--m->left > 0) ask(m);
  else end(m);
}

static void receive(struct machine *m) {
  ssize_t got = recv(m->fd, m->answer + m->size, ANSWER_MAX - m->size, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    count_error(&results, "%s: the connection ended", m->target->name);
    return end(m);
  }
  m->size += (size_t)got;
  m->answer[m->size] = 0;
  char *head_end = strstr(m->answer, "\r\n\r\n");
  if (!head_end && m->size < ANSWER_MAX) return;
  char *length = strcasestr(m->answer, "\r\ncontent-length:");
  if (!head_end || strncmp(m->answer, "HTTP/1.1 200", 12) != 0 || !length || length > head_end) {
    count_error(&results, "%s: %.*s", m->target->name, (int)strcspn(m->answer, "\r"), m->answer);
    return end(m);
  }
  size_t whole = (size_t)(head_end - m->answer) + 4 + strtoull(length + 17, 0, 10);
  if (m->size < whole && whole <= ANSWER_MAX) return;
  if (m->size == whole) return answered(m, head_end + 4);
  count_error(&results, "%s: an answer of %zu bytes, %zu announced", m->target->name, m->size, whole);
  end(m);
}

int main(int argc, char **argv) {
  struct sockaddr_in server = {.sin_family = AF_INET};
  unsigned cycles = 0;
  if (argc != 5 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || sscanf(argv[4], "cycles=%u", &cycles) != 1 || cycles < 1) {
    fprintf(stderr, "usage: cycle-load HOST PORT LIST cycles=N\n");
    return 2;
  }
  host = argv[1];
  server.sin_port = htons((uint16_t)atoi(argv[2]));
  size_t count;
  struct target *targets = read_targets(argv[3], &count);
  int epoll_fd = epoll_create1(EPOLL_CLOEXEC), yes = 1;
  errno = E2BIG;
  if (count > MACHINES_MAX) die("too many machines in", argv[3]);
  for (size_t i = 0; i < count; i++) {
    struct machine *m = &machines[i];
    m->target = &targets[i];
    m->left = cycles;
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (m->fd < 0 || connect(m->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect", host);
    errno = EFBIG;
    if (m->target->size + 4096 > sizeof request) die("too large a log for", m->target->name);
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, m->fd, &event) < 0) die("epoll_ctl", host);
  }
  going = count;
  uint64_t begun = now_us();
  for (size_t i = 0; i < count; i++) ask(&machines[i]);
  struct epoll_event events[MACHINES_MAX];
  while (going > 0) {
    int ready = epoll_wait(epoll_fd, events, MACHINES_MAX, WAIT_MAX_MS);
    if (ready < 0 && errno != EINTR) die("epoll_wait", "");
    if (ready == 0) {
      count_error(&results, "no answer in %d ms, %zu machines wait", WAIT_MAX_MS, going);
      break;
    }
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  print_results(&results, now_us() - begun);
  return 0;
}
