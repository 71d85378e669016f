/* addr_codec.h - what requests and answers of SOCKS have in common: numbers,
 * and the address of a SOCKS5 message (RFC 1928 §5). Pure. */
#ifndef ALK_ADDR_CODEC_H
#define ALK_ADDR_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum { SOCKS_CONNECT = 1, SOCKS5_LOGIN_VERSION = 1 };
enum { SOCKS5_IPV4 = 1, SOCKS5_NAME = 3, SOCKS5_IPV6 = 4 };

typedef struct {
  uint8_t type;         /* SOCKS5_IPV4 and so on */
  const uint8_t *bytes; /* 4, 16, or those of a name, as they came */
  size_t len;
  uint16_t port;
} alk_socks_addr_t;

/* Reads ATYP, the address and the port. False: no such type. When there are
 * too few bytes it is true and r goes bad. */
bool alk_socks5_read_addr(alk_rd_t *r, alk_socks_addr_t *out);

#endif
