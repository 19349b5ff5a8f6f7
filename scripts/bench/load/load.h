/*
 * What both load generators share: the list of files with the content they must have, time, latencies, and the one line
 * of JSON they end with.
 *
 * Every byte that a server sends is compared with the expected content (mapped, so exact and cheap); a read that differs,
 * is short or is refused counts as an error, and the bench gives no figure where there was one. Not a library: each
 * generator is one C file that includes this.
 */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One thing to ask for, and what must come back. */
struct target {
  char *name;
  const uint8_t *content;
  size_t size;
};

struct results {
  uint64_t reads, bytes, errors, retransmissions;
  uint32_t *latencies; /* microseconds, one a read */
  size_t latencies_max;
  char first_error[256];
};

static void die(const char *what, const char *which) {
  fprintf(stderr, "%s: %s: %s\n", what, which, strerror(errno));
  exit(2);
}

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Lines `name<TAB>path of the expected content`. */
static struct target *read_targets(const char *list, size_t *count) {
  FILE *file = fopen(list, "r");
  if (!file) die("cannot read the list", list);
  size_t room = 1024, length = 0;
  struct target *targets = malloc(room * sizeof *targets);
  char line[8192];
  while (fgets(line, sizeof line, file)) {
    char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
    if (!tab || !end) {
      errno = EINVAL;
      die("bad line in the list", line);
    }
    *tab = *end = 0;
    if (length == room) targets = realloc(targets, (room *= 2) * sizeof *targets);
    struct target *target = &targets[length++];
    target->name = strdup(line);
    int fd = open(tab + 1, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) die("cannot open the expected content", tab + 1);
    target->size = (size_t)st.st_size;
    target->content = (const uint8_t *)"";
    if (target->size > 0) {
      void *map = mmap(0, target->size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
      if (map == MAP_FAILED) die("cannot map", tab + 1);
      target->content = map;
    }
    close(fd);
  }
  fclose(file);
  if (length == 0) {
    errno = EINVAL;
    die("nothing to ask for in", list);
  }
  *count = length;
  return targets;
}

__attribute__((format(printf, 2, 3))) static void count_error(struct results *r, const char *format, ...) {
  if (r->errors++ > 0) return;
  va_list args;
  va_start(args, format);
  vsnprintf(r->first_error, sizeof r->first_error, format, args);
  va_end(args);
  for (char *c = r->first_error; *c; c++)
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '\'';
}

static void count_read(struct results *r, uint64_t latency_us) {
  if (r->reads == r->latencies_max) {
    r->latencies_max = r->latencies_max ? r->latencies_max * 2 : 1 << 16;
    r->latencies = realloc(r->latencies, r->latencies_max * sizeof *r->latencies);
  }
  r->latencies[r->reads++] = latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Nearest-rank percentile of the sorted latencies, per mille. */
static uint32_t percentile(const struct results *r, unsigned per_mille) {
  if (r->reads == 0) return 0;
  size_t rank = (r->reads * per_mille + 999) / 1000;
  return r->latencies[rank > 0 ? rank - 1 : 0];
}

static void print_results(struct results *r, uint64_t elapsed_us) {
  qsort(r->latencies, r->reads, sizeof *r->latencies, by_size);
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
  printf("{\"reads\":%llu,\"bytes\":%llu,\"errors\":%llu,\"firstError\":\"%s\",\"retransmissions\":%llu,"
         "\"elapsedMs\":%.3f,\"p50Us\":%u,\"p99Us\":%u,\"maxUs\":%u,\"cpuMs\":%.1f}\n",
         (unsigned long long)r->reads, (unsigned long long)r->bytes, (unsigned long long)r->errors, r->first_error,
         (unsigned long long)r->retransmissions, (double)elapsed_us / 1e3, percentile(r, 500), percentile(r, 990),
         percentile(r, 1000), cpu);
}

#endif
