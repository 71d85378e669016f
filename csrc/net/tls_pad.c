/* tls_pad.c - records that do not say how long what is in them is: SSH's banner
 * and its key exchange always are as long as they are, and come first. TLS 1.3
 * alone has room for it (RFC 8446 §5.4). */
#include <openssl/rand.h>

#include "net/tls_impl.h"

enum {
  PADDED = 16,   /* records in a row ... */
  PAD_MIN = 64,  /* ... get so many bytes at least ... */
  PAD_MASK = 511 /* ... and up to so many more */
};

/* Asked by OpenSSL for each record; it sees to it that none is longer than a
 * record may be. */
static size_t pad(SSL *ssl, int type, size_t len, void *data)
{
  (void) ssl;
  (void) len;
  tls_peer_t *peer = data;
  uint16_t more;
  if (peer->padded == 0 || type != SSL3_RT_APPLICATION_DATA) return 0;
  peer->padded--;
  if (RAND_bytes((unsigned char *) &more, sizeof more) != 1) more = PAD_MASK;
  return PAD_MIN + (size_t) (more & PAD_MASK);
}

bool tls_pad_prepare(SSL *ssl)
{
  SSL_set_record_padding_callback_arg(ssl, SSL_get_app_data(ssl));
  return SSL_set_record_padding_callback(ssl, pad) == 1;
}

void tls_pad_records(tls_peer_t *peer)
{
  peer->padded = PADDED;
}
