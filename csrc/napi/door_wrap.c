/* door_wrap.c - a place where streams of any kind speak SOCKS, as a JS object.
 *
 *   enter(stream) -> handshake -> onrequest, as of a SOCKS listener
 *   close(): who has not asked yet is dropped -> onclose
 *
 * A door has no handle of libuv's: it is on the live list until its onclose. */
#include "core/mem.h"

#include "napi/classes.h"

enum { ON_REQUEST, ON_CLOSE };

typedef struct {
  wrap_t wrap; /* first */
  alk_live_t live;
  alk_task_t task; /* onclose, from the loop */
  socks_door_t *door;
  bool is_closing;
} door_wrap_t;

static void shut(door_wrap_t *w)
{
  if (w->is_closing) return;
  w->is_closing = true;
  socks_drop(w->door);
  alk_loop_defer(w->wrap.e->loop, &w->task);
}

static void close_live(alk_live_t *o)
{
  shut((door_wrap_t *) (void *) ((char *) o - offsetof(door_wrap_t, live)));
}

static void run_task(alk_task_t *t)
{
  door_wrap_t *w =
    (door_wrap_t *) (void *) ((char *) t - offsetof(door_wrap_t, task));
  alk_live_remove(w->wrap.e->loop, &w->live);
  wrap_tell(&w->wrap, ON_CLOSE);
  wrap_detach(&w->wrap);
}

static void door_free(void *wrap)
{
  door_wrap_t *w = wrap;
  socks_door_free(w->door);
  alk_free(w);
}

napi_value door_open(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  wrap_args(env, info, 3, argv);
  wrap_env_t *e = wrap_env(env);
  socks_door_t *d = socks_door_new(env, argv, ON_REQUEST);
  if (d == NULL) return NULL;
  door_wrap_t *w = alk_alloc(sizeof *w);
  w->door = d;
  w->task.run = run_task;
  d->wrap = &w->wrap;
  napi_value object = wrap_new(e, &door_class, &w->wrap);
  if (object != NULL) alk_live_add(e->loop, &w->live, close_live);
  return object;
}

/* What the handshake says has to be able to leave. */
static napi_value enter(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  door_wrap_t *w = wrap_this(env, info, &door_class, 1, argv);
  alk_stream_t *s = w == NULL ? NULL : stream_peek(env, argv[0]);
  if (s == NULL) return NULL;
  if (w->is_closing || alk_stream_has_ended(s)) return wrap_throw_closed(env);
  socks_enter(w->door, stream_release(s));
  return NULL;
}

static napi_value close_(napi_env env, napi_callback_info info)
{
  door_wrap_t *w = wrap_this(env, info, &door_class, 0, NULL);
  if (w != NULL) shut(w);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"enter", enter}, {"close", close_}, {NULL, NULL}};

const wrap_class_t door_class = {
  .id = WRAP_DOOR,
  .name = "Door",
  .methods = methods,
  .events = {"onrequest", "onclose"},
  .free = door_free,
};
