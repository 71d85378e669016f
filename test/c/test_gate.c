/* test_gate.c - connections to a listener that passes for a web server: who is
 * let through, who is a visitor, and that nothing is left of any of them,
 * whenever they are closed. */
#include "stealth/gate.h"
#include "stealth/token.h"

#include "tls_pair.h"

static const uint8_t secret[] = "a secret of this test";

typedef struct {
  pair_t p; /* its server's stream is the gate's */
  alk_gate_t *g;
  int asked_ssh, asked_visitor, closes;
  alk_gate_outcome_t outcome;
} door_t;

static void on_ssh(void *data)
{
  ((door_t *) data)->asked_ssh++;
}

static void on_visitor(void *data)
{
  ((door_t *) data)->asked_visitor++;
}

static void on_close(void *data, alk_gate_outcome_t outcome,
                     const alk_err_t *err)
{
  (void) err;
  door_t *d = data;
  d->g = NULL;
  d->closes++;
  d->outcome = outcome;
}

static const alk_gate_events_t events = {
  .on_ssh = on_ssh,
  .on_visitor = on_visitor,
  .on_close = on_close,
};

typedef struct {
  bool has_secret, has_site;
  unsigned ms; /* 0: a minute */
} wish_t;

static void door_init(door_t *d, env_t *e, wish_t wish)
{
  *d = (door_t){0};
  pair_init(&d->p, e);
  unsigned ms = wish.ms == 0 ? 60 * 1000 : wish.ms;
  alk_gate_opts_t opts = {
    .tls = d->p.server_ctx,
    .server = "nginx",
    .secret = wish.has_secret ? secret : NULL,
    .secret_len = wish.has_secret ? sizeof secret : 0,
    .head_ms = ms,
    .idle_ms = ms,
    .has_site = wish.has_site,
  };
  d->p.c.f = fake_stream_new(e->l);
  d->p.s.f = fake_stream_new(e->l);
  d->g = alk_gate(d->p.s.f->s, &opts, &events, d);
}

static void secure(door_t *d)
{
  pair_t *p = &d->p;
  rec_own(&p->c.r, alk_tls_client(p->c.f->s, p->client_ctx, "a.example"));
  PAIR_UNTIL(p, p->c.r.opens == 1);
  QUIET(&p->c.r, alk_stream_resume(p->c.r.s));
}

static void say(door_t *d, const char *text)
{
  QUIET(&d->p.c.r, alk_stream_write(d->p.c.r.s, text, strlen(text)));
}

static void greet(door_t *d, const uint8_t *key, size_t len)
{
  alk_token_t token;
  alk_buf_t out = {0};
  assert_true(alk_token_make(d->p.c.r.s, key, len, &token));
  assert_true(alk_token_put_greeting(&out, &token, "a.example"));
  QUIET(&d->p.c.r,
        alk_stream_write(d->p.c.r.s, (const char *) alk_buf_head(&out),
                         alk_buf_size(&out)));
  alk_buf_free(&out);
}

static bool has_heard(const door_t *d, const char *text)
{
  const alk_buf_t *data = &d->p.c.r.data;
  return alk_buf_size(data) > 0 &&
         memmem(alk_buf_head(data), alk_buf_size(data), text, strlen(text)) !=
           NULL;
}

/* All of it goes, from whatever state it is in. */
static void door_free(door_t *d)
{
  pair_t *p = &d->p;
  if (d->g != NULL) alk_gate_close(d->g);
  if (p->c.r.s != NULL)
    QUIET(&p->c.r, alk_stream_close(p->c.r.s));
  else if (p->c.r.closes == 0)
    alk_stream_close(p->c.f->s);
  for (int n = 0; n < 20; n++)
    pair_turn(p);
  assert_null(d->g);
  rec_free(&p->c.r);
  fake_free(p->c.f);
  fake_free(p->s.f);
  p->c.f = NULL;
  pair_free(p);
}

static void test_page_and_page(void **state)
{
  door_t d;
  door_init(&d, *state, (wish_t){.has_secret = true});
  secure(&d);
  say(&d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  PAIR_UNTIL(&d.p, has_heard(&d, "404 Not Found</h1>"));
  say(&d, "HEAD / HTTP/1.0\r\n\r\n");
  PAIR_UNTIL(&d.p, d.p.c.r.ends == 1);
  assert_true(has_heard(&d, "Connection: close\r\n\r\n"));
  PAIR_UNTIL(&d.p, d.closes == 1);
  assert_int_equal(d.outcome, ALK_GATE_SERVED);
  assert_int_equal(d.asked_ssh + d.asked_visitor, 0);
  door_free(&d);
}

/* What it had said behind the greeting is there for the next owner. */
static void test_known_client_is_given_away(void **state)
{
  door_t d;
  door_init(&d, *state, (wish_t){.has_secret = true});
  secure(&d);
  greet(&d, secret, sizeof secret);
  say(&d, "SSH-2.0-x\r\n");
  PAIR_UNTIL(&d.p, d.asked_ssh == 1);
  alk_stream_t *s = alk_gate_take(d.g);
  assert_non_null(s);
  d.g = NULL;
  rec_own(&d.p.s.r, s);
  QUIET(&d.p.s.r, alk_stream_resume(s));
  PAIR_UNTIL(&d.p, alk_buf_size(&d.p.s.r.data) == 11);
  assert_heard(&d.p.s.r, "SSH-2.0-x\r\n");
  QUIET(&d.p.s.r, alk_stream_close(s));
  PAIR_UNTIL(&d.p, d.p.s.r.closes == 1);
  assert_int_equal(d.closes, 0);
  rec_free(&d.p.s.r);
  door_free(&d);
}

static void test_wrong_secret_is_a_path(void **state)
{
  static const uint8_t other[] = "not that of this test";
  door_t d;
  door_init(&d, *state, (wish_t){.has_secret = true});
  secure(&d);
  greet(&d, other, sizeof other);
  PAIR_UNTIL(&d.p, has_heard(&d, "404 Not Found</h1>"));
  say(&d, "SSH-2.0-x\r\n");
  PAIR_UNTIL(&d.p, has_heard(&d, "400 Bad Request</h1>"));
  assert_int_equal(d.asked_ssh, 0);
  door_free(&d);
}

/* A client that is not wanted, for a limit, gets what anybody gets. */
static void test_refused_client_gets_pages(void **state)
{
  door_t d;
  door_init(&d, *state, (wish_t){0});
  secure(&d);
  say(&d, "SSH-2.0-x\r\n");
  PAIR_UNTIL(&d.p, d.asked_ssh == 1);
  alk_gate_serve(d.g, 404);
  PAIR_UNTIL(&d.p, has_heard(&d, "400 Bad Request</h1>"));
  PAIR_UNTIL(&d.p, d.p.c.r.ends == 1);
  assert_null(alk_gate_take(d.g));
  door_free(&d);
}

/* A visitor who has asked for something, and the site behind the door for him.
 */
static fake_t *lead_to_site(door_t *d, env_t *e)
{
  door_init(d, e, (wish_t){.has_site = true});
  secure(d);
  say(d, "GET / HTTP/1.1\r\n");
  PAIR_UNTIL(&d->p, d->asked_visitor == 1);
  fake_t *site = fake_stream_new(e->l);
  alk_gate_relay(d->g, site->s);
  return site;
}

static void test_site(void **state)
{
  door_t d;
  fake_t *site = lead_to_site(&d, *state);
  PAIR_UNTIL(&d.p, alk_buf_size(&site->out) == 16);
  fake_feed(site, "of the site", 11);
  fake_feed_end(site);
  PAIR_UNTIL(&d.p, d.p.c.r.ends == 1);
  assert_true(has_heard(&d, "of the site"));
  QUIET(&d.p.c.r, alk_stream_end(d.p.c.r.s));
  PAIR_UNTIL(&d.p, d.closes == 1);
  assert_int_equal(d.outcome, ALK_GATE_SITE);
  fake_free(site);
  door_free(&d);
}

static void test_no_site(void **state)
{
  door_t d;
  door_init(&d, *state, (wish_t){.has_site = true});
  secure(&d);
  say(&d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  PAIR_UNTIL(&d.p, d.asked_visitor == 1);
  alk_gate_serve(d.g, 502);
  PAIR_UNTIL(&d.p, has_heard(&d, "502 Bad Gateway</h1>"));
  door_free(&d);
}

static void test_plain(void **state)
{
  door_t d;
  door_init(&d, *state, (wish_t){0});
  static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t i = 0; i + 1 < sizeof ask; i++)
    fake_feed(d.p.s.f, ask + i, 1);
  SPIN_UNTIL(*(env_t **) state, alk_buf_size(&d.p.s.f->out) > 0);
  assert_non_null(memmem(alk_buf_head(&d.p.s.f->out),
                         alk_buf_size(&d.p.s.f->out),
                         "sent to HTTPS port</center>", 27));
  fake_feed_end(d.p.s.f);
  SPIN_UNTIL(*(env_t **) state, d.closes == 1);
  assert_int_equal(d.outcome, ALK_GATE_PLAIN);
  door_free(&d);
}

static alk_gate_outcome_t outcome_after(env_t *e, const char *says, unsigned ms)
{
  door_t d;
  door_init(&d, e, (wish_t){.ms = ms});
  fake_feed(d.p.s.f, says, strlen(says));
  SPIN_UNTIL(e, d.closes == 1);
  assert_true(d.p.s.f->flushed);
  door_free(&d);
  return d.outcome;
}

/* Silence, half a hello, half a head: each is over when its time is. */
static void test_late(void **state)
{
  static const struct {
    const char *says;
    alk_gate_outcome_t outcome;
  } cases[] = {{"", ALK_GATE_SILENT},
               {"\x16\x03\x01", ALK_GATE_LATE},
               {"GET /", ALK_GATE_LATE}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    alk_gate_outcome_t outcome = ALK_GATE_OUTCOMES;
    /* Longer, where this machine takes longer than that to hear anything. */
    for (unsigned ms = 1; outcome != cases[i].outcome && ms < 5000; ms *= 4)
      outcome = outcome_after(*state, cases[i].says, ms);
    assert_int_equal(outcome, cases[i].outcome);
  }
}

static void until_all_is_heard(door_t *d)
{
  PAIR_UNTIL(&d->p, d->p.s.f->told == alk_buf_size(&d->p.c.f->out));
}

static void close_door(door_t *d)
{
  alk_gate_close(d->g);
  assert_int_equal(d->closes, 0);
  PAIR_UNTIL(&d->p, d->closes == 1);
  assert_true(d->p.s.f->flushed); /* no reset */
}

/* Who is waited for, before or behind an answer, hears of it by TLS. */
static void test_close_of_who_is_waited_for(void **state)
{
  for (int asks = 0; asks < 2; asks++) {
    door_t d;
    door_init(&d, *state, (wish_t){.has_secret = true});
    secure(&d);
    if (asks > 0) {
      say(&d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      PAIR_UNTIL(&d.p, has_heard(&d, "404 Not Found</h1>"));
    }
    until_all_is_heard(&d);
    close_door(&d);
    PAIR_UNTIL(&d.p, d.p.c.r.ends == 1);
    door_free(&d);
  }
}

/* Who is in the middle of something sees an end, and TLS says nothing. */
static void test_close_of_who_has_begun(void **state)
{
  static const char *const begun[] = {
    "SSH-", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"};
  for (size_t i = 0; i < sizeof begun / sizeof *begun; i++) {
    door_t d;
    door_init(&d, *state, (wish_t){0});
    secure(&d);
    say(&d, begun[i]);
    until_all_is_heard(&d);
    close_door(&d);
    PAIR_UNTIL(&d.p, d.p.c.r.closes == 1);
    assert_int_equal(d.p.c.r.ends, 0);
    assert_int_equal(d.p.c.r.err.code, ALK_E_LOST);
    door_free(&d);
  }
}

static void test_close_of_who_says_no_tls(void **state)
{
  static const char *const says[] = {"", "\x16\x03\x01", "GET /"};
  for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
    door_t d;
    door_init(&d, *state, (wish_t){0});
    if (*says[i] != '\0') fake_feed(d.p.s.f, says[i], strlen(says[i]));
    PAIR_UNTIL(&d.p, d.p.s.f->told == strlen(says[i]));
    close_door(&d);
    assert_int_equal(alk_buf_size(&d.p.s.f->out), 0);
    door_free(&d);
  }
}

/* What the site has said still leaves, and an end of TLS behind it. */
static void test_close_of_who_is_with_the_site(void **state)
{
  door_t d;
  fake_t *site = lead_to_site(&d, *state);
  fake_feed(site, "of the site", 11);
  PAIR_UNTIL(&d.p, site->told == 11);
  close_door(&d);
  PAIR_UNTIL(&d.p, d.p.c.r.ends == 1);
  assert_true(has_heard(&d, "of the site"));
  assert_int_equal(d.outcome, ALK_GATE_SITE);
  assert_null(site->s);
  fake_free(site);
  door_free(&d);
}

/* An end that does not leave is not waited for. */
static void test_close_of_who_does_not_read(void **state)
{
  for (int has_asked = 0; has_asked < 2; has_asked++) {
    door_t d;
    door_init(&d, *state, (wish_t){0});
    secure(&d);
    until_all_is_heard(&d);
    d.p.s.f->full = true;
    if (has_asked) {
      say(&d, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      until_all_is_heard(&d);
    }
    alk_gate_close(d.g);
    alk_gate_close(d.g);
    SPIN_UNTIL(*(env_t **) state, d.closes == 1);
    assert_false(d.p.s.f->flushed);
    door_free(&d);
  }
}

/* Nor is anything waited for once it is dropped, whatever was to leave. */
static void test_drop(void **state)
{
  static const char *const says[] = {
    "", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "of the site"};
  enum { SITE = 3, WAYS = 8 };
  for (size_t i = 0; i < WAYS; i++) {
    door_t d;
    env_t *e = *state;
    fake_t *site = NULL;
    size_t say_what = i / 2;
    bool is_closing = i % 2 == 0;
    door_init(&d, e, (wish_t){.has_site = say_what == SITE});
    secure(&d);
    until_all_is_heard(&d);
    d.p.s.f->full = true;
    if (say_what == SITE) {
      site = fake_stream_new(e->l);
      say(&d, "GET / HTTP/1.1\r\n");
      PAIR_UNTIL(&d.p, d.asked_visitor == 1);
      alk_gate_relay(d.g, site->s);
      fake_feed(site, says[SITE], strlen(says[SITE]));
      PAIR_UNTIL(&d.p, site->told == strlen(says[SITE]));
    } else if (*says[say_what] != '\0') {
      say(&d, says[say_what]);
      until_all_is_heard(&d);
    }
    if (is_closing) {
      alk_gate_close(d.g);
      turns(e, 5);
      assert_int_equal(d.closes, 0);
    }
    alk_gate_drop(d.g);
    turns(e, 5);
    assert_int_equal(d.closes, 1);
    assert_false(d.p.s.f->flushed);
    if (site != NULL) fake_free(site);
    door_free(&d);
  }
}

/* Closed after each number of turns: nothing may be left, or come too late. */
static void test_close_at_every_step(void **state)
{
  for (int steps = 0; steps < 24; steps++)
    for (int kind = 0; kind < 3; kind++) {
      door_t d;
      wish_t wish = {.has_secret = kind == 1, .has_site = kind == 2};
      door_init(&d, *state, wish);
      rec_own(&d.p.c.r,
              alk_tls_client(d.p.c.f->s, d.p.client_ctx, "a.example"));
      say(&d, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      d.p.step = kind == 0 ? 0 : 150;
      for (int n = 0; n < steps; n++)
        pair_turn(&d.p);
      if (d.g != NULL) alk_gate_close(d.g);
      d.p.step = 0;
      PAIR_UNTIL(&d.p, d.closes == 1);
      door_free(&d);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_page_and_page),
    TEST(test_known_client_is_given_away),
    TEST(test_wrong_secret_is_a_path),
    TEST(test_refused_client_gets_pages),
    TEST(test_site),
    TEST(test_no_site),
    TEST(test_plain),
    TEST(test_late),
    TEST(test_close_of_who_is_waited_for),
    TEST(test_close_of_who_has_begun),
    TEST(test_close_of_who_says_no_tls),
    TEST(test_close_of_who_is_with_the_site),
    TEST(test_close_of_who_does_not_read),
    TEST(test_drop),
    TEST(test_close_at_every_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
