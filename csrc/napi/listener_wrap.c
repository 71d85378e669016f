/* listener_wrap.c - a tcp or Unix listener as a JS object. One for SOCKS tells
 * of requests, not of streams; whoever has not asked yet when it closes is
 * dropped. */
#include "core/mem.h"

#include "napi/classes.h"

enum { ON_STREAM, ON_ERROR, ON_CLOSE, ON_REQUEST };
enum { PATH_ARG_MAX = 4096 };

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
  wrap_tell_error(&w->wrap, ON_ERROR, err);
}

static void on_close(alk_listener_t *ln)
{
  listener_wrap_t *w = alk_listener_data(ln);
  w->ln = NULL;
  if (w->door != NULL) socks_drop(w->door);
  wrap_tell(&w->wrap, ON_CLOSE);
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
  socks_door_free(w->door);
  alk_free(w);
}

typedef enum { AT_TCP, AT_PATH, AT_FD } place_kind_t;

typedef struct {
  place_kind_t kind;
  char host[PATH_ARG_MAX]; /* or the path */
  uint32_t port;           /* or the descriptor */
} place_t;

static bool tcp_place(napi_env env, const napi_value *argv, place_t *out)
{
  out->kind = AT_TCP;
  return wrap_str(env, argv[0], out->host, ALK_ADDR_MAX) &&
         wrap_u32(env, argv[1], UINT16_MAX, &out->port);
}

static alk_listener_t *open_at(listener_wrap_t *w, const place_t *p,
                               alk_err_t *err)
{
  alk_loop_t *l = w->wrap.e->loop;
  switch (p->kind) {
  case AT_PATH:
    return alk_unix_listen(l, p->host, &events, w, err);
  case AT_FD:
    return alk_tcp_adopt(l, (int) p->port, &events, w, err);
  case AT_TCP:
  default:
    return alk_tcp_listen(l, p->host, (uint16_t) p->port, &events, w, err);
  }
}

/* Takes door, which may be NULL. */
static napi_value listen_on(napi_env env, const place_t *p, socks_door_t *door)
{
  alk_err_t err;
  wrap_env_t *e = wrap_env(env);
  listener_wrap_t *w = alk_alloc(sizeof *w);
  w->door = door;
  napi_value object = wrap_new(e, &listener_class, &w->wrap);
  if (object == NULL) return NULL;
  if (door != NULL) door->wrap = &w->wrap;
  w->ln = open_at(w, p, &err);
  if (w->ln != NULL) return object;
  wrap_detach(&w->wrap);
  return wrap_throw(env, &err);
}

napi_value listener_listen_tcp(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  place_t place;
  wrap_args(env, info, 2, argv);
  return tcp_place(env, argv, &place) ? listen_on(env, &place, NULL) : NULL;
}

napi_value listener_listen_unix(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  place_t place = {.kind = AT_PATH};
  wrap_args(env, info, 1, argv);
  if (!wrap_str(env, argv[0], place.host, sizeof place.host)) return NULL;
  return listen_on(env, &place, NULL);
}

napi_value listener_adopt_tcp(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  place_t place = {.kind = AT_FD};
  wrap_args(env, info, 1, argv);
  if (!wrap_u32(env, argv[0], INT32_MAX, &place.port)) return NULL;
  return listen_on(env, &place, NULL);
}

napi_value listener_listen_socks(napi_env env, napi_callback_info info)
{
  napi_value argv[5];
  place_t place;
  wrap_args(env, info, 5, argv);
  if (!tcp_place(env, argv, &place)) return NULL;
  socks_door_t *d = socks_door_new(env, argv + 2, ON_REQUEST);
  return d == NULL ? NULL : listen_on(env, &place, d);
}

static listener_wrap_t *self(napi_env env, napi_callback_info info)
{
  return wrap_this(env, info, &listener_class, 0, NULL);
}

static napi_value path_object(napi_env env, const char *path)
{
  napi_value object;
  if (napi_create_object(env, &object) != napi_ok) return NULL;
  wrap_set(env, object, "path", wrap_text(env, path));
  return object;
}

static napi_value address(napi_env env, napi_callback_info info)
{
  alk_addr_t addr;
  listener_wrap_t *w = self(env, info);
  if (w == NULL) return NULL;
  if (w->ln == NULL) return wrap_throw_closed(env);
  const char *path = alk_listener_path(w->ln);
  if (path != NULL) return path_object(env, path);
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
