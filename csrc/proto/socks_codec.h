/* socks_codec.h - SOCKS as pure functions: no I/O, no memory.
 *
 * A parser takes a whole message or nothing: it returns the bytes it used, 0
 * when it needs more, or a negative alk_socks_bad_t when the peer is wrong. */
#ifndef ALK_SOCKS_CODEC_H
#define ALK_SOCKS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 1928 §6. */
enum {
  ALK_SOCKS_OK = 0,
  ALK_SOCKS_FAILURE = 1,
  ALK_SOCKS_NOT_ALLOWED = 2,
  ALK_SOCKS_NET_UNREACHABLE = 3,
  ALK_SOCKS_HOST_UNREACHABLE = 4,
  ALK_SOCKS_REFUSED = 5,
  ALK_SOCKS_TTL_EXPIRED = 6,
  ALK_SOCKS_BAD_COMMAND = 7,
  ALK_SOCKS_BAD_ADDRESS_TYPE = 8
};

/* The longest request: a SOCKS4a one with user and name of 255 bytes each. */
enum { ALK_SOCKS_MAX = 8 + 256 + 256, ALK_SOCKS_REPLY_MAX = 22 };

typedef enum {
  ALK_SOCKS_E_VERSION = -1, /* not SOCKS at all */
  ALK_SOCKS_E_COMMAND = -2, /* BIND, UDP ASSOCIATE, unknown */
  ALK_SOCKS_E_ATYP = -3,    /* unknown address type */
  ALK_SOCKS_E_SYNTAX = -4   /* empty or impossible name, too long a field */
} alk_socks_bad_t;

typedef struct {
  uint8_t version; /* 4 or 5 */
  uint16_t port;
  char host[256]; /* a name, or an address in text */
} alk_socks_request_t;

enum {
  ALK_SOCKS_NONE = 0x00,
  ALK_SOCKS_USERPASS = 0x02,
  ALK_SOCKS_NO_METHOD = 0xff
};

/* RFC 1928 §3. *offered is true when the client offers method. */
int alk_socks5_parse_greeting(const uint8_t *p, size_t n, uint8_t method,
                              bool *offered);
/* RFC 1929 §2. The strings are NUL-terminated; a NUL inside is a syntax error.
 */
typedef struct {
  char user[256], password[256];
} alk_socks_login_t;
int alk_socks5_parse_login(const uint8_t *p, size_t n, alk_socks_login_t *out);
/* RFC 1928 §4. */
int alk_socks5_parse_request(const uint8_t *p, size_t n,
                             alk_socks_request_t *out);
/* The 1992 SOCKS4 memo and its 4a extension; the user id is skipped. */
int alk_socks4_parse_request(const uint8_t *p, size_t n,
                             alk_socks_request_t *out);
/* RFC 1928 §6, and SOCKS4's (rep 0: 90, else 91), with a zero address.
 * Returns the length. */
size_t alk_socks_put_reply(uint8_t out[ALK_SOCKS_REPLY_MAX], uint8_t version,
                           uint8_t rep);

#endif
