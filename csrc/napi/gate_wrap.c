/* gate_wrap.c - a connection to a listener that passes for a web server, as a
 * JS object: JS hears who it is, says what becomes of it, and hears of its
 * end. */
#include <string.h>

#include "core/mem.h"

#include "napi/classes.h"
#include "stealth/gate.h"
#include "stealth/page_codec.h"
#include "stealth/token.h"

enum { ON_SSH, ON_VISITOR, ON_CLOSE };

typedef struct {
  wrap_t wrap;   /* first */
  alk_gate_t *g; /* NULL: gone, or given away */
} gate_wrap_t;

static void emit(void *data, int event)
{
  gate_wrap_t *w = data;
  wrap_tell(&w->wrap, event);
}

static void on_ssh(void *data)
{
  emit(data, ON_SSH);
}

static void on_visitor(void *data)
{
  emit(data, ON_VISITOR);
}

static void on_close(void *data, alk_gate_outcome_t outcome,
                     const alk_err_t *err)
{
  gate_wrap_t *w = data;
  napi_handle_scope scope;
  w->g = NULL;
  if (wrap_begin(&w->wrap, &scope)) {
    napi_value argv[] = {
      wrap_text(w->wrap.e->env, alk_gate_outcome_name(outcome)),
      wrap_error(w->wrap.e, err)};
    wrap_emit(&w->wrap, ON_CLOSE, 2, argv);
    wrap_end(&w->wrap, scope);
  }
  wrap_detach(&w->wrap);
}

static const alk_gate_events_t events = {
  .on_ssh = on_ssh,
  .on_visitor = on_visitor,
  .on_close = on_close,
};

static bool secret_arg(napi_env env, napi_value v, alk_gate_opts_t *opts)
{
  const char *bytes = NULL;
  alk_err_t err;
  if (wrap_is_null(env, v)) return true;
  if (!wrap_bytes(env, v, &bytes, &opts->secret_len)) return false;
  opts->secret = (const uint8_t *) bytes;
  if (opts->secret_len >= ALK_SECRET_MIN && opts->secret_len <= ALK_SECRET_MAX)
    return true;
  alk_fail(&err, ALK_E_OPTION, 0, "a secret has %d to %d bytes", ALK_SECRET_MIN,
           ALK_SECRET_MAX);
  wrap_throw(env, &err);
  return false;
}

/* (stream, context, server, secret | null, headMs, idleMs, hasSite) */
napi_value gate_open(napi_env env, napi_callback_info info)
{
  napi_value argv[7];
  char server[ALK_PAGE_SERVER_MAX + 1];
  uint32_t head_ms, idle_ms;
  alk_gate_opts_t opts = {0};
  wrap_args(env, info, 7, argv);
  opts.tls = tls_ctx_arg(env, argv[1]);
  if (opts.tls == NULL || !wrap_str(env, argv[2], server, sizeof server) ||
      !secret_arg(env, argv[3], &opts) ||
      !wrap_u32(env, argv[4], INT32_MAX, &head_ms) ||
      !wrap_u32(env, argv[5], INT32_MAX, &idle_ms))
    return NULL;
  opts.server = server;
  opts.head_ms = head_ms;
  opts.idle_ms = idle_ms;
  opts.has_site = wrap_bool(env, argv[6]);
  alk_stream_t *s = stream_peek(env, argv[0]);
  if (s == NULL) return NULL;
  if (!alk_stream_is_open(s)) return wrap_throw_closed(env);
  gate_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(wrap_env(env), &gate_class, &w->wrap);
  if (object == NULL) return NULL;
  w->g = alk_gate(stream_release(s), &opts, &events, w);
  return object;
}

static gate_wrap_t *self(napi_env env, napi_callback_info info, size_t argc,
                         napi_value *argv)
{
  gate_wrap_t *w = wrap_this(env, info, &gate_class, argc, argv);
  if (w == NULL || w->g != NULL) return w;
  wrap_throw_closed(env);
  return NULL;
}

static napi_value take(napi_env env, napi_callback_info info)
{
  gate_wrap_t *w = self(env, info, 0, NULL);
  alk_stream_t *s = w == NULL ? NULL : alk_gate_take(w->g);
  if (s == NULL) return w == NULL ? NULL : wrap_null(env);
  w->g = NULL;
  napi_value stream = stream_wrap(w->wrap.e, s);
  wrap_detach(&w->wrap);
  return stream;
}

static napi_value serve(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint32_t page;
  gate_wrap_t *w = self(env, info, 1, argv);
  if (w != NULL && wrap_u32(env, argv[0], 999, &page))
    alk_gate_serve(w->g, page);
  return NULL;
}

static napi_value relay(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  gate_wrap_t *w = self(env, info, 1, argv);
  alk_stream_t *site = w == NULL ? NULL : stream_take(env, argv[0]);
  if (site != NULL) alk_gate_relay(w->g, site);
  return NULL;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  gate_wrap_t *w = wrap_this(env, info, &gate_class, 0, NULL);
  if (w != NULL && w->g != NULL) alk_gate_close(w->g);
  return NULL;
}

static napi_value drop(napi_env env, napi_callback_info info)
{
  gate_wrap_t *w = wrap_this(env, info, &gate_class, 0, NULL);
  if (w != NULL && w->g != NULL) alk_gate_drop(w->g);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"take", take},    {"serve", serve}, {"relay", relay},
  {"close", close_}, {"drop", drop},   {NULL, NULL},
};

const wrap_class_t gate_class = {
  .id = WRAP_GATE,
  .name = "Gate",
  .methods = methods,
  .events = {"onssh", "onvisitor", "onclose"},
  .free = alk_free,
};

/* (stream, secret, host): the greeting of a client, as bytes to be written. */
napi_value gate_greeting(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  char host[ALK_TLS_NAME_MAX];
  alk_gate_opts_t opts = {0};
  alk_token_t token;
  alk_buf_t out = {0};
  alk_err_t err;
  wrap_args(env, info, 3, argv);
  const alk_stream_t *s = stream_peek(env, argv[0]);
  if (s == NULL || !secret_arg(env, argv[1], &opts) ||
      !wrap_str(env, argv[2], host, sizeof host))
    return NULL;
  if (!alk_token_make(s, opts.secret, opts.secret_len, &token)) {
    alk_fail(&err, ALK_E_TLS, 0,
             "this TLS connection has no keys to show the secret with: the "
             "server speaks TLS 1.2 without extended master secret");
    return wrap_throw(env, &err);
  }
  napi_value bytes = NULL;
  if (alk_token_put_greeting(&out, &token, host)) {
    bytes = wrap_buffer(env, alk_buf_head(&out), alk_buf_size(&out));
  } else {
    alk_fail(&err, ALK_E_CRYPTO, 0, "no randomness");
    wrap_throw(env, &err);
  }
  alk_buf_free_secret(&out);
  explicit_bzero(&token, sizeof token);
  return bytes;
}
