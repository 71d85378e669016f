/* first_codec.h - who is it? The first bytes of a connection, pure.
 *
 * A client that knows the secret begins with what nobody can tell from the
 * question of a browser until it is whole:
 *
 *   GET /<43 characters> HTTP/1.1 CR LF
 *   fields of any kind, which make its length another each time
 *   CR LF
 *
 * Whoever has begun in another way is OTHER at that very byte, and so is who
 * does not have the right characters when that line is whole: an nginx has
 * nothing to say before. */
#ifndef ALK_STEALTH_FIRST_CODEC_H
#define ALK_STEALTH_FIRST_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  ALK_TOKEN_TEXT = 43,     /* 32 bytes in base64url (RFC 4648 §5) */
  ALK_FIRST_MAX = 4 * 1024 /* a greeting, or less is known by then */
};

typedef enum {
  ALK_FIRST_MORE,  /* it may be anybody */
  ALK_FIRST_SSH,   /* an SSH client */
  ALK_FIRST_KNOWN, /* one that knows the secret: SSH follows the greeting */
  ALK_FIRST_OTHER
} alk_first_t;

/* p: all that has come so far, up to ALK_FIRST_MAX bytes. token: the right one;
 * NULL: there is no secret, and an SSH client need not know any. *used: the
 * bytes of a greeting, which are nobody's business. */
alk_first_t alk_first_look(const uint8_t *p, size_t n, const char *token,
                           size_t *used);

/* Whether the first byte begins TLS, or an SSL 2 that nobody speaks. */
bool alk_first_is_tls(uint8_t c);

#endif
