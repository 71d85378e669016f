/* test_proxy.c - the client's side of SOCKS5 and of HTTP CONNECT: what is said
 * and when, each answer, and the end in every way at every step. */
#include "proxy_talk.h"

/* SOCKS5 */

static void socks_connects(void **state)
{
  talk_t t;
  ask_socks(&t, *state, NULL);
  settle(&t);
  ASSERT_OUT(&t, HELLO);
  SAY(&t, "\x05\x00");
  ASSERT_OUT(&t, HELLO ASK);
  assert_int_equal(t.opens, 0);
  SAY(&t, YES5);
  ASSERT_OUT(&t, HELLO ASK);
  finish_open(&t, "");
}

static void socks_logs_in(void **state)
{
  talk_t t;
  ask_socks(&t, *state, "user");
  settle(&t);
  ASSERT_OUT(&t, HELLO_LOGIN);
  SAY(&t, "\x05\x02");
  ASSERT_OUT(&t, HELLO_LOGIN LOGIN);
  SAY(&t, "\x01\x00");
  ASSERT_OUT(&t, HELLO_LOGIN LOGIN ASK);
  SAY(&t, YES5);
  finish_open(&t, "");
}

/* A proxy that needs no login does not hear it. */
static void socks_login_not_wanted(void **state)
{
  talk_t t;
  ask_socks(&t, *state, "user");
  SAY(&t, "\x05\x00");
  ASSERT_OUT(&t, HELLO_LOGIN ASK);
  SAY(&t, YES5);
  finish_open(&t, "");
}

/* The target speaks first, in the segment of the proxy's answer. */
static void socks_banner_behind_the_answer(void **state)
{
  static const struct {
    const char *reply;
    size_t len;
  } replies[] = {
#define REPLY_OF(text) {text "SSH-2.0-x\r\n", LEN(text "SSH-2.0-x\r\n")}
    REPLY_OF(YES5),
    REPLY_OF("\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50"),
    REPLY_OF("\x05\0\0\x03\x04host\0\x50"),
    REPLY_OF("\x05\0\0\x03\x00\0\x50"),
  };
  for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
    talk_t t;
    ask_socks(&t, *state, NULL);
    SAY(&t, "\x05\x00");
    say(&t, replies[i].reply, replies[i].len);
    finish_open(&t, "SSH-2.0-x\r\n");
  }
}

/* Far more than the handshake's own buffer holds, and then the end. */
static void socks_much_behind_the_answer(void **state)
{
  enum { MUCH = 100 * 1000 };
  talk_t t;
  rec_t r = {0};
  char *buf = alk_alloc(MUCH);
  memcpy(buf, YES5, LEN(YES5));
  fill_pattern(buf + LEN(YES5), MUCH - LEN(YES5), 0);
  ask_socks(&t, *state, NULL);
  SAY(&t, "\x05\x00");
  fake_feed(t.f, buf, MUCH);
  fake_feed_end(t.f);
  settle(&t);
  alk_free(buf);
  assert_int_equal(t.opens, 1);
  rec_own(&r, t.given);
  alk_stream_resume(r.s);
  settle(&t);
  assert_int_equal(alk_buf_size(&r.data), MUCH - LEN(YES5));
  check_pattern(alk_buf_head(&r.data), MUCH - LEN(YES5), 0);
  assert_string_equal(r.log, "de"); /* the end was not lost either */
  rec_finish(t.e, &r);
  talk_free(&t);
}

static void socks_longest_name(void **state)
{
  char host[256] = {0}, want[3 + 5 + 255 + 2] = HELLO "\x05\x01\x00\x03\xff";
  talk_t t;
  memset(host, 'n', 255);
  memcpy(want + 8, host, 255);
  want[264] = 80;
  const alk_proxy_ask_t what = {.host = host, .port = 80, .limit_ms = LIMIT_MS};
  ask(&t, *state, alk_proxy_socks5, &what);
  SAY(&t, "\x05\x00");
  assert_out(&t, want, sizeof want);
  SAY(&t, YES5);
  finish_open(&t, "");
}

static void socks_refusals(void **state)
{
  static const struct {
    alk_code_t code;
    int sys;
  } wants[] = {
    [1] = {ALK_E_PROXY, 0},
    [2] = {ALK_E_PROXY, 0},
    [3] = {ALK_E_SYS, UV_ENETUNREACH},
    [4] = {ALK_E_SYS, UV_EHOSTUNREACH},
    [5] = {ALK_E_SYS, UV_ECONNREFUSED},
    [6] = {ALK_E_SYS, UV_ETIMEDOUT},
    [7] = {ALK_E_PROXY, 0},
    [8] = {ALK_E_PROXY, 0},
    [9] = {ALK_E_PROXY, 0},
  };
  for (int rep = 1; rep < 256; rep++) {
    const char no[] = {5, (char) rep, 0, 1, 0, 0, 0, 0, 0, 0};
    talk_t t;
    ask_socks(&t, *state, NULL);
    SAY(&t, "\x05\x00");
    say(&t, no, rep % 2 == 0 ? sizeof no : 2); /* some say no more */
    assert_int_equal(t.err.sys, wants[rep < 9 ? rep : 9].sys);
    finish_failed(&t, wants[rep < 9 ? rep : 9].code, rep);
  }
}

static void socks_login_refused(void **state)
{
  talk_t t;
  ask_socks(&t, *state, "user");
  SAY(&t, "\x05\x02");
  SAY(&t, "\x01\x01");
  ASSERT_OUT(&t, HELLO_LOGIN LOGIN);
  finish_failed(&t, ALK_E_PROXYAUTH, 0);

  ask_socks(&t, *state, "user"); /* servers that say 5 here */
  SAY(&t, "\x05\x02\x05\xff");
  finish_failed(&t, ALK_E_PROXYAUTH, 0);

  for (int login = 0; login < 2; login++) {
    ask_socks(&t, *state, login == 0 ? NULL : "user");
    SAY(&t, "\x05\xff");
    finish_failed(&t, ALK_E_PROXYAUTH, 0);
  }
}

static void socks_nonsense(void **state)
{
  static const struct {
    const char *login, *text;
    size_t len;
  } all[] = {
#define NONSENSE(login, text) {login, text, LEN(text)}
    NONSENSE(NULL, "HTTP/1.1 400 Bad Request\r\n\r\n"),
    NONSENSE(NULL, "\x04"),
    NONSENSE(NULL, "\x00\x5b"),
    NONSENSE(NULL, "SSH-2.0-x\r\n"),
    NONSENSE(NULL, "\x05\x02"), /* not offered */
    NONSENSE("user", "\x05\x01"),
    NONSENSE("user", "\x05\x02\x00"),
    NONSENSE("user", "\x05\x02\x01\x00\x04"),
    NONSENSE(NULL, "\x05\x00\x04\x5a\0\0"),
    NONSENSE(NULL, "\x05\x00\x05\x00\x00\x02"),
    NONSENSE(NULL, "\x05\x00\x05\x00\x00\x00"),
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    talk_t t;
    ask_socks(&t, *state, all[i].login);
    say(&t, all[i].text, all[i].len);
    finish_failed(&t, ALK_E_PROTO, 0);
  }
}

/* HTTP */

static void http_connects(void **state)
{
  talk_t t;
  ask_http(&t, *state, NULL);
  settle(&t);
  ASSERT_OUT(&t, CONNECT "\r\n");
  SAY(&t, "HTTP/1.1 200 OK\r\n\r");
  assert_int_equal(t.opens, 0);
  SAY(&t, "\n");
  ASSERT_OUT(&t, CONNECT "\r\n");
  finish_open(&t, "");
}

static void http_logs_in(void **state)
{
  talk_t t;
  char authorization[] = "Basic dXNlcjpzZWNyZXQ=";
  ask_http(&t, *state, authorization);
  memset(authorization, 'x', sizeof authorization - 1); /* it was copied */
  settle(&t);
  ASSERT_OUT(&t, CONNECT "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n");
  SAY(&t, YES);
  finish_open(&t, "");
}

/* In whatever way a 2xx is dressed: what follows its empty line is not its. */
static void http_heads(void **state)
{
  static const char *const heads[] = {
    "HTTP/1.0 200 Connection established\r\n\r\n",
    "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 299 \xc3\xa9\t!\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n"
    "Connection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nEmpty:\r\nFolded: a\r\n\tb\r\n c\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    "HTTP/1.1 200 OK\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    talk_t t;
    ask_http(&t, *state, NULL);
    fake_feed(t.f, heads[i], strlen(heads[i]));
    SAY(&t, "SSH-2.0-x\r\n\r\n");
    finish_open(&t, "SSH-2.0-x\r\n\r\n");
  }
}

static void http_banner_behind_the_answer(void **state)
{
  talk_t t;
  ask_http(&t, *state, NULL);
  SAY(&t, YES "SSH-2.0-x\r\n");
  finish_open(&t, "SSH-2.0-x\r\n");
}

static void http_refusals(void **state)
{
  static const struct {
    const char *said;
    int status;
    const char *words;
  } all[] = {
    {"HTTP/1.1 403 Forbidden\r\n\r\n", 403, "403 Forbidden"},
    {"HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n", 301, "301 Moved"},
    {"HTTP/1.0 503 \x1f\r\n\r\n", 0, ""},
    {"HTTP/1.0 502 \xff\xfe\r\n\r\n", 502, "502 ?\?"},
    {"HTTP/1.1 599\r\n\r\n", 599, "599 "},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    talk_t t;
    ask_http(&t, *state, NULL);
    say(&t, all[i].said, strlen(all[i].said));
    assert_non_null(strstr(t.err.msg, all[i].words));
    finish_failed(&t, all[i].status == 0 ? ALK_E_PROTO : ALK_E_PROXY,
                  all[i].status);
  }
}

static void http_long_reason_is_cut(void **state)
{
  char said[400] = "HTTP/1.1 403 ";
  talk_t t;
  memset(said + 13, 'r', 300);
  memcpy(said + 313, "\r\n\r\n", 4);
  ask_http(&t, *state, NULL);
  say(&t, said, 317);
  assert_int_equal(strspn(strchr(t.err.msg, 'r'), "proxy: it refused: 403"),
                   strlen(strchr(t.err.msg, 'r')));
  assert_true(strlen(t.err.msg) < 120);
  finish_failed(&t, ALK_E_PROXY, 403);
}

static void http_login_refused(void **state)
{
  static const char said[] =
    "HTTP/1.1 407 Proxy Authentication Required\r\n"
    "proxy-AUTHENTICATE:  Negotiate\r\nProxy-Authenticate: NTLM realm=\"x\"\r\n"
    "Proxy-Authenticate2: Nonsense\r\nProxy-Authenticate:\r\n"
    "Content-Length: 5\r\n\r\nlogin";
  talk_t t;
  ask_http(&t, *state, NULL);
  SAY(&t, said);
  assert_non_null(strstr(t.err.msg, "407 Proxy Authentication Required"));
  assert_non_null(strstr(t.err.msg, "it wants a user and a password"));
  assert_non_null(strstr(t.err.msg, "offers Negotiate, NTLM)"));
  finish_failed(&t, ALK_E_PROXYAUTH, 407);

  for (int status = 401; status <= 407; status += 6) {
    char no[32];
    snprintf(no, sizeof no, "HTTP/1.1 %d no\r\n\r\n", status);
    ask_http(&t, *state, "Basic dXNlcjpzZWNyZXQ=");
    say(&t, no, strlen(no));
    assert_non_null(strstr(t.err.msg, "does not take this user and password)"));
    assert_null(strstr(t.err.msg, "dXNlc"));
    finish_failed(&t, ALK_E_PROXYAUTH, status);
  }
}

static void http_nonsense(void **state)
{
  static const char *const all[] = {
    "SSH-2.0-x\r\n",
    "\x05\x00",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 200\tOK\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 200 OK\n\n",
    "HTTP/1.1 200 OK\r\r\n",
    "HTTP/1.1 200 OK\r\n\r\r",
    "HTTP/1.1 200 OK\r\n folded: first\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\n\r\n",
    "HTTP/1.1 200 OK\r\nProxy-Authenticate: B\x7f\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    talk_t t;
    ask_http(&t, *state, NULL);
    say(&t, all[i], strlen(all[i]));
    finish_failed(&t, ALK_E_PROTO, 0);
  }
}

/* 8 KiB with the last byte of the head; and one byte more. */
static void http_longest_head(void **state)
{
  enum { HEAD = 8 * 1024, FIXED = sizeof "HTTP/1.1 200 OK\r\nA: \r\n\r\n" - 1 };
  for (int more = 0; more < 2; more++) {
    char said[HEAD + 2];
    size_t fill = HEAD - FIXED + (size_t) more;
    talk_t t;
    memcpy(said, "HTTP/1.1 200 OK\r\nA: ", 20);
    memset(said + 20, 'a', fill);
    memcpy(said + 20 + fill, "\r\n\r\n", 4);
    ask_http(&t, *state, NULL);
    say(&t, said, HEAD + (size_t) more);
    if (more == 0)
      finish_open(&t, "");
    else
      finish_failed(&t, ALK_E_LIMIT, 0);
  }
}

static void http_endless_interim_heads(void **state)
{
  static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
  talk_t t;
  ask_http(&t, *state, NULL);
  for (int i = 0; i < 400 && t.closes == 0; i++)
    SAY(&t, interim);
  finish_failed(&t, ALK_E_LIMIT, 0);
}

/* both */

static void wrong_questions(void **state)
{
  static const char *const hosts[] = {
    "",    "a b",   "a\r\nX: y",    "a/b",      "user@host",
    "a:1", "[::1]", "fe80::1%eth0", "\xc3\xa9", "a%00",
  };
  char too_long[258] = {0};
  memset(too_long, 'n', 257);
  for (int http = 0; http < 2; http++)
    for (size_t i = 0; i <= sizeof hosts / sizeof *hosts; i++) {
      bool last = i == sizeof hosts / sizeof *hosts;
      const alk_proxy_ask_t what = {
        .host = last ? too_long : hosts[i], .port = 1, .limit_ms = LIMIT_MS};
      talk_t t;
      ask(&t, *state, http == 1 ? alk_proxy_http : alk_proxy_socks5, &what);
      assert_int_equal(t.closes, 0);
      settle(&t);
      ASSERT_OUT(&t, "");
      finish_failed(&t, ALK_E_OPTION, 0);
    }
}

static void wrong_logins(void **state)
{
  char too_long[257] = {0};
  memset(too_long, 'x', 256);
  const alk_proxy_ask_t asks[] = {
    {.host = "a", .user = too_long, .password = ""},
    {.host = "a", .user = "a", .password = too_long},
    {.host = "a", .user = "", .password = "a"},
    {.host = "a", .authorization = "Basic x\r\nX: y"},
    {.host = "a", .authorization = "Basic \xc3\xa9"},
  };
  for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
    alk_proxy_ask_t what = asks[i];
    what.limit_ms = LIMIT_MS;
    talk_t t;
    ask(&t, *state, i < 3 ? alk_proxy_socks5 : alk_proxy_http, &what);
    settle(&t);
    ASSERT_OUT(&t, "");
    finish_failed(&t, ALK_E_OPTION, 0);
  }
}

static void addresses(void **state)
{
  static const struct {
    const char *host, *socks;
    size_t len;
    const char *http;
  } all[] = {
#define FORM(host, text, http) {host, HELLO text, LEN(HELLO text), http}
    FORM("192.0.2.1", "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x16",
         "CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: 192.0.2.1:22\r\n\r\n"),
    FORM("2001:db8::1",
         "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x16",
         "CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n\r\n"),
    FORM("n", "\x05\x01\x00\x03\x01n\x00\x16",
         "CONNECT n:22 HTTP/1.1\r\nHost: n:22\r\n\r\n"),
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const alk_proxy_ask_t what = {
      .host = all[i].host, .port = 22, .limit_ms = LIMIT_MS};
    talk_t t;
    ask(&t, *state, alk_proxy_socks5, &what);
    SAY(&t, "\x05\x00");
    assert_out(&t, all[i].socks, all[i].len);
    SAY(&t, YES5);
    finish_open(&t, "");
    ask(&t, *state, alk_proxy_http, &what);
    settle(&t);
    assert_out(&t, all[i].http, strlen(all[i].http));
    SAY(&t, YES);
    finish_open(&t, "");
  }
}

static void takes_too_long(void **state)
{
  static const char *const said[] = {"", "\x05", "HTTP/1.1 200 OK\r\n"};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    const alk_proxy_ask_t what = {.host = "a", .port = 1, .limit_ms = 1};
    talk_t t;
    ask(&t, *state, i == 1 ? alk_proxy_socks5 : alk_proxy_http, &what);
    feed(&t, said[i], strlen(said[i]));
    SPIN_UNTIL(t.e, t.closes == 1);
    finish_failed(&t, ALK_E_TIMEOUT, 0);
  }
}

static void closed_when_given(void **state)
{
  talk_t t;
  ask_http(&t, *state, NULL);
  t.close_given = true;
  SAY(&t, YES "early");
  assert_int_equal(t.opens, 1);
  assert_null(t.f->s);
  talk_free(&t);
}

static void breaks_when_asked(void **state)
{
  talk_t t;
  ask_socks(&t, *state, NULL);
  settle(&t);
  t.f->write_error = UV_EPIPE;
  SAY(&t, "\x05\x00" YES5); /* a yes that was on its way already */
  assert_int_equal(t.err.sys, UV_EPIPE);
  finish_failed(&t, ALK_E_SYS, 0);
}

/* The handshakes that are ended early below. */
static const struct {
  bool http;
  const char *login, *text;
  size_t len;
} scripts[] = {
#define SCRIPT(http, login, text) \
  {                               \
    http, login, text, LEN(text)  \
  }
  SCRIPT(false, NULL, "\x05\x00" YES5 "early"),
  SCRIPT(false, "user", "\x05\x02\x01\x00" YES5),
  SCRIPT(false, "user", "\x05\x02\x01\x01"),
  SCRIPT(false, NULL, "\x05\x00\x05\x05\0\x01\0\0\0\0\0\0"),
  SCRIPT(true, NULL, YES "early"),
  SCRIPT(true, NULL, "HTTP/1.1 403 no\r\n\r\nbody"),
};

typedef enum { BY_HANDSHAKE, BY_STREAM, BY_ERROR, BY_END, BY_LOOP, WAYS } way_t;

static void end_by(talk_t *t, way_t way)
{
  switch (way) {
  case BY_HANDSHAKE:
    if (t->h != NULL) CALL(t, alk_proxy_close(t->h));
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

static void script_talk(talk_t *t, size_t i, const char *how)
{
  env_t *e = env_new();
  e->arg = how;
  if (scripts[i].http)
    ask_http(t, e, scripts[i].login);
  else
    ask_socks(t, e, scripts[i].login);
}

/* Whatever has happened: one of the two events has come, and nothing is left.
 */
static void end_and_check(talk_t *t, way_t way)
{
  end_by(t, way);
  settle(t);
  assert_int_equal(t->opens + t->closes, 1);
  if (t->given != NULL && t->f->s != NULL) alk_stream_close(t->given);
  settle(t);
  fake_free(t->f);
  env_free(t->e);
}

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

static void ended_early(void **state)
{
  talk_t t;
  ask_socks(&t, *state, NULL);
  fake_feed_end(t.f);
  settle(&t);
  finish_failed(&t, ALK_E_PROXY, 0);
  ask_http(&t, *state, NULL);
  feed(&t, YES, LEN(YES) - 1);
  fake_feed_end(t.f);
  settle(&t);
  finish_failed(&t, ALK_E_PROXY, 0);
}

/* Over a real socket, through the kernel's cuts. */
static void over_tcp(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  talk_t t = {.e = e};
  fake_t stand_in = {0}; /* on_open compares the stream with its own */
  const alk_proxy_ask_t what = {
    .host = "example.com", .port = 443, .limit_ms = LIMIT_MS};
  tcp_pair(e, &r, &p);
  stand_in.s = r.s;
  t.f = &stand_in;
  t.h = alk_proxy_http(r.s, &what, &events, &t);
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == LEN(CONNECT "\r\n"));
  assert_memory_equal(alk_buf_head(&p.got), CONNECT "\r\n",
                      LEN(CONNECT "\r\n"));
  peer_say(&p, YES "SSH-2.0-x\r\n");
  RUN_UNTIL(e, t.opens == 1);
  rec_own(&r, t.given);
  alk_stream_resume(r.s);
  RUN_UNTIL(e, alk_buf_size(&r.data) == LEN("SSH-2.0-x\r\n"));
  assert_heard(&r, "SSH-2.0-x\r\n");
  rec_finish(e, &r);
  peer_close(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    BOTH(socks_connects),
    BOTH(socks_logs_in),
    BOTH(socks_login_not_wanted),
    BOTH(socks_banner_behind_the_answer),
    TEST_OF("socks_much_behind_the_answer", socks_much_behind_the_answer,
            whole),
    BOTH(socks_longest_name),
    BOTH(socks_refusals),
    BOTH(socks_login_refused),
    BOTH(socks_nonsense),
    BOTH(http_connects),
    BOTH(http_logs_in),
    BOTH(http_heads),
    BOTH(http_banner_behind_the_answer),
    BOTH(http_refusals),
    BOTH(http_long_reason_is_cut),
    BOTH(http_login_refused),
    BOTH(http_nonsense),
    BOTH(http_longest_head),
    BOTH(http_endless_interim_heads),
    BOTH(wrong_questions),
    BOTH(wrong_logins),
    BOTH(addresses),
    BOTH(takes_too_long),
    BOTH(closed_when_given),
    BOTH(breaks_when_asked),
    TEST(closed_after_every_byte),
    TEST(closed_after_every_turn),
    BOTH(ended_early),
    TEST(over_tcp),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
