/* handshake.h - short conversations held over a borrowed stream. Each takes a
 * stream, talks, and gives the same stream back: no layer stays behind. To
 * cancel, close the stream. */
#ifndef ALK_HANDSHAKE_H
#define ALK_HANDSHAKE_H

#include <stdint.h>

#include "core/stream.h"

#include "proto/socks_codec.h"

/* SOCKS5 (RFC 1928, 1929) and SOCKS4/4a, server side.
 *
 * on_request comes once, when a whole request is there; answer it, now or
 * later, with alk_socks_grant() or one alk_socks_refuse(). on_done comes once
 * when it was not granted (refused, broken protocol, too slow, the client
 * went): the refusal was delivered where one was due, and the stream is closed.
 * err is NULL when the refusal was ours through alk_socks_refuse(). */
typedef struct alk_socks alk_socks_t;
typedef struct {
  void (*on_request)(alk_socks_t *h, const alk_socks_request_t *req);
  void (*on_done)(alk_socks_t *h, const alk_err_t *err);
} alk_socks_events_t;

/* user and password: NULL for no authentication; else RFC 1929 is required
 * (compared in constant time) and SOCKS4 is refused. Copied. The client has
 * limit_ms for its request, and as long again to take a refusal. */
alk_socks_t *alk_socks_accept(alk_stream_t *s, const char *user,
                              const char *password, unsigned limit_ms,
                              const alk_socks_events_t *ev, void *data);
void *alk_socks_data(const alk_socks_t *h);
/* Says yes and gives the stream back: paused, without owner, what the client
 * sent too early put back in front; h is gone. NULL: the client is, and on_done
 * follows. */
alk_stream_t *alk_socks_grant(alk_socks_t *h);
void alk_socks_refuse(alk_socks_t *h, uint8_t rep); /* ALK_SOCKS_*, not OK */
void alk_socks_close(alk_socks_t *h); /* gives up: on_done follows */

/* The client's side of a proxy: asks over its stream for a way to a host, an
 * address or a name, which goes to the proxy as it is.
 *
 * One of the two comes, once, and h is gone then. on_open: the stream leads to
 * the target. It is open, paused and without owner, and what came behind the
 * proxy's answer is back in front. on_close: there is no such way, and the
 * stream is closed. ALK_E_PROXY and ALK_E_PROXYAUTH have the number that the
 * proxy gave in reason (a reply of RFC 1928 §6, or a status of HTTP; 0: none);
 * what a SOCKS proxy says of the target in just the system's terms is
 * ALK_E_SYS, with that number too. */
typedef struct alk_proxy alk_proxy_t;
typedef struct {
  void (*on_open)(void *data, alk_stream_t *s);
  void (*on_close)(void *data, const alk_err_t *err);
} alk_proxy_events_t;

typedef struct {
  const char *host;
  uint16_t port;
  const char *user, *password; /* of SOCKS: both, or NULL */
  const char *authorization;   /* of HTTP: "Basic ...", or NULL */
  unsigned limit_ms;           /* for all of it */
} alk_proxy_ask_t;

/* s is open. What is wrong with the question comes as an on_close, too. */
alk_proxy_t *alk_proxy_socks5(alk_stream_t *s, const alk_proxy_ask_t *ask,
                              const alk_proxy_events_t *ev, void *data);
alk_proxy_t *alk_proxy_http(alk_stream_t *s, const alk_proxy_ask_t *ask,
                            const alk_proxy_events_t *ev, void *data);
void alk_proxy_close(alk_proxy_t *h); /* gives up: on_close follows */

#endif
