/* serve.c - the target: one thread, epoll, nothing copied that need not be. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

typedef struct {
  int fd;
  char header[HEADER], mode;
  size_t header_len;
  uint64_t left, whole;  /* to receive, or to send for 'd'; of one echo */
  char echo[ECHO_MAX];   /* what 'e' or an HTTP client has sent us */
  size_t echo_len, sent; /* ... and what has gone back */
  /* 'U': when to look, in seconds; the first is 0 once it has passed. */
  double began, first, second, marked;
  uint64_t bytes, bytes_marked;
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
  if (c->mode == 'G') {
    memcpy(c->echo, c->header, HEADER);
    c->echo_len = HEADER;
  } else if (c->mode == 'U') {
    c->began = now();
    c->first = c->began + (double) (c->left >> 32) / 1e3;
    c->second = c->began + (double) (uint32_t) c->left / 1e3;
  } else if (c->mode == 'p' || c->mode == 'e') {
    if (c->left > ECHO_MAX) c->left = ECHO_MAX;
    c->whole = c->left;
  }
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

static ssize_t served_timed_sink(served_t *c)
{
  ssize_t n = recv(c->fd, NULL, BLOCK, MSG_TRUNC);
  if (n <= 0 || c->second == 0) return n;
  c->bytes += (uint64_t) n;
  double t = now();
  if (c->first > 0 && t >= c->first) {
    c->first = 0;
    c->marked = t;
    c->bytes_marked = c->bytes;
  }
  if (t < c->second) return n;
  c->second = 0;
  mark_t m = {.whole = (double) c->bytes / (t - c->began),
              .steady =
                (double) (c->bytes - c->bytes_marked) / (t - c->marked)};
  return send(c->fd, &m, sizeof m, MSG_NOSIGNAL) == (ssize_t) sizeof m ? n : 0;
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
    ssize_t n = recv(c->fd, c->echo + c->echo_len, (size_t) c->left, 0);
    if (n <= 0) return n;
    c->echo_len += (size_t) n;
    c->left -= (uint64_t) n;
    if (c->left > 0) return n;
  }
  ssize_t n =
    send(c->fd, c->echo + c->sent, c->echo_len - c->sent, MSG_NOSIGNAL);
  if (n > 0) c->sent += (size_t) n;
  if (c->mode == 'p' && c->sent == c->echo_len) {
    c->left = c->whole;
    c->echo_len = c->sent = 0;
  }
  return n;
}

/* A request without a body, and not two at once: what wrk sends. */
static ssize_t served_http(served_t *c)
{
  static char page[ECHO_MAX + 128];
  size_t room = sizeof c->echo - 1 - c->echo_len;
  ssize_t n = recv(c->fd, c->echo + c->echo_len, room, 0);
  if (n <= 0) return n;
  c->echo_len += (size_t) n;
  c->echo[c->echo_len] = '\0';
  if (strstr(c->echo, "\r\n\r\n") == NULL) return n;
  bool last = strcasestr(c->echo, "\r\nconnection: close\r\n") != NULL;
  int head = snprintf(page, sizeof page,
                      "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n",
                      ECHO_MAX, last ? "Connection: close\r\n" : "");
  memset(page + head, 'x', ECHO_MAX);
  ssize_t len = head + ECHO_MAX;
  c->echo_len = 0;
  if (send(c->fd, page, (size_t) len, MSG_NOSIGNAL) != len) return 0;
  return last ? 0 : n;
}

/* One step; 0 or an error other than "not now" ends the connection. */
static ssize_t served_step(served_t *c)
{
  if (c->mode == 'G') return served_http(c);
  if (c->mode == 'U') return served_timed_sink(c);
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
static int serve_listen(const char *address)
{
  int seconds = 10, fd = tcp_socket(SOCK_NONBLOCK);
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t len = sizeof a;
  if (inet_pton(AF_INET, address, &a.sin_addr) != 1) die("the address");
  if (bind(fd, (struct sockaddr *) &a, sizeof a) < 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) <
        0 ||
      listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *) &a, &len) < 0)
    die("listen");
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

void serve(const char *address)
{
  int listener = serve_listen(address), ep = epoll_create1(EPOLL_CLOEXEC);
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
