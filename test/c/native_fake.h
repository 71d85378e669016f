/* native_fake.h - a session for the connection layer alone: what it says is
 * kept instead of sealed, what it hears is what a test says.
 *
 *   fake_session_t *f = fake_session_new(l, server, &opts, &events);
 *   fake_hear(f, "buu", MSG_CHANNEL_WINDOW_ADJUST, id, 100);    the peer says
 *   fake_says(f, "bu", MSG_CHANNEL_CLOSE, id)      is that what it said next?
 *   f->s.full, f->rekeying      nothing leaves: then fake_go_on(f)
 *   f->byes                     how often the session was ended for a breach
 *   fake_session_close(f), fake_session_free(f)
 *
 * The formats: b a byte, u a u32, s a text as an SSH string, d a pointer and a
 * size_t as an SSH string, r the same bare. No test library is used: fuzzers
 * use it too. */
#ifndef ALK_TEST_NATIVE_FAKE_H
#define ALK_TEST_NATIVE_FAKE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

/* The link diverts these to here (-Wl,--wrap in the Makefile). */
#define native_wake              __wrap_native_wake
#define native_is_over           __wrap_native_is_over
#define native_fail              __wrap_native_fail
#define native_bye               __wrap_native_bye
#define transport_may_send       __wrap_transport_may_send
#define transport_consider_rekey __wrap_transport_consider_rekey
#define message_send             __wrap_message_send
#define packet_send              __wrap_packet_send

#include "ssh/native/conn.h"

typedef struct {
  session_t s; /* first */
  alk_loop_t *l;
  alk_stream_t stream; /* only its being there counts */
  alk_buf_t said;      /* messages: a u32 of length and the payload each */
  bool rekeying;
  alk_buf_t queued; /* said meanwhile: it leaves with the new keys */
  size_t room;      /* bytes of data until the stream is full */
  int byes;
  bool killed;
  /* Each message, in order, when it is said: also one that is queued. */
  void (*watch)(void *data, const uint8_t *p, size_t len);
  void *watch_data;
} fake_session_t;

static inline fake_session_t *fake_session(const session_t *s)
{
  union {
    const session_t *given;
    fake_session_t *taken;
  } f = {.given = s};
  return f.taken;
}

void native_wake(session_t *s)
{
  alk_loop_defer(s->base.loop, &s->task);
}

bool native_is_over(const session_t *s)
{
  return s->base.closing > 0;
}

__attribute__((format(printf, 3, 0))) static inline void
fake_fail(session_t *s, alk_code_t code, const char *fmt, va_list ap)
{
  char text[sizeof s->base.err.msg];
  vsnprintf(text, sizeof text, fmt, ap);
  if (s->base.closing == 0) alk_fail(&s->base.err, code, 0, "%s", text);
  s->base.closing = 1;
  native_wake(s);
}

void native_fail(session_t *s, alk_code_t code, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  fake_fail(s, code, fmt, ap);
  va_end(ap);
}

void native_bye(session_t *s, bye_t reason, alk_code_t code, const char *fmt,
                ...)
{
  va_list ap;
  CHECK(reason == BYE_PROTOCOL);
  if (s->base.closing == 0) fake_session(s)->byes++;
  va_start(ap, fmt);
  fake_fail(s, code, fmt, ap);
  va_end(ap);
}

bool transport_may_send(const session_t *s)
{
  return !fake_session(s)->rekeying;
}

void transport_consider_rekey(session_t *s)
{
  (void) s; /* these keys last */
}

static inline void fake_say(fake_session_t *f, const uint8_t *head, size_t n,
                            const uint8_t *body, size_t m)
{
  alk_buf_u32(&f->said, (uint32_t) (n + m));
  alk_buf_add(&f->said, head, n);
  alk_buf_add(&f->said, body, m);
}

static inline void fake_watch(fake_session_t *f, const uint8_t *p, size_t len)
{
  if (f->watch != NULL) f->watch(f->watch_data, p, len);
}

void packet_send(session_t *s, const uint8_t *head, size_t head_len,
                 const uint8_t *body, size_t body_len)
{
  fake_session_t *f = fake_session(s);
  CHECK(s->stream != NULL && !f->rekeying && !s->full && s->base.closing == 0);
  fake_say(f, head, head_len, body, body_len);
  fake_watch(
    f, alk_buf_head(&f->said) + alk_buf_size(&f->said) - head_len - body_len,
    head_len + body_len);
  f->room -= body_len < f->room ? body_len : f->room;
  if (f->room == 0) s->full = true;
}

void message_send(session_t *s, alk_buf_t *m)
{
  fake_session_t *f = fake_session(s);
  CHECK(!f->killed);
  fake_watch(f, alk_buf_head(m), alk_buf_size(m));
  if (f->rekeying)
    alk_buf_str(&f->queued, alk_buf_head(m), alk_buf_size(m));
  else
    fake_say(f, alk_buf_head(m), alk_buf_size(m), NULL, 0);
  alk_buf_free(m);
}

/* What session.c does, as far as channels see it. */
static inline void fake_run(alk_task_t *t)
{
  session_t *s =
    (session_t *) (void *) ((char *) t - offsetof(session_t, task));
  fake_session_t *f = fake_session(s);
  if (s->base.closing == 0) conn_service(s);
  if (s->base.closing == 0) return;
  if (!f->killed && s->base.err.code == ALK_OK && !f->rekeying)
    conn_close_all(s);
  f->killed = true;
  conn_kill_all(s);
}

static inline fake_session_t *fake_session_new(alk_loop_t *l, bool server,
                                               const alk_session_opts_t *opts,
                                               const alk_session_events_t *ev)
{
  fake_session_t *f = alk_alloc(sizeof *f);
  f->l = f->s.base.loop = l;
  f->s.base.server = server;
  f->s.base.ev = ev;
  f->s.phase = PHASE_OPEN;
  f->s.stream = &f->stream;
  f->s.task.run = fake_run;
  f->room = SIZE_MAX;
  f->s.conn = conn_new(&f->s, opts);
  return f;
}

/* The stream has drained, the new keys are there. */
static inline void fake_go_on(fake_session_t *f)
{
  f->rekeying = f->s.full = false;
  alk_rd_t r = alk_rd(alk_buf_head(&f->queued), alk_buf_size(&f->queued));
  while (r.len > 0) {
    size_t len;
    const uint8_t *p = alk_rd_str(&r, &len);
    fake_say(f, p, len, NULL, 0);
  }
  alk_buf_free(&f->queued);
  native_wake(&f->s);
}

static inline void fake_session_close(fake_session_t *f)
{
  f->s.base.closing = 1;
  native_wake(&f->s);
}

static inline void fake_session_free(fake_session_t *f)
{
  CHECK(conn_is_empty(f->s.conn));
  alk_task_cancel(f->l, &f->s.task);
  conn_free(f->s.conn);
  alk_buf_free(&f->said);
  alk_buf_free(&f->queued);
  alk_free(f);
}

static inline void fake_build(alk_buf_t *m, const char *fmt, va_list ap)
{
  for (; *fmt != '\0'; fmt++) {
    const void *p;
    size_t len;
    switch (*fmt) {
    case 'b':
      alk_buf_u8(m, (uint8_t) va_arg(ap, int));
      break;
    case 'u':
      alk_buf_u32(m, va_arg(ap, uint32_t));
      break;
    case 's':
      alk_buf_cstr(m, va_arg(ap, const char *));
      break;
    default:
      p = va_arg(ap, const void *);
      len = va_arg(ap, size_t);
      if (*fmt == 'd') alk_buf_u32(m, (uint32_t) len);
      alk_buf_add(m, p, len);
    }
  }
}

/* As gate.c does. False: malformed. */
static inline bool fake_dispatch(session_t *s, const uint8_t *p, size_t len)
{
  static handler_t *const handlers[256] = {
    [MSG_GLOBAL_REQUEST] = conn_on_global_request,
    [MSG_REQUEST_SUCCESS] = conn_on_request_success,
    [MSG_REQUEST_FAILURE] = conn_on_request_failure,
    [MSG_CHANNEL_OPEN] = conn_on_open,
    [MSG_CHANNEL_OPEN_CONFIRMATION] = conn_on_open_confirmation,
    [MSG_CHANNEL_OPEN_FAILURE] = conn_on_open_failure,
    [MSG_CHANNEL_WINDOW_ADJUST] = conn_on_window_adjust,
    [MSG_CHANNEL_DATA] = conn_on_data,
    [MSG_CHANNEL_EXTENDED_DATA] = conn_on_extended_data,
    [MSG_CHANNEL_EOF] = conn_on_eof,
    [MSG_CHANNEL_CLOSE] = conn_on_close,
    [MSG_CHANNEL_REQUEST] = conn_on_request,
    [MSG_CHANNEL_SUCCESS] = conn_on_channel_reply,
    [MSG_CHANNEL_FAILURE] = conn_on_channel_reply,
  };
  alk_rd_t r = alk_rd(p + 1, len - 1);
  return handlers[p[0]] == NULL || handlers[p[0]](s, &r);
}

/* As packet.c does: data by its own way. */
static inline void fake_hear_bytes(fake_session_t *f, const uint8_t *p,
                                   size_t len)
{
  chan_t *c;
  const uint8_t *data;
  size_t n;
  if (native_is_over(&f->s)) return;
  uint8_t *copy = alk_memdup(p, len); /* of just that size */
  if (p[0] == MSG_CHANNEL_DATA) {
    if (conn_take_data(&f->s, copy, len, &c, &data, &n) && c != NULL)
      conn_deliver(c, data, n);
  } else if (!fake_dispatch(&f->s, copy, len)) {
    native_bye(&f->s, BYE_PROTOCOL, ALK_E_PROTO, "malformed message %d", p[0]);
  }
  alk_free(copy);
  native_wake(&f->s);
}

static inline void fake_hear(fake_session_t *f, const char *fmt, ...)
{
  alk_buf_t m = {0};
  va_list ap;
  va_start(ap, fmt);
  fake_build(&m, fmt, ap);
  va_end(ap);
  fake_hear_bytes(f, alk_buf_head(&m), alk_buf_size(&m));
  alk_buf_free(&m);
}

/* The next message that was said, or NULL; good until the one after it. */
static inline const uint8_t *fake_next(fake_session_t *f, size_t *len)
{
  alk_rd_t r = alk_rd(alk_buf_head(&f->said), alk_buf_size(&f->said));
  if (r.len == 0) return NULL;
  const uint8_t *p = alk_rd_str(&r, len);
  alk_buf_consume(&f->said, 4 + *len);
  return p;
}

static inline bool fake_says(fake_session_t *f, const char *fmt, ...)
{
  alk_buf_t m = {0};
  va_list ap;
  va_start(ap, fmt);
  fake_build(&m, fmt, ap);
  va_end(ap);
  size_t len;
  const uint8_t *p = fake_next(f, &len);
  bool same = p != NULL && len == alk_buf_size(&m) &&
              memcmp(p, alk_buf_head(&m), len) == 0;
  if (p == NULL) fprintf(stderr, "nothing was said\n");
  for (size_t i = 0; p != NULL && !same && i < len && i < 64; i++)
    fprintf(stderr, i == 0 ? "said: %02x" : " %02x", p[i]);
  if (p != NULL && !same) fprintf(stderr, "\n");
  alk_buf_free(&m);
  return same;
}

#endif
