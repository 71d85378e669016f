/* listener_wrap.c - a tcp listener as a JS object. One for SOCKS tells of
 * requests, not of streams; whoever has not asked yet when it closes is
 * dropped. */
#include "core/mem.h"

#include "napi/classes.h"

enum { ON_STREAM, ON_ERROR, ON_CLOSE, ON_REQUEST };

typedef struct {
  wrap_t wrap;        /* first */
  alk_listener_t *ln; /* NULL: closed */
  socks_door_t *door; /* NULL: not for SOCKS */
} listener_wrap_t;

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  listener_wrap_t *w = alk_listener_data(ln);
  napi_handle_scope scope;
  if (w->door != NULL) {
    socks_enter(w->door, s);
    return;
  }
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
  if (w->door != NULL) socks_drop(w->door);
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

static void listener_free(void *wrap)
{
  listener_wrap_t *w = wrap;
  alk_free_secret(w->door, sizeof *w->door);
  alk_free(w);
}

/* Takes door. */
static napi_value listen_on(napi_env env, const napi_value *argv,
                            socks_door_t *door)
{
  char host[ALK_ADDR_MAX];
  uint32_t port;
  alk_err_t err;
  wrap_env_t *e = wrap_env(env);
  listener_wrap_t *w = alk_alloc(sizeof *w);
  w->door = door;
  if (!wrap_str(env, argv[0], host, sizeof host) ||
      !wrap_u32(env, argv[1], UINT16_MAX, &port)) {
    listener_free(w);
    return NULL;
  }
  napi_value object = wrap_new(e, &listener_class, &w->wrap);
  if (object == NULL) return NULL;
  if (door != NULL) door->wrap = &w->wrap;
  w->ln = alk_tcp_listen(e->loop, host, (uint16_t) port, &events, w, &err);
  if (w->ln != NULL) return object;
  wrap_detach(&w->wrap);
  return wrap_throw(env, &err);
}

napi_value listener_listen_tcp(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  wrap_args(env, info, 2, argv);
  return listen_on(env, argv, NULL);
}

napi_value listener_listen_socks(napi_env env, napi_callback_info info)
{
  napi_value argv[5];
  socks_door_t *d = alk_alloc(sizeof *d);
  wrap_args(env, info, 5, argv);
  d->on_request = ON_REQUEST;
  d->has_login = !wrap_is_null(env, argv[2]);
  if (wrap_u32(env, argv[4], INT32_MAX, &d->limit_ms) &&
      (!d->has_login ||
       (wrap_str(env, argv[2], d->user, sizeof d->user) &&
        wrap_str(env, argv[3], d->password, sizeof d->password))))
    return listen_on(env, argv, d);
  alk_free_secret(d, sizeof *d);
  return NULL;
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
  if (w == NULL || w->ln == NULL) return NULL;
  alk_listener_close(w->ln);
  if (w->door != NULL) socks_drop(w->door);
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
  .events = {"onstream", "onerror", "onclose", "onrequest"},
  .free = listener_free,
};
