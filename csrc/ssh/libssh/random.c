/* random.c - random bytes for libssh, in stock.
 *
 * libssh asks OpenSSL for the padding of every packet by itself, and there a
 * request for ten bytes costs three locks, two system calls and as much time
 * as the packet's encryption. So the small requests (padding, the cookie of a
 * KEXINIT) are served from a block that OpenSSL filled at once; the link
 * diverts them here (-Wl,--wrap=ssh_get_random). Each byte is given once and
 * wiped. Keys are not made of them: libssh has OpenSSL make those. */
#include <stdint.h>
#include <string.h>

#include "ssh/libssh/impl.h"

int __wrap_ssh_get_random(void *where, int len, int strong);
int __real_ssh_get_random(void *where, int len, int strong);

enum { STOCK = 1024, SMALL = 32 };

/* A thread has one loop, and Node forks none of its threads. */
static _Thread_local struct {
  uint8_t bytes[STOCK];
  size_t left;
} stock;

/* 1: done; anything else is a failure, in which libssh sends nothing. */
int __wrap_ssh_get_random(void *where, int len, int strong)
{
  if (strong || len < 0 || len > SMALL)
    return __real_ssh_get_random(where, len, strong);
  size_t n = (size_t) len;
  if (stock.left < n) {
    stock.left = 0;
    if (__real_ssh_get_random(stock.bytes, STOCK, 0) != 1) return 0;
    stock.left = STOCK;
  }
  stock.left -= n;
  memcpy(where, stock.bytes + stock.left, n);
  explicit_bzero(stock.bytes + stock.left, n);
  return 1;
}
