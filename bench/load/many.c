/* many.c - many connections: each is at one of three steps, and each step sends
 * something and then waits for so many bytes. What comes back is compared with
 * what was sent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

typedef enum { AT_GREETING, AT_REQUEST, AT_ECHO } at_t;

typedef struct {
  int fd;
  at_t at;
  long number;
  size_t got, want;
  double start;
  char in[ECHO_MAX];
} opened_t;

typedef struct {
  int ep, port;
  const way_t *way;
  long started, done, count;
  double until; /* none is started after that; 0: all are */
  bool keep; /* what has been opened stays open: each has a slot of its own */
  opened_t *slots;
  uint32_t *micros;
} opener_t;

/* What connection number n sends: no two that are near have the same. */
static void put_pattern(char out[ECHO_MAX], long n)
{
  for (size_t i = 0; i < ECHO_MAX; i++)
    out[i] = (char) ((size_t) n * 7 + i * 13);
}

static void check_pattern(const char in[ECHO_MAX], long n)
{
  char expected[ECHO_MAX];
  put_pattern(expected, n);
  if (memcmp(in, expected, ECHO_MAX) == 0) return;
  fputs("load: other bytes came back than were sent\n", stderr);
  exit(1);
}

static void opened_expect(opened_t *c, at_t at, size_t want)
{
  c->at = at;
  c->got = 0;
  c->want = want;
}

static void opened_ask(opened_t *c)
{
  char header_and_data[HEADER + ECHO_MAX];
  put_header(header_and_data, 'e', ECHO_MAX);
  put_pattern(header_and_data + HEADER, c->number);
  send_all(c->fd, header_and_data, sizeof header_and_data);
  opened_expect(c, AT_ECHO, ECHO_MAX);
}

/* Over loopback a connect that waits is over at once, and costs the least. */
static void opened_start(opener_t *o, opened_t *c)
{
  double start = now();
  *c = (opened_t){.start = start, .number = o->started, .fd = -1};
  c->fd = way_dial(o->way, (int) o->started);
  o->started++;
  if (o->way->socks) {
    send_all(c->fd, greeting, GREETING);
    opened_expect(c, AT_GREETING, GREETED);
  } else {
    opened_ask(c);
  }
  watch(o->ep, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

/* All that this step waited for has come. */
static void opened_next(opener_t *o, opened_t *c)
{
  char request[REQUEST];
  switch (c->at) {
  case AT_GREETING:
    put_request(request, o->port);
    send_all(c->fd, request, sizeof request);
    opened_expect(c, AT_REQUEST, REPLY);
    return;
  case AT_REQUEST:
    check_reply(c->in);
    opened_ask(c);
    return;
  default:
    check_pattern(c->in, c->number);
    if (!o->keep) close(c->fd);
    o->micros[o->done++] = (uint32_t) ((now() - c->start) * 1e6);
    if (o->until > 0 && now() > o->until) o->count = o->started;
    if (o->started < o->count)
      opened_start(o, o->keep ? &o->slots[o->started] : c);
  }
}

static void opened_event(opener_t *o, opened_t *c)
{
  ssize_t n = recv(c->fd, c->in + c->got, c->want - c->got, MSG_DONTWAIT);
  if (would_block(n)) return;
  if (n <= 0) die("the proxy closed a connection");
  c->got += (size_t) n;
  if (c->got == c->want) opened_next(o, c);
}

/* Opens them all; how many seconds that took. */
static double open_all(opener_t *o, long at_once)
{
  o->ep = epoll_create1(EPOLL_CLOEXEC);
  o->slots = calloc((size_t) (o->keep ? o->count : at_once), sizeof *o->slots);
  o->micros = calloc((size_t) o->count, sizeof *o->micros);
  if (o->ep < 0 || o->slots == NULL || o->micros == NULL) die("epoll, memory");
  double start = now();
  for (long i = 0; i < at_once && i < o->count; i++)
    opened_start(o, &o->slots[i]);
  while (o->done < o->count) {
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(o->ep, ev, EVENTS, 60000);
    if (n == 0) {
      errno = ETIMEDOUT;
      die("nothing has happened for a minute");
    }
    for (int i = 0; i < n; i++)
      opened_event(o, ev[i].data.ptr);
  }
  return now() - start;
}

static void print_micros(double seconds, const uint32_t *micros, long count)
{
  printf("{\"seconds\":%.6f,\"micros\":[", seconds);
  for (long i = 0; i < count; i++)
    printf("%s%u", i == 0 ? "" : ",", micros[i]);
  printf("]}\n");
  fflush(stdout);
}

int open_many(const way_t *way, int port, long count, long at_once)
{
  opener_t o = {.way = way, .port = port, .count = count};
  double seconds = open_all(&o, at_once);
  print_micros(seconds, o.micros, count);
  return 0;
}

/* Up to count round trips of so many bytes, for up to so many seconds. */
static void round_trips(int fd, size_t bytes, long count, double limit)
{
  char data[ECHO_MAX] = {0};
  uint32_t *micros = calloc((size_t) count, sizeof *micros);
  if (micros == NULL) die("calloc");
  long done = 0;
  double start = now();
  while (done < count && now() - start < limit) {
    double sent = now();
    send_all(fd, data, bytes);
    recv_all(fd, data, bytes);
    micros[done++] = (uint32_t) ((now() - sent) * 1e6);
  }
  print_micros(now() - start, micros, done);
  free(micros);
}

static int trips_open(const way_t *way, int port, size_t bytes)
{
  char header[HEADER];
  int fd = way_connect(way, port, 0);
  put_header(header, 'p', bytes);
  send_all(fd, header, sizeof header);
  return fd;
}

int trips(const way_t *way, int port, long count, size_t bytes, double seconds)
{
  round_trips(trips_open(way, port, bytes), bytes, count, seconds);
  return 0;
}

static void wait_for_line(void)
{
  int c;
  while ((c = getchar()) != '\n')
    if (c == EOF) exit(1); /* nobody wants to know any more */
}

int idle(const way_t *way, int port, long count, long trips)
{
  enum { AT_ONCE = 64, LIMIT = 5 /* seconds, of each */ };
  opener_t o = {.way = way, .port = port, .count = count, .keep = true};
  int fd = trips_open(way, port, 1);
  round_trips(fd, 1, trips, LIMIT);
  wait_for_line();
  double seconds = open_all(&o, AT_ONCE);
  print_micros(seconds, o.micros, count);
  wait_for_line();
  round_trips(fd, 1, trips, LIMIT);
  wait_for_line();
  opener_t more = {
    .way = way, .port = port, .count = trips, .until = now() + LIMIT};
  seconds = open_all(&more, 1);
  print_micros(seconds, more.micros, more.done);
  wait_for_line();
  return 0;
}
