/* tls_nginx.c - a server whose handshakes are those of Debian's nginx: what
 * nginx 1.22 asks of OpenSSL, and Debian's nginx.conf of nginx. Nobody who
 * speaks alknet gets less than before: TLS 1.2 and 1.3, and both ends prefer
 * what is good. */
#include <string.h>

#include "net/tls_impl.h"

#define TLS13_SUITES                                     \
  "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" \
  "TLS_AES_128_GCM_SHA256"
#define TLS12_SUITES "HIGH:!aNULL:!MD5"

enum { TICKET_SECONDS = 300 };

/* Its length is seen in the tickets'. */
static const unsigned char session_context[20] = "alknet";

/* nginx looks the name up among its servers, and says that it has. */
static int on_name(SSL *ssl, int *alert, void *data)
{
  (void) ssl;
  (void) alert;
  (void) data;
  return SSL_TLSEXT_ERR_OK;
}

bool tls_nginx_dress(alk_tls_ctx_t *ctx)
{
  SSL_CTX *c = ctx->ssl;
  ctx->is_lenient = true;
  SSL_CTX_clear_options(c, SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_SERVER |
                                      SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_timeout(c, TICKET_SECONDS);
  /* Nothing below 1.2 is agreed on, at this security level; it is refused in
   * other words than where it is not known. */
  return SSL_CTX_set_min_proto_version(c, TLS1_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(c, TLS13_SUITES) == 1 &&
         SSL_CTX_set_cipher_list(c, TLS12_SUITES) == 1 &&
         SSL_CTX_set_tlsext_servername_callback(c, on_name) == 1 &&
         SSL_CTX_set_session_id_context(c, session_context,
                                        sizeof session_context) == 1;
}
