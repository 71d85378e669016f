/* test_tls_bad.c - TLS with peers, certificates and streams that are wrong:
 * each gets its words, an alert where one is due, and nothing is left over. */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ui.h>

#include "tls_pair.h"
#include "tls_raw.h"

static void say(end_t *from, const char *text)
{
  QUIET(&from->r, alk_stream_write(from->r.s, text, strlen(text)));
}

static void hear(end_t *to)
{
  QUIET(&to->r, alk_stream_resume(to->r.s));
}

static void assert_failed(const rec_t *r, alk_code_t code, const char *words)
{
  assert_int_equal(r->closes, 1);
  assert_true(r->failed);
  if (r->err.code != code || strstr(r->err.msg, words) == NULL)
    fail_msg("not %s: %s: %s", words, alk_code_name(r->err.code), r->err.msg);
}

static void both_close(pair_t *p)
{
  PAIR_UNTIL(p, p->c.r.closes == 1 && p->s.r.closes == 1);
}

/* ---- who the server is */

static void refuse(pair_t *p, const char *name, const char *why,
                   const char *alert)
{
  pair_connect(p, name);
  both_close(p);
  assert_failed(&p->c.r, ALK_E_TLS, why);
  assert_failed(&p->s.r, ALK_E_TLS, alert);
  assert_string_equal(p->c.r.log, "c");
  pair_finish(p);
}

static void accept_name(pair_t *p, const char *name)
{
  pair_open(p, name);
  pair_finish(p);
}

static void test_names(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  accept_name(&p, "a.example");
  accept_name(&p, "A.EXAMPLE.");
  accept_name(&p, "any.b.example");
  accept_name(&p, "192.0.2.1");
  accept_name(&p, "::1");
  accept_name(&p, "0:0::1%lo");
  const char *bad = "bad certificate (alert 42)";
  refuse(&p, "b.example", "hostname mismatch", bad);
  refuse(&p, "x.y.b.example", "hostname mismatch", bad);
  refuse(&p, "192.0.2.2", "IP address mismatch", bad);
  refuse(&p, "::2", "IP address mismatch", bad);
  pair_free(&p);
}

static void test_names_that_are_none(void **state)
{
  pair_t p;
  char longest[ALK_TLS_NAME_MAX + 100];
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  const char *names[] = {"", ".", longest, NULL};
  pair_init(&p, *state);
  for (size_t i = 0; i < 4; i++) {
    pair_connect(&p, names[i]);
    both_close(&p);
    assert_failed(&p.c.r, ALK_E_TLS, "TLS");
    assert_int_equal(alk_buf_size(&p.c.f->out), 0);
    pair_finish(&p);
  }
  pair_free(&p);
}

static void test_whom_nobody_trusts(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  identity_t other = make_identity(NULL, &(wanted_t){.from = -1, .to = 1});
  alk_tls_ctx_free(p.client_ctx);
  p.client_ctx = new_client_ctx(&other, NULL);
  refuse(&p, "a.example", "unable to get local issuer certificate",
         "unknown CA (alert 48)");
  free_identity(&other);
  identity_t own =
    make_identity(NULL, &(wanted_t){"DNS:a.example", .from = -1, .to = 1});
  alk_tls_ctx_free(p.server_ctx);
  p.server_ctx = new_server_ctx(&own, NULL);
  refuse(&p, "a.example", "self-signed certificate", "unknown CA (alert 48)");
  /* It is its own CA for whoever names it as trusted. */
  alk_tls_ctx_free(p.client_ctx);
  p.client_ctx = new_client_ctx(&own, NULL);
  accept_name(&p, "a.example");
  free_identity(&own);
  pair_free(&p);
}

/* A certificate that somebody else has signed may be trusted by itself. */
static void test_trust_without_a_root(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  alk_tls_ctx_free(p.client_ctx);
  p.client_ctx = new_client_ctx(&p.id, NULL);
  accept_name(&p, "a.example");
  refuse(&p, "c.example", "hostname mismatch", "alert");
  pair_free(&p);
}

static void test_expired(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  X509_VERIFY_PARAM *when = SSL_CTX_get0_param(p.client_ctx->ssl);
  X509_VERIFY_PARAM_set_time(when, time(NULL) + 40L * DAY);
  refuse(&p, "a.example", "certificate has expired",
         "certificate expired (alert 45)");
  X509_VERIFY_PARAM_set_time(when, time(NULL) - 40L * DAY);
  refuse(&p, "a.example", "not yet valid", "alert");
  pair_free(&p);
}

static void test_insecure(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  alk_tls_ctx_free(p.client_ctx);
  p.client_ctx = new_client_ctx(NULL, NULL);
  accept_name(&p, "someone.else");
  accept_name(&p, NULL);
  pair_free(&p);
}

static void test_no_protocol(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  alk_tls_ctx_free(p.client_ctx);
  alk_tls_ctx_free(p.server_ctx);
  p.client_ctx = new_client_ctx(&p.ca, "h2");
  p.server_ctx = new_server_ctx(&p.id, "http/1.1");
  pair_connect(&p, "a.example");
  both_close(&p);
  assert_failed(&p.c.r, ALK_E_TLS, "no application protocol (alert 120)");
  assert_failed(&p.s.r, ALK_E_TLS, "no application protocol");
  pair_free(&p);
}

static void test_old_version(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  SSL_CTX_set_security_level(p.client_ctx->ssl, 0);
  SSL_CTX_set_min_proto_version(p.client_ctx->ssl, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(p.client_ctx->ssl, "ALL:@SECLEVEL=0");
  pair_connect(&p, "a.example");
  both_close(&p);
  assert_failed(&p.c.r, ALK_E_TLS, "protocol version (alert 70)");
  assert_failed(&p.s.r, ALK_E_TLS, "older than TLS 1.2");
  pair_free(&p);
}

/* ---- contexts */

static void expect_no_server(alk_pem_t cert, alk_pem_t key,
                             const char *passphrase, alk_code_t code,
                             const char *why)
{
  alk_err_t err = {0};
  alk_tls_server_opts_t opts = {
    .cert = cert, .key = key, .passphrase = passphrase};
  alk_tls_ctx_t *ctx = alk_tls_server_ctx(&opts, &err);
  assert_null(ctx);
  if (err.code != code || strstr(err.msg, why) == NULL)
    fail_msg("not %s: %s", why, err.msg);
}

static void test_server_contexts(void **state)
{
  (void) state;
  alk_err_t err;
  alk_pem_t junk = {"nothing of that kind", 20}, none = {0};
  alk_pem_t torn = {"-----BEGIN CERTIFICATE-----\nAAAA\n", 33};
  alk_pem_t der = {"\x30\x82\x01\x00", 4};
  wanted_t w = {"DNS:a.example", -1, 1};
  identity_t id = make_identity(NULL, &w), other = make_identity(NULL, &w);
  alk_pem_t cert = pem_of_certs(&id, &other), key = pem_of_key(&id, NULL);
  alk_pem_t not_its = pem_of_key(&other, NULL);
  alk_pem_t secret = pem_of_key(&id, "open sesame");
  expect_no_server(none, key, NULL, ALK_E_TLS, "no certificate");
  expect_no_server(junk, key, NULL, ALK_E_TLS, "no certificate");
  expect_no_server(key, key, NULL, ALK_E_TLS, "no certificate");
  expect_no_server(torn, key, NULL, ALK_E_TLS, "cannot be read: it is cut");
  expect_no_server(der, key, NULL, ALK_E_TLS, "it is DER (openssl x509");
  expect_no_server(cert, der, NULL, ALK_E_KEY, "it is DER (openssl pkey");
  expect_no_server(cert, none, NULL, ALK_E_KEY, "no private key");
  expect_no_server(cert, junk, NULL, ALK_E_KEY, "no private key");
  expect_no_server(cert, cert, NULL, ALK_E_KEY, "no private key");
  expect_no_server(cert, not_its, NULL, ALK_E_KEY, "not the certificate's");
  expect_no_server(cert, secret, NULL, ALK_E_KEY, "needs its passphrase");
  expect_no_server(cert, secret, "wrong", ALK_E_KEY, "passphrase is wrong");
  char *longest = alk_alloc(5000);
  memset(longest, 'x', 4999);
  expect_no_server(cert, secret, longest, ALK_E_KEY, "passphrase");
  alk_free(longest);
  alk_tls_server_opts_t opts = {
    .cert = cert, .key = secret, .passphrase = "open sesame", .alpn = "h2"};
  alk_tls_ctx_t *ctx = alk_tls_server_ctx(&opts, &err);
  assert_non_null(ctx);
  alk_tls_ctx_free(ctx);
  opts.alpn = "h2,,http/1.1";
  assert_null(alk_tls_server_ctx(&opts, &err));
  assert_int_equal(err.code, ALK_E_OPTION);
  assert_int_equal(ERR_peek_error(), 0); /* nothing is left for others */
  free_identity(&id);
  free_identity(&other);
  alk_pem_t *all[] = {&cert, &key, &not_its, &secret};
  for (int i = 0; i < 4; i++)
    free_pem(all[i]);
}

static void test_dates(void **state)
{
  (void) state;
  const struct {
    int from, to;
    const char *why;
  } bad[] = {{-3, -1, "has expired"}, {1, 3, "not valid yet"}};
  for (int i = 0; i < 2; i++) {
    identity_t id =
      make_identity(NULL, &(wanted_t){"DNS:a.example", bad[i].from, bad[i].to});
    alk_pem_t cert = pem_of_certs(&id, NULL), key = pem_of_key(&id, NULL);
    expect_no_server(cert, key, NULL, ALK_E_TLS, bad[i].why);
    free_identity(&id);
    free_pem(&cert);
    free_pem(&key);
  }
}

static void expect_no_client(alk_pem_t ca, const char *alpn, const char *why)
{
  alk_err_t err = {0};
  alk_tls_client_opts_t opts = {.ca = ca, .alpn = alpn};
  assert_null(alk_tls_client_ctx(&opts, &err));
  if (strstr(err.msg, why) == NULL) fail_msg("not %s: %s", why, err.msg);
}

static void test_client_contexts(void **state)
{
  (void) state;
  char *p;
  identity_t ca = make_identity(NULL, &(wanted_t){.from = -1, .to = 1});
  alk_pem_t good = pem_of_certs(&ca, &ca);
  alk_pem_t torn = {p = alk_memdup(good.p, good.len), good.len};
  memset(p + good.len - 80, '!', 30); /* in the second one */
  expect_no_client((alk_pem_t){0}, NULL, "no certificate");
  expect_no_client((alk_pem_t){"nothing", 7}, NULL, "no certificate");
  expect_no_client(torn, NULL, "certificate to trust");
  expect_no_client(good, "", "1 to 255 bytes");
  alk_err_t err;
  alk_tls_ctx_t *ctx =
    alk_tls_client_ctx(&(alk_tls_client_opts_t){.ca = good}, &err);
  assert_non_null(ctx); /* the same one twice does no harm */
  alk_tls_ctx_free(ctx);
  free_identity(&ca);
  free_pem(&good);
  free_pem(&torn);
}

static bool was_asked;

static int note_question(UI *ui)
{
  (void) ui;
  was_asked = true;
  return 0;
}

/* Nobody is asked for the passphrase of a certificate: a server has no
 * terminal, and a library should not take one. */
static void test_locked_certificates(void **state)
{
  (void) state;
  const char *text =
    "-----BEGIN CERTIFICATE-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    "-----END CERTIFICATE-----\n";
  alk_pem_t locked = {text, strlen(text)}, both = {0};
  identity_t id = make_identity(NULL, &(wanted_t){"DNS:a.example", -1, 1});
  alk_pem_t cert = pem_of_certs(&id, NULL), key = pem_of_key(&id, NULL);
  UI_METHOD *nobody = UI_create_method("nobody");
  UI_method_set_opener(nobody, note_question);
  UI_set_default_method(nobody);
  expect_no_client(locked, NULL, "a certificate to trust");
  expect_no_server(locked, key, NULL, ALK_E_TLS, "cannot be read: it is encr");
  char *p = alk_alloc(cert.len + locked.len); /* behind the server's own */
  memcpy(p, cert.p, cert.len);
  memcpy(p + cert.len, locked.p, locked.len);
  both = (alk_pem_t){p, cert.len + locked.len};
  expect_no_server(both, key, NULL, ALK_E_TLS, "cannot be read");
  assert_false(was_asked);
  UI_set_default_method(UI_OpenSSL());
  UI_destroy_method(nobody);
  free_identity(&id);
  alk_pem_t *all[] = {&cert, &key, &both};
  for (int i = 0; i < 3; i++)
    free_pem(all[i]);
}

/* ---- what comes */

static void test_not_tls(void **state)
{
  const struct {
    const char *text, *why;
  } said[] = {
    {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "speaks HTTP"},
    {"CONNECT a.example:443 HTTP/1.1\r\n\r\n", "HTTP proxy"},
    {"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "does not speak TLS"},
    {"\x16\x03\x01\xff\xff a record of 65535 bytes", "does not speak TLS"},
  };
  pair_t p;
  pair_init(&p, *state);
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    pair_connect(&p, "a.example");
    fake_feed_bytes(p.s.f, said[i].text, strlen(said[i].text));
    RUN_UNTIL(p.e, p.s.r.closes == 1);
    assert_failed(&p.s.r, ALK_E_TLS, said[i].why);
    pair_finish(&p);
  }
  pair_connect(&p, "a.example");
  fake_feed(p.c.f, "SSH-2.0-OpenSSH_9.2p1\r\n", 23);
  RUN_UNTIL(p.e, p.c.r.closes == 1);
  assert_failed(&p.c.r, ALK_E_TLS, "does not speak TLS");
  pair_free(&p);
}

static void test_noise(void **state)
{
  uint8_t noise[2000];
  pair_t p;
  pair_init(&p, *state);
  for (int i = 0; i < 50; i++) {
    assert_int_equal(RAND_bytes(noise, sizeof noise), 1);
    /* That would be the length and the type of a hello of SSL 2, of which more
     * may come. */
    if (noise[2] == 1) noise[2] = 2;
    if (i % 2 == 0) memcpy(noise, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc", 9);
    pair_connect(&p, "a.example");
    fake_feed(i % 4 < 2 ? p.s.f : p.c.f, noise, sizeof noise);
    end_t *hit = i % 4 < 2 ? &p.s : &p.c;
    RUN_UNTIL(p.e, hit->r.closes == 1);
    assert_failed(&hit->r, ALK_E_TLS, "TLS handshake");
    pair_finish(&p);
  }
  pair_free(&p);
}

/* Each byte of a connection in turn is changed: it ends, and nothing that was
 * changed is heard. */
static void change_byte(pair_t *p, end_t *from, end_t *to, size_t at)
{
  pair_connect(p, "a.example");
  hear(&p->c);
  hear(&p->s);
  say(&p->c, "to the server");
  say(&p->s, "to the client");
  for (int n = 0; n < 30; n++) {
    size_t len = from->f->sent;
    if (from->moved <= at && at < len) {
      uint8_t *copy = alk_memdup(alk_buf_head(&from->f->out), len);
      copy[at] ^= 0x55;
      fake_feed(to->f, copy + from->moved, len - from->moved);
      alk_free(copy);
      from->moved = len;
    }
    pair_turn(p);
  }
  size_t heard = alk_buf_size(&to->r.data);
  assert_true(heard == 0 || (heard == 13 && !to->r.failed) ||
              (heard == 13 && to->r.failed));
  if (heard > 0) assert_memory_equal(alk_buf_head(&to->r.data), "to the ", 7);
  pair_finish(p);
}

static void test_changed_bytes(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  const bool few = getenv("FAULTS") != NULL;
  for (size_t at = 0; at < 1200; at += few ? 97 : 7) {
    change_byte(&p, &p.c, &p.s, at);
    change_byte(&p, &p.s, &p.c, at);
  }
  pair_free(&p);
}

/* ---- ends that come too early */

static void test_cut_off(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  hear(&p.s);
  say(&p.c, "half of a sen");
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == 13);
  fake_feed_end(p.s.f);
  PAIR_UNTIL(&p, p.s.r.closes == 1);
  assert_failed(&p.s.r, ALK_E_LOST, "without a close_notify");
  assert_string_equal(p.s.r.log, "odc"); /* no end */
  pair_free(&p);
}

/* Law 5 holds for it too. */
static void test_cut_off_while_paused(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  say(&p.c, "half of a sen");
  turns(p.e, 2);
  carry(&p, &p.c, &p.s);
  fake_feed_end(p.s.f);
  turns(p.e, 20);
  assert_string_equal(p.s.r.log, "o");
  hear(&p.s);
  RUN_UNTIL(p.e, p.s.r.closes == 1);
  assert_heard(&p.s.r, "half of a sen");
  assert_failed(&p.s.r, ALK_E_LOST, "without a close_notify");
  pair_free(&p);
}

/* After every byte of what each side says. */
static void cut_handshake(pair_t *p, end_t *from, end_t *to, size_t len)
{
  pair_connect(p, "a.example");
  for (int n = 0; n < 30 && from->moved < len; n++) {
    size_t left = len - from->moved, there = from->f->sent - from->moved;
    size_t now = there < left ? there : left;
    fake_feed(to->f, alk_buf_head(&from->f->out) + from->moved, now);
    from->moved += now;
    if (from->moved < len) carry(p, to, from);
    turns(p->e, 1);
  }
  if (to->r.closes == 0) fake_feed_end(to->f);
  RUN_UNTIL(p->e, to->r.closes == 1 || to->r.opens == 1);
  if (to->r.opens == 0)
    assert_failed(&to->r, ALK_E_LOST, "during the TLS handshake");
  pair_finish(p);
}

static void test_cut_handshakes(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  const bool few = getenv("FAULTS") != NULL;
  for (size_t len = 0; len < 900; len += few ? 61 : 9) {
    cut_handshake(&p, &p.c, &p.s, len);
    cut_handshake(&p, &p.s, &p.c, len);
  }
  pair_free(&p);
}

static void test_reset(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  fake_fail(p.c.f, UV_ECONNRESET); /* heard also by who does not read */
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_failed(&p.c.r, ALK_E_SYS, "connection reset");
  pair_finish(&p);
  pair_connect(&p, "a.example");
  p.c.f->write_error = UV_EPIPE; /* its first word fails */
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_failed(&p.c.r, ALK_E_SYS, "write");
  pair_finish(&p);
  pair_open(&p, "a.example");
  p.c.f->write_error = UV_EPIPE;
  say(&p.c, "x");
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_failed(&p.c.r, ALK_E_SYS, "write");
  pair_free(&p);
}

/* close() without end() is no end for the peer. */
static void test_close_is_no_end(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  hear(&p.s);
  say(&p.c, "x");
  turns(p.e, 2);
  QUIET(&p.c.r, alk_stream_close(p.c.r.s));
  both_close(&p);
  assert_false(p.c.r.failed);
  assert_false(p.c.f->ended);
  assert_failed(&p.s.r, ALK_E_SYS, "reset");
  pair_free(&p);
}

/* ---- alerts */

static void fail_client(pair_t *p)
{
  pair_connect(p, "wrong.example");
  p->c.f->full = true; /* nothing of it leaves */
  for (int i = 0; i < 20 && !alk_stream_is(p->c.r.s, ALK_S_CLOSING); i++) {
    /* But what it has said is carried by hand. */
    p->c.f->sent = alk_buf_size(&p->c.f->out);
    pair_turn(p);
  }
  assert_true(alk_stream_is(p->c.r.s, ALK_S_CLOSING));
  assert_true(p->c.f->ended);
  assert_false(p->c.f->closed);
}

/* An alert has a while to leave, and then no more. */
static void test_farewell(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  fail_client(&p);
  fake_drain(p.c.f);
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_true(p.c.f->flushed);
  assert_failed(&p.c.r, ALK_E_TLS, "hostname mismatch");
  PAIR_UNTIL(&p, p.s.r.closes == 1);
  assert_failed(&p.s.r, ALK_E_TLS, "bad certificate");
  pair_finish(&p);
  fail_client(&p);
  SPIN_UNTIL(p.e, p.c.r.closes == 1);
  assert_false(p.c.f->flushed);
  assert_failed(&p.c.r, ALK_E_TLS, "hostname mismatch");
  pair_finish(&p);
  fail_client(&p);
  fake_fail(p.c.f, UV_ECONNRESET); /* the story stays the first one */
  PAIR_UNTIL(&p, p.c.r.closes == 1);
  assert_failed(&p.c.r, ALK_E_TLS, "hostname mismatch");
  pair_free(&p);
}

static void test_farewell_and_the_loop(void **state)
{
  (void) state;
  env_t *own = env_new();
  pair_t p;
  pair_init(&p, own);
  fail_client(&p);
  env_close(own);
  pair_free(&p);
  env_free(own);
}

/* ---- a peer of OpenSSL's own, that does what ours would not */

static void raw_open(pair_t *p, raw_t *raw, int version)
{
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(ctx, version);
  raw_to_server(p, raw, ctx);
}

/* Who asks for answers without end and reads none. */
static void test_answers_are_bounded(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  raw_open(&p, &raw, TLS1_3_VERSION);
  hear(&p.s);
  p.s.f->full = true;
  int asked = 0;
  while (p.s.r.closes == 0 && asked < 100 * 1000) {
    assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(raw.ssl, "x", 1), 1);
    raw_carry(&p, &raw);
    asked++;
  }
  assert_failed(&p.s.r, ALK_E_LIMIT, "asks much and reads nothing");
  assert_true(alk_buf_size(&p.s.f->out) < 256 * 1024);
  raw_finish(&p, &raw);
}

/* New keys again and again, and nothing that was sealed with them: however many
 * come at once, few are made. */
static void test_talk_is_bounded(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  raw_open(&p, &raw, TLS1_3_VERSION);
  hear(&p.s);
  size_t before = p.s.f->sent;
  for (int i = 0; i < 5000; i++) {
    assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(raw.ssl), 1);
  }
  for (int i = 0; i < 10 && p.s.r.closes == 0; i++)
    raw_carry(&p, &raw);
  assert_failed(&p.s.r, ALK_E_LIMIT, "handshake messages and nothing else");
  assert_true(p.s.f->sent - before < 8 * 1024);
  raw_finish(&p, &raw);
}

/* One that reads them may ask. */
static void test_key_updates(void **state)
{
  pair_t p;
  raw_t raw;
  char buf[16];
  pair_init(&p, *state);
  raw_open(&p, &raw, TLS1_3_VERSION);
  hear(&p.s);
  for (int i = 0; i < 3000; i++) {
    assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(raw.ssl, "x", 1), 1);
    raw_carry(&p, &raw);
    (void) SSL_read(raw.ssl, buf, sizeof buf);
  }
  for (int i = 0; i < 10; i++)
    raw_carry(&p, &raw);
  assert_int_equal(alk_buf_size(&p.s.r.data), 3000);
  raw_finish(&p, &raw);
}

static void test_no_renegotiation(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  raw_open(&p, &raw, TLS1_2_VERSION);
  hear(&p.s);
  assert_int_equal(SSL_renegotiate(raw.ssl), 1);
  for (int i = 0; i < 10 && p.s.r.closes == 0; i++) {
    (void) SSL_do_handshake(raw.ssl);
    raw_carry(&p, &raw);
  }
  assert_int_equal(SSL_num_renegotiations(raw.ssl), 1); /* asked for */
  assert_false(SSL_is_init_finished(raw.ssl));          /* and not got */
  raw_finish(&p, &raw);
}

/* The peer that has said close_notify may close at once. */
static void test_peer_closes_after_its_end(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  raw_open(&p, &raw, TLS1_3_VERSION);
  hear(&p.s);
  SSL_shutdown(raw.ssl);
  raw_carry(&p, &raw);
  fake_feed_end(p.s.f);
  RUN_UNTIL(p.e, p.s.r.ends == 1);
  turns(p.e, 5);
  assert_int_equal(p.s.r.closes, 0);
  QUIET(&p.s.r, alk_stream_end(p.s.r.s));
  RUN_UNTIL(p.e, p.s.r.drains == 1);
  QUIET(&p.s.r, alk_stream_close(p.s.r.s));
  RUN_UNTIL(p.e, p.s.r.closes == 1);
  assert_false(p.s.r.failed);
  raw_finish(&p, &raw);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_names),
    TEST(test_names_that_are_none),
    TEST(test_whom_nobody_trusts),
    TEST(test_trust_without_a_root),
    TEST(test_expired),
    TEST(test_insecure),
    TEST(test_no_protocol),
    TEST(test_old_version),
    TEST(test_server_contexts),
    TEST(test_dates),
    TEST(test_client_contexts),
    TEST(test_locked_certificates),
    TEST(test_not_tls),
    TEST(test_noise),
    TEST(test_changed_bytes),
    TEST(test_cut_off),
    TEST(test_cut_off_while_paused),
    TEST(test_cut_handshakes),
    TEST(test_reset),
    TEST(test_close_is_no_end),
    TEST(test_farewell),
    TEST(test_farewell_and_the_loop),
    TEST(test_answers_are_bounded),
    TEST(test_talk_is_bounded),
    TEST(test_key_updates),
    TEST(test_no_renegotiation),
    TEST(test_peer_closes_after_its_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
