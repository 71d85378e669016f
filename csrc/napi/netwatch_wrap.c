/* netwatch_wrap.c - a watch for changes of the network as a JS object. */
#include "core/mem.h"

#include "napi/classes.h"
#include "net/netwatch.h"

enum { ON_CHANGE, ON_CLOSE };

typedef struct {
  wrap_t wrap;       /* first */
  alk_netwatch_t *w; /* NULL: closed */
} netwatch_wrap_t;

static void on_change(alk_netwatch_t *watch)
{
  netwatch_wrap_t *w = alk_netwatch_data(watch);
  wrap_tell(&w->wrap, ON_CHANGE);
}

static void on_close(alk_netwatch_t *watch)
{
  netwatch_wrap_t *w = alk_netwatch_data(watch);
  w->w = NULL;
  wrap_tell(&w->wrap, ON_CLOSE);
  wrap_detach(&w->wrap);
}

static const alk_netwatch_events_t events = {
  .on_change = on_change,
  .on_close = on_close,
};

napi_value netwatch_open(napi_env env, napi_callback_info info)
{
  (void) info;
  alk_err_t err;
  wrap_env_t *e = wrap_env(env);
  netwatch_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(e, &netwatch_class, &w->wrap);
  if (object == NULL) return NULL;
  w->w = alk_netwatch_open(e->loop, &events, w, &err);
  if (w->w != NULL) return object;
  wrap_detach(&w->wrap);
  return wrap_throw(env, &err);
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  netwatch_wrap_t *w = wrap_this(env, info, &netwatch_class, 0, NULL);
  if (w != NULL && w->w != NULL) alk_netwatch_close(w->w);
  return NULL;
}

static const wrap_method_t methods[] = {{"close", close_}, {NULL, NULL}};

const wrap_class_t netwatch_class = {
  .id = WRAP_NETWATCH,
  .name = "NetWatch",
  .methods = methods,
  .events = {"onchange", "onclose"},
  .free = alk_free,
};
