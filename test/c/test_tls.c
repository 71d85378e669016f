/* test_tls.c - TLS as a stream: the laws, both ends, both versions; what waits,
 * and for how much of it. What can go wrong is test_tls_bad.c's. */
#include "tls_pair.h"

enum { BULK = 1024 * 1024 + 17, CHUNK = 48 * 1024 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void use_version(pair_t *p, int version)
{
  SSL_CTX_set_max_proto_version(p->client_ctx->ssl, version);
}

static void say(end_t *from, const char *text)
{
  QUIET(&from->r, alk_stream_write(from->r.s, text, strlen(text)));
}

static void hear(end_t *to)
{
  QUIET(&to->r, alk_stream_resume(to->r.s));
}

static void end(end_t *from)
{
  QUIET(&from->r, alk_stream_end(from->r.s));
}

/* A question, an answer, and both ends. */
static void talk(pair_t *p)
{
  hear(&p->c);
  hear(&p->s);
  say(&p->c, "who is there?");
  PAIR_UNTIL(p, alk_buf_size(&p->s.r.data) == 13);
  assert_heard(&p->s.r, "who is there?");
  say(&p->s, "a server");
  end(&p->s);
  PAIR_UNTIL(p, p->c.r.ends == 1 && p->s.r.drains == 1);
  assert_heard(&p->c.r, "a server");
  end(&p->c);
  PAIR_UNTIL(p, p->s.r.ends == 1 && p->c.r.drains == 1);
  QUIET(&p->c.r, alk_stream_close(p->c.r.s));
  QUIET(&p->s.r, alk_stream_close(p->s.r.s));
  PAIR_UNTIL(p, p->c.r.closes == 1 && p->s.r.closes == 1);
  assert_string_equal(p->c.r.log, "odewc");
  assert_string_equal(p->s.r.log, "odwec");
  assert_false(p->c.r.failed);
  assert_false(p->s.r.failed);
  assert_true(p->c.f->flushed && p->s.f->flushed);
}

static void test_talk(void **state)
{
  const size_t steps[] = {0, 1, 7, 1000};
  env_t *e = *state;
  for (size_t i = 0; i < 2; i++)
    for (size_t j = 0; j < 4; j++) {
      pair_t p;
      pair_init(&p, e);
      p.step = steps[j];
      use_version(&p, versions[i]);
      pair_open(&p, "a.example");
      talk(&p);
      pair_free(&p);
    }
}

static void test_info(void **state)
{
  pair_t p;
  alk_tls_info_t info;
  pair_init(&p, *state);
  pair_connect(&p, "A.example.");
  assert_false(alk_tls_info(p.c.r.s, &info));
  assert_string_equal(alk_stream_kind(p.c.r.s), "tls");
  PAIR_UNTIL(&p, p.c.r.opens == 1 && p.s.r.opens == 1);
  assert_true(alk_tls_info(p.s.r.s, &info));
  assert_string_equal(info.version, "TLSv1.3");
  assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
  assert_string_equal(info.name, "A.example");
  assert_string_equal(info.alpn, "");
  assert_false(info.resumed);
  assert_false(alk_tls_info(p.s.f->s, &info));
  pair_free(&p);
}

static void test_alpn(void **state)
{
  pair_t p;
  alk_tls_info_t info;
  pair_init(&p, *state);
  alk_tls_ctx_free(p.client_ctx);
  alk_tls_ctx_free(p.server_ctx);
  p.client_ctx = new_client_ctx(&p.ca, "http/1.1,h2");
  p.server_ctx = new_server_ctx(&p.id, "h3,h2,http/1.1");
  pair_open(&p, "a.example");
  assert_true(alk_tls_info(p.c.r.s, &info));
  assert_string_equal(info.alpn, "h2"); /* the server's choice */
  assert_true(alk_tls_info(p.s.r.s, &info));
  assert_string_equal(info.alpn, "h2");
  pair_free(&p);
}

/* Who made the contexts may let go of them at once. */
static void test_contexts_go(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_connect(&p, "a.example");
  alk_tls_ctx_free(p.client_ctx);
  alk_tls_ctx_free(p.server_ctx);
  p.client_ctx = p.server_ctx = NULL;
  PAIR_UNTIL(&p, p.c.r.opens == 1 && p.s.r.opens == 1);
  talk(&p);
  pair_free(&p);
}

static void write_pattern(end_t *from, uint64_t *sent, size_t len)
{
  char *buf = alk_alloc(len);
  fill_pattern(buf, len, *sent);
  QUIET(&from->r, alk_stream_write(from->r.s, buf, len));
  *sent += len;
  alk_free(buf);
}

static void test_bulk(void **state)
{
  env_t *e = *state;
  for (size_t i = 0; i < 2; i++) {
    pair_t p;
    uint64_t sent = 0;
    pair_init(&p, e);
    use_version(&p, versions[i]);
    p.step = 100 * 1000;
    pair_open(&p, "a.example");
    hear(&p.s);
    size_t before = p.c.f->writes;
    write_pattern(&p.c, &sent, BULK);
    assert_int_equal(p.c.f->writes, before + 1); /* all records in one */
    PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == sent);
    check_pattern(alk_buf_head(&p.s.r.data), BULK, 0);
    pair_free(&p);
  }
}

/* What is written in one turn leaves in one write at its end. */
static void test_one_flush_a_turn(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  hear(&p.s);
  size_t before = p.c.f->writes;
  for (int i = 0; i < 10; i++)
    say(&p.c, "a line");
  assert_int_equal(p.c.f->writes, before);
  turns(p.e, 1);
  assert_int_equal(p.c.f->writes, before + 1);
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == 60);
  pair_free(&p);
}

static void pause_at_once(rec_t *r, char ev)
{
  if (ev != 'd') return;
  alk_stream_pause(r->s);
  r->count++;
}

/* Law 5, and nothing is lost: also when it is paused within each event. */
static void test_pause(void **state)
{
  pair_t p;
  uint64_t sent = 0;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  p.step = 150 * 1000;
  p.s.r.then = pause_at_once;
  write_pattern(&p.c, &sent, BULK);
  for (int i = 0; i < 50; i++)
    pair_turn(&p);
  assert_int_equal(p.s.r.count, 0); /* born paused */
  assert_false(p.s.f->resumed);
  while (alk_buf_size(&p.s.r.data) < sent) {
    int before = p.s.r.count;
    hear(&p.s);
    PAIR_UNTIL(&p, p.s.r.count > before);
    for (int i = 0; i < 5; i++)
      pair_turn(&p);
    assert_int_equal(p.s.r.count, before + 1);
  }
  check_pattern(alk_buf_head(&p.s.r.data), BULK, 0);
  pair_free(&p);
}

/* An end waits behind the bytes, and for the reader. */
static void test_end_is_held(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  say(&p.c, "the last words");
  end(&p.c);
  PAIR_UNTIL(&p, p.c.r.drains == 1);
  for (int i = 0; i < 20; i++)
    pair_turn(&p);
  assert_string_equal(p.s.r.log, "o");
  hear(&p.s);
  PAIR_UNTIL(&p, p.s.r.ends == 1);
  assert_heard(&p.s.r, "the last words");
  assert_false(alk_stream_has_ended(p.s.r.s));
  say(&p.s, "half-closed"); /* the other half is open */
  hear(&p.c);
  PAIR_UNTIL(&p, alk_buf_size(&p.c.r.data) == 11);
  pair_free(&p);
}

/* While the stream beneath is full we say so, and hold next to nothing. */
static void test_back_pressure(void **state)
{
  pair_t p;
  uint64_t sent = 0;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  hear(&p.s);
  p.c.f->full = true;
  write_pattern(&p.c, &sent, CHUNK);
  turns(p.e, 3);
  bool more = true;
  QUIET(&p.c.r, more = alk_stream_write(p.c.r.s, "x", 1));
  assert_false(more);
  turns(p.e, 3);
  assert_int_equal(p.c.r.drains, 0);
  fake_drain(p.c.f);
  PAIR_UNTIL(&p, p.c.r.drains == 1);
  QUIET(&p.c.r, more = alk_stream_write(p.c.r.s, "y", 1));
  assert_true(more);
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == sent + 2);
  p.c.f->full = true;
  end(&p.c); /* its drain is the one of all */
  turns(p.e, 3);
  assert_int_equal(p.c.r.drains, 1);
  fake_drain(p.c.f);
  PAIR_UNTIL(&p, p.c.r.drains == 2 && p.s.r.ends == 1);
  pair_free(&p);
}

/* Who talks while we do asks for nothing, however full the stream beneath is:
 * what waits for the turn's end when he is heard is no answer to him. */
static void test_talk_at_once(void **state)
{
  enum { ROUNDS = 4 };
  pair_t p;
  uint64_t sent = 0;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  hear(&p.s);
  turns(p.e, 3);
  p.s.f->full = true;
  for (size_t n = 1; n <= ROUNDS; n++) {
    say(&p.c, "x");
    turns(p.e, 3);
    carry(&p, &p.c, &p.s); /* heard ahead of the task that flushes */
    write_pattern(&p.s, &sent, CHUNK);
    turns(p.e, 3);
    assert_int_equal(alk_buf_size(&p.s.r.data), n);
  }
  assert_int_equal(p.s.r.closes, 0);
  hear(&p.c);
  fake_drain(p.s.f);
  PAIR_UNTIL(&p, alk_buf_size(&p.c.r.data) == sent);
  check_pattern(alk_buf_head(&p.c.r.data), sent, 0);
  pair_free(&p);
}

/* A stream may be written to, and ended, before it is open. */
static void test_early(void **state)
{
  pair_t p;
  uint64_t sent = 0;
  pair_init(&p, *state);
  pair_connect(&p, "a.example");
  hear(&p.s);
  write_pattern(&p.c, &sent, 1000);
  bool more = true;
  char *bulk = alk_alloc(ALK_HIGH_WATER);
  fill_pattern(bulk, ALK_HIGH_WATER, sent);
  QUIET(&p.c.r, more = alk_stream_write(p.c.r.s, bulk, ALK_HIGH_WATER));
  alk_free(bulk);
  assert_false(more);
  PAIR_UNTIL(&p, p.c.r.drains == 1);
  assert_string_equal(p.c.r.log, "ow");
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == sent + ALK_HIGH_WATER);
  check_pattern(alk_buf_head(&p.s.r.data), sent + ALK_HIGH_WATER, 0);
  pair_finish(&p);
  pair_connect(&p, "a.example");
  hear(&p.s);
  say(&p.c, "all there is");
  end(&p.c);
  PAIR_UNTIL(&p, p.c.r.drains == 1 && p.s.r.ends == 1);
  assert_heard(&p.s.r, "all there is");
  pair_free(&p);
}

/* A stream beneath that is still opening; and one that does not open. */
static void test_opening(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  p.c = (end_t){.f = fake_stream_new_unopened(p.e->l)};
  p.s = (end_t){.f = fake_stream_new(p.e->l)};
  rec_own(&p.s.r, alk_tls_server(p.s.f->s, p.server_ctx));
  rec_own(&p.c.r, alk_tls_client(p.c.f->s, p.client_ctx, "a.example"));
  turns(p.e, 3);
  assert_int_equal(alk_buf_size(&p.c.f->out), 0);
  fake_open(p.c.f);
  PAIR_UNTIL(&p, p.c.r.opens == 1 && p.s.r.opens == 1);
  talk(&p);
  pair_finish(&p);
  p.c = (end_t){.f = fake_stream_new_unopened(p.e->l)};
  p.s = (end_t){.f = fake_stream_new(p.e->l)};
  rec_own(&p.s.r, alk_tls_server(p.s.f->s, p.server_ctx));
  rec_own(&p.c.r, alk_tls_client(p.c.f->s, p.client_ctx, "a.example"));
  fake_fail(p.c.f, UV_ECONNREFUSED);
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_int_equal(p.c.r.err.code, ALK_E_SYS);
  assert_int_equal(p.c.r.err.sys, UV_ECONNREFUSED);
  pair_free(&p);
}

static void resume_until(pair_t *p, int version, bool resumed)
{
  alk_tls_info_t info;
  use_version(p, version);
  pair_open(p, "a.example");
  hear(&p->c); /* tickets come with the first bytes */
  say(&p->s, "x");
  PAIR_UNTIL(p, alk_buf_size(&p->c.r.data) == 1);
  assert_true(alk_tls_info(p->c.r.s, &info));
  assert_int_equal(info.resumed, resumed);
  assert_true(alk_tls_info(p->s.r.s, &info));
  assert_int_equal(info.resumed, resumed);
  pair_finish(p); /* as when the network fails: no close_notify */
}

static void test_tickets(void **state)
{
  env_t *e = *state;
  for (size_t i = 0; i < 2; i++) {
    pair_t p;
    pair_init(&p, e);
    resume_until(&p, versions[i], false);
    resume_until(&p, versions[i], true);
    resume_until(&p, versions[i], true);
    alk_tls_ctx_free(p.server_ctx); /* another key to seal tickets with */
    p.server_ctx = new_server_ctx(&p.id, NULL);
    resume_until(&p, versions[i], false);
    pair_free(&p);
  }
}

/* Each name has its own ticket, for one connection. */
static void test_ticket_table(void **state)
{
  (void) state;
  char name[16];
  tls_tickets_t *t = tls_tickets_new();
  assert_null(tls_tickets_take(t, "a"));
  for (int i = 0; i < 20; i++) {
    snprintf(name, sizeof name, "host%d", i);
    tls_tickets_keep(t, name, SSL_SESSION_new());
  }
  assert_null(tls_tickets_take(t, "host0")); /* the oldest go */
  SSL_SESSION *newer = SSL_SESSION_new();
  tls_tickets_keep(t, "host19", newer);
  assert_ptr_equal(tls_tickets_take(t, "host19"), newer);
  assert_null(tls_tickets_take(t, "host19"));
  SSL_SESSION_free(newer);
  tls_tickets_free(t);
  tls_tickets_free(NULL);
}

/* New keys after so many records, and the peer follows. */
static void test_new_keys(void **state)
{
  env_t *e = *state;
  for (size_t i = 0; i < 2; i++) {
    pair_t p;
    uint64_t sent = 0;
    pair_init(&p, e);
    p.client_ctx->records_max = 3;
    use_version(&p, versions[i]);
    pair_open(&p, "a.example");
    hear(&p.s);
    for (int n = 0; n < 20; n++) {
      write_pattern(&p.c, &sent, 1000);
      PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == sent);
    }
    check_pattern(alk_buf_head(&p.s.r.data), sent, 0);
    pair_free(&p);
  }
}

/* TLS over TLS: through a proxy that speaks it. */
static void test_two_layers(void **state)
{
  pair_t p;
  uint64_t sent = 0;
  pair_init(&p, *state);
  p.c = (end_t){.f = fake_stream_new(p.e->l)};
  p.s = (end_t){.f = fake_stream_new(p.e->l)};
  alk_stream_t *s = alk_tls_server(p.s.f->s, p.server_ctx);
  rec_own(&p.s.r, alk_tls_server(s, p.server_ctx));
  alk_stream_t *c = alk_tls_client(p.c.f->s, p.client_ctx, "a.example");
  rec_own(&p.c.r, alk_tls_client(c, p.client_ctx, "x.b.example"));
  PAIR_UNTIL(&p, p.c.r.opens == 1 && p.s.r.opens == 1);
  hear(&p.s);
  write_pattern(&p.c, &sent, BULK);
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == sent);
  check_pattern(alk_buf_head(&p.s.r.data), BULK, 0);
  end(&p.c);
  PAIR_UNTIL(&p, p.s.r.ends == 1);
  pair_free(&p);
}

/* Closed after so many turns, by itself or with the loop. */
static void close_after(env_t *e, int n, bool loop)
{
  pair_t p;
  pair_init(&p, e);
  pair_connect(&p, "a.example");
  hear(&p.c);
  hear(&p.s);
  say(&p.c, "early");
  for (int i = 0; i < n; i++) {
    pair_turn(&p);
    if (p.s.r.opens == 1 && p.s.r.count++ == 0) say(&p.s, "welcome");
  }
  if (loop) env_close(e);
  pair_free(&p);
}

static void test_close_steps(void **state)
{
  for (int n = 0; n < 14; n++) {
    close_after(*state, n, false);
    env_t *own = env_new();
    close_after(own, n, true);
    env_free(own);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_talk),          TEST(test_info),
    TEST(test_alpn),          TEST(test_contexts_go),
    TEST(test_bulk),          TEST(test_one_flush_a_turn),
    TEST(test_pause),         TEST(test_end_is_held),
    TEST(test_back_pressure), TEST(test_talk_at_once),
    TEST(test_early),         TEST(test_opening),
    TEST(test_tickets),       TEST(test_ticket_table),
    TEST(test_new_keys),      TEST(test_two_layers),
    TEST(test_close_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
