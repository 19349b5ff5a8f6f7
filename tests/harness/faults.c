/*
 * A disk that fails on command: preloaded (LD_PRELOAD) into the executable under test, it makes writes and syncs of files
 * below one folder fail, stall or come up short, as the control file says at that moment.
 *
 *   FAULTS_BELOW    folder whose files are concerned (compared with the link in /proc/self/fd)
 *   FAULTS_CONTROL  control file, read at each call; absent or empty: all is well. Words, one a line:
 *     write EIO|ENOSPC|EROFS|EDQUOT fail             short N    a write takes N bytes, the next none (ENOSPC), in turn
 *     sync EIO|ENOSPC|EROFS    fsync, fdatasync fail stall     syncs wait until the word is gone
 *     match TEXT               only files whose path contains TEXT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct orders { int write_error, sync_error, stall; long shorten; };

static int code_of(const char *name) {
  if (strcmp(name, "ENOSPC") == 0) return ENOSPC;
  if (strcmp(name, "EROFS") == 0) return EROFS;
  if (strcmp(name, "EDQUOT") == 0) return EDQUOT;
  return EIO;
}

/* What is ordered for this file; nothing for files elsewhere. */
static struct orders orders_for(int fd) {
  struct orders found = {0, 0, 0, -1};
  const char *below = getenv("FAULTS_BELOW"), *control = getenv("FAULTS_CONTROL");
  char link[64], path[PATH_MAX + 1], text[512];
  int saved = errno;
  if (!below || !control) return found;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX);
  int file = n < 0 ? -1 : (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
  errno = saved;
  if (file < 0) return found;
  path[n] = 0;
  ssize_t size = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  errno = saved;
  if (size <= 0 || strncmp(path, below, strlen(below)) != 0) return found;
  text[size] = 0;
  struct orders heard = found;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    char word[16] = "", value[256] = "";
    sscanf(line, "%15s %255s", word, value);
    if (strcmp(word, "write") == 0) heard.write_error = code_of(value);
    else if (strcmp(word, "sync") == 0) heard.sync_error = code_of(value);
    else if (strcmp(word, "short") == 0) heard.shorten = atol(value);
    else if (strcmp(word, "stall") == 0) heard.stall = 1;
    else if (strcmp(word, "match") == 0 && !strstr(path, value)) return found;
  }
  return heard;
}

/* How much of a write is taken; -1: it fails. Whoever goes on after a short write meets the full disk. */
static ssize_t taken(struct orders o, size_t count) {
  static int turn;
  if (o.write_error) { errno = o.write_error; return -1; }
  if (o.shorten < 0) return (ssize_t)count;
  if (__atomic_fetch_xor(&turn, 1, __ATOMIC_SEQ_CST)) { errno = ENOSPC; return -1; }
  return (size_t)o.shorten < count ? o.shorten : (ssize_t)count;
}

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*write_type)(int, const void *, size_t);
ssize_t write(int fd, const void *bytes, size_t count) {
  REAL("write", write_type);
  struct orders o = fd > 2 ? orders_for(fd) : (struct orders){0, 0, 0, -1};
  ssize_t size = taken(o, count);
  return size < 0 ? -1 : real(fd, bytes, (size_t)size);
}

typedef ssize_t (*pwrite_type)(int, const void *, size_t, off_t);
static ssize_t positioned(pwrite_type real, int fd, const void *bytes, size_t count, off_t at) {
  struct orders o = orders_for(fd);
  ssize_t size = taken(o, count);
  return size < 0 ? -1 : real(fd, bytes, (size_t)size, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  REAL("pwrite", pwrite_type);
  return positioned(real, fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
  REAL("pwrite64", pwrite_type);
  return positioned(real, fd, bytes, count, at);
}

typedef ssize_t (*writev_type)(int, const struct iovec *, int);
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL("writev", writev_type);
  struct orders o = fd > 2 ? orders_for(fd) : (struct orders){0, 0, 0, -1};
  if (o.write_error) { errno = o.write_error; return -1; }
  if (o.shorten >= 0 && count > 0) return write(fd, parts[0].iov_base, parts[0].iov_len);
  return real(fd, parts, count);
}

typedef ssize_t (*pwritev_type)(int, const struct iovec *, int, off_t);
static ssize_t positioned_parts(pwritev_type real, int fd, const struct iovec *parts, int count, off_t at) {
  struct orders o = orders_for(fd);
  if (o.write_error) { errno = o.write_error; return -1; }
  if (o.shorten >= 0 && count > 0) return pwrite(fd, parts[0].iov_base, parts[0].iov_len, at);
  return real(fd, parts, count, at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  REAL("pwritev", pwritev_type);
  return positioned_parts(real, fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
  REAL("pwritev64", pwritev_type);
  return positioned_parts(real, fd, parts, count, at);
}

typedef int (*sync_type)(int);
static int synced(sync_type real, int fd) {
  struct orders o = orders_for(fd);
  while (o.stall) { usleep(10000); o = orders_for(fd); }
  if (o.sync_error) { errno = o.sync_error; return -1; }
  return real(fd);
}
int fsync(int fd) { REAL("fsync", sync_type); return synced(real, fd); }
int fdatasync(int fd) { REAL("fdatasync", sync_type); return synced(real, fd); }
