/* listener_wrap.c - a tcp listener as a JS object. */
#include "core/mem.h"

#include "napi/classes.h"

enum { ON_STREAM, ON_ERROR, ON_CLOSE };

typedef struct {
  wrap_t wrap;        /* first */
  alk_listener_t *ln; /* NULL: closed */
} listener_wrap_t;

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  listener_wrap_t *w = alk_listener_data(ln);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) {
    alk_stream_close(s);
    return;
  }
  napi_value stream = stream_wrap(w->wrap.e, s);
  if (stream != NULL) wrap_emit(&w->wrap, ON_STREAM, 1, &stream);
  wrap_end(&w->wrap, scope);
}

static void on_error(alk_listener_t *ln, const alk_err_t *err)
{
  listener_wrap_t *w = alk_listener_data(ln);
  napi_handle_scope scope;
  if (!wrap_begin(&w->wrap, &scope)) return;
  napi_value error = wrap_error(w->wrap.e, err);
  wrap_emit(&w->wrap, ON_ERROR, 1, &error);
  wrap_end(&w->wrap, scope);
}

static void on_close(alk_listener_t *ln)
{
  listener_wrap_t *w = alk_listener_data(ln);
  napi_handle_scope scope;
  w->ln = NULL;
  if (wrap_begin(&w->wrap, &scope)) {
    wrap_emit(&w->wrap, ON_CLOSE, 0, NULL);
    wrap_end(&w->wrap, scope);
  }
  wrap_detach(&w->wrap);
}

static const alk_listener_events_t events = {
  .on_stream = on_stream,
  .on_error = on_error,
  .on_close = on_close,
};

napi_value listener_listen_tcp(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  char host[ALK_ADDR_MAX];
  uint32_t port;
  alk_err_t err;
  wrap_args(env, info, 2, argv);
  if (!wrap_str(env, argv[0], host, sizeof host) ||
      !wrap_u32(env, argv[1], UINT16_MAX, &port))
    return NULL;
  wrap_env_t *e = wrap_env(env);
  listener_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(e, &listener_class, &w->wrap);
  if (object == NULL) return NULL;
  w->ln = alk_tcp_listen(e->loop, host, (uint16_t) port, &events, w, &err);
  if (w->ln != NULL) return object;
  wrap_detach(&w->wrap);
  return wrap_throw(env, &err);
}

static listener_wrap_t *self(napi_env env, napi_callback_info info)
{
  return wrap_this(env, info, &listener_class, 0, NULL);
}

static napi_value address(napi_env env, napi_callback_info info)
{
  alk_addr_t addr;
  listener_wrap_t *w = self(env, info);
  if (w == NULL) return NULL;
  if (w->ln == NULL) return wrap_throw_closed(env);
  return alk_listener_address(w->ln, &addr) ? address_object(env, &addr)
                                            : wrap_null(env);
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  listener_wrap_t *w = self(env, info);
  if (w != NULL && w->ln != NULL) alk_listener_close(w->ln);
  return NULL;
}

static napi_value ref(napi_env env, napi_callback_info info)
{
  listener_wrap_t *w = self(env, info);
  if (w != NULL && w->ln != NULL) alk_listener_ref(w->ln, true);
  return NULL;
}

static napi_value unref(napi_env env, napi_callback_info info)
{
  listener_wrap_t *w = self(env, info);
  if (w != NULL && w->ln != NULL) alk_listener_ref(w->ln, false);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"address", address}, {"close", close_}, {"ref", ref},
  {"unref", unref},     {NULL, NULL},
};

const wrap_class_t listener_class = {
  .id = WRAP_LISTENER,
  .name = "Listener",
  .methods = methods,
  .events = {"onstream", "onerror", "onclose"},
  .free = alk_free,
};
