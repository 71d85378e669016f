/* test_tls_acme.c - what a server shows to who looks whether a name is its own,
 * and to everybody else meanwhile.
 *
 * The proof's certificate is another CA's: which one was shown, a client tells
 * by the CA that it trusts. */
#include <openssl/err.h>

#include "tls_pair.h"

typedef struct {
  pair_t p;
  identity_t proof_ca;
  alk_tls_ctx_t *proof;
} acme_t;

static void free_all(acme_t *a)
{
  if (a->p.c.f != NULL) pair_finish(&a->p);
  alk_tls_ctx_free(a->proof);
  free_identity(&a->proof_ca);
  pair_free(&a->p);
}

/* A server that can prove names, and proves none yet. */
static void init(acme_t *a, env_t *e, const char *names)
{
  *a = (acme_t){0};
  pair_init(&a->p, e);
  a->proof_ca = make_identity(NULL, &(wanted_t){.from = -1, .to = 1});
  identity_t id = make_identity(
    &a->proof_ca, &(wanted_t){.names = names, .from = -1, .to = 1});
  a->proof = new_server_ctx(&id, ALK_TLS_ACME);
  free_identity(&id);
}

static void use_bare(acme_t *a)
{
  alk_err_t err;
  alk_tls_ctx_free(a->p.server_ctx);
  a->p.server_ctx =
    alk_tls_server_ctx(&(alk_tls_server_opts_t){.is_bare = true}, &err);
  assert_non_null(a->p.server_ctx);
}

/* Who trusts ca, and offers alpn. */
static void use_client(acme_t *a, const identity_t *ca, const char *alpn)
{
  alk_tls_ctx_free(a->p.client_ctx);
  a->p.client_ctx = new_client_ctx(ca, alpn);
}

static void assert_opens(acme_t *a, const char *name, const char *alpn)
{
  alk_tls_info_t info;
  pair_open(&a->p, name);
  assert_true(alk_tls_info(a->p.s.r.s, &info));
  assert_string_equal(info.alpn, alpn);
  pair_finish(&a->p);
}

static void assert_refused(acme_t *a, const char *name, const char *client,
                           const char *server)
{
  pair_t *p = &a->p;
  pair_connect(p, name);
  PAIR_UNTIL(p, p->c.r.closes == 1 && p->s.r.closes == 1);
  if (strstr(p->c.r.err.msg, client) == NULL) fail_msg("%s", p->c.r.err.msg);
  if (strstr(p->s.r.err.msg, server) == NULL) fail_msg("%s", p->s.r.err.msg);
  pair_finish(p);
}

static void test_proof(void **state)
{
  const size_t steps[] = {0, 1, 7};
  for (size_t i = 0; i < 3; i++) {
    acme_t a;
    init(&a, *state, "DNS:a.example");
    a.p.step = steps[i];
    alk_tls_prove(a.p.server_ctx, "a.example", a.proof);
    use_client(&a, &a.proof_ca, ALK_TLS_ACME);
    assert_opens(&a, "a.example", ALK_TLS_ACME);
    assert_opens(&a, "A.Example", ALK_TLS_ACME);
    free_all(&a);
  }
}

static void test_everybody_else(void **state)
{
  acme_t a;
  init(&a, *state, "DNS:a.example");
  alk_tls_prove(a.p.server_ctx, "a.example", a.proof);
  const char *others[] = {NULL, "http/1.1", "acme-tls/1,http/1.1",
                          "http/1.1,acme-tls/1", "acme-tls/2"};
  for (size_t i = 0; i < 5; i++) {
    use_client(&a, &a.p.ca, others[i]);
    assert_opens(&a, "a.example", "");
  }
  use_client(&a, &a.p.ca, ALK_TLS_ACME);
  assert_opens(&a, "any.b.example", ""); /* another name */
  assert_opens(&a, "192.0.2.1", "");     /* none */
  alk_tls_prove(a.p.server_ctx, "a.exampl", a.proof);
  alk_tls_prove(a.p.server_ctx, "a.example.x", a.proof);
  alk_tls_prove(a.p.server_ctx, "a.example", NULL);
  assert_opens(&a, "a.example", ""); /* no longer, nor for its neighbours */
  free_all(&a);
}

/* Of several the right one, and the newest of a name. */
static void test_several(void **state)
{
  acme_t a;
  init(&a, *state, "DNS:a.example,DNS:1.2.0.192.in-addr.arpa");
  alk_tls_prove(a.p.server_ctx, "1.2.0.192.in-addr.arpa", a.proof);
  alk_tls_prove(a.p.server_ctx, "a.example", a.p.server_ctx);
  alk_tls_prove(a.p.server_ctx, "A.EXAMPLE", a.proof);
  use_client(&a, &a.proof_ca, ALK_TLS_ACME);
  assert_opens(&a, "a.example", ALK_TLS_ACME);
  assert_opens(&a, "1.2.0.192.in-addr.arpa", ALK_TLS_ACME);
  alk_tls_prove(a.p.server_ctx, "a.example", NULL);
  assert_opens(&a, "1.2.0.192.in-addr.arpa", ALK_TLS_ACME);
  assert_refused(&a, "a.example", "unable to get local issuer certificate",
                 "unknown CA");
  free_all(&a);
}

static void test_bare(void **state)
{
  const char *client = "unrecognized name (alert 112)";
  const char *server = "there is no certificate yet to show";
  acme_t a;
  init(&a, *state, "DNS:a.example");
  use_bare(&a);
  assert_refused(&a, "a.example", client, server);
  use_client(&a, &a.proof_ca, ALK_TLS_ACME);
  assert_refused(&a, "a.example", client, server);
  alk_tls_prove(a.p.server_ctx, "a.example", a.proof);
  assert_opens(&a, "a.example", ALK_TLS_ACME);
  assert_refused(&a, "b.example", client, server);
  use_client(&a, &a.p.ca, NULL);
  assert_refused(&a, "a.example", client, server);
  free_all(&a);
}

/* A second ClientHello, of a client that guessed another group, comes when the
 * proof, and both contexts, are gone. */
static void test_over_in_between(void **state)
{
  for (int n = 0; n < 12; n++) {
    acme_t a;
    init(&a, *state, "DNS:a.example");
    alk_tls_prove(a.p.server_ctx, "a.example", a.proof);
    use_client(&a, &a.proof_ca, ALK_TLS_ACME);
    assert_int_equal(
      SSL_CTX_set1_groups_list(a.p.client_ctx->ssl, "X25519:P-256"), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(a.p.server_ctx->ssl, "P-256"), 1);
    pair_connect(&a.p, "a.example");
    for (int i = 0; i < n; i++)
      pair_turn(&a.p);
    alk_tls_prove(a.p.server_ctx, "a.example", NULL);
    alk_tls_ctx_free(a.proof);
    alk_tls_ctx_free(a.p.server_ctx);
    a.proof = a.p.server_ctx = NULL;
    PAIR_UNTIL(&a.p, a.p.c.r.opens + a.p.c.r.closes == 1);
    if (n > 4) assert_int_equal(a.p.c.r.opens, 1);
    free_all(&a);
  }
}

/* A proof does not mind the dates of its certificate, a server does. */
static void test_dates(void **state)
{
  (void) state;
  const char *alpn[] = {ALK_TLS_ACME, "acme-tls/1,h2", NULL};
  identity_t id =
    make_identity(NULL, &(wanted_t){"DNS:a.example", .from = -2, .to = -1});
  for (size_t i = 0; i < 3; i++) {
    alk_err_t err;
    alk_tls_server_opts_t opts = {.cert = pem_of_certs(&id, NULL),
                                  .key = pem_of_key(&id, NULL),
                                  .alpn = alpn[i]};
    alk_tls_ctx_t *ctx = alk_tls_server_ctx(&opts, &err);
    assert_true((ctx != NULL) == (i == 0));
    if (i > 0) assert_string_equal(err.msg, "the certificate has expired");
    alk_tls_ctx_free(ctx);
    free_pem(&opts.cert);
    free_pem(&opts.key);
  }
  free_identity(&id);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_proof), TEST(test_everybody_else),  TEST(test_several),
    TEST(test_bare),  TEST(test_over_in_between), TEST(test_dates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
