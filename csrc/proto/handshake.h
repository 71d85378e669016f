/* handshake.h - short conversations held over a borrowed stream. Each takes a
 * stream, talks, and gives the same stream back: no layer stays behind. To
 * cancel, close the stream. Time limits are the caller's. */
#ifndef ALK_HANDSHAKE_H
#define ALK_HANDSHAKE_H

#include <stdint.h>

#include "core/stream.h"

#include "proto/socks_codec.h"

/* SOCKS5 (RFC 1928, 1929) and SOCKS4/4a, server side.
 *
 * on_request comes once, when a whole request is there; answer it with one
 * alk_socks_reply(), now or later. on_done comes once, after the answer:
 * - reply 0 was sent: s is given back paused, without owner, what the client
 *   sent too early put back in front;
 * - otherwise (refused, broken protocol, the client went): s is NULL, the
 *   refusal was delivered where one was due, the stream is closed. err is
 *   NULL when the refusal was ours through alk_socks_reply(). */
typedef struct alk_socks alk_socks_t;
typedef struct {
  void (*on_request)(alk_socks_t *h, const alk_socks_request_t *req);
  void (*on_done)(alk_socks_t *h, alk_stream_t *s, const alk_err_t *err);
} alk_socks_events_t;

/* user and password: NULL for no authentication; else RFC 1929 is required
 * (compared in constant time) and SOCKS4 is refused. Copied. */
alk_socks_t *alk_socks_accept(alk_stream_t *s, const char *user,
                              const char *password,
                              const alk_socks_events_t *ev, void *data);
void *alk_socks_data(const alk_socks_t *h);
void alk_socks_reply(alk_socks_t *h, uint8_t rep); /* ALK_SOCKS_* */
void alk_socks_close(alk_socks_t *h); /* gives up: on_done follows */

#endif
