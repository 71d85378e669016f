/* load.c - what the bench pushes through a proxy: fast enough not to be the
 * bottleneck itself, and nothing but libc.
 *
 *   load serve                        prints its port, serves for ever
 *   load up|down WAY PORT BYTES       one connection, prints seconds
 *   load open WAY PORT COUNT AT_ONCE  many connections, prints seconds and the
 *                                     microseconds of each one
 *   load idle WAY PORT COUNT TRIPS    round trips beside nothing, then COUNT
 *                                     connections that stay, then round trips
 *                                     beside them; prints a line after each,
 *                                     and waits for a line before it goes on
 *
 * WAY is socks:PORT_OF_THE_PROXY, or direct:PORT for a forward that leads to
 * PORT already. A connection starts with a header of nine bytes: what is
 * wanted, and a u64 length in this machine's byte order.
 *
 *   'u'  the client sends that many bytes; the server answers one byte when it
 *        has them all
 *   'd'  the server sends that many bytes
 *   'e'  the client sends that many bytes, and the server sends them back
 *   'p'  the same with 1 KiB, again and again
 *
 * Any failure ends the program with a sentence and exit code 1: a measurement
 * with errors in it is none. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 9, ECHO_MAX = 1024, BLOCK = 256 * 1024, EVENTS = 256 };

static char block[BLOCK];

static void die(const char *what)
{
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(int port)
{
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons((uint16_t) port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static int tcp_socket(int flags)
{
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static bool would_block(ssize_t n)
{
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void watch(int ep, int op, int fd, uint32_t events, void *data)
{
  struct epoll_event ev = {.events = events, .data.ptr = data};
  if (epoll_ctl(ep, op, fd, &ev) < 0) die("epoll_ctl");
}

/* The server. */

typedef struct {
  int fd;
  char header[HEADER], mode;
  size_t header_len;
  uint64_t left;         /* to receive, or to send for 'd' */
  char echo[ECHO_MAX];   /* what 'e' has sent us */
  size_t echo_len, sent; /* ... and what has gone back */
} served_t;

/* Reads the header, or a part of it; 0 or an error as recv() says it. */
static ssize_t served_header(served_t *c)
{
  ssize_t n = recv(c->fd, c->header + c->header_len, HEADER - c->header_len, 0);
  if (n <= 0) return n;
  c->header_len += (size_t) n;
  if (c->header_len < HEADER) return n;
  c->mode = c->header[0];
  memcpy(&c->left, c->header + 1, sizeof c->left);
  if (c->mode == 'p' || (c->mode == 'e' && c->left > ECHO_MAX))
    c->left = ECHO_MAX;
  return n;
}

/* Throws away what 'u' sends, without copying it out of the kernel. */
static ssize_t served_sink(served_t *c)
{
  ssize_t n = recv(c->fd, NULL, BLOCK, MSG_TRUNC);
  if (n <= 0) return n;
  c->left -= (uint64_t) n < c->left ? (uint64_t) n : c->left;
  if (c->left == 0 && send(c->fd, "!", 1, MSG_NOSIGNAL) != 1) return 0;
  return n;
}

static ssize_t served_source(served_t *c)
{
  size_t len = c->left < BLOCK ? (size_t) c->left : BLOCK;
  ssize_t n = send(c->fd, block, len, MSG_NOSIGNAL);
  if (n > 0) c->left -= (uint64_t) n;
  return n;
}

static ssize_t served_echo(served_t *c)
{
  if (c->left > 0) {
    size_t room = ECHO_MAX - c->echo_len;
    ssize_t n = recv(c->fd, c->echo + c->echo_len, room, 0);
    if (n <= 0) return n;
    c->echo_len += (size_t) n;
    c->left -= (uint64_t) n < c->left ? (uint64_t) n : c->left;
    if (c->left > 0) return n;
  }
  ssize_t n =
    send(c->fd, c->echo + c->sent, c->echo_len - c->sent, MSG_NOSIGNAL);
  if (n > 0) c->sent += (size_t) n;
  if (c->mode == 'p' && c->sent == c->echo_len) {
    c->left = ECHO_MAX;
    c->echo_len = c->sent = 0;
  }
  return n;
}

/* One step; 0 or an error other than "not now" ends the connection. */
static ssize_t served_step(served_t *c)
{
  if (c->mode == 'u' && c->left > 0) return served_sink(c);
  if (c->mode == 'd' && c->left > 0) return served_source(c);
  bool echoes = c->mode == 'e' || c->mode == 'p';
  if (echoes && (c->left > 0 || c->sent < c->echo_len)) return served_echo(c);
  return recv(c->fd, block, 1, 0); /* all done: wait for the client's end */
}

/* Whoever goes without a word (a probe of the port) is let go: to wait for the
 * rest of its header would be a loop that never sleeps. */
static void served_event(int ep, served_t *c)
{
  ssize_t n = 1;
  if (c->header_len < HEADER) {
    n = served_header(c);
    if (n > 0 && c->header_len < HEADER) return;
    if (c->mode == 'd') watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
  }
  if (n > 0) n = served_step(c);
  if (n > 0 || would_block(n)) {
    if (c->mode == 'd' && c->left == 0)
      watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    return;
  }
  close(c->fd);
  free(c);
}

static void serve_accept(int ep, int listener)
{
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
         0) {
    served_t *c = calloc(1, sizeof *c);
    if (c == NULL) die("calloc");
    c->fd = fd;
    watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, c); /* NODELAY as the listener */
  }
}

/* A connection is told of when it has something to say (TCP_DEFER_ACCEPT): one
 * wake-up less, which would be added to the cost of both sides. */
static _Noreturn void serve(void)
{
  int seconds = 10;
  struct sockaddr_in a = loopback(0);
  socklen_t len = sizeof a;
  int listener = tcp_socket(SOCK_NONBLOCK), ep = epoll_create1(EPOLL_CLOEXEC);
  if (bind(listener, (struct sockaddr *) &a, sizeof a) < 0 ||
      setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
                 sizeof seconds) < 0 ||
      listen(listener, 4096) < 0 ||
      getsockname(listener, (struct sockaddr *) &a, &len) < 0)
    die("listen");
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  for (;;) {
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(ep, ev, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      if (ev[i].data.ptr == NULL)
        serve_accept(ep, listener);
      else
        served_event(ep, ev[i].data.ptr);
    }
  }
}

/* The client of one connection blocks: simpler, and as fast. */

static void send_all(int fd, const void *p, size_t len)
{
  if (send(fd, p, len, MSG_NOSIGNAL) != (ssize_t) len) die("send");
}

static void recv_all(int fd, void *p, size_t len)
{
  if (recv(fd, p, len, MSG_WAITALL) != (ssize_t) len) die("recv");
}

static void put_header(char out[HEADER], char mode, uint64_t len)
{
  out[0] = mode;
  memcpy(out + 1, &len, sizeof len);
}

/* RFC 1928: no authentication, CONNECT 127.0.0.1:port. */
static const char greeting[] = {5, 1, 0};
enum { GREETED = 2, REQUEST = 10, REPLY = 10 };

static void put_request(char out[REQUEST], int port)
{
  const char start[] = {5, 1, 0, 1, 127, 0, 0, 1};
  memcpy(out, start, sizeof start);
  out[8] = (char) (port >> 8);
  out[9] = (char) port;
}

static void check_reply(const char reply[REPLY])
{
  if (reply[0] != 5 || reply[1] != 0 || reply[3] != 1) {
    fprintf(stderr, "load: SOCKS5 reply %d, address type %d\n", reply[1],
            reply[3]);
    exit(1);
  }
}

typedef struct {
  bool socks;
  int port;
} way_t;

static way_t parse_way(const char *text)
{
  const char *port = strchr(text, ':');
  way_t way = {.socks = strncmp(text, "socks:", 6) == 0,
               .port = port == NULL ? 0 : atoi(port + 1)};
  if (way.port > 0 && (way.socks || strncmp(text, "direct:", 7) == 0))
    return way;
  fputs("load: WAY is socks:PORT or direct:PORT\n", stderr);
  exit(2);
}

static int way_connect(way_t way, int port)
{
  char greeted[GREETED], request[REQUEST], reply[REPLY];
  struct sockaddr_in a = loopback(way.port);
  int fd = tcp_socket(0);
  if (connect(fd, (struct sockaddr *) &a, sizeof a) < 0)
    die("connect to the proxy");
  if (!way.socks) return fd;
  send_all(fd, greeting, sizeof greeting);
  recv_all(fd, greeted, sizeof greeted);
  put_request(request, port);
  send_all(fd, request, sizeof request);
  recv_all(fd, reply, sizeof reply);
  check_reply(reply);
  return fd;
}

static int bulk(char mode, way_t way, int port, uint64_t bytes)
{
  char header[HEADER], ack;
  int fd = way_connect(way, port);
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

/* The client of many connections: each is at one of these steps, and each step
 * sends something and then waits for so many bytes. */

typedef enum { AT_GREETING, AT_REQUEST, AT_ECHO } at_t;

typedef struct {
  int fd;
  at_t at;
  size_t got, want;
  double start;
  char in[ECHO_MAX];
} opened_t;

typedef struct {
  int ep, port;
  way_t way;
  long started, done, count;
  bool keep; /* what has been opened stays open: each has a slot of its own */
  opened_t *slots;
  uint32_t *micros;
} opener_t;

static void opened_expect(opened_t *c, at_t at, size_t want)
{
  c->at = at;
  c->got = 0;
  c->want = want;
}

static void opened_ask(opened_t *c)
{
  char header_and_data[HEADER + ECHO_MAX] = {0};
  put_header(header_and_data, 'e', ECHO_MAX);
  send_all(c->fd, header_and_data, sizeof header_and_data);
  opened_expect(c, AT_ECHO, ECHO_MAX);
}

/* Over loopback a connect that waits is over at once, and costs the least. */
static void opened_start(opener_t *o, opened_t *c)
{
  struct sockaddr_in a = loopback(o->way.port);
  *c = (opened_t){.start = now(), .fd = tcp_socket(0)};
  if (connect(c->fd, (struct sockaddr *) &a, sizeof a) < 0)
    die("connect to the proxy");
  o->started++;
  if (o->way.socks) {
    send_all(c->fd, greeting, sizeof greeting);
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
    if (!o->keep) close(c->fd);
    o->micros[o->done++] = (uint32_t) ((now() - c->start) * 1e6);
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
    if (n == 0) die("nothing has happened for a minute");
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

static int open_many(way_t way, int port, long count, long at_once)
{
  opener_t o = {.way = way, .port = port, .count = count};
  double seconds = open_all(&o, at_once);
  print_micros(seconds, o.micros, count);
  return 0;
}

static void round_trips(int fd, uint32_t *micros, long trips)
{
  char data[ECHO_MAX] = {0};
  double start = now();
  for (long i = 0; i < trips; i++) {
    double sent = now();
    send_all(fd, data, sizeof data);
    recv_all(fd, data, sizeof data);
    micros[i] = (uint32_t) ((now() - sent) * 1e6);
  }
  print_micros(now() - start, micros, trips);
}

static void wait_for_line(void)
{
  int c;
  while ((c = getchar()) != '\n')
    if (c == EOF) exit(1); /* nobody wants to know any more */
}

static int idle(way_t way, int port, long count, long trips)
{
  enum { AT_ONCE = 64 };
  char header[HEADER];
  opener_t o = {.way = way, .port = port, .count = count, .keep = true};
  uint32_t *micros = calloc((size_t) trips, sizeof *micros);
  if (micros == NULL) die("calloc");
  int fd = way_connect(way, port);
  put_header(header, 'p', 0);
  send_all(fd, header, sizeof header);
  round_trips(fd, micros, trips);
  wait_for_line();
  double seconds = open_all(&o, AT_ONCE);
  print_micros(seconds, o.micros, count);
  wait_for_line();
  round_trips(fd, micros, trips);
  return 0;
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && strcmp(argv[1], "serve") == 0) serve();
  if (argc < 5) argc = 0;
  way_t way = argc == 0 ? (way_t){0} : parse_way(argv[2]);
  int port = argc == 0 ? 0 : atoi(argv[3]);
  if (argc == 5 && (strcmp(argv[1], "up") == 0 || strcmp(argv[1], "down") == 0))
    return bulk(argv[1][0], way, port, strtoull(argv[4], NULL, 10));
  if (argc == 6 && strcmp(argv[1], "open") == 0)
    return open_many(way, port, atol(argv[4]), atol(argv[5]));
  if (argc == 6 && strcmp(argv[1], "idle") == 0)
    return idle(way, port, atol(argv[4]), atol(argv[5]));
  fputs("load: see the comment at the top of bench/load.c\n", stderr);
  return 2;
}
