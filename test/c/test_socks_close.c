/* test_socks_close.c - how the SOCKS handshake ends: refusals that must arrive,
 * answers and closings from inside its events, deaths, and a close at every
 * step in every way. */
#include "socks_talk.h"

/* The answer has not left yet: the client's end alone closes nothing. */
static void refusal_waits_for_the_write(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, HELLO ASK, LEN(HELLO ASK));
  t.f->full = true;
  reply(&t, ALK_SOCKS_REFUSED);
  fake_feed_end(t.f);
  settle(&t);
  assert_true(t.f->got_end);
  assert_false(t.f->closed);
  assert_int_equal(t.f->sent, 2);
  fake_drain(t.f);
  settle(&t);
  assert_int_equal(t.f->sent, LEN("\x05\x00" OK5));
  assert_int_equal(t.dones, 1);
  assert_false(t.failed);
  talk_free(&t);
}

/* A low-water drain of an earlier answer is not the delivery of the last. */
static void refusal_is_not_any_drain(void **state)
{
  talk_t t;
  talk(&t, *state);
  t.f->full = true;
  say(&t, HELLO, LEN(HELLO));
  fake_drain(t.f);
  settle(&t);
  assert_int_equal(t.dones, 0);
  say(&t, ASK, LEN(ASK));
  assert_int_equal(t.requests, 1);
  t.f->full = true;
  reply(&t, ALK_SOCKS_REFUSED);
  fake_feed_end(t.f);
  settle(&t);
  assert_false(t.f->closed);
  fake_drain(t.f);
  settle(&t);
  assert_int_equal(t.f->sent, LEN("\x05\x00" OK5));
  assert_int_equal(t.dones, 1);
  talk_free(&t);
}

/* The caller need not wait for a client that never ends. */
static void refusal_cut_short(void **state)
{
  for (int held = 0; held < 2; held++) {
    talk_t t;
    talk(&t, *state);
    say(&t, HELLO ASK, LEN(HELLO ASK));
    t.f->full = held == 1;
    reply(&t, ALK_SOCKS_REFUSED);
    assert_int_equal(t.dones, 0);
    CALL(&t, alk_socks_close(t.h));
    settle(&t);
    assert_int_equal(t.dones, 1);
    assert_false(t.failed); /* the refusal came first */
    talk_free(&t);

    talk(&t, *state);
    say(&t, HELLO "\x05\x02", LEN(HELLO "\x05\x02"));
    CALL(&t, alk_socks_close(t.h));
    settle(&t);
    assert_failed(&t, ALK_E_PROTO); /* so did this */
    talk_free(&t);
  }
}

static void reply_from_inside(void *data)
{
  talk_t *t = data;
  answer(t, ALK_SOCKS_OK);
  answer(t, ALK_SOCKS_REFUSED); /* one answer is all it gets */
  answer(t, ALK_SOCKS_OK);
}

static void refuse_from_inside(void *data)
{
  talk_t *t = data;
  answer(t, ALK_SOCKS_REFUSED);
  answer(t, ALK_SOCKS_OK);
}

static void close_from_inside(void *data)
{
  talk_t *t = data;
  alk_socks_close(t->h);
  answer(t, ALK_SOCKS_OK);
}

static void close_stream_from_inside(void *data)
{
  talk_t *t = data;
  alk_stream_close(t->f->s);
  answer(t, ALK_SOCKS_OK);
}

static void answers_from_inside(void **state)
{
  talk_t t;
  talk(&t, *state);
  t.on_ask = reply_from_inside;
  say(&t, HELLO ASK "early", LEN(HELLO ASK "early"));
  assert_int_equal(t.requests, 1);
  ASSERT_OUT(&t, "\x05\x00" OK5);
  finish_given(&t, "early");

  talk(&t, *state);
  t.on_ask = refuse_from_inside;
  say(&t, HELLO ASK "early", LEN(HELLO ASK "early"));
  ASSERT_OUT(&t, "\x05\x00" NO5("\x05"));
  finish_refused(&t);
  assert_false(t.failed);
}

static void closes_from_inside(void **state)
{
  void (*const all[])(void *) = {close_from_inside, close_stream_from_inside};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    talk_t t;
    talk(&t, *state);
    t.on_ask = all[i];
    say(&t, HELLO ASK "early", LEN(HELLO ASK "early"));
    assert_int_equal(t.requests, 1);
    assert_failed(&t, ALK_E_CANCELED);
    talk_free(&t);
  }
}

static void client_dies_while_asked(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, HELLO ASK, LEN(HELLO ASK));
  assert_int_equal(t.requests, 1);
  fake_fail(t.f, UV_ECONNRESET);
  settle(&t);
  assert_failed(&t, ALK_E_SYS);
  assert_int_equal(t.err.sys, UV_ECONNRESET);
  ASSERT_OUT(&t, "\x05\x00");
  talk_free(&t);
}

/* The yes cannot be written: there is nothing to give back. */
static void client_dies_at_the_yes(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, HELLO ASK, LEN(HELLO ASK));
  t.f->write_error = UV_EPIPE;
  reply(&t, ALK_SOCKS_OK);
  assert_failed(&t, ALK_E_SYS);
  assert_int_equal(t.err.sys, UV_EPIPE);
  talk_free(&t);
}

static void takes_too_long(void **state)
{
  static const struct {
    const char *text;
    size_t len;
  } said[] = {{"", 0}, {"\x05", 1}, {HELLO, LEN(HELLO)}};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    talk_t t = {.e = *state, .f = fake_stream_new(((env_t *) *state)->l)};
    t.h = alk_socks_accept(t.f->s, NULL, NULL, 1, &events, &t);
    feed(&t, said[i].text, said[i].len);
    SPIN_UNTIL(t.e, t.dones == 1);
    assert_failed(&t, ALK_E_TIMEOUT);
    talk_free(&t);
  }
}

/* One that asked within limit_ms; false: this machine took longer. */
static bool asked_in_time(env_t *e, unsigned limit_ms, talk_t *t)
{
  *t = (talk_t){.e = e, .f = fake_stream_new(e->l)};
  t->h = alk_socks_accept(t->f->s, NULL, NULL, limit_ms, &events, t);
  fake_feed(t->f, HELLO ASK, LEN(HELLO ASK));
  turns(e, 20);
  if (t->requests == 1) return true;
  talk_free(t);
  return false;
}

/* The answer may take as long as it likes; taking the refusal may not. */
static void takes_no_refusal(void **state)
{
  env_t *e = *state;
  talk_t t;
  unsigned limit_ms = 1;
  while (!asked_in_time(e, limit_ms, &t))
    limit_ms *= 2;
  uint64_t passed = uv_now(&e->uv) + limit_ms + 5;
  SPIN_UNTIL(e, uv_now(&e->uv) > passed);
  assert_int_equal(t.dones, 0);
  CALL(&t, answer(&t, ALK_SOCKS_REFUSED));
  SPIN_UNTIL(e, t.dones == 1); /* the client never ends */
  assert_false(t.failed);      /* the refusal came first */
  ASSERT_OUT(&t, "\x05\x00" NO5("\x05"));
  talk_free(&t);
}

/* Its request is there already, but nobody is left to ask for. */
static void client_dies_at_our_answer(void **state)
{
  talk_t t;
  talk(&t, *state);
  t.f->write_error = UV_EPIPE;
  say(&t, HELLO ASK, LEN(HELLO ASK));
  assert_int_equal(t.requests, 0);
  assert_failed(&t, ALK_E_SYS);
  talk_free(&t);
}

/* The handshakes that are ended early below. */
static const struct {
  const char *text;
  size_t len;
  const char *login;
  int rep; /* the answer; -1: none yet */
} scripts[] = {
#define SCRIPT(text, login, rep) \
  {                              \
    text, LEN(text), login, rep  \
  }
  SCRIPT(HELLO ASK "early", NULL, ALK_SOCKS_OK),
  SCRIPT(HELLO ASK "early", NULL, ALK_SOCKS_REFUSED),
  SCRIPT(HELLO ASK "early", NULL, -1),
  SCRIPT(HELLO_LOGIN LOGIN ASK, "user", ALK_SOCKS_OK),
  SCRIPT(HELLO_LOGIN LOGIN ASK, "nobody", -1),
  SCRIPT(HELLO "\x05\x02\x00\x01\x7f\0\0\x01\x00\x50", NULL, -1),
  SCRIPT(ASK4A "early", NULL, ALK_SOCKS_OK),
  SCRIPT(ASK4A, NULL, -1),
  SCRIPT("GET / HTTP/1.1\r\n\r\n", NULL, -1),
};

typedef enum { BY_HANDSHAKE, BY_STREAM, BY_ERROR, BY_END, BY_LOOP, WAYS } way_t;

static void end_by(talk_t *t, way_t way)
{
  switch (way) {
  case BY_HANDSHAKE:
    if (t->h != NULL) CALL(t, alk_socks_close(t->h));
    break;
  case BY_STREAM:
    if (t->f->s != NULL) CALL(t, alk_stream_close(t->f->s));
    break;
  case BY_ERROR:
    fake_fail(t->f, UV_ECONNRESET);
    break;
  case BY_END:
    fake_feed_end(t->f);
    break;
  default:
    CALL(t, env_close(t->e));
    break;
  }
}

/* Whatever has happened: on_done has come once, or will when it is asked for,
 * and nothing is left. */
static void end_and_check(talk_t *t, way_t way)
{
  end_by(t, way);
  settle(t);
  if (way == BY_END && t->dones == 0) {
    /* The answer is still waited for, so nobody has heard the end yet. */
    assert_int_equal(t->requests, 1);
    assert_false(t->f->got_end);
    CALL(t, alk_socks_close(t->h));
    settle(t);
  }
  assert_int_equal(t->dones, 1);
  if (t->given != NULL && t->f->s != NULL) alk_stream_close(t->given);
  settle(t);
  fake_free(t->f);
  env_free(t->e);
}

static void script_talk(talk_t *t, size_t i, const char *how)
{
  static void (*const inside[])(void *) = {reply_from_inside,
                                           refuse_from_inside};
  env_t *e = env_new();
  e->arg = how;
  talk_login(t, e, scripts[i].login,
             scripts[i].login == NULL ? NULL : "secret");
  if (scripts[i].rep >= 0) t->on_ask = inside[scripts[i].rep != ALK_SOCKS_OK];
}

/* After every byte, when all that it leads to has happened. */
static void closed_after_every_byte(void **state)
{
  (void) state;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
    for (size_t cut = 0; cut <= scripts[i].len; cut++)
      for (way_t way = 0; way < WAYS; way++) {
        talk_t t;
        script_talk(&t, i, whole);
        say(&t, scripts[i].text, cut);
        end_and_check(&t, way);
      }
}

/* In the middle of things: bytes are on their way, tasks are due. */
static void closed_after_every_turn(void **state)
{
  (void) state;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
    for (int n = 0; n <= 8; n++)
      for (way_t way = 0; way < WAYS; way++) {
        talk_t t;
        script_talk(&t, i, bytewise);
        feed(&t, scripts[i].text, scripts[i].len);
        turns(t.e, n);
        end_and_check(&t, way);
      }
}

/* Between an answer and what follows from it. */
static void closed_after_the_reply(void **state)
{
  (void) state;
  for (int rep = 0; rep < 2; rep++)
    for (int held = 0; held < 2; held++)
      for (way_t way = 0; way < WAYS; way++) {
        talk_t t;
        script_talk(&t, 2, whole);
        say(&t, scripts[2].text, scripts[2].len);
        assert_int_equal(t.requests, 1);
        t.f->full = held == 1;
        CALL(&t, answer(&t, (uint8_t) rep));
        end_by(&t, way);
        CALL(&t, answer(&t, ALK_SOCKS_OK)); /* too late, or again */
        fake_drain(t.f);
        settle(&t);
        assert_int_equal(t.dones, 1);
        assert_int_equal(t.given != NULL, rep == 0); /* at once */
        assert_false(t.failed);
        end_and_check(&t, BY_LOOP);
      }
}

/* A real socket: the client has sent far more than was asked for, has not read
 * yet, and still gets its answer and an orderly end. */
static void refusal_survives_unread_bytes(void **state)
{
  static const char wrong_ask[] = HELLO "\x05\x02\x00\x01\x7f\0\0\x01\x00\x50";
  static const char want[] = "\x05\x00" NO5("\x07");
  env_t *e = *state;
  talk_t t = {.e = e};
  rec_t r = {0};
  peer_t p;
  char *junk = alk_alloc(256 * 1024);
  tcp_pair(e, &r, &p);
  t.h = alk_socks_accept(r.s, NULL, NULL, LIMIT_MS, &events, &t);
  assert_int_equal(write(p.fd, wrong_ask, LEN(wrong_ask)), LEN(wrong_ask));
  size_t said = 0;
  for (int i = 0; i < 64; i++) { /* while the refusal is under way */
    ssize_t n = write(p.fd, junk, 256 * 1024);
    if (n > 0) said += (size_t) n;
    turns(e, 1);
    assert_int_equal(t.dones, 0);
  }
  alk_free(junk);
  assert_true(said > 1024 * 1024);
  assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
  RUN_UNTIL(e, t.dones == 1);
  assert_failed(&t, ALK_E_PROTO);
  PUMP_UNTIL(e, &p, peer_done(&p));
  assert_true(p.eof); /* and no reset */
  assert_int_equal(alk_buf_size(&p.got), LEN(want));
  assert_memory_equal(alk_buf_head(&p.got), want, LEN(want));
  peer_close(&p);
  rec_free(&r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    BOTH(refusal_waits_for_the_write),
    BOTH(refusal_is_not_any_drain),
    BOTH(refusal_cut_short),
    BOTH(answers_from_inside),
    BOTH(closes_from_inside),
    BOTH(client_dies_while_asked),
    BOTH(client_dies_at_the_yes),
    BOTH(takes_too_long),
    TEST(takes_no_refusal),
    BOTH(client_dies_at_our_answer),
    TEST(closed_after_every_byte),
    TEST(closed_after_every_turn),
    TEST(closed_after_the_reply),
    TEST(refusal_survives_unread_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
