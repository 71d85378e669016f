/* token.h - how a client shows that it knows the secret, and to nobody who
 * does not: a keyed hash of what only the two ends of this TLS connection
 * have (RFC 5705, RFC 8446 §7.5). What was seen on one connection is worth
 * nothing on another. */
#ifndef ALK_STEALTH_TOKEN_H
#define ALK_STEALTH_TOKEN_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/stream.h"

#include "stealth/first_codec.h"

enum { ALK_SECRET_MIN = 16, ALK_SECRET_MAX = 1024 };

typedef struct {
  char text[ALK_TOKEN_TEXT + 1];
} alk_token_t;

/* Of an open TLS stream. False: it has no such keys (TLS 1.2 without extended
 * master secret), or OpenSSL has failed. */
bool alk_token_make(const alk_stream_t *s, const uint8_t *secret, size_t len,
                    alk_token_t *out);

/* The greeting in which it goes, of a length that is another each time. host:
 * as in Host. False: there is no randomness. */
bool alk_token_put_greeting(alk_buf_t *out, const alk_token_t *token,
                            const char *host);

#endif
