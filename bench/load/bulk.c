/* bulk.c - transfers: of so many bytes over one connection, which blocks
 * (simpler, and as fast), or for so long over one or many. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

int bulk(char mode, const way_t *way, int port, uint64_t bytes)
{
  char header[HEADER], ack;
  int fd = way_connect(way, port, 0);
  double start = now();
  put_header(header, mode, bytes);
  send_all(fd, header, sizeof header);
  for (uint64_t left = bytes; left > 0;) {
    size_t len = left < BLOCK ? (size_t) left : BLOCK;
    ssize_t n = mode == 'u' ? send(fd, block, len, MSG_NOSIGNAL)
                            : recv(fd, NULL, len, MSG_TRUNC);
    if (n <= 0) die("the transfer broke");
    left -= (uint64_t) n;
  }
  if (mode == 'u') recv_all(fd, &ack, 1);
  printf("{\"seconds\":%.6f}\n", now() - start);
  close(fd);
  return 0;
}

/* A stream of a timed transfer; what came is counted at the receiving end: by
 * us for what comes down, by the target for what goes up. */
typedef struct {
  int fd;
  bool done;
  uint64_t bytes, bytes_marked;
  mark_t mark;
} stream_t;

typedef struct {
  char mode;
  int len, done;
  double began, first, second, marked; /* as in serve.c */
  stream_t *streams;
} timed_t;

static void timed_start(timed_t *t, const way_t *way, int port, int ep,
                        const int ms[2])
{
  uint64_t number =
    t->mode == 'U' ? (uint64_t) ms[0] << 32 | (uint32_t) ms[1] : UINT64_MAX;
  char header[HEADER];
  for (int i = 0; i < t->len; i++) {
    stream_t *s = &t->streams[i];
    s->fd = way_connect(way, port, i);
    put_header(header, t->mode, number);
    send_all(s->fd, header, sizeof header);
    if (fcntl(s->fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
    watch(ep, EPOLL_CTL_ADD, s->fd,
          t->mode == 'U' ? EPOLLIN | EPOLLOUT : EPOLLIN, s);
  }
  t->began = now();
  t->first = t->began + ms[0] / 1e3;
  t->second = t->began + ms[1] / 1e3;
}

static void timed_up(timed_t *t, stream_t *s, uint32_t events)
{
  if (events & EPOLLIN) {
    ssize_t n = recv(s->fd, &s->mark, sizeof s->mark, 0);
    if (would_block(n)) return;
    if (n != (ssize_t) sizeof s->mark) die("the transfer broke");
    s->done = true;
    t->done++;
    close(s->fd);
    return;
  }
  ssize_t n = send(s->fd, block, BLOCK, MSG_NOSIGNAL);
  if (n <= 0 && !would_block(n)) die("the transfer broke");
}

static void timed_down(stream_t *s)
{
  ssize_t n = recv(s->fd, NULL, BLOCK, MSG_TRUNC);
  if (would_block(n)) return;
  if (n <= 0) die("the transfer broke");
  s->bytes += (uint64_t) n;
}

/* Looks at the clock for all streams that come down. */
static void timed_tick(timed_t *t)
{
  double at = now();
  if (t->first > 0 && at >= t->first) {
    t->first = 0;
    t->marked = at;
    for (int i = 0; i < t->len; i++)
      t->streams[i].bytes_marked = t->streams[i].bytes;
  }
  if (at < t->second) return;
  for (int i = 0; i < t->len; i++) {
    stream_t *s = &t->streams[i];
    s->mark.whole = (double) s->bytes / (at - t->began);
    s->mark.steady = (double) (s->bytes - s->bytes_marked) / (at - t->marked);
  }
  t->done = t->len;
}

static void timed_print(const timed_t *t)
{
  printf("{\"whole\":[");
  for (int i = 0; i < t->len; i++)
    printf("%s%.0f", i == 0 ? "" : ",", t->streams[i].mark.whole);
  printf("],\"steady\":[");
  for (int i = 0; i < t->len; i++)
    printf("%s%.0f", i == 0 ? "" : ",", t->streams[i].mark.steady);
  printf("]}\n");
}

int timed(char mode, const way_t *way, int port, int streams, const int ms[2])
{
  timed_t t = {.mode = mode, .len = streams};
  t.streams = calloc((size_t) streams, sizeof *t.streams);
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (t.streams == NULL || ep < 0) die("epoll, memory");
  timed_start(&t, way, port, ep, ms);
  double last = t.second + 60;
  while (t.done < t.len) {
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(ep, ev, EVENTS, 10);
    for (int i = 0; i < n; i++) {
      stream_t *s = ev[i].data.ptr;
      if (s->done) continue;
      if (mode == 'U')
        timed_up(&t, s, ev[i].events);
      else
        timed_down(s);
    }
    if (mode == 'd') timed_tick(&t);
    if (now() > last) die("no answer for a minute");
  }
  timed_print(&t);
  return 0;
}
