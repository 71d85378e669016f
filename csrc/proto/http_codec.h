/* http_codec.h - the two messages of an HTTP CONNECT (RFC 9110 §9.3.6), pure:
 * the request, and the head of its answer (RFC 9112 §2.1, §4, §5).
 *
 * The head is read byte by byte: nothing of it is kept but what is listed here,
 * and how the bytes were cut on their way makes no difference. */
#ifndef ALK_HTTP_CODEC_H
#define ALK_HTTP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* Of all heads of one answer together: interim ones (1xx) may come before. */
enum { ALK_HTTP_HEAD_MAX = 8 * 1024 };

typedef enum {
  ALK_HTTP_MORE, /* the head is not whole yet */
  ALK_HTTP_DONE, /* status says what it came to; 200 to 599 */
  ALK_HTTP_BAD,  /* it is none */
  ALK_HTTP_LONG  /* it does not end within ALK_HTTP_HEAD_MAX bytes */
} alk_http_result_t;

typedef struct {
  alk_http_result_t result;
  uint16_t status;
  char reason[81]; /* printable ASCII, cut; "?" for what is not */
  char
    schemes[64]; /* of Proxy-Authenticate: "Negotiate, Basic", cut; "": none */
  uint8_t state; /* the rest is private */
  uint8_t at;
  bool may_fold;
  size_t total, reason_len, schemes_len;
} alk_http_head_t;

/* Starts from a zeroed head. Takes bytes up to the end of the last head, and
 * returns how many: what follows them belongs to somebody else. */
size_t alk_http_head_take(alk_http_head_t *h, const uint8_t *p, size_t n);

/* authorization: the value of Proxy-Authorization, or NULL. False, and nothing
 * is written: the host is none, or a character may not stand there. */
bool alk_http_put_connect(alk_buf_t *out, const char *host, uint16_t port,
                          const char *authorization);

#endif
