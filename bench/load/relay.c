/* relay.c - a plain TCP relay, the limit of what any tunnel over TCP can do on
 * this machine: `relay PORT` prints its own port and passes on what comes there
 * to PORT of 127.0.0.1. One thread, epoll, one buffer a direction. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

typedef struct end end_t;
typedef struct pair pair_t;

/* One of the two sockets, with what has come from it and not left yet. */
struct end {
  pair_t *pair;
  end_t *other;
  int fd;
  bool eof;
  uint32_t events;
  size_t len, off;
  char buf[BLOCK / 2];
};

struct pair {
  end_t ends[2];
  pair_t *next_dead;
  bool dead;
};

static int ep;
static pair_t *dead; /* freed when no event of this turn can name them */

static void pair_close(pair_t *p)
{
  if (p->dead) return;
  p->dead = true;
  p->next_dead = dead;
  dead = p;
  close(p->ends[0].fd);
  close(p->ends[1].fd);
}

/* False: the pair is over. */
static bool end_flush(end_t *e)
{
  while (e->len > e->off) {
    ssize_t n =
      send(e->other->fd, e->buf + e->off, e->len - e->off, MSG_NOSIGNAL);
    if (would_block(n)) return true;
    if (n <= 0) return false;
    e->off += (size_t) n;
  }
  e->len = e->off = 0;
  return true;
}

static bool end_read(end_t *e)
{
  if (e->len > 0 || e->eof) return true;
  ssize_t n = recv(e->fd, e->buf, sizeof e->buf, 0);
  if (would_block(n)) return true;
  if (n < 0) return false;
  if (n == 0) {
    e->eof = true;
    shutdown(e->other->fd, SHUT_WR);
    return !e->other->eof;
  }
  e->len = (size_t) n;
  return end_flush(e);
}

static void end_watch(end_t *e)
{
  uint32_t events =
    (e->len == 0 && !e->eof ? EPOLLIN : 0) | (e->other->len > 0 ? EPOLLOUT : 0);
  if (events == e->events) return;
  e->events = events;
  watch(ep, EPOLL_CTL_MOD, e->fd, events, e);
}

static void end_event(end_t *e, uint32_t events)
{
  if (e->pair->dead) return;
  bool fine = true;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) fine = end_read(e);
  if (fine && (events & EPOLLOUT)) fine = end_flush(e->other);
  if (!fine) {
    pair_close(e->pair);
    return;
  }
  end_watch(e);
  end_watch(e->other);
}

static void pair_start(int from, int to)
{
  pair_t *p = calloc(1, sizeof *p);
  if (p == NULL) die("calloc");
  const int fds[2] = {from, to};
  for (int i = 0; i < 2; i++) {
    end_t *e = &p->ends[i];
    e->pair = p;
    e->other = &p->ends[1 - i];
    e->fd = fds[i];
    e->events = EPOLLIN;
    if (fcntl(e->fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
    watch(ep, EPOLL_CTL_ADD, e->fd, EPOLLIN, e);
  }
}

static void free_dead(void)
{
  while (dead != NULL) {
    pair_t *p = dead;
    dead = p->next_dead;
    free(p);
  }
}

static int relay_listen(void)
{
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = tcp_socket(SOCK_NONBLOCK);
  if (bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 4096) < 0 ||
      getsockname(fd, (struct sockaddr *) &a, &len) < 0)
    die("listen");
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  if (argc != 2) {
    fputs("relay: see the comment at the top of bench/load/relay.c\n", stderr);
    return 2;
  }
  way_t target = {
    .address = htonl(INADDR_LOOPBACK), .ports = {atoi(argv[1])}, .len = 1};
  int listener = relay_listen();
  ep = epoll_create1(EPOLL_CLOEXEC);
  watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  for (;;) {
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(ep, ev, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      int fd;
      if (ev[i].data.ptr != NULL)
        end_event(ev[i].data.ptr, ev[i].events);
      else if ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        pair_start(fd, way_dial(&target, 0));
    }
    free_dead();
  }
}
