/* common.c - sockets, ways to the target, and how a program gives up. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "load.h"

char block[BLOCK];

void die(const char *what)
{
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

int tcp_socket(int flags)
{
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

bool would_block(ssize_t n)
{
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

void watch(int ep, int op, int fd, uint32_t events, void *data)
{
  struct epoll_event ev = {.events = events, .data.ptr = data};
  if (epoll_ctl(ep, op, fd, &ev) < 0) die("epoll_ctl");
}

void send_all(int fd, const void *p, size_t len)
{
  if (send(fd, p, len, MSG_NOSIGNAL) != (ssize_t) len) die("send");
}

void recv_all(int fd, void *p, size_t len)
{
  if (recv(fd, p, len, MSG_WAITALL) != (ssize_t) len) die("recv");
}

void put_header(char out[HEADER], char mode, uint64_t len)
{
  out[0] = mode;
  memcpy(out + 1, &len, sizeof len);
}

const char greeting[GREETING] = {5, 1, 0};

void put_request(char out[REQUEST], int port)
{
  const char start[] = {5, 1, 0, 1, 127, 0, 0, 1};
  memcpy(out, start, sizeof start);
  out[8] = (char) (port >> 8);
  out[9] = (char) port;
}

void check_reply(const char reply[REPLY])
{
  if (reply[0] != 5 || reply[1] != 0 || reply[3] != 1) {
    fprintf(stderr, "load: SOCKS5 reply %d, address type %d\n", reply[1],
            reply[3]);
    exit(1);
  }
}

static _Noreturn void wrong_way(void)
{
  fputs("load: WAY is socks:PORT or direct:[ADDRESS:]PORT[,PORT...]\n", stderr);
  exit(2);
}

way_t parse_way(const char *text)
{
  way_t way = {.address = htonl(INADDR_LOOPBACK)};
  way.socks = strncmp(text, "socks:", 6) == 0;
  if (!way.socks && strncmp(text, "direct:", 7) != 0) wrong_way();
  text = strchr(text, ':') + 1;
  const char *port = strchr(text, ':');
  if (port != NULL) {
    char address[INET_ADDRSTRLEN];
    snprintf(address, sizeof address, "%.*s", (int) (port - text), text);
    struct in_addr in;
    if (inet_pton(AF_INET, address, &in) != 1) wrong_way();
    way.address = in.s_addr;
    text = port + 1;
  }
  while (*text != '\0' && way.len < PORTS_MAX) {
    char *end;
    long n = strtol(text, &end, 10);
    if (n < 1 || n > 65535 || (*end != ',' && *end != '\0')) wrong_way();
    way.ports[way.len++] = (int) n;
    text = *end == ',' ? end + 1 : end;
  }
  if (way.len == 0) wrong_way();
  return way;
}

int way_dial(const way_t *way, int number)
{
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port =
                            htons((uint16_t) way->ports[number % way->len]),
                          .sin_addr.s_addr = way->address};
  int fd = tcp_socket(0);
  if (connect(fd, (struct sockaddr *) &a, sizeof a) < 0)
    die("connect to the proxy");
  return fd;
}

int way_connect(const way_t *way, int port, int number)
{
  char greeted[GREETED], request[REQUEST], reply[REPLY];
  int fd = way_dial(way, number);
  if (!way->socks) return fd;
  send_all(fd, greeting, sizeof greeting);
  recv_all(fd, greeted, sizeof greeted);
  put_request(request, port);
  send_all(fd, request, sizeof request);
  recv_all(fd, reply, sizeof reply);
  check_reply(reply);
  return fd;
}
