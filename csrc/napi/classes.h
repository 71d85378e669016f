/* classes.h - the classes, and what they need of one another. */
#ifndef ALK_CLASSES_H
#define ALK_CLASSES_H

#include "core/stream.h"

#include "napi/wrap.h"
#include "net/net.h"
#include "net/tls.h"
#include "ssh/key.h"
#include "ssh/ssh.h"

extern const wrap_class_t stream_class, listener_class, session_class,
  socks_class, door_class, relay_class, key_class, krl_class, duplex_class,
  netwatch_class, proxy_class, tls_class, gate_class;

/* A stream as a JS object that owns it. NULL: it is closed instead. */
napi_value stream_wrap(wrap_env_t *e, alk_stream_t *s);
/* The stream of a Stream argument. NULL: thrown. */
alk_stream_t *stream_peek(napi_env env, napi_value v);
/* What stream_peek() gave, taken away from its JS object: own() it. */
alk_stream_t *stream_release(alk_stream_t *s);
/* Both in one: NULL: thrown. Not after a stream_peek(), whose yes it need not
 * repeat (wrap.h). */
alk_stream_t *stream_take(napi_env env, napi_value v);

/* { address, port, family } */
napi_value address_object(napi_env env, const alk_addr_t *addr);

/* 'user' or 'host' as an alk_cert_kind_t. False: thrown. */
bool cert_kind_arg(napi_env env, napi_value v, int *kind);

alk_tls_ctx_t *tls_ctx_arg(napi_env env, napi_value v); /* NULL: thrown */
alk_key_t *key_arg(napi_env env, napi_value v);         /* NULL: thrown */
alk_session_t *session_arg(napi_env env, napi_value v); /* NULL: thrown */

/* What a SOCKS listener, or a door, asks of its clients, and those that have
 * not said yet where they want to go. */
typedef struct socks_client socks_client_t;
typedef struct {
  wrap_t *wrap;   /* whose events the requests are */
  int on_request; /* the event */
  bool has_login;
  char user[256], password[256];
  uint32_t limit_ms;
  socks_client_t *clients;
} socks_door_t;
/* argv: user, password, limit. Without its wrap. NULL: thrown. */
socks_door_t *socks_door_new(napi_env env, const napi_value *argv,
                             int on_request);
void socks_door_free(socks_door_t *d);
void socks_enter(socks_door_t *d, alk_stream_t *s); /* owns s */
void socks_drop(socks_door_t *d); /* closes those clients and forgets them */

/* The functions that make the objects. */
napi_value stream_connect_tcp(napi_env env, napi_callback_info info);
napi_value stream_connect_unix(napi_env env, napi_callback_info info);
napi_value stream_take_parcel(napi_env env, napi_callback_info info);
napi_value listener_listen_tcp(napi_env env, napi_callback_info info);
napi_value listener_listen_unix(napi_env env, napi_callback_info info);
napi_value listener_adopt_tcp(napi_env env, napi_callback_info info);
napi_value listener_listen_socks(napi_env env, napi_callback_info info);
napi_value notify_send(napi_env env, napi_callback_info info);
napi_value door_open(napi_env env, napi_callback_info info);
napi_value session_client(napi_env env, napi_callback_info info);
napi_value session_server(napi_env env, napi_callback_info info);
napi_value duplex_open(napi_env env, napi_callback_info info);
napi_value proxy_socks5(napi_env env, napi_callback_info info);
napi_value proxy_http(napi_env env, napi_callback_info info);
napi_value tls_client_context(napi_env env, napi_callback_info info);
napi_value tls_server_context(napi_env env, napi_callback_info info);
napi_value tls_client(napi_env env, napi_callback_info info);
napi_value tls_server(napi_env env, napi_callback_info info);
napi_value tls_take_parcel(napi_env env, napi_callback_info info);
napi_value gate_open(napi_env env, napi_callback_info info);
napi_value gate_greeting(napi_env env, napi_callback_info info);
napi_value tls_info(napi_env env, napi_callback_info info);
napi_value tls_prove(napi_env env, napi_callback_info info);
napi_value tls_pad(napi_env env, napi_callback_info info);
napi_value relay_join(napi_env env, napi_callback_info info);
napi_value key_take_parcel(napi_env env, napi_callback_info info);
napi_value key_read_private(napi_env env, napi_callback_info info);
napi_value key_read_blob(napi_env env, napi_callback_info info);
napi_value key_generate(napi_env env, napi_callback_info info);
napi_value key_format(napi_env env, napi_callback_info info);
napi_value key_fingerprint(napi_env env, napi_callback_info info);
napi_value cert_read(napi_env env, napi_callback_info info);
napi_value cert_check(napi_env env, napi_callback_info info);
napi_value cert_is(napi_env env, napi_callback_info info);
napi_value cert_sign(napi_env env, napi_callback_info info);
napi_value krl_read(napi_env env, napi_callback_info info);
napi_value netwatch_open(napi_env env, napi_callback_info info);
napi_value hosts_match(napi_env env, napi_callback_info info);
napi_value hosts_authority(napi_env env, napi_callback_info info);
napi_value hosts_line(napi_env env, napi_callback_info info);

#endif
