/* socks_client_codec.h - what a client of SOCKS5 says and hears, as pure
 * functions. Parsers return what those of socks_codec.h do. */
#ifndef ALK_SOCKS_CLIENT_CODEC_H
#define ALK_SOCKS_CLIENT_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "proto/socks_codec.h"

enum {
  ALK_SOCKS_LOGIN_MAX = 1 + 2 * 256,
  ALK_SOCKS_REQUEST_MAX = 4 + 1 + 255 + 2,
  ALK_SOCKS_ANSWER_MAX = 4 + 1 + 255 + 2
};

/* RFC 1929 §2. Returns the length; 0: user or password is too long, or the user
 * is empty. */
size_t alk_socks5_put_login(uint8_t out[ALK_SOCKS_LOGIN_MAX], const char *user,
                            const char *password);
/* RFC 1928 §4, CONNECT. A name is handed on as it is. Returns the length; 0:
 * host is none. */
size_t alk_socks5_put_connect(uint8_t out[ALK_SOCKS_REQUEST_MAX],
                              const char *host, uint16_t port);

/* RFC 1928 §3: *method is ALK_SOCKS_NO_METHOD when none is accepted. */
int alk_socks5_parse_method(const uint8_t *p, size_t n, uint8_t *method);
/* RFC 1929 §2: *status is 0 for a yes. */
int alk_socks5_parse_status(const uint8_t *p, size_t n, uint8_t *status);
/* RFC 1928 §6. A refusal (*rep is not ALK_SOCKS_OK) is whole with its second
 * byte: who refuses may say no more than that. */
int alk_socks5_parse_reply(const uint8_t *p, size_t n, uint8_t *rep);

#endif
