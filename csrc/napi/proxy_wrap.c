/* proxy_wrap.c - a question to a proxy, as a JS object, until it is answered:
 * with a stream that leads to the target, or with why there is none. */
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "proto/handshake.h"

enum { ON_OPEN, ON_CLOSE };

typedef struct {
  wrap_t wrap;    /* first */
  alk_proxy_t *h; /* NULL: answered */
} proxy_wrap_t;

static void on_open(void *data, alk_stream_t *s)
{
  proxy_wrap_t *w = data;
  napi_handle_scope scope;
  w->h = NULL;
  if (wrap_begin(&w->wrap, &scope)) {
    napi_value stream = stream_wrap(w->wrap.e, s);
    if (stream != NULL) wrap_emit(&w->wrap, ON_OPEN, 1, &stream);
    wrap_end(&w->wrap, scope);
  } else {
    alk_stream_close(s);
  }
  wrap_detach(&w->wrap);
}

static void on_close(void *data, const alk_err_t *err)
{
  proxy_wrap_t *w = data;
  w->h = NULL;
  wrap_tell_error(&w->wrap, ON_CLOSE, err);
  wrap_detach(&w->wrap);
}

static const alk_proxy_events_t events = {
  .on_open = on_open,
  .on_close = on_close,
};

typedef alk_proxy_t *(*asker_t)(alk_stream_t *s, const alk_proxy_ask_t *ask,
                                const alk_proxy_events_t *ev, void *data);

/* What is said to the proxy has to be able to leave. */
static napi_value begin(napi_env env, napi_value stream, asker_t asker,
                        const alk_proxy_ask_t *ask)
{
  alk_stream_t *s = stream_peek(env, stream);
  if (s == NULL) return NULL;
  if (!alk_stream_is_open(s) || alk_stream_has_ended(s))
    return wrap_throw_closed(env);
  proxy_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(wrap_env(env), &proxy_class, &w->wrap);
  if (object == NULL) return NULL;
  w->h = asker(stream_release(s), ask, &events, w);
  return object;
}

/* (stream, host, port, ms, user | null, password | null) */
napi_value proxy_socks5(napi_env env, napi_callback_info info)
{
  napi_value argv[6], object = NULL;
  char host[256], user[256], password[256];
  uint32_t port, ms;
  wrap_args(env, info, 6, argv);
  bool has_login = !wrap_is_null(env, argv[4]);
  if (wrap_str(env, argv[1], host, sizeof host) &&
      wrap_u32(env, argv[2], UINT16_MAX, &port) &&
      wrap_u32(env, argv[3], INT32_MAX, &ms) &&
      (!has_login || (wrap_str(env, argv[4], user, sizeof user) &&
                      wrap_str(env, argv[5], password, sizeof password)))) {
    const alk_proxy_ask_t ask = {
      .host = host,
      .port = (uint16_t) port,
      .user = has_login ? user : NULL,
      .password = has_login ? password : NULL,
      .limit_ms = ms,
    };
    object = begin(env, argv[0], alk_proxy_socks5, &ask);
  }
  explicit_bzero(password, sizeof password);
  return object;
}

/* (stream, host, port, ms, authorization | null) */
napi_value proxy_http(napi_env env, napi_callback_info info)
{
  napi_value argv[5], object = NULL;
  char host[256], authorization[1024];
  uint32_t port, ms;
  wrap_args(env, info, 5, argv);
  bool has_login = !wrap_is_null(env, argv[4]);
  if (wrap_str(env, argv[1], host, sizeof host) &&
      wrap_u32(env, argv[2], UINT16_MAX, &port) &&
      wrap_u32(env, argv[3], INT32_MAX, &ms) &&
      (!has_login ||
       wrap_str(env, argv[4], authorization, sizeof authorization))) {
    const alk_proxy_ask_t ask = {
      .host = host,
      .port = (uint16_t) port,
      .authorization = has_login ? authorization : NULL,
      .limit_ms = ms,
    };
    object = begin(env, argv[0], alk_proxy_http, &ask);
  }
  explicit_bzero(authorization, sizeof authorization);
  return object;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  proxy_wrap_t *w = wrap_this(env, info, &proxy_class, 0, NULL);
  if (w != NULL && w->h != NULL) alk_proxy_close(w->h);
  return NULL;
}

static const wrap_method_t methods[] = {{"close", close_}, {NULL, NULL}};

const wrap_class_t proxy_class = {
  .id = WRAP_PROXY,
  .name = "Proxy",
  .methods = methods,
  .events = {"onopen", "onclose"},
  .free = alk_free,
};
