/* test_tls_faults.c - each call of OpenSSL that can fail does, in turn: what
 * was asked for fails then, with words, and nothing is left over. */
#include <openssl/err.h>

#include "tls_pair.h"

static const char *failing; /* the function that fails ... */
static int left;            /* ... after so many calls that do not */
static bool hit;

static bool fails(const char *name)
{
  if (failing == NULL || strcmp(failing, name) != 0 || left-- != 0)
    return false;
  hit = true;
  ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR); /* as OpenSSL does */
  return true;
}

#define FAULT(ret, name, params, args, failure)           \
  ret __real_##name params;                               \
  ret __wrap_##name params;                               \
  ret __wrap_##name params                                \
  {                                                       \
    return fails(#name) ? (failure) : __real_##name args; \
  }

/* Names that only the linker knows. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

FAULT(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *m), (m), NULL)
FAULT(int, SSL_CTX_set_ciphersuites, (SSL_CTX * c, const char *s), (c, s), 0)
FAULT(int, SSL_CTX_set_cipher_list, (SSL_CTX * c, const char *s), (c, s), 0)
FAULT(int, SSL_CTX_set_alpn_protos,
      (SSL_CTX * c, const unsigned char *p, unsigned n), (c, p, n), 1)
FAULT(int, SSL_CTX_set_session_id_context,
      (SSL_CTX * c, const unsigned char *p, unsigned n), (c, p, n), 0)
FAULT(int, SSL_CTX_use_certificate, (SSL_CTX * c, X509 *x), (c, x), 0)
FAULT(int, SSL_CTX_use_PrivateKey, (SSL_CTX * c, EVP_PKEY *k), (c, k), 0)
FAULT(int, X509_check_private_key, (const X509 *x, const EVP_PKEY *k), (x, k),
      0)
FAULT(int, X509_STORE_add_cert, (X509_STORE * s, X509 *x), (s, x), 0)
FAULT(int, X509_STORE_set_flags, (X509_STORE * s, unsigned long f), (s, f), 0)
FAULT(BIO *, BIO_new_mem_buf, (const void *p, int n), (p, n), NULL)
FAULT(BIO *, BIO_new, (const BIO_METHOD *m), (m), NULL)
FAULT(SSL *, SSL_new, (SSL_CTX * c), (c), NULL)
FAULT(int, SSL_set_ex_data, (SSL * s, int i, void *p), (s, i, p), 0)
FAULT(int, SSL_set_record_padding_callback,
      (SSL * s, size_t (*f)(SSL *, int, size_t, void *)), (s, f), 0)
FAULT(int, X509_VERIFY_PARAM_set1_host,
      (X509_VERIFY_PARAM * p, const char *s, size_t n), (p, s, n), 0)
FAULT(int, X509_VERIFY_PARAM_set1_ip_asc,
      (X509_VERIFY_PARAM * p, const char *s), (p, s), 0)
FAULT(int, SSL_set_session, (SSL * s, SSL_SESSION *x), (s, x), 0)
FAULT(int, SSL_do_handshake, (SSL * s), (s), -1)
FAULT(int, SSL_write_ex, (SSL * s, const void *p, size_t n, size_t *w),
      (s, p, n, w), 0)
FAULT(int, SSL_read_ex, (SSL * s, void *p, size_t n, size_t *r), (s, p, n, r),
      0)
FAULT(int, SSL_key_update, (SSL * s, int how), (s, how), 0)
FAULT(int, SSL_shutdown, (SSL * s), (s), -1)
FAULT(long, SSL_CTX_ctrl, (SSL_CTX * c, int cmd, long n, void *p),
      (c, cmd, n, p), 0)
FAULT(long, SSL_ctrl, (SSL * s, int cmd, long n, void *p), (s, cmd, n, p), 0)

static const char *const all[] = {
  "SSL_CTX_new",
  "SSL_CTX_set_ciphersuites",
  "SSL_CTX_set_cipher_list",
  "SSL_CTX_set_alpn_protos",
  "SSL_CTX_set_session_id_context",
  "SSL_CTX_use_certificate",
  "SSL_CTX_use_PrivateKey",
  "X509_check_private_key",
  "X509_STORE_add_cert",
  "X509_STORE_set_flags",
  "BIO_new_mem_buf",
  "BIO_new",
  "SSL_new",
  "SSL_set_ex_data",
  "SSL_set_record_padding_callback",
  "X509_VERIFY_PARAM_set1_host",
  "X509_VERIFY_PARAM_set1_ip_asc",
  "SSL_set_session",
  "SSL_do_handshake",
  "SSL_write_ex",
  "SSL_read_ex",
  "SSL_key_update",
  "SSL_shutdown",
  "SSL_ctrl",
};

/* What is made before the fault is armed. */
typedef struct {
  alk_pem_t ca, cert, key;
} files_t;

static void write_once(end_t *end)
{
  if (end->r.opens == 0 || end->r.s == NULL || end->r.count > 0) return;
  end->r.count = 1;
  QUIET(&end->r, alk_stream_resume(end->r.s));
  QUIET(&end->r, alk_stream_write(end->r.s, "some bytes", 10));
}

static void end_once(end_t *end)
{
  if (end->r.s == NULL || end->r.opens == 0) return;
  QUIET(&end->r, alk_stream_end(end->r.s));
}

/* Whether both ends heard all of it, and the end. */
static bool went_well(const end_t *end)
{
  return !end->r.failed && alk_buf_size(&end->r.data) == 10 &&
         end->r.ends == 1 && end->r.drains == 1;
}

static bool converse(pair_t *p, const char *name)
{
  pair_connect(p, name);
  for (int i = 0; i < 20; i++) {
    pair_turn(p);
    write_once(&p->c);
    write_once(&p->s);
  }
  end_once(&p->c);
  end_once(&p->s);
  for (int i = 0; i < 20; i++)
    pair_turn(p);
  bool well = went_well(&p->c) && went_well(&p->s);
  /* Who failed has said why. */
  if (p->c.r.failed) assert_true(p->c.r.err.msg[0] != '\0');
  if (p->s.r.failed) assert_true(p->s.r.err.msg[0] != '\0');
  pair_finish(p);
  return well;
}

/* Contexts and two connections, the second with a ticket. */
static bool live(env_t *e, const files_t *f, const char *name)
{
  pair_t p = {.e = e};
  alk_err_t err = {0};
  alk_tls_client_opts_t client = {.ca = f->ca, .disguised = true, .alpn = "h2"};
  alk_tls_server_opts_t server = {.cert = f->cert, .key = f->key, .alpn = "h2"};
  bool well = false;
  p.client_ctx = alk_tls_client_ctx(&client, &err);
  if (p.client_ctx != NULL) p.server_ctx = alk_tls_server_ctx(&server, &err);
  if (p.server_ctx != NULL) {
    p.client_ctx->records_max = p.server_ctx->records_max = 1;
    well = converse(&p, name);
    well = converse(&p, name) && well;
  } else {
    assert_int_not_equal(err.code, ALK_OK);
    assert_true(err.msg[0] != '\0');
  }
  pair_free(&p);
  return well;
}

static void fail_each_call(env_t *e, const files_t *f, const char *name)
{
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    for (int n = 0;; n++) {
      failing = all[i];
      left = n;
      hit = false;
      bool well = live(e, f, name);
      failing = NULL;
      if (!hit) {
        assert_true(well); /* without the fault it goes well */
        break;
      }
      if (well) fail_msg("nobody minds that call %d of %s fails", n, all[i]);
    }
}

static void test_faults(void **state)
{
  identity_t ca = make_identity(NULL, &(wanted_t){.from = -1, .to = 2});
  identity_t id =
    make_identity(&ca, &(wanted_t){"DNS:a.example,IP:192.0.2.1", -1, 1});
  files_t f = {pem_of_certs(&ca, NULL), pem_of_certs(&id, NULL),
               pem_of_key(&id, NULL)};
  fail_each_call(*state, &f, "a.example");
  fail_each_call(*state, &f, "192.0.2.1");
  free_identity(&ca);
  free_identity(&id);
  free_pem(&f.ca);
  free_pem(&f.cert);
  free_pem(&f.key);
}

/* SSL_CTX_ctrl is many macros: those of them whose result is looked at. */
static void test_bounds_of_versions(void **state)
{
  (void) state;
  alk_err_t err;
  failing = "SSL_CTX_ctrl";
  int refused = 0;
  for (int n = 0; n < 6; n++) {
    left = n;
    hit = false;
    alk_tls_ctx_t *ctx =
      alk_tls_client_ctx(&(alk_tls_client_opts_t){.insecure = true}, &err);
    if (ctx == NULL) refused++;
    alk_tls_ctx_free(ctx);
  }
  failing = NULL;
  assert_int_equal(refused, 2); /* the lowest, and the highest */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_faults),
    TEST(test_bounds_of_versions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
