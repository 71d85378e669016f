/* tls_impl.h - what the files of the TLS layer share. */
#ifndef ALK_TLS_IMPL_H
#define ALK_TLS_IMPL_H

#include <stdatomic.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "core/buf.h"

#include "net/tls.h"

/* The two directions between OpenSSL and the stream beneath. What came is
 * borrowed from it; what is to go is collected, so that many records leave in
 * one write. */
typedef struct {
  const char *in;
  size_t in_len;
  alk_buf_t out;
} tls_wire_t;

/* A BIO over w, which outlives it. */
BIO *tls_bio(tls_wire_t *w);

/* Why the last call failed, from OpenSSL's queue of errors, which is empty
 * afterwards. ssl: NULL, or whose handshake it was. */
void tls_why(const SSL *ssl, const char *what, alk_err_t *err);

/* Tickets of a client's connections, by the name of the server: the newest of
 * each, used once where there are always new ones (RFC 8446 §C.4). */
typedef struct tls_tickets tls_tickets_t;
tls_tickets_t *tls_tickets_new(void);
void tls_tickets_free(tls_tickets_t *t); /* NULL is fine */
void tls_tickets_keep(tls_tickets_t *t, const char *name, SSL_SESSION *own);
SSL_SESSION *tls_tickets_take(tls_tickets_t *t, const char *name);

typedef struct tls_proof tls_proof_t;

/* Whoever made it holds it, and each of its connections; those of a server's
 * may be on several loops, as it is only read. Its callbacks are no global ones
 * of OpenSSL: those would outlive an addon that is unloaded with a worker. */
struct alk_tls_ctx {
  SSL_CTX *ssl;
  atomic_uint holders;
  uint8_t *alpn; /* as on the wire (RFC 7301 §3.1); NULL: none */
  size_t alpn_len;
  tls_tickets_t *tickets; /* NULL: a server's */
  uint32_t records_max;   /* to seal with one key */
  tls_proof_t
    *proofs; /* that a server's names are its own, for now: tls_acme.c alone */
  bool is_bare;      /* a server's that has no certificate yet */
  bool is_disguised; /* a client's that offers more than it takes */
  bool is_lenient;   /* an end without close_notify is one all the same,
                        and what fails ends, and is not reset */
};
alk_tls_ctx_t *tls_ctx_hold(alk_tls_ctx_t *ctx);

/* Has ctx, a server's, look at each ClientHello. */
void tls_acme_watch(alk_tls_ctx_t *ctx);
void tls_acme_free(alk_tls_ctx_t *ctx);

/* Whether what was agreed on is good enough. */
bool tls_ctx_takes(const alk_tls_ctx_t *ctx, const SSL *ssl);

/* Has ctx, a server's, look like an nginx in all that a client can see. */
bool tls_nginx_dress(alk_tls_ctx_t *ctx);

/* A connection as OpenSSL's callbacks see it: SSL_get_app_data(). */
typedef struct {
  alk_tls_ctx_t *ctx;
  char *name;     /* of the server; NULL: it has none, or is us */
  uint8_t padded; /* records that are still to be */
} tls_peer_t;

/* Has a connection, before its handshake, ask how to pad its records: from
 * OpenSSL 3.2 on, keys that are there already would never ask. */
bool tls_pad_prepare(SSL *ssl);
/* The next few records of such a connection hide how long they are. */
void tls_pad_records(tls_peer_t *peer);

/* A name without the root's dot, an address without its scope: what
 * certificates hold. */
char *tls_plain_name(const char *name);
/* Asks for such a name, which the server then has to prove. name is only read:
 * OpenSSL's macro takes no const. */
bool tls_set_name(SSL *ssl, char *name);

#endif
