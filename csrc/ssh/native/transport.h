/* transport.h - for the files of the transport layer: what it remembers. */
#ifndef ALK_NATIVE_TRANSPORT_H
#define ALK_NATIVE_TRANSPORT_H

#include "ssh/native/impl.h"

enum {
  SESSION_ID_MAX = KEX_HASH_MAX,
  IDENT_MAX = 255,      /* RFC 4253 §4.2, CR LF included */
  IDENT_LINES_MAX = 64, /* that a server may say before */
  HOSTKEYS_MAX = 8,
  NAME_MAX_LEN = 64,      /* RFC 4251 §6 */
  LIST_MAX = 512,         /* bytes of one of our own lists */
  EARLY_EXCHANGES_MAX = 8 /* before the login, for which one is enough */
};

/* What both sides agreed on. */
typedef struct {
  const kex_method_t *method;
  char kex[NAME_MAX_LEN];
  const sig_alg_t *hostkey;
  const cipher_info_t *cipher_rx, *cipher_tx;
  const mac_info_t *mac_rx, *mac_tx; /* NULL: an AEAD */
  bool skip_guess; /* their first kex packet is a wrong guess */
} agreed_t;

/* What we offer, in our order. */
typedef struct {
  char kex[LIST_MAX], hostkeys[LIST_MAX], ciphers[LIST_MAX], macs[LIST_MAX];
} offer_t;

struct transport {
  offer_t offer;
  alk_key_t *hostkeys[HOSTKEYS_MAX]; /* server: ours */
  size_t hostkeys_len;
  uint64_t rekey_bytes, rekey_ms;

  char ident[IDENT_MAX + 1], peer_ident[IDENT_MAX + 1]; /* without CR LF */
  unsigned ident_lines;
  alk_buf_t our_init, their_init; /* KEXINIT payloads of this exchange */
  alk_buf_t our_public;           /* client: what we sent */
  bool init_sent;                 /* from our KEXINIT to our NEWKEYS */
  kex_stage_t stage;              /* from their KEXINIT to their NEWKEYS */
  agreed_t agreed;
  kex_t *kex;
  cipher_t *next_rx; /* comes into force with their NEWKEYS */

  unsigned early_exchanges; /* that they have begun before the login */
  bool has_session_id, strict, ext_info;
  uint8_t session_id[SESSION_ID_MAX], hash[KEX_HASH_MAX];
  size_t session_id_len, hash_len;
  alk_buf_t peer_key; /* client: the host key that was trusted */
  alk_buf_t waiting;  /* messages that wait for our new keys: u32, payload */
};

/* negotiate.c */
bool negotiate_offer(transport_t *t, bool server,
                     const alk_session_opts_t *opts, alk_err_t *err);
/* Our KEXINIT, number included. False: no random bytes. */
bool negotiate_init(const transport_t *t, bool server, alk_buf_t *out);
/* Reads theirs (behind the number) into agreed. False: malformed, or the
 * session is over because nothing in common was found. */
bool negotiate_agree(session_t *s, transport_t *t, alk_rd_t r);

/* exchange.c */
void exchange_start(session_t *s);    /* sends our KEXINIT */
void exchange_forget(transport_t *t); /* its secrets and its transcript */

#endif
