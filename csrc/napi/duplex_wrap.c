/* duplex_wrap.c - a stream whose bytes come from and go to JavaScript: any
 * Duplex there is a transport here.
 *
 * It has two faces: the stream, of the kind "js", which a session owns, and the
 * Duplex, by which lib/duplex.js feeds it and is fed.
 *
 *   push(bytes) -> in -> now -> the owner's on_data
 *   push() takes less than it was given: full; onread follows
 *   the owner's write -> out -> onwrite(buffer), and the next after ready()
 *   the owner's end -> onend, behind all of out -> finished() -> on_drain
 *   end(), close(why): heard behind all that was pushed
 *   the owner's close -> onclose, on_close: gone
 *
 * JavaScript calls from anywhere, also from inside an event of the session that
 * reads here: so what it says waits for the loop, and its bytes are copied, as
 * it keeps the Buffer and could detach it while they are read. */
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/stream_impl.h"

#include "napi/classes.h"

enum { ON_WRITE, ON_END, ON_READ, ON_CLOSE };

/* What a Buffer for JavaScript holds at most. Larger ones come from fresh pages
 * each, which costs more than the copy. */
enum { PIECE = 64 * 1024 };

/* Of a system's error, as a positive number. */
enum { ERRNO_MAX = 4095 };

typedef struct js_stream js_stream_t;

typedef struct {
  wrap_t wrap;    /* first */
  js_stream_t *s; /* NULL: closed */
} duplex_wrap_t;

struct js_stream {
  alk_stream_t stream; /* first */
  alk_task_t task;     /* all that is due, from the loop */
  duplex_wrap_t *w;    /* attached as long as this is there */
  alk_buf_t in;        /* pushed; with now never more than ALK_HIGH_WATER */
  alk_buf_t now;       /* being delivered: nobody adds to it meanwhile */
  alk_buf_t out;       /* written, and not with JavaScript yet */
  alk_err_t why;       /* why the Duplex is gone; ALK_OK: nothing was wrong */
  bool is_wanted;      /* between resume() and pause() */
  bool was_full;       /* onread is owed */
  bool has_ended;      /* nothing more will be pushed */
  bool is_busy;        /* the last onwrite is not through */
  bool was_told_end;   /* onend was emitted */
  bool is_finished;    /* all of it has left the Duplex */
  bool is_gone;        /* the Duplex has closed */
};

static js_stream_t *of_stream(alk_stream_t *s)
{
  return (js_stream_t *) (void *) s;
}

static void wake(js_stream_t *d)
{
  alk_loop_defer(d->stream.loop, &d->task);
}

static size_t unread_len(const js_stream_t *d)
{
  return alk_buf_size(&d->in) + alk_buf_size(&d->now);
}

static void emit(js_stream_t *d, int event)
{
  wrap_tell(&d->w->wrap, event);
}

/* What was there when it began: what is pushed meanwhile waits for the next
 * pass, so that two ends in one process starve nobody. */
static void deliver(js_stream_t *d)
{
  alk_stream_t *s = &d->stream;
  if (alk_buf_size(&d->now) == 0) {
    alk_buf_t empty = d->now;
    d->now = d->in;
    d->in = empty;
  }
  while (d->is_wanted && !alk_stream_is(s, ALK_S_CLOSING)) {
    size_t len = alk_buf_size(&d->now);
    if (len == 0) break;
    if (len > ALK_READ_BUF) len = ALK_READ_BUF;
    const void *head = alk_buf_head(&d->now);
    alk_buf_consume(&d->now, len);
    alk_emit_data(s, head, len);
  }
  if (d->is_wanted && alk_buf_size(&d->in) > 0) wake(d);
}

/* The end of the Duplex, and what was wrong with it, come behind its bytes. */
static void tell_end(js_stream_t *d)
{
  alk_stream_t *s = &d->stream;
  if (alk_stream_is(s, ALK_S_CLOSING) || unread_len(d) > 0) return;
  if (d->has_ended) alk_emit_end(s);
  if (!d->is_gone || s->prefix != NULL || alk_stream_is(s, ALK_S_CLOSING))
    return;
  if (d->why.code != ALK_OK)
    alk_stream_fail(s, &d->why);
  else if (alk_buf_size(&d->out) > 0)
    alk_stream_fail_sys(s, UV_EPIPE, "write");
}

static void hand_over_piece(js_stream_t *d, size_t len)
{
  wrap_t *w = &d->w->wrap;
  napi_handle_scope scope;
  d->is_busy = true;
  if (!wrap_begin(w, &scope)) return;
  napi_value piece = wrap_buffer(w->e->env, alk_buf_head(&d->out), len);
  if (piece != NULL) {
    alk_buf_consume(&d->out, len);
    wrap_emit(w, ON_WRITE, 1, &piece);
  } else {
    alk_stream_fail_sys(&d->stream, UV_ENOMEM, "write");
  }
  wrap_end(w, scope);
}

/* All that was there when it began; the answer to the last piece counts. */
static void hand_over(js_stream_t *d)
{
  size_t left = d->is_busy ? 0 : alk_buf_size(&d->out);
  while (left > 0 && !d->is_gone && !alk_stream_is(&d->stream, ALK_S_CLOSING)) {
    size_t len = left < PIECE ? left : PIECE;
    hand_over_piece(d, len);
    left -= len;
  }
}

static void tell_written(js_stream_t *d)
{
  alk_stream_t *s = &d->stream;
  size_t len = alk_buf_size(&d->out);
  if (!alk_stream_is(s, ALK_S_ENDED)) {
    if (alk_stream_is(s, ALK_S_FULL) && len <= ALK_LOW_WATER) alk_emit_drain(s);
    return;
  }
  if (len > 0 || alk_stream_is(s, ALK_S_FLUSHED)) return;
  if (d->is_finished || d->is_gone) {
    alk_emit_drain(s);
  } else if (!d->was_told_end) {
    d->was_told_end = true;
    emit(d, ON_END);
  }
}

static void finish(js_stream_t *d)
{
  duplex_wrap_t *w = d->w;
  emit(d, ON_CLOSE);
  w->s = NULL;
  wrap_detach(&w->wrap);
  alk_emit_close(&d->stream); /* d is gone */
}

static void run(js_stream_t *d)
{
  alk_stream_t *s = &d->stream;
  if (!alk_stream_is(s, ALK_S_CLOSING)) deliver(d);
  if (!alk_stream_is(s, ALK_S_CLOSING)) tell_end(d);
  if (!alk_stream_is(s, ALK_S_CLOSING)) hand_over(d);
  if (!alk_stream_is(s, ALK_S_CLOSING)) tell_written(d);
  if (alk_stream_is(s, ALK_S_CLOSING)) {
    alk_task_cancel(s->loop, &d->task);
    finish(d);
  } else if (d->was_full && unread_len(d) <= ALK_LOW_WATER) {
    d->was_full = false;
    emit(d, ON_READ);
  }
}

static void run_task(alk_task_t *t)
{
  run((js_stream_t *) (void *) ((char *) t - offsetof(js_stream_t, task)));
}

static void js_resume(alk_stream_t *s)
{
  js_stream_t *d = of_stream(s);
  d->is_wanted = true;
  if (unread_len(d) > 0 || d->has_ended || d->is_gone) wake(d);
}

static void js_pause(alk_stream_t *s)
{
  of_stream(s)->is_wanted = false;
}

static bool js_write(alk_stream_t *s, const char *buf, size_t len)
{
  js_stream_t *d = of_stream(s);
  alk_buf_add(&d->out, buf, len);
  if (!d->is_busy || d->is_gone) wake(d);
  return alk_buf_size(&d->out) < ALK_HIGH_WATER;
}

static void js_end(alk_stream_t *s)
{
  wake(of_stream(s));
}

static void js_close(alk_stream_t *s)
{
  wake(of_stream(s));
}

static void js_free(alk_stream_t *s)
{
  js_stream_t *d = of_stream(s);
  alk_buf_free(&d->in);
  alk_buf_free(&d->now);
  alk_buf_free(&d->out);
  alk_free(d);
}

static const alk_stream_ops_t js_ops = {
  .kind = "js",
  .resume = js_resume,
  .pause = js_pause,
  .write = js_write,
  .end = js_end,
  .close = js_close,
  .free = js_free,
};

napi_value duplex_open(napi_env env, napi_callback_info info)
{
  (void) info;
  wrap_env_t *e = wrap_env(env);
  if (e->exiting) return NULL;
  duplex_wrap_t *w = alk_alloc(sizeof *w);
  napi_value object = wrap_new(e, &duplex_class, &w->wrap);
  if (object == NULL) return NULL;
  js_stream_t *d = alk_alloc(sizeof *d);
  d->w = w;
  d->task.run = run_task;
  w->s = d;
  alk_stream_init(&d->stream, e->loop, &js_ops);
  alk_emit_open(&d->stream); /* nobody owns it yet: no event comes of it */
  wrap_set(env, object, "stream", stream_wrap(e, &d->stream));
  return object;
}

static js_stream_t *self(napi_env env, napi_callback_info info, size_t argc,
                         napi_value *argv)
{
  duplex_wrap_t *w = wrap_this(env, info, &duplex_class, argc, argv);
  if (w == NULL) return NULL;
  if (w->s == NULL) wrap_throw_closed(env);
  return w->s;
}

static napi_value push(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  const char *buf;
  size_t len;
  js_stream_t *d = self(env, info, 1, argv);
  if (d == NULL || !wrap_bytes(env, argv[0], &buf, &len)) return NULL;
  if (d->has_ended || d->is_gone) return wrap_throw_closed(env);
  size_t room = ALK_HIGH_WATER - unread_len(d);
  if (len > room) {
    len = room;
    d->was_full = true;
  }
  alk_buf_add(&d->in, buf, len);
  if (d->is_wanted) wake(d);
  return wrap_number(env, (double) len);
}

static napi_value end(napi_env env, napi_callback_info info)
{
  js_stream_t *d = self(env, info, 0, NULL);
  if (d == NULL) return NULL;
  d->has_ended = true;
  wake(d);
  return NULL;
}

static napi_value ready(napi_env env, napi_callback_info info)
{
  js_stream_t *d = self(env, info, 0, NULL);
  if (d == NULL) return NULL;
  d->is_busy = false;
  if (alk_buf_size(&d->out) > 0) wake(d);
  return NULL;
}

static napi_value finished(napi_env env, napi_callback_info info)
{
  js_stream_t *d = self(env, info, 0, NULL);
  if (d == NULL) return NULL;
  d->is_finished = true;
  wake(d);
  return NULL;
}

/* close(errno, message): errno as a positive number, 0 when it is not the
 * system's; message is null when nothing was wrong. */
static napi_value close_(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  char text[sizeof((alk_err_t *) 0)->msg];
  uint32_t sys;
  js_stream_t *d = self(env, info, 2, argv);
  if (d == NULL || d->is_gone) return NULL;
  if (!wrap_is_null(env, argv[1])) {
    if (!wrap_u32(env, argv[0], ERRNO_MAX, &sys) ||
        !wrap_str(env, argv[1], text, sizeof text))
      return NULL;
    alk_fail(&d->why, sys == 0 ? ALK_E_LOST : ALK_E_SYS, -(int) sys, "%s",
             text);
  }
  d->is_gone = true;
  wake(d);
  return NULL;
}

static const wrap_method_t methods[] = {
  {"push", push},         {"end", end},      {"ready", ready},
  {"finished", finished}, {"close", close_}, {NULL, NULL},
};

const wrap_class_t duplex_class = {
  .id = WRAP_DUPLEX,
  .name = "Duplex",
  .methods = methods,
  .events = {"onwrite", "onend", "onread", "onclose"},
  .free = alk_free,
};
