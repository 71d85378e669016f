/* test_tls_nginx.c - a TLS server that passes for nginx: its ends, and keys
 * that are the two ends' alone. Its handshakes are compared with nginx's own in
 * test/interop. */
#include "tls_pair.h"

static const char label[] = "EXPORTER-test";

static alk_tls_ctx_t *nginx_ctx(const identity_t *id)
{
  alk_err_t err;
  alk_tls_server_opts_t opts = {.cert = pem_of_certs(id, NULL),
                                .key = pem_of_key(id, NULL),
                                .alpn = "http/1.1",
                                .is_nginx = true};
  alk_tls_ctx_t *ctx = alk_tls_server_ctx(&opts, &err);
  if (ctx == NULL) fail_msg("%s", err.msg);
  free_pem(&opts.cert);
  free_pem(&opts.key);
  return ctx;
}

static void init(pair_t *p, env_t *e)
{
  pair_init(p, e);
  alk_tls_ctx_free(p->server_ctx);
  p->server_ctx = nginx_ctx(&p->id);
}

static void test_export(void **state)
{
  const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
  uint8_t c[32], s[32], other[32];
  for (size_t i = 0; i < 2; i++) {
    pair_t p;
    init(&p, *state);
    SSL_CTX_set_max_proto_version(p.client_ctx->ssl, versions[i]);
    pair_connect(&p, "a.example");
    assert_false(alk_tls_export(p.c.r.s, label, c, sizeof c));
    PAIR_UNTIL(&p, p.c.r.opens == 1 && p.s.r.opens == 1);
    assert_true(alk_tls_export(p.c.r.s, label, c, sizeof c));
    assert_true(alk_tls_export(p.s.r.s, label, s, sizeof s));
    assert_memory_equal(c, s, sizeof c);
    assert_true(alk_tls_export(p.s.r.s, "EXPORTER-other", other, sizeof other));
    assert_memory_not_equal(c, other, sizeof c);
    assert_false(alk_tls_export(p.c.f->s, label, c, sizeof c));
    pair_finish(&p);
    pair_open(&p, "a.example"); /* a ticket makes no second one of it */
    assert_true(alk_tls_export(p.s.r.s, label, other, sizeof other));
    assert_memory_not_equal(s, other, sizeof s);
    pair_free(&p);
  }
}

/* A third could have the same keys with both (the triple handshake). */
static void test_export_needs_extended_master_secret(void **state)
{
  pair_t p;
  uint8_t key[32];
  init(&p, *state);
  SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(p.client_ctx->ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
  pair_open(&p, "a.example");
  assert_false(alk_tls_export(p.c.r.s, label, key, sizeof key));
  assert_false(alk_tls_export(p.s.r.s, label, key, sizeof key));
  pair_free(&p);
}

/* The end of the stream beneath, and nothing before it. */
static void test_hang_up(void **state)
{
  pair_t p;
  init(&p, *state);
  pair_open(&p, "a.example");
  turns(p.e, 3);
  QUIET(&p.c.r, alk_stream_resume(p.c.r.s));
  size_t sent = p.s.f->sent;
  QUIET(&p.s.r, alk_tls_hang_up(p.s.r.s));
  PAIR_UNTIL(&p, p.s.r.closes == 1);
  assert_int_equal(p.s.f->sent, sent);
  assert_true(p.s.f->flushed);
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_int_equal(p.c.r.err.code, ALK_E_LOST);
  pair_free(&p);
}

/* Also in the middle of the handshake. */
static void test_hang_up_early(void **state)
{
  pair_t p;
  init(&p, *state);
  pair_connect(&p, "a.example");
  QUIET(&p.s.r, alk_tls_hang_up(p.s.r.s));
  PAIR_UNTIL(&p, p.s.r.closes == 1 && p.c.r.closes == 1);
  assert_true(p.s.f->flushed);
  assert_int_equal(p.s.f->sent, 0);
  pair_free(&p);
}

/* nginx takes a missing close_notify for an end, and says its own. */
static void test_cut_off_is_an_end(void **state)
{
  pair_t p;
  init(&p, *state);
  pair_open(&p, "a.example");
  QUIET(&p.s.r, alk_stream_resume(p.s.r.s));
  fake_feed_end(p.s.f);
  PAIR_UNTIL(&p, p.s.r.ends == 1);
  QUIET(&p.s.r, alk_stream_end(p.s.r.s));
  PAIR_UNTIL(&p, p.s.r.drains == 1);
  assert_string_equal(p.s.r.log, "oew");
  pair_free(&p);
}

static void test_garbage_is_no_reset(void **state)
{
  pair_t p;
  init(&p, *state);
  pair_connect(&p, "a.example");
  fake_feed(p.s.f, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
  PAIR_UNTIL(&p, p.s.r.closes == 1);
  assert_int_equal(p.s.r.err.code, ALK_E_TLS);
  assert_true(p.s.f->flushed);
  pair_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_export),
    TEST(test_export_needs_extended_master_secret),
    TEST(test_hang_up),
    TEST(test_hang_up_early),
    TEST(test_cut_off_is_an_end),
    TEST(test_garbage_is_no_reset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
