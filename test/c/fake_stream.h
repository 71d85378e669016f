/* fake_stream.h - a kind of stream that a test scripts.
 *
 *   fake_t *f = fake_stream_new(l);     open, paused, without owner: f->s
 *   fake_feed(f, buf, len);             the peer says this: one on_data
 *   fake_feed_bytes(f, buf, len);       the same, one on_data a byte
 *   fake_feed_end(f);                   the peer ends, after all of the above
 *   fake_fail(f, UV_ECONNRESET);        the stream dies, ahead of all of it
 *   f->full = true; ... fake_drain(f);  writes stay here until they may leave
 *   fake_free(f);                       when f->s is NULL: after on_close
 *
 * What is called takes effect later, from the loop, one event a task, in the
 * order given; data and the end wait while the stream is paused. f itself
 * outlives the stream, so that a test can look at what was left behind:
 * f->out is all that was written, of which the first f->sent bytes have left
 * (close() drops the rest).
 *
 * It breaks no law, and aborts when stream.c or the owner makes it break one.
 * It needs libuv only for its loop, and no test library: fuzzers use it too. */
#ifndef ALK_FAKE_STREAM_H
#define ALK_FAKE_STREAM_H

#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/stream_impl.h"

typedef struct fake fake_t;
typedef struct fake_stream fake_stream_t;
typedef struct fake_piece fake_piece_t;

struct fake_piece {
  fake_piece_t *next;
  size_t len; /* 0: the end */
  char bytes[];
};

struct fake {
  alk_stream_t *s; /* NULL: gone */
  alk_buf_t out;   /* everything that was written */
  size_t sent;     /* how much of it has left */
  bool full;       /* write says false, and nothing leaves */
  int write_error; /* a uv errno: the next write kills the stream */
  bool ended;      /* end() was called */
  bool flushed;    /* and all of it has left */
  bool closed;     /* close() was called, or the stream died */
  bool got_end;    /* the owner has been told of the peer's end */
  bool resumed;    /* data may be told */
  size_t writes;   /* calls */
  size_t told;     /* bytes that the owner has received */

  bool opening, drain_due; /* the rest is private */
  int failure;
  fake_piece_t *first, **last;
  alk_task_t task;
};

struct fake_stream {
  alk_stream_t stream; /* first */
  fake_t *f;
};

static inline fake_t *fake_of(alk_stream_t *s)
{
  return ((fake_stream_t *) (void *) s)->f;
}

static inline void fake_wake(fake_t *f)
{
  CHECK(f->s != NULL);
  alk_loop_defer(alk_stream_loop(f->s), &f->task);
}

static inline void fake_resume(alk_stream_t *s)
{
  fake_t *f = fake_of(s);
  CHECK(!f->closed);
  f->resumed = true;
  if (f->first != NULL) fake_wake(f);
}

static inline void fake_pause(alk_stream_t *s)
{
  fake_of(s)->resumed = false;
}

static inline bool fake_write(alk_stream_t *s, const char *buf, size_t len)
{
  fake_t *f = fake_of(s);
  CHECK(!f->closed && !f->ended);
  f->writes++;
  if (f->write_error != 0) {
    alk_stream_fail_sys(s, f->write_error, "write");
    return true;
  }
  alk_buf_add(&f->out, buf, len);
  if (!f->full && !f->opening) f->sent = alk_buf_size(&f->out);
  return !f->full;
}

static inline void fake_end(alk_stream_t *s)
{
  fake_t *f = fake_of(s);
  CHECK(!f->closed && !f->ended);
  f->ended = true;
  if (f->full || f->opening) return;
  f->drain_due = true;
  fake_wake(f);
}

static inline void fake_close(alk_stream_t *s)
{
  fake_t *f = fake_of(s);
  CHECK(!f->closed);
  f->closed = true;
  fake_wake(f);
}

static inline void fake_stream_free(alk_stream_t *s)
{
  fake_of(s)->s = NULL;
  alk_free(s);
}

/* The next thing that the peer said. */
static inline void fake_tell(fake_t *f)
{
  fake_piece_t *p = f->first;
  if (p == NULL || !f->resumed) return;
  f->first = p->next;
  if (f->first == NULL) f->last = &f->first;
  if (p->len == 0) {
    f->got_end = true;
    alk_emit_end(f->s);
  } else {
    f->told += p->len;
    alk_emit_data(f->s, p->bytes, p->len);
  }
  alk_free(p);
}

/* After end() a drain means that all has left: one that was owed for less is
 * not told any more. */
static inline void fake_tell_drain(fake_t *f)
{
  bool all = f->sent == alk_buf_size(&f->out);
  if (f->ended && !all) return;
  f->flushed = f->ended;
  alk_emit_drain(f->s);
}

static inline void fake_run(alk_task_t *t)
{
  fake_t *f = (fake_t *) (void *) ((char *) t - offsetof(fake_t, task));
  if (f->closed) {
    alk_emit_close(f->s);
    return;
  }
  if (f->failure != 0) {
    alk_stream_fail_sys(f->s, f->failure, "read");
    return;
  }
  if (f->opening) {
    f->opening = false;
    f->drain_due = f->ended && !f->full;
    if (!f->full) f->sent = alk_buf_size(&f->out);
    alk_emit_open(f->s);
  } else if (f->drain_due) {
    f->drain_due = false;
    fake_tell_drain(f);
  } else {
    fake_tell(f);
  }
  if (f->closed || f->drain_due || (f->resumed && f->first != NULL))
    fake_wake(f);
}

static const alk_stream_ops_t fake_ops = {
  .kind = "fake",
  .resume = fake_resume,
  .pause = fake_pause,
  .write = fake_write,
  .end = fake_end,
  .close = fake_close,
  .free = fake_stream_free,
};

/* One that is not connected yet: see fake_open(). */
static inline fake_t *fake_stream_new_unopened(alk_loop_t *l)
{
  fake_t *f = alk_alloc(sizeof *f);
  fake_stream_t *s = alk_alloc(sizeof *s);
  f->last = &f->first;
  f->task.run = fake_run;
  f->opening = true;
  f->s = &s->stream;
  s->f = f;
  alk_stream_init(f->s, l, &fake_ops);
  return f;
}

static inline fake_t *fake_stream_new(alk_loop_t *l)
{
  fake_t *f = fake_stream_new_unopened(l);
  f->opening = false;
  alk_emit_open(f->s); /* nobody owns it yet: no event comes of it */
  return f;
}

/* on_open follows. */
static inline void fake_open(fake_t *f)
{
  CHECK(f->opening);
  fake_wake(f);
}

static inline void fake_queue(fake_t *f, const void *buf, size_t len)
{
  if (f->s == NULL || f->closed) return; /* nobody hears it any more */
  fake_piece_t *p = alk_alloc(sizeof *p + len);
  p->len = len;
  if (len > 0) memcpy(p->bytes, buf, len);
  *f->last = p;
  f->last = &p->next;
  if (f->resumed) fake_wake(f);
}

static inline void fake_feed(fake_t *f, const void *buf, size_t len)
{
  if (len > 0) fake_queue(f, buf, len);
}

static inline void fake_feed_bytes(fake_t *f, const void *buf, size_t len)
{
  const char *p = buf;
  for (size_t i = 0; i < len; i++)
    fake_queue(f, p + i, 1);
}

static inline void fake_feed_end(fake_t *f)
{
  fake_queue(f, NULL, 0);
}

/* As a reset does: what the owner has not heard yet is lost. */
static inline void fake_fail(fake_t *f, int sys)
{
  if (f->s == NULL || f->closed) return;
  f->failure = sys;
  fake_wake(f);
}

/* The stream is closing: its on_close, ahead of every task that is due. Stands
 * for a call from the loop, so not from inside an event. */
static inline void fake_close_now(fake_t *f)
{
  CHECK(f->closed && f->s != NULL);
  alk_task_cancel(alk_stream_loop(f->s), &f->task);
  alk_emit_close(f->s);
}

/* All that was held back leaves now; on_drain follows where it is owed. */
static inline void fake_drain(fake_t *f)
{
  if (f->s == NULL || f->closed) return;
  CHECK(!f->opening);
  f->full = false;
  f->sent = alk_buf_size(&f->out);
  if (!f->ended && !alk_stream_is(f->s, ALK_S_FULL)) return;
  f->drain_due = true;
  fake_wake(f);
}

static inline void fake_free(fake_t *f)
{
  CHECK(f->s == NULL);
  while (f->first != NULL) {
    fake_piece_t *p = f->first;
    f->first = p->next;
    alk_free(p);
  }
  alk_buf_free(&f->out);
  alk_free(f);
}

#endif
