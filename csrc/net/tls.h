/* tls.h - TLS 1.2 and 1.3 over any stream: a stream that owns another.
 *
 * It opens when the handshake is done. Its on_end is the peer's close_notify;
 * a stream beneath it that ends without one was cut off, which is an error
 * (ALK_E_LOST), as is what the peer refuses or does wrong (ALK_E_TLS, with the
 * alert in words). close() without end() breaks the connection, end() says
 * close_notify and ends the stream beneath. Nobody renegotiates.
 *
 * No time limit is in here: who waits for on_open closes when it takes long. */
#ifndef ALK_TLS_H
#define ALK_TLS_H

#include <stdint.h>

#include "core/stream.h"

/* What connections share: whom to trust, or what to show. Those that were made
 * with it do not mind when it is freed. */
typedef struct alk_tls_ctx alk_tls_ctx_t;

typedef struct {
  const char *p; /* PEM; NULL: none */
  size_t len;
} alk_pem_t;

typedef struct {
  alk_pem_t ca;     /* certificates to trust, and nobody else's */
  bool insecure;    /* anybody is who they say they are */
  bool disguised;   /* it says hello as curl does, and its streams are padded */
  const char *alpn; /* "h2,http/1.1": what to offer; NULL: nothing */
} alk_tls_client_opts_t;

typedef struct {
  alk_pem_t cert; /* the server's own first, then what it was signed with */
  alk_pem_t key;  /* its private key */
  const char *passphrase; /* of the key; NULL: it is not encrypted */
  const char *alpn;       /* what to choose from; NULL: it is not looked at */
  bool is_bare;  /* there is no certificate yet, nor a key: all are refused, but
                    for alk_tls_prove() */
  bool is_nginx; /* it shakes hands as Debian's nginx does */
} alk_tls_server_opts_t;

/* NULL: *err says why. They may be called on any thread. A server's
 * certificate has to be the key's, and valid now. */
alk_tls_ctx_t *alk_tls_client_ctx(const alk_tls_client_opts_t *opts,
                                  alk_err_t *err);
alk_tls_ctx_t *alk_tls_server_ctx(const alk_tls_server_opts_t *opts,
                                  alk_err_t *err);
void alk_tls_ctx_free(alk_tls_ctx_t *ctx);
/* A server's context for another thread, which shares it: the number of its
 * parcel (core/parcel.h). 0: it is a client's, whose tickets are one loop's. */
uint64_t alk_tls_ctx_send(const alk_loop_t *from, alk_tls_ctx_t *ctx);
alk_tls_ctx_t *alk_tls_ctx_take(uint64_t number);    /* NULL: there is none */
alk_tls_ctx_t *alk_tls_ctx_hold(alk_tls_ctx_t *ctx); /* and free it, too */

/* A stream over inner, which is open, or opening, and is its own from now on.
 * name: whom to ask for, and who it has to be: a name in ASCII, or a numeric
 * address; NULL only where the context is insecure. */
alk_stream_t *alk_tls_client(alk_stream_t *inner, alk_tls_ctx_t *ctx,
                             const char *name);
alk_stream_t *alk_tls_server(alk_stream_t *inner, alk_tls_ctx_t *ctx);

/* From now on a server's ctx answers who looks whether name is its own by
 * ALK_TLS_ACME (RFC 8737) with other, a context that has the certificate for
 * that and chooses ALK_TLS_ACME alone; NULL: no longer. Such a stream opens as
 * any, with that as its alpn, and nothing is to be said on it. name: in ASCII;
 * of an address that of its reverse mapping (RFC 8738 §6). May be called on any
 * thread. */
#define ALK_TLS_ACME "acme-tls/1"
void alk_tls_prove(alk_tls_ctx_t *ctx, const char *name, alk_tls_ctx_t *other);

enum { ALK_TLS_NAME_MAX = 256, ALK_TLS_DIGEST = 32 };

typedef struct {
  const char *version, *cipher;
  char alpn[ALK_TLS_NAME_MAX];  /* "": none was agreed on */
  char name[ALK_TLS_NAME_MAX];  /* whom the client has asked for; "": nobody */
  bool resumed;                 /* by a ticket of an earlier connection */
  bool has_peer;                /* the peer has shown a certificate: */
  uint8_t peer[ALK_TLS_DIGEST]; /* SHA-256 of it (DER) */
} alk_tls_info_t;

/* The next few records hide how long they are, where TLS 1.3 is spoken. Does
 * nothing to a stream that is none of TLS. */
void alk_tls_pad(alk_stream_t *s);

/* Closes a TLS stream as a server does that has lost patience: what it sends
 * ends, and TLS says nothing about it. */
void alk_tls_hang_up(alk_stream_t *s);
/* Closes a stream of any kind at once, also one of TLS that is closing and has
 * something left to send. */
void alk_tls_drop(alk_stream_t *s);

/* Bytes that only the two ends of this connection can know (RFC 5705; RFC 8446
 * §7.5), others for each label. False: it is no open TLS stream, or its TLS 1.2
 * has no extended master secret (RFC 7627), without which a third could know
 * them; or OpenSSL has failed. */
bool alk_tls_export(const alk_stream_t *s, const char *label, void *out,
                    size_t len);

/* False: it is no TLS stream, or not open. What a peer chose is not escaped. */
bool alk_tls_info(const alk_stream_t *s, alk_tls_info_t *out);

#endif
