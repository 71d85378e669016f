/* tls_ctx.c - what TLS connections share: versions and ciphers, whom a client
 * trusts, what a server shows. Made once, on any thread, and then only read. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/mem.h"
#include "core/parcel.h"

#include "net/tls_impl.h"

/* AES-128 first: it is the fastest where the processor knows AES. A server
 * puts ChaCha first for clients that do. TLS 1.2 only with forward secrecy and
 * AEAD (RFC 9325 §4.2). */
#define TLS13_SUITES                                     \
  "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:" \
  "TLS_AES_256_GCM_SHA384"
#define TLS12_SUITES "ECDHE+AESGCM:ECDHE+CHACHA20"

/* At least 112 bits: no RSA below 2048, no SHA-1 (SSL_CTX_set_security_level).
 */
enum { SECURITY_LEVEL = 2 };

/* What was sealed with one key at most: half of half of what is allowed. */
enum { RECORDS_MAX = 1 << 22 };

alk_tls_ctx_t *tls_ctx_hold(alk_tls_ctx_t *ctx)
{
  atomic_fetch_add(&ctx->holders, 1);
  return ctx;
}

alk_tls_ctx_t *alk_tls_ctx_hold(alk_tls_ctx_t *ctx)
{
  return tls_ctx_hold(ctx);
}

void alk_tls_ctx_free(alk_tls_ctx_t *ctx)
{
  if (ctx == NULL || atomic_fetch_sub(&ctx->holders, 1) > 1) return;
  SSL_CTX_free(ctx->ssl);
  tls_acme_free(ctx);
  tls_tickets_free(ctx->tickets);
  alk_free(ctx->alpn);
  alk_free(ctx);
}

static void drop_ctx(void *thing)
{
  alk_tls_ctx_free(thing);
}

static const alk_parcel_kind_t ctx_parcel = {.drop = drop_ctx};

uint64_t alk_tls_ctx_send(const alk_loop_t *from, alk_tls_ctx_t *ctx)
{
  if (ctx->tickets != NULL) return 0;
  return alk_parcel_send(from, &ctx_parcel, tls_ctx_hold(ctx));
}

alk_tls_ctx_t *alk_tls_ctx_take(uint64_t number)
{
  return alk_parcel_take(number, &ctx_parcel);
}

/* A client in disguise offers what curl does with the same OpenSSL: the
 * library's ciphers, groups and signatures in their order, versions from 1.0
 * on, to log in later, no tickets of TLS 1.2, and padding up to 512 bytes. We
 * would not take all of that: tls_ctx_takes(). */
static bool choose_ciphers(SSL_CTX *c, bool is_disguised)
{
  if (is_disguised) {
    SSL_CTX_set_options(c, SSL_OP_TLSEXT_PADDING | SSL_OP_NO_TICKET);
    SSL_CTX_set_post_handshake_auth(c, 1);
    return SSL_CTX_set_ciphersuites(c, OSSL_default_ciphersuites()) == 1 &&
           SSL_CTX_set_cipher_list(c, OSSL_default_cipher_list()) == 1;
  }
  return SSL_CTX_set_ciphersuites(c, TLS13_SUITES) == 1 &&
         SSL_CTX_set_cipher_list(c, TLS12_SUITES) == 1;
}

bool tls_ctx_takes(const alk_tls_ctx_t *ctx, const SSL *ssl)
{
  const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
  int version = SSL_version(ssl);
  if (!ctx->is_disguised || version == TLS1_3_VERSION) return true;
  return version == TLS1_2_VERSION && cipher != NULL &&
         SSL_CIPHER_is_aead(cipher) == 1 &&
         SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe;
}

static bool set_up(SSL_CTX *c, bool is_disguised)
{
  SSL_CTX_set_security_level(c, SECURITY_LEVEL);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                           SSL_OP_CIPHER_SERVER_PREFERENCE |
                           SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  return SSL_CTX_set_min_proto_version(c, is_disguised ? TLS1_VERSION
                                                       : TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
         choose_ciphers(c, is_disguised);
}

/* "h2,http/1.1". False: one is empty or longer than 255 bytes. */
static bool parse_alpn(alk_tls_ctx_t *ctx, const char *list)
{
  ctx->alpn = alk_alloc(strlen(list) + 1);
  for (const char *one = list;; one++) {
    size_t n = strcspn(one, ",");
    if (n == 0 || n > 255) return false;
    ctx->alpn[ctx->alpn_len++] = (uint8_t) n;
    memcpy(ctx->alpn + ctx->alpn_len, one, n);
    ctx->alpn_len += n;
    one += n;
    if (*one == '\0') return true;
  }
}

/* NULL: *err says why. */
static alk_tls_ctx_t *new_ctx(const SSL_METHOD *method, const char *alpn,
                              bool is_disguised, alk_err_t *err)
{
  ERR_clear_error();
  alk_tls_ctx_t *ctx = alk_alloc(sizeof *ctx);
  atomic_init(&ctx->holders, 1);
  ctx->records_max = RECORDS_MAX;
  ctx->is_disguised = is_disguised;
  ctx->ssl = SSL_CTX_new(method);
  bool ok = ctx->ssl != NULL && set_up(ctx->ssl, is_disguised);
  if (!ok)
    tls_why(NULL, "a TLS context", err);
  else if (alpn != NULL && !parse_alpn(ctx, alpn))
    alk_fail(err, ALK_E_OPTION, 0, "a protocol has 1 to 255 bytes");
  else
    return ctx;
  alk_tls_ctx_free(ctx);
  return NULL;
}

/* ---- PEM */

static BIO *open_pem(const alk_pem_t *pem)
{
  return pem->p == NULL || pem->len == 0 || pem->len > INT32_MAX
           ? NULL
           : BIO_new_mem_buf(pem->p, (int) pem->len);
}

/* data: an alk_pem_t that holds the passphrase. Without a callback OpenSSL asks
 * for one on the terminal, and waits. */
static int give_passphrase(char *buf, int size, int for_writing, void *data)
{
  (void) for_writing;
  const alk_pem_t *secret = data;
  if (secret->p == NULL || secret->len > (size_t) size) return -1;
  memcpy(buf, secret->p, secret->len);
  return (int) secret->len;
}

/* The next one, or NULL. A certificate is no secret: one that is encrypted is
 * not read. */
static X509 *next_cert(BIO *in)
{
  alk_pem_t none = {0};
  return PEM_read_bio_X509_AUX(in, NULL, give_passphrase, &none);
}

/* Whether the reading of PEM stopped because there was no more of it. */
static bool is_end(void)
{
  unsigned long code = ERR_peek_last_error();
  bool end = ERR_GET_LIB(code) == ERR_LIB_PEM &&
             ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

/* ---- a client's */

/* One certificate that cannot be read is one too many: who looks for the wrong
 * one would look long. The same one twice does no harm. */
static int trust_all(X509_STORE *store, BIO *in)
{
  int count = 0;
  for (;;) {
    X509 *cert = next_cert(in);
    if (cert == NULL) return is_end() ? count : -1;
    int ok = X509_STORE_add_cert(store, cert);
    X509_free(cert);
    if (ok != 1) return -1;
    count++;
  }
}

static bool trust(SSL_CTX *c, const alk_pem_t *ca, alk_err_t *err)
{
  X509_STORE *store = SSL_CTX_get_cert_store(c);
  BIO *in = open_pem(ca);
  int count = in == NULL ? 0 : trust_all(store, in);
  BIO_free(in);
  if (count < 0) tls_why(NULL, "a certificate to trust", err);
  if (count == 0)
    alk_fail(err, ALK_E_TLS, 0, "no certificate (PEM) to trust is in it");
  if (count <= 0) return false;
  /* What somebody names as trusted is, also when it is nobody's root. */
  if (X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1) return true;
  tls_why(NULL, "trust", err);
  return false;
}

/* 1: the session is ours now. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
  const tls_peer_t *peer = SSL_get_app_data(ssl);
  if (peer->name == NULL || SSL_SESSION_is_resumable(session) != 1) return 0;
  tls_tickets_keep(peer->ctx->tickets, peer->name, session);
  return 1;
}

alk_tls_ctx_t *alk_tls_client_ctx(const alk_tls_client_opts_t *opts,
                                  alk_err_t *err)
{
  alk_tls_ctx_t *ctx =
    new_ctx(TLS_client_method(), opts->alpn, opts->disguised, err);
  if (ctx == NULL) return NULL;
  SSL_CTX *c = ctx->ssl;
  ctx->tickets = tls_tickets_new();
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT |
                                      SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, on_ticket);
  SSL_CTX_set_verify(c, opts->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                     NULL);
  bool ok = opts->insecure || trust(c, &opts->ca, err);
  if (ok && ctx->alpn != NULL &&
      SSL_CTX_set_alpn_protos(c, ctx->alpn, (unsigned) ctx->alpn_len) != 0) {
    tls_why(NULL, "ALPN", err);
    ok = false;
  }
  if (ok) return ctx;
  alk_tls_ctx_free(ctx);
  return NULL;
}

/* ---- a server's */

/* What others call a certificate or a key, without the armour. */
static bool is_der(const alk_pem_t *pem)
{
  return pem->len > 0 && pem->p[0] == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED);
}

static bool use_chain(SSL_CTX *c, BIO *in)
{
  X509 *cert = next_cert(in);
  if (cert == NULL) return false;
  int ok = SSL_CTX_use_certificate(c, cert);
  X509_free(cert);
  while (ok == 1) {
    X509 *next = next_cert(in);
    if (next == NULL) return is_end();
    ok = (int) SSL_CTX_add0_chain_cert(c, next);
    if (ok != 1) X509_free(next);
  }
  return false;
}

static bool load_chain(SSL_CTX *c, const alk_pem_t *pem, alk_err_t *err)
{
  BIO *in = open_pem(pem);
  bool ok = in != NULL && use_chain(c, in);
  BIO_free(in);
  if (ok) return true;
  if (is_end() || ERR_peek_error() == 0)
    alk_fail(err, ALK_E_TLS, 0, "no certificate (PEM) is in it%s",
             is_der(pem) ? ": it is DER (openssl x509 -inform der makes it PEM)"
                         : "");
  else
    tls_why(NULL, "the certificate cannot be read", err);
  return false;
}

static void describe_bad_key(const alk_pem_t *pem, const char *passphrase,
                             alk_err_t *err)
{
  const char *why = "no private key (PEM) that can be read is in it";
  if (passphrase != NULL)
    why = "it cannot be read, or the passphrase is wrong";
  else if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_BAD_PASSWORD_READ)
    why = "it is encrypted, and needs its passphrase";
  else if (is_der(pem))
    why = "no private key (PEM) is in it: it is DER (openssl pkey -inform der "
          "makes it PEM)";
  alk_fail(err, ALK_E_KEY, 0, "%s", why);
  ERR_clear_error();
}

static bool load_key(SSL_CTX *c, const alk_pem_t *pem, const char *passphrase,
                     alk_err_t *err)
{
  alk_pem_t secret = {.p = passphrase};
  if (passphrase != NULL) secret.len = strlen(passphrase);
  BIO *in = open_pem(pem);
  EVP_PKEY *key =
    in == NULL ? NULL
               : PEM_read_bio_PrivateKey(in, NULL, give_passphrase, &secret);
  BIO_free(in);
  if (key == NULL) {
    describe_bad_key(pem, passphrase, err);
    return false;
  }
  int fits = X509_check_private_key(SSL_CTX_get0_certificate(c), key);
  bool ok = fits == 1 && SSL_CTX_use_PrivateKey(c, key) == 1;
  EVP_PKEY_free(key);
  if (fits != 1)
    alk_fail(err, ALK_E_KEY, 0,
             "it is not the certificate's (the server's own certificate has to "
             "stand first)");
  else if (!ok)
    tls_why(NULL, "the private key", err);
  ERR_clear_error();
  return ok;
}

static bool check_dates(SSL_CTX *c, alk_err_t *err)
{
  const X509 *cert = SSL_CTX_get0_certificate(c);
  int from = X509_cmp_current_time(X509_get0_notBefore(cert));
  int to = X509_cmp_current_time(X509_get0_notAfter(cert));
  if (from < 0 && to > 0) return true;
  alk_fail(err, ALK_E_TLS, 0, "the certificate %s",
           from == 0 || to == 0 ? "has dates that cannot be read"
           : to < 0             ? "has expired"
                                : "is not valid yet");
  return false;
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                  const unsigned char *in, unsigned in_len, void *arg)
{
  (void) ssl;
  const alk_tls_ctx_t *ctx = arg;
  unsigned char *chosen;
  if (SSL_select_next_proto(&chosen, out_len, ctx->alpn,
                            (unsigned) ctx->alpn_len, in,
                            in_len) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* The certificate of a proof is not looked at for its dates (RFC 8737 §3), and
 * some are made without any that mean something. */
static bool is_proof(const alk_tls_server_opts_t *opts)
{
  return opts->alpn != NULL && strcmp(opts->alpn, ALK_TLS_ACME) == 0;
}

alk_tls_ctx_t *alk_tls_server_ctx(const alk_tls_server_opts_t *opts,
                                  alk_err_t *err)
{
  alk_tls_ctx_t *ctx = new_ctx(TLS_server_method(), opts->alpn, false, err);
  if (ctx == NULL) return NULL;
  SSL_CTX *c = ctx->ssl;
  /* Tickets hold what a session needs: nothing of one stays here. */
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  if (ctx->alpn != NULL) SSL_CTX_set_alpn_select_cb(c, choose, ctx);
  tls_acme_watch(ctx);
  ctx->is_bare = opts->is_bare;
  bool ok = SSL_CTX_set_session_id_context(c, (const unsigned char *) "alknet",
                                           6) == 1 &&
            (!opts->is_nginx || tls_nginx_dress(ctx));
  if (!ok) tls_why(NULL, "a TLS context", err);
  if (ok && (ctx->is_bare || (load_chain(c, &opts->cert, err) &&
                              load_key(c, &opts->key, opts->passphrase, err) &&
                              (is_proof(opts) || check_dates(c, err)))))
    return ctx;
  alk_tls_ctx_free(ctx);
  return NULL;
}
