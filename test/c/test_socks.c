/* test_socks.c - what is said in a SOCKS handshake, by both sides: each form of
 * request and login, each refusal, in one piece and byte by byte. */
#include "socks_talk.h"

static void connects(void **state)
{
  talk_t t;
  talk(&t, *state);
  settle(&t);
  ASSERT_OUT(&t, "");
  say(&t, HELLO, LEN(HELLO));
  ASSERT_OUT(&t, "\x05\x00");
  assert_int_equal(t.requests, 0);
  say(&t, ASK, LEN(ASK));
  assert_asked(&t, 5, "example.com", 443);
  ASSERT_OUT(&t, "\x05\x00");
  reply(&t, ALK_SOCKS_OK);
  ASSERT_OUT(&t, "\x05\x00" OK5);
  finish_given(&t, "");
}

/* A client in a hurry: all of it at once, and data after it. */
static void early_data(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, HELLO ASK "GET /", LEN(HELLO ASK "GET /"));
  say(&t, " HTTP", 5); /* meanwhile: paused, so it waits below */
  fake_feed_end(t.f);
  settle(&t);
  assert_false(t.f->got_end);
  assert_asked(&t, 5, "example.com", 443);
  ASSERT_OUT(&t, "\x05\x00");
  reply(&t, ALK_SOCKS_OK);
  ASSERT_OUT(&t, "\x05\x00" OK5);
  rec_t r = {0};
  rec_own(&r, t.given);
  QUIET(&r, alk_stream_resume(r.s));
  settle(&t);
  assert_heard(&r, "GET / HTTP");
  assert_string_equal(r.log, "de"); /* the end was not lost either */
  rec_finish(t.e, &r);
  talk_free(&t);
}

/* More than the handshake's own buffer holds, in the request's packet. */
static void much_early_data(void **state)
{
  enum { MUCH = 100 * 1000 };
  talk_t t;
  rec_t r = {0};
  char *buf = alk_alloc(MUCH);
  talk(&t, *state);
  memcpy(buf, HELLO ASK, LEN(HELLO ASK));
  fill_pattern(buf + LEN(HELLO ASK), MUCH - LEN(HELLO ASK), 0);
  say(&t, buf, MUCH);
  alk_free(buf);
  assert_asked(&t, 5, "example.com", 443);
  reply(&t, ALK_SOCKS_OK);
  rec_own(&r, t.given);
  alk_stream_resume(r.s);
  settle(&t);
  assert_int_equal(alk_buf_size(&r.data), MUCH - LEN(HELLO ASK));
  check_pattern(alk_buf_head(&r.data), MUCH - LEN(HELLO ASK), 0);
  rec_finish(t.e, &r);
  talk_free(&t);
}

static void address_forms(void **state)
{
  static const struct {
    const char *ask;
    size_t len;
    const char *host;
  } forms[] = {
    {"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", 10, "192.0.2.1"},
    {"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50", 22,
     "2001:db8::1"},
    {"\x05\x01\x00\x03\x01n\x00\x50", 8, "n"},
  };
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    talk_t t;
    talk(&t, *state);
    say(&t, HELLO, LEN(HELLO));
    say(&t, forms[i].ask, forms[i].len);
    assert_asked(&t, 5, forms[i].host, 80);
    reply(&t, ALK_SOCKS_OK);
    finish_given(&t, "");
  }
}

static void connects_socks4(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, "\x04\x01\x00\x50\xc0\x00\x02\x01\0early",
      LEN("\x04\x01\x00\x50\xc0\x00\x02\x01\0early"));
  assert_asked(&t, 4, "192.0.2.1", 80);
  ASSERT_OUT(&t, "");
  reply(&t, ALK_SOCKS_OK);
  ASSERT_OUT(&t, OK4);
  finish_given(&t, "early");
}

static void connects_socks4a(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, ASK4A "early", LEN(ASK4A "early"));
  assert_asked(&t, 4, "example.com", 443);
  reply(&t, ALK_SOCKS_OK);
  ASSERT_OUT(&t, OK4);
  finish_given(&t, "early");
}

static void right_login(void **state)
{
  char user[] = "user", password[] = "secret";
  talk_t t;
  talk_login(&t, *state, user, password);
  memset(user, 'x', 4); /* they were copied */
  memset(password, 'x', 6);
  say(&t, HELLO_LOGIN LOGIN ASK "early", LEN(HELLO_LOGIN LOGIN ASK "early"));
  ASSERT_OUT(&t, "\x05\x02\x01\x00");
  assert_asked(&t, 5, "example.com", 443);
  reply(&t, ALK_SOCKS_OK);
  ASSERT_OUT(&t, "\x05\x02\x01\x00" OK5);
  finish_given(&t, "early");
}

static void longest_login(void **state)
{
  char text[256] = {0}, login[1 + 2 * 256] = {1};
  talk_t t;
  memset(text, 'x', 255);
  login[1] = login[257] = (char) 255;
  memset(login + 2, 'x', 255);
  memset(login + 258, 'x', 255);
  talk_login(&t, *state, text, text);
  say(&t, HELLO_LOGIN, LEN(HELLO_LOGIN));
  say(&t, login, sizeof login);
  ASSERT_OUT(&t, "\x05\x02\x01\x00");
  say(&t, ASK, LEN(ASK));
  assert_int_equal(t.requests, 1);
  reply(&t, ALK_SOCKS_OK);
  finish_given(&t, "");
}

static void wrong_login(env_t *e, const char *user, const char *password,
                        const char *login, size_t len)
{
  talk_t t;
  talk_login(&t, e, user, password);
  say(&t, HELLO_LOGIN, LEN(HELLO_LOGIN));
  say(&t, login, len);
  say(&t, ASK, LEN(ASK)); /* too late */
  assert_int_equal(t.requests, 0);
  ASSERT_OUT(&t, "\x05\x02\x01\x01");
  assert_true(t.f->flushed);
  fake_feed_end(t.f);
  settle(&t);
  assert_failed(&t, ALK_E_AUTH);
  assert_null(strstr(t.err.msg, "secret"));
  talk_free(&t);
}

static void wrong_logins(void **state)
{
  env_t *e = *state;
  char too_long[300] = {0};
  memset(too_long, 'x', sizeof too_long - 1);
  char login[1 + 2 * 256] = {1};
  login[1] = login[257] = (char) 255;
  memset(login + 2, 'x', 255);
  memset(login + 258, 'x', 255);
  wrong_login(e, "user", "secret", "\x01\x04usEr\x06secret", 13);
  wrong_login(e, "user", "secret", "\x01\x04user\x06secreT", 13);
  wrong_login(e, "user", "secret", "\x01\x04user\x05secre", 12);
  wrong_login(e, "user", "secret", "\x01\x04user\x07secrets", 14);
  wrong_login(e, "user", "secret", "\x01\x06secret\x04user", 13);
  wrong_login(e, "user", "secret", "\x01\x00\x00", 3);
  wrong_login(e, "user", "secret", "\x01\x05user\0\x06secret", 14);
  wrong_login(e, "user", "secret", "\x01\x04user\x07secret\0", 14);
  /* What no client can send is no client's. */
  wrong_login(e, too_long, "secret", login, sizeof login);
  wrong_login(e, too_long, too_long, login, sizeof login);
  wrong_login(e, "", too_long, "\x01\x00\x00", 3);
  wrong_login(e, "user", NULL, "\x01\x04user\x00", 7);
  wrong_login(e, NULL, "secret", "\x01\x00\x06secret", 9);
}

static void login_is_required(void **state)
{
  talk_t t;
  talk_login(&t, *state, "user", "secret");
  say(&t, HELLO ASK, LEN(HELLO ASK));
  assert_int_equal(t.requests, 0);
  ASSERT_OUT(&t, "\x05\xff");
  finish_refused(&t);
  assert_failed(&t, ALK_E_AUTH);

  talk_login(&t, *state, "user", "secret");
  say(&t, ASK4A, LEN(ASK4A));
  assert_int_equal(t.requests, 0);
  ASSERT_OUT(&t, NO4);
  finish_refused(&t);
  assert_failed(&t, ALK_E_AUTH);

  talk_login(&t, *state, "", ""); /* empty is not none */
  say(&t, HELLO, LEN(HELLO));
  ASSERT_OUT(&t, "\x05\xff");
  finish_refused(&t);
}

static void no_method(void **state)
{
  talk_t t;
  talk(&t, *state);
  say(&t, "\x05\x02\x01\x02", 4);
  ASSERT_OUT(&t, "\x05\xff");
  finish_refused(&t);
  assert_failed(&t, ALK_E_AUTH);

  talk(&t, *state);
  say(&t, "\x05\x00", 2);
  ASSERT_OUT(&t, "\x05\xff");
  finish_refused(&t);
}

/* Each wrong request, and the answer that it gets. */
static const struct {
  const char *ask;
  size_t len;
  const char *answer;
  size_t answer_len;
} wrong[] = {
#define WRONG5(ask, rep)                                                     \
  {                                                                          \
    HELLO ask, LEN(HELLO ask), "\x05\x00" NO5(rep), LEN("\x05\x00" NO5(rep)) \
  }
  WRONG5("\x05\x02\x00\x01\x7f\0\0\x01\x00\x50", "\x07"),
  WRONG5("\x05\x03\x00\x03\x01n\x00\x50", "\x07"),
  WRONG5("\x05\x00\x00\x01\x7f\0\0\x01\x00\x50", "\x07"),
  WRONG5("\x05\xf0", "\x07"), /* known at once */
  WRONG5("\x05\x01\x00\x02\x01n\x00\x50", "\x08"),
  WRONG5("\x05\x01\x00\x00", "\x08"),
  WRONG5("\x05\x01\x00\x03\x00\x00\x50", "\x01"),
  WRONG5("\x05\x01\x00\x03\x03"
         "a\0b\x00\x50",
         "\x01"),
  WRONG5("\x05\x01\x00\x03\x02\xc3\xa9\x00\x50", "\x01"),
  WRONG5("\x05\x01\x00\x03\x03"
         "a b\x00\x50",
         "\x01"),
#define WRONG4(ask)              \
  {                              \
    ask, LEN(ask), NO4, LEN(NO4) \
  }
  WRONG4("\x04\x02\x00\x50\x7f\0\0\x01\0"),
  WRONG4("\x04\x01\x00\x50\0\0\0\x01\0\0"),
  WRONG4("\x04\x01\x00\x50\0\0\0\x01\0a\nb\0"),
};

static void wrong_requests(void **state)
{
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    talk_t t;
    talk(&t, *state);
    say(&t, wrong[i].ask, wrong[i].len);
    assert_int_equal(t.requests, 0);
    assert_out(&t, wrong[i].answer, wrong[i].answer_len);
    finish_refused(&t);
    assert_failed(&t, ALK_E_PROTO);
  }
}

/* A field that never ends is cut off at its limit, whatever still comes. */
static void endless_fields(void **state)
{
  char junk[5000];
  talk_t t;
  memset(junk, 'u', sizeof junk);
  talk(&t, *state);
  say(&t, "\x04\x01\x00\x50\x7f\0\0\x01", 8);
  say(&t, junk, sizeof junk);
  ASSERT_OUT(&t, NO4);
  finish_refused(&t);
  assert_failed(&t, ALK_E_PROTO);
}

/* No SOCKS at all: not a word, whether at the start or later on. */
static void wrong_versions(void **state)
{
  static const struct {
    const char *login, *say;
    size_t len;
    size_t out;
  } cases[] = {
    {NULL, "GET / HTTP/1.1\r\n\r\n", 18, 0},
    {NULL, "\x00", 1, 0},
    {NULL, "\x16\x03\x01", 3, 0},
    {NULL, HELLO "\x04\x01", LEN(HELLO) + 2, 2},
    {NULL, HELLO "\x00", LEN(HELLO) + 1, 2},
    {"user", HELLO_LOGIN "\x05\x01", LEN(HELLO_LOGIN) + 2, 2},
    {"user", HELLO_LOGIN LOGIN "\x01", LEN(HELLO_LOGIN LOGIN) + 1, 4},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    talk_t t;
    talk_login(&t, *state, cases[i].login,
               cases[i].login == NULL ? NULL : "secret");
    say(&t, cases[i].say, cases[i].len);
    assert_int_equal(alk_buf_size(&t.f->out), cases[i].out);
    assert_int_equal(t.requests, 0);
    assert_true(t.f->closed);
    assert_false(t.f->ended);
    assert_failed(&t, ALK_E_PROTO);
    talk_free(&t);
  }
}

static void refusals(void **state)
{
  for (int rep = 1; rep <= 8; rep++)
    for (int version = 4; version <= 5; version++) {
      talk_t t;
      talk(&t, *state);
      if (version == 5) {
        say(&t, HELLO ASK "early", LEN(HELLO ASK "early"));
        reply(&t, (uint8_t) rep);
        const char want[] = {5, 0, 5, (char) rep, 0, 1, 0, 0, 0, 0, 0, 0};
        assert_out(&t, want, sizeof want);
      } else {
        say(&t, ASK4A "early", LEN(ASK4A "early"));
        reply(&t, (uint8_t) rep);
        ASSERT_OUT(&t, NO4);
      }
      finish_refused(&t);
      assert_false(t.failed); /* it was ours */
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    BOTH(connects),
    BOTH(early_data),
    TEST_OF("much_early_data", much_early_data, whole),
    BOTH(address_forms),
    BOTH(connects_socks4),
    BOTH(connects_socks4a),
    BOTH(right_login),
    BOTH(longest_login),
    BOTH(wrong_logins),
    BOTH(login_is_required),
    BOTH(no_method),
    BOTH(wrong_requests),
    BOTH(endless_fields),
    BOTH(wrong_versions),
    BOTH(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
