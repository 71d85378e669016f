/* handshake_talk.h - what the tests of both sides of a handshake share: the
 * messages of SOCKS, and a conversation over a scripted stream, in one piece or
 * byte by byte. Who includes it has a talk_t with at least
 *
 *   env_t *e;  fake_t *f;  alk_stream_t *given;  bool in_call; */
#ifndef ALK_TEST_HANDSHAKE_TALK_H
#define ALK_TEST_HANDSHAKE_TALK_H

#define LEN(text) (sizeof(text) - 1)

static const char whole[] = "whole", bytewise[] = "bytewise";

#define HELLO       "\x05\x01\x00"
#define HELLO_LOGIN "\x05\x02\x00\x02"
#define LOGIN       "\x01\x04user\x06secret"
#define ASK              \
  "\x05\x01\x00\x03\x0b" \
  "example.com\x01\xbb"

/* Tests that do not ask for less never wait. */
enum { LIMIT_MS = 60 * 1000 };

/* Law 1. */
#define CALL(t, call)     \
  do {                    \
    (t)->in_call = true;  \
    call;                 \
    (t)->in_call = false; \
  } while (0)

/* Until nothing is due any more: fakes wait in no other way. */
static inline void settle(talk_t *t)
{
  uv_run(&t->e->uv, UV_RUN_DEFAULT);
}

static inline void feed(talk_t *t, const char *buf, size_t len)
{
  if (t->e->arg == bytewise)
    fake_feed_bytes(t->f, buf, len);
  else
    fake_feed(t->f, buf, len);
}

static inline void say(talk_t *t, const char *buf, size_t len)
{
  feed(t, buf, len);
  settle(t);
}

#define SAY(t, text) say(t, text, LEN(text))

static inline void assert_out(const talk_t *t, const char *text, size_t len)
{
  assert_int_equal(alk_buf_size(&t->f->out), len);
  if (len > 0) assert_memory_equal(alk_buf_head(&t->f->out), text, len);
}

#define ASSERT_OUT(t, text) assert_out(t, text, LEN(text))

/* The stream came back and works: nothing of what was said is lost. */
static inline void assert_works(talk_t *t, const char *early)
{
  rec_t r = {0};
  rec_own(&r, t->given);
  settle(t);
  assert_string_equal(r.log, "");
  QUIET(&r, alk_stream_resume(r.s));
  settle(t);
  assert_heard(&r, early);
  rec_finish(t->e, &r);
}

/* Nothing is left of it. */
static inline void talk_over(talk_t *t)
{
  if (t->given != NULL && t->f->s != NULL) alk_stream_close(t->given);
  settle(t);
  assert_int_equal(alk_loop_live(t->e->l), 0);
  fake_free(t->f);
}

/* A test, run both ways. */
#define BOTH(f) \
  TEST_OF(#f ", whole", f, whole), TEST_OF(#f ", bytewise", f, bytewise)

#endif
