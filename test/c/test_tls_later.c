/* test_tls_later.c - what comes of TLS once it is open: messages in pieces
 * while we write, and records that hide their length. */
#include "tls_pair.h"
#include "tls_raw.h"

enum { PIECE = 512, RECORD_HEAD = 5, PADDED = 16 };

static void say(end_t *from, const char *text)
{
  QUIET(&from->r, alk_stream_write(from->r.s, text, strlen(text)));
}

static void hear(end_t *to)
{
  QUIET(&to->r, alk_stream_resume(to->r.s));
}

/* ---- messages in pieces */

/* A ticket that does not fit into one piece. */
static int fill_ticket(SSL *ssl, void *arg)
{
  static const char much[4 * PIECE];
  (void) arg;
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), much,
                                         sizeof much);
}

static SSL_TICKET_RETURN take_ticket(SSL *ssl, SSL_SESSION *session,
                                     const unsigned char *name, size_t len,
                                     SSL_TICKET_STATUS status, void *arg)
{
  (void) ssl;
  (void) session;
  (void) name;
  (void) len;
  (void) status;
  (void) arg;
  return SSL_TICKET_RETURN_IGNORE;
}

static SSL_CTX *server_in_pieces(const identity_t *id)
{
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(ctx, id->cert);
  SSL_CTX_use_PrivateKey(ctx, id->key);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_max_send_fragment(ctx, PIECE);
  SSL_CTX_set_session_ticket_cb(ctx, fill_ticket, take_ticket, NULL);
  return ctx;
}

/* A client that has heard the first piece of a message; the others wait in
 * raw->out. */
static void begin_message(pair_t *p, raw_t *raw)
{
  uint8_t piece[RECORD_HEAD + PIECE + 64];
  raw_to_client(p, raw, server_in_pieces(&p->id));
  hear(&p->c);
  assert_int_equal(SSL_new_session_ticket(raw->ssl), 1);
  assert_int_equal(SSL_do_handshake(raw->ssl), 1);
  assert_int_equal(BIO_read(raw->out, piece, RECORD_HEAD), RECORD_HEAD);
  int len = piece[3] << 8 | piece[4];
  assert_true(len <= PIECE + 64);
  assert_int_equal(BIO_read(raw->out, piece + RECORD_HEAD, len), len);
  assert_true(BIO_ctrl_pending(raw->out) > PIECE);
  fake_feed(p->c.f, piece, RECORD_HEAD + (size_t) len);
  turns(p->e, 3);
}

static void raw_expect(pair_t *p, raw_t *raw, const char *text)
{
  char buf[100];
  raw_carry(p, raw);
  turns(p->e, 3);
  raw_carry(p, raw);
  int len = SSL_read(raw->ssl, buf, sizeof buf);
  assert_int_equal(len, strlen(text));
  assert_memory_equal(buf, text, strlen(text));
}

/* What is written in the middle of the peer's message leaves behind it. */
static void test_write_between_pieces(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  begin_message(&p, &raw);
  size_t before = p.c.f->sent;
  say(&p.c, "in the ");
  say(&p.c, "middle");
  turns(p.e, 3);
  assert_int_equal(p.c.r.closes, 0);
  assert_int_equal(p.c.f->sent, before);
  raw_expect(&p, &raw, "in the middle");
  assert_int_equal(p.c.r.drains, 0); /* nobody was told to wait */
  say(&p.c, "behind it");
  raw_expect(&p, &raw, "behind it");
  raw_finish(&p, &raw);
}

static void test_end_between_pieces(void **state)
{
  pair_t p;
  raw_t raw;
  char buf[1];
  pair_init(&p, *state);
  begin_message(&p, &raw);
  say(&p.c, "the last words");
  QUIET(&p.c.r, alk_stream_end(p.c.r.s));
  turns(p.e, 3);
  assert_false(p.c.f->ended);
  raw_expect(&p, &raw, "the last words");
  assert_true(p.c.f->flushed);
  assert_int_equal(p.c.r.drains, 1);
  assert_int_equal(SSL_read(raw.ssl, buf, 1), 0);
  assert_int_equal(SSL_get_shutdown(raw.ssl), SSL_RECEIVED_SHUTDOWN);
  raw_finish(&p, &raw);
}

/* Somebody who never finishes a message does not make us hold any number of
 * bytes: write() says so. */
static void test_pressure_between_pieces(void **state)
{
  pair_t p;
  raw_t raw;
  bool more = true;
  char *much = alk_alloc(ALK_HIGH_WATER);
  pair_init(&p, *state);
  begin_message(&p, &raw);
  QUIET(&p.c.r, more = alk_stream_write(p.c.r.s, much, ALK_HIGH_WATER));
  alk_free(much);
  assert_false(more);
  turns(p.e, 3);
  assert_int_equal(p.c.r.drains, 0);
  raw_carry(&p, &raw);
  turns(p.e, 3);
  assert_int_equal(p.c.r.drains, 1);
  raw_finish(&p, &raw);
}

static void test_close_between_pieces(void **state)
{
  pair_t p;
  raw_t raw;
  pair_init(&p, *state);
  begin_message(&p, &raw);
  say(&p.c, "never heard");
  raw_finish(&p, &raw);
}

/* ---- records that hide their length */

/* How long the one record is that from has sent since; *at is behind it
 * afterwards. */
static int next_record(const end_t *from, size_t *at)
{
  const uint8_t *p = alk_buf_head(&from->f->out) + *at;
  assert_true(from->f->sent > *at + RECORD_HEAD);
  assert_int_equal(p[0], SSL3_RT_APPLICATION_DATA);
  int len = p[3] << 8 | p[4];
  *at += RECORD_HEAD + (size_t) len;
  assert_int_equal(*at, from->f->sent);
  return len;
}

/* One byte each, of which the first few say no length, and the others theirs.
 */
static void expect_padded(pair_t *p, end_t *from, bool is_padded)
{
  enum { PLAIN = 1 + 1 + 16 }; /* the byte, its type, the tag */
  size_t at = from->f->sent;
  int least = 1 << 14, most = 0;
  for (int i = 0; i < PADDED + 4; i++) {
    say(from, "x");
    turns(p->e, 2);
    int len = next_record(from, &at);
    if (!is_padded || i >= PADDED) {
      assert_int_equal(len, PLAIN);
      continue;
    }
    if (len < least) least = len;
    if (len > most) most = len;
  }
  if (!is_padded) return;
  assert_true(least >= PLAIN + 64);
  assert_true(most <= PLAIN + 64 + 511);
  assert_true(most > least); /* 1 to 512^15 */
}

static void disguise(pair_t *p)
{
  alk_err_t err;
  alk_tls_client_opts_t opts = {
    .ca = pem_of_certs(&p->ca, NULL), .disguised = true, .alpn = "h2"};
  alk_tls_ctx_free(p->client_ctx);
  p->client_ctx = alk_tls_client_ctx(&opts, &err);
  assert_non_null(p->client_ctx);
  free_pem(&opts.ca);
}

static void test_padding(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  pair_open(&p, "a.example");
  expect_padded(&p, &p.c, false);
  expect_padded(&p, &p.s, false);
  alk_tls_pad(p.s.r.s);
  expect_padded(&p, &p.s, true);
  hear(&p.c);
  PAIR_UNTIL(&p, alk_buf_size(&p.c.r.data) == (size_t) 2 * (PADDED + 4));
  pair_finish(&p);
  disguise(&p);
  pair_open(&p, "a.example");
  expect_padded(&p, &p.c, true);
  expect_padded(&p, &p.s, false);
  alk_tls_pad(p.s.f->s); /* no TLS: nothing */
  pair_free(&p);
}

/* TLS 1.2 has no padding: nothing is different, and nothing breaks. */
static void test_no_padding(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  disguise(&p);
  SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_2_VERSION);
  pair_open(&p, "a.example");
  alk_tls_pad(p.s.r.s);
  hear(&p.c);
  hear(&p.s);
  say(&p.c, "as long as it is");
  say(&p.s, "it too");
  PAIR_UNTIL(&p, alk_buf_size(&p.s.r.data) == 16);
  PAIR_UNTIL(&p, alk_buf_size(&p.c.r.data) == 6);
  pair_free(&p);
}

/* ---- what is offered and not taken */

static void try_cipher(pair_t *p, const char *cipher, const char *refusal)
{
  SSL_CTX_set_max_proto_version(p->server_ctx->ssl, TLS1_2_VERSION);
  assert_int_equal(SSL_CTX_set_cipher_list(p->server_ctx->ssl, cipher), 1);
  pair_connect(p, "a.example");
  PAIR_UNTIL(p, p->c.r.opens + p->c.r.closes == 1 &&
                  p->s.r.opens + p->s.r.closes > 0);
  assert_int_equal(p->c.r.closes, refusal == NULL ? 0 : 1);
  if (refusal != NULL) {
    assert_int_equal(p->c.r.err.code, ALK_E_TLS);
    if (strstr(p->c.r.err.msg, refusal) == NULL) fail_msg("%s", p->c.r.err.msg);
  }
  pair_finish(p);
}

static void test_offered_for_the_looks(void **state)
{
  pair_t p;
  pair_init(&p, *state);
  try_cipher(&p, "ECDHE-ECDSA-AES128-SHA256", "alert");
  disguise(&p);
  try_cipher(&p, "ECDHE-ECDSA-AES128-SHA256",
             "the server has chosen ECDHE-ECDSA-AES128-SHA256, which is "
             "offered for the looks only");
  try_cipher(&p, "ECDHE-ECDSA-AES256-GCM-SHA384", NULL);
  try_cipher(&p, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL);
  pair_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_write_between_pieces),
    TEST(test_end_between_pieces),
    TEST(test_pressure_between_pieces),
    TEST(test_close_between_pieces),
    TEST(test_padding),
    TEST(test_no_padding),
    TEST(test_offered_for_the_looks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
