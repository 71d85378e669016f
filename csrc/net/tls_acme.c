/* tls_acme.c - what a server shows to a certificate authority that looks
 * whether a name is its own: RFC 8737, and RFC 8738 §6 for addresses.
 *
 * Who offers acme-tls/1 and nothing else, and asks for a name that is being
 * proven, goes on with the context of that proof. Anybody else goes on as
 * always. A context without a certificate refuses them with the alert of an
 * nginx that has none for them (ssl_reject_handshake): unrecognized_name. */
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

#include "net/tls_impl.h"

struct tls_proof {
  char *name;
  alk_tls_ctx_t *show;
  tls_proof_t *next;
};

/* Other loops look at a context's proofs while one changes them. All contexts
 * share it: it is held for a look at a few names. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The extension as it has to be: a list of this one protocol (RFC 7301 §3.1).
 */
static bool offers_only_acme(SSL *ssl)
{
  static const char only[] = "\x00\x0b\x0a" ALK_TLS_ACME;
  const unsigned char *p;
  size_t len;
  return SSL_client_hello_get0_ext(
           ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &len) ==
           1 &&
         len == sizeof only - 1 && memcmp(p, only, len) == 0;
}

/* A list of one name, of the type host_name (RFC 6066 §3). */
static bool asks_for(const unsigned char *p, size_t len, const char *name)
{
  size_t n = strlen(name);
  return len == n + 5 && (size_t) (p[0] << 8 | p[1]) == n + 3 &&
         p[2] == TLSEXT_NAMETYPE_host_name &&
         (size_t) (p[3] << 8 | p[4]) == n &&
         strncasecmp((const char *) p + 5, name, n) == 0;
}

/* The context to go on with, held; NULL: none other. */
static alk_tls_ctx_t *find(const alk_tls_ctx_t *ctx, SSL *ssl)
{
  const unsigned char *p;
  size_t len;
  alk_tls_ctx_t *found = NULL;
  if (!offers_only_acme(ssl) ||
      SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) != 1)
    return NULL;
  pthread_mutex_lock(&lock);
  for (const tls_proof_t *one = ctx->proofs; one != NULL && found == NULL;
       one = one->next)
    if (asks_for(p, len, one->name)) found = tls_ctx_hold(one->show);
  pthread_mutex_unlock(&lock);
  return found;
}

/* Takes other. The connection holds it from here on: the proof may be over
 * before its handshake is. */
static bool show(SSL *ssl, alk_tls_ctx_t *other)
{
  tls_peer_t *peer = SSL_get_app_data(ssl);
  bool ok = SSL_set_SSL_CTX(ssl, other->ssl) != NULL;
  alk_tls_ctx_t *let_go = other;
  if (ok) {
    let_go = peer->ctx;
    peer->ctx = other;
  }
  alk_tls_ctx_free(let_go);
  return ok;
}

static int on_hello(SSL *ssl, int *alert, void *data)
{
  const alk_tls_ctx_t *ctx = data;
  alk_tls_ctx_t *other = find(ctx, ssl);
  if (other == NULL && !ctx->is_bare) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = other == NULL ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_INTERNAL_ERROR;
  return other != NULL && show(ssl, other) ? SSL_CLIENT_HELLO_SUCCESS
                                           : SSL_CLIENT_HELLO_ERROR;
}

void tls_acme_watch(alk_tls_ctx_t *ctx)
{
  SSL_CTX_set_client_hello_cb(ctx->ssl, on_hello, ctx);
}

static void forget(tls_proof_t *one)
{
  if (one == NULL) return;
  alk_tls_ctx_free(one->show);
  alk_free(one->name);
  alk_free(one);
}

/* Nobody else has ctx any more. */
void tls_acme_free(alk_tls_ctx_t *ctx)
{
  for (tls_proof_t *one = ctx->proofs, *next; one != NULL; one = next) {
    next = one->next;
    forget(one);
  }
}

/* What was in the place of one, which may be NULL: none is put there. */
static tls_proof_t *exchange(alk_tls_ctx_t *ctx, const char *name,
                             tls_proof_t *one)
{
  tls_proof_t *before = NULL;
  pthread_mutex_lock(&lock);
  for (tls_proof_t **at = &ctx->proofs; *at != NULL; at = &(*at)->next) {
    if (strcasecmp((*at)->name, name) != 0) continue;
    before = *at;
    *at = before->next;
    break;
  }
  if (one != NULL) {
    one->next = ctx->proofs;
    ctx->proofs = one;
  }
  pthread_mutex_unlock(&lock);
  return before;
}

void alk_tls_prove(alk_tls_ctx_t *ctx, const char *name, alk_tls_ctx_t *other)
{
  tls_proof_t *one = NULL;
  if (other != NULL) {
    one = alk_alloc(sizeof *one);
    one->name = alk_strdup(name);
    one->show = tls_ctx_hold(other);
  }
  forget(exchange(ctx, name, one));
}
