/* load.h - what the parts of the load generator share.
 *
 * A connection to the target starts with a header of nine bytes: what is
 * wanted, and a u64 in this machine's byte order.
 *
 *   'u'  the client sends that many bytes; the server answers one byte when it
 *        has them all
 *   'd'  the server sends that many bytes
 *   'e'  the client sends that many bytes, and the server sends them back
 *   'p'  the same again and again
 *   'U'  the client sends for ever; the number is two times in ms, the first
 *        in its upper half: after each the server has a look at what has come,
 *        and at the second it answers with a mark_t
 *   'G'  no header, but an HTTP request: 1 KiB is the answer */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
  HEADER = 9,
  ECHO_MAX = 1024,
  BLOCK = 256 * 1024,
  EVENTS = 256,
  PORTS_MAX = 1024
};

/* What 'U' is answered: bytes a second from the connection's beginning, and
 * from the first of the two times, to the second. */
typedef struct {
  double whole, steady;
} mark_t;

/* WAY: socks:PORT of a proxy, or direct:PORT[,PORT...] of forwards that lead to
 * the target already, or direct:ADDRESS:PORT of the target itself. */
typedef struct {
  bool socks;
  uint32_t address; /* network byte order */
  int ports[PORTS_MAX];
  int len;
} way_t;

extern char block[BLOCK];

_Noreturn void die(const char *what);
double now(void);
int tcp_socket(int flags);
bool would_block(ssize_t n); /* not now; or a signal came */
void watch(int ep, int op, int fd, uint32_t events, void *data);
void send_all(int fd, const void *p, size_t len);
void recv_all(int fd, void *p, size_t len);
void put_header(char out[HEADER], char mode, uint64_t len);

/* RFC 1928: no authentication, CONNECT 127.0.0.1:port. */
enum { GREETING = 3, GREETED = 2, REQUEST = 10, REPLY = 10 };
extern const char greeting[GREETING];
void put_request(char out[REQUEST], int port);
void check_reply(const char reply[REPLY]);

way_t parse_way(const char *text);
int way_dial(const way_t *way, int number); /* TCP only */
int way_connect(const way_t *way, int port, int number);

/* The commands of load.c. */
_Noreturn void serve(const char *address);
int bulk(char mode, const way_t *way, int port, uint64_t bytes);
int timed(char mode, const way_t *way, int port, int streams, const int ms[2]);
int trips(const way_t *way, int port, long count, size_t bytes, double seconds);
int open_many(const way_t *way, int port, long count, long at_once);
int idle(const way_t *way, int port, long count, long trips);

#endif
