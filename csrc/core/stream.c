/* stream.c - what all kinds share: flags, unread bytes, and the five laws.
 *
 * A stream's life: init (paused, no owner) -> emit_open -> data, drain, end in
 * any number -> emit_close, once. close() may come at any moment; from then on
 * only emit_close gets through. A failure is remembered (the first one) and
 * then it is a close like any other. */
#include <string.h>

#include "core/mem.h"
#include "core/stream_impl.h"

struct alk_prefix {
  size_t len;
  char bytes[];
};

static void run_task(alk_task_t *t);

static void close_live(alk_live_t *o)
{
  alk_stream_t *s =
    (alk_stream_t *) (void *) ((char *) o - offsetof(alk_stream_t, live));
  alk_stream_close(s);
}

void alk_stream_init(alk_stream_t *s, alk_loop_t *l,
                     const alk_stream_ops_t *ops)
{
  s->ops = ops;
  s->loop = l;
  s->task.run = run_task;
  alk_live_add(l, &s->live, close_live);
}

bool alk_stream_is(const alk_stream_t *s, unsigned flag)
{
  return (s->flags & flag) != 0;
}

void alk_stream_own(alk_stream_t *s, const alk_owner_t *owner, void *data)
{
  s->owner = owner;
  s->data = data;
}

void *alk_stream_data(const alk_stream_t *s)
{
  return s->data;
}

alk_loop_t *alk_stream_loop(const alk_stream_t *s)
{
  return s->loop;
}

void alk_stream_ref(alk_stream_t *s, bool keeps)
{
  if (s->ops->ref != NULL) s->ops->ref(s, keeps);
}

const char *alk_stream_kind(const alk_stream_t *s)
{
  return s->ops->kind;
}

bool alk_stream_is_open(const alk_stream_t *s)
{
  return (s->flags & (ALK_S_OPEN | ALK_S_CLOSING)) == ALK_S_OPEN;
}

bool alk_stream_has_ended(const alk_stream_t *s)
{
  return alk_stream_is(s, ALK_S_ENDED);
}

static void tell_owed_drain(alk_stream_t *s)
{
  if (!alk_stream_is(s, ALK_S_DRAIN_OWED)) return;
  s->flags &= ~(unsigned) ALK_S_DRAIN_OWED;
  alk_emit_drain(s);
  if (!alk_stream_is(s, ALK_S_CLOSING)) s->ops->drained(s);
}

/* Unread bytes come first, from the loop; only then does the kind resume. */
static void run_task(alk_task_t *t)
{
  alk_stream_t *s =
    (alk_stream_t *) (void *) ((char *) t - offsetof(alk_stream_t, task));
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  tell_owed_drain(s);
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  if (!alk_stream_is(s, ALK_S_READING) || !alk_stream_is(s, ALK_S_OPEN)) return;
  if (s->prefix != NULL) {
    struct alk_prefix *prefix = s->prefix;
    s->prefix = NULL;
    alk_emit_data(s, prefix->bytes, prefix->len);
    alk_free(prefix);
  }
  if (alk_stream_is(s, ALK_S_CLOSING) || !alk_stream_is(s, ALK_S_READING))
    return;
  if (s->prefix != NULL) return; /* unread again: the task is, too */
  s->ops->resume(s);
  if (alk_stream_is(s, ALK_S_END_HELD)) alk_emit_end(s);
}

void alk_stream_resume(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_READING | ALK_S_CLOSING)) return;
  s->flags |= ALK_S_READING;
  if (!alk_stream_is(s, ALK_S_OPEN)) return; /* emit_open resumes */
  if (s->prefix != NULL || alk_stream_is(s, ALK_S_END_HELD))
    alk_loop_defer(s->loop, &s->task);
  else
    s->ops->resume(s);
}

void alk_stream_pause(alk_stream_t *s)
{
  if (!alk_stream_is(s, ALK_S_READING)) return;
  s->flags &= ~(unsigned) ALK_S_READING;
  if (!alk_stream_is(s, ALK_S_DRAIN_OWED)) alk_task_cancel(s->loop, &s->task);
  if (alk_stream_is(s, ALK_S_OPEN) && !alk_stream_is(s, ALK_S_CLOSING))
    s->ops->pause(s);
}

bool alk_stream_write(alk_stream_t *s, const char *buf, size_t len)
{
  if (alk_stream_is(s, ALK_S_CLOSING)) return true; /* on_close tells */
  CHECK(!alk_stream_is(s, ALK_S_ENDED));
  if (s->ops->write(s, buf, len)) return true;
  s->flags |= ALK_S_FULL;
  return false;
}

size_t alk_stream_high(const alk_stream_t *s)
{
  return s->ops->high == NULL ? ALK_HIGH_WATER : s->ops->high(s);
}

void alk_stream_end(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_ENDED | ALK_S_CLOSING)) return;
  s->flags |= ALK_S_ENDED;
  s->ops->end(s);
}

void alk_stream_close(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  s->flags |= ALK_S_CLOSING;
  alk_task_cancel(s->loop, &s->task);
  s->ops->close(s);
}

void alk_stream_unread(alk_stream_t *s, const char *buf, size_t len)
{
  if (len == 0) return;
  struct alk_prefix *before = s->prefix;
  size_t more = before == NULL ? 0 : before->len;
  struct alk_prefix *p = alk_alloc(sizeof *p + len + more);
  memcpy(p->bytes, buf, len);
  if (more > 0) memcpy(p->bytes + len, before->bytes, more);
  p->len = len + more;
  alk_free(before);
  s->prefix = p;
  /* Called from inside on_data of a reading stream: hold the kind back until
   * the task has delivered these bytes, or their order would be lost. */
  if (alk_stream_is_open(s) && alk_stream_is(s, ALK_S_READING)) {
    s->ops->pause(s);
    alk_loop_defer(s->loop, &s->task);
  }
}

void alk_emit_open(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_CLOSING | ALK_S_OPEN)) return;
  s->flags |= ALK_S_OPEN;
  if (s->owner != NULL && s->owner->on_open != NULL) s->owner->on_open(s);
  if (alk_stream_is(s, ALK_S_CLOSING) || !alk_stream_is(s, ALK_S_READING))
    return;
  if (s->prefix != NULL || alk_stream_is(s, ALK_S_END_HELD))
    alk_loop_defer(s->loop, &s->task);
  else
    s->ops->resume(s);
}

void alk_emit_data(alk_stream_t *s, const char *buf, size_t len)
{
  if (alk_stream_is(s, ALK_S_CLOSING) || len == 0) return;
  CHECK(alk_stream_is(s, ALK_S_READING));
  if (s->owner != NULL && s->owner->on_data != NULL)
    s->owner->on_data(s, buf, len);
}

void alk_emit_end(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_CLOSING | ALK_S_GOT_END)) return;
  /* The end is the last thing to be read: it waits while nobody reads, and
   * behind what was unread. The next owner may be the one to hear it. */
  if (!alk_stream_is(s, ALK_S_READING) || s->prefix != NULL) {
    s->flags |= ALK_S_END_HELD;
    return;
  }
  s->flags &= ~(unsigned) ALK_S_END_HELD;
  s->flags |= ALK_S_GOT_END;
  if (s->owner != NULL && s->owner->on_end != NULL) s->owner->on_end(s);
}

void alk_emit_drain(alk_stream_t *s)
{
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  s->flags &= ~(unsigned) ALK_S_FULL;
  if (alk_stream_is(s, ALK_S_ENDED)) s->flags |= ALK_S_FLUSHED;
  if (s->owner != NULL && s->owner->on_drain != NULL) s->owner->on_drain(s);
}

void alk_owe_drain(alk_stream_t *s)
{
  s->flags |= ALK_S_DRAIN_OWED;
  alk_loop_defer(s->loop, &s->task);
}

void alk_emit_close(alk_stream_t *s)
{
  CHECK(alk_stream_is(s, ALK_S_CLOSING));
  alk_task_cancel(s->loop, &s->task);
  if (s->owner != NULL && s->owner->on_close != NULL)
    s->owner->on_close(s, s->err);
  alk_live_remove(s->loop, &s->live);
  alk_free(s->prefix);
  alk_free(s->err);
  s->ops->free(s);
}

void alk_stream_fail(alk_stream_t *s, const alk_err_t *err)
{
  if (s->err == NULL && err->code != ALK_OK && !alk_stream_is(s, ALK_S_CLOSING))
    s->err = alk_memdup(err, sizeof *err);
  alk_stream_close(s);
}

void alk_stream_fail_sys(alk_stream_t *s, int sys, const char *what)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_SYS, sys, "%s: %s", what, uv_strerror(sys));
  alk_stream_fail(s, &err);
}
