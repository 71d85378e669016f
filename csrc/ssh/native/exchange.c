/* exchange.c - one key exchange, the first or a later one (RFC 4253 §7, §8).
 *
 *   both    KEXINIT ->  <- KEXINIT          what is agreed (negotiate.c)
 *   client  KEX_INIT ->                     its public part
 *   server              <- KEX_REPLY        its key, public part, signature
 *   both    NEWKEYS ->  <- NEWKEYS          each changes its keys there
 *
 * From our KEXINIT to our NEWKEYS other messages of ours wait; from theirs to
 * their NEWKEYS the gate lets no other message of theirs in. */
#include <string.h>

#include <openssl/crypto.h>

#include "core/mem.h"

#include "ssh/cert.h"
#include "ssh/native/transport.h"

void exchange_forget(transport_t *t)
{
  kex_free(t->kex);
  t->kex = NULL;
  alk_buf_free(&t->our_init);
  alk_buf_free(&t->their_init);
  alk_buf_free(&t->our_public);
}

void exchange_start(session_t *s)
{
  transport_t *t = s->transport;
  if (!negotiate_init(t, s->base.server, &t->our_init)) {
    native_fail(s, ALK_E_CRYPTO, "no random bytes");
    return;
  }
  packet_send(s, alk_buf_head(&t->our_init), alk_buf_size(&t->our_init), NULL,
              0);
  t->init_sent = true;
}

static kex_span_t span(const alk_buf_t *b)
{
  return (kex_span_t){alk_buf_head(b), alk_buf_size(b)};
}

static kex_span_t text_span(const char *text)
{
  return (kex_span_t){(const uint8_t *) text, strlen(text)};
}

static bool make_hash(session_t *s, kex_span_t host_key,
                      kex_span_t client_public, kex_span_t server_public)
{
  transport_t *t = s->transport;
  bool server = s->base.server;
  kex_span_t ours = span(&t->our_init), theirs = span(&t->their_init);
  const kex_transcript_t said = {
    .client_ident = text_span(server ? t->peer_ident : t->ident),
    .server_ident = text_span(server ? t->ident : t->peer_ident),
    .client_kexinit = server ? theirs : ours,
    .server_kexinit = server ? ours : theirs,
    .host_key = host_key,
    .client_public = client_public,
    .server_public = server_public,
  };
  if (!kex_exchange_hash(t->kex, &said, t->hash, &t->hash_len)) return false;
  if (t->has_session_id) return true;
  memcpy(t->session_id, t->hash, t->hash_len);
  t->session_id_len = t->hash_len;
  t->has_session_id = true;
  return true;
}

/* The cipher of one direction; the letters are RFC 4253 §7.2's. */
static cipher_t *make_cipher(const transport_t *t, const cipher_info_t *cipher,
                             const mac_info_t *mac, bool from_client, bool seal)
{
  uint8_t iv[CIPHER_IV_MAX], key[CIPHER_KEY_MAX], mac_key[CIPHER_KEY_MAX];
  char first = from_client ? 'A' : 'B';
  const struct {
    uint8_t *out;
    size_t len;
  } want[] = {{iv, cipher->iv_len},
              {key, cipher->key_len},
              {mac_key, mac == NULL ? 0 : mac->key_len}};
  bool ok = true;
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    ok = ok && (want[i].len == 0 ||
                kex_derive(t->kex, t->hash, t->hash_len, t->session_id,
                           t->session_id_len, (char) (first + 2 * (int) i),
                           want[i].out, want[i].len));
  cipher_t *c =
    ok ? cipher_new(cipher, mac, key, iv, mac == NULL ? NULL : mac_key, seal)
       : NULL;
  OPENSSL_cleanse(iv, sizeof iv);
  OPENSSL_cleanse(key, sizeof key);
  OPENSSL_cleanse(mac_key, sizeof mac_key);
  return c;
}

static void renew(const transport_t *t, direction_t *d, cipher_t *cipher,
                  uint64_t packets_max)
{
  cipher_free(d->cipher);
  d->cipher = cipher;
  d->bytes = d->packets = 0;
  d->bytes_max = t->rekey_bytes;
  d->packets_max = packets_max;
  if (t->strict) d->seq = 0;
}

static void send_waiting(session_t *s)
{
  alk_buf_t waiting = s->transport->waiting;
  s->transport->waiting = (alk_buf_t){0};
  alk_rd_t r = alk_rd(alk_buf_head(&waiting), alk_buf_size(&waiting));
  size_t len;
  for (const uint8_t *p; (p = alk_rd_str(&r, &len)) != NULL;)
    packet_send(s, p, len, NULL, 0);
  alk_buf_free_secret(&waiting);
}

/* Both ciphers are made here, while the secret is there; ours comes into force
 * now, theirs with their NEWKEYS. */
static void change_keys(session_t *s)
{
  transport_t *t = s->transport;
  const agreed_t *a = &t->agreed;
  bool server = s->base.server;
  cipher_t *tx = make_cipher(t, a->cipher_tx, a->mac_tx, !server, true);
  t->next_rx = make_cipher(t, a->cipher_rx, a->mac_rx, server, false);
  if (tx == NULL || t->next_rx == NULL) {
    cipher_free(tx);
    native_fail(s, ALK_E_CRYPTO, "the new keys could not be made");
    return;
  }
  const uint8_t newkeys = MSG_NEWKEYS;
  packet_send(s, &newkeys, 1, NULL, 0);
  renew(t, &s->tx, tx, a->cipher_tx->packets_max);
  t->init_sent = false;
  t->stage = KEX_NEWKEYS;
  exchange_forget(t);
  if (s->phase == PHASE_KEX && server) auth_start(s); /* EXT_INFO goes first */
  send_waiting(s);
}

/* An exchange costs us more than who wants one: not on and on for somebody who
 * is not known, and whom limits of connections only see once. */
static bool is_one_too_many(session_t *s)
{
  if (s->phase == PHASE_OPEN) return false;
  return ++s->transport->early_exchanges > EARLY_EXCHANGES_MAX;
}

bool transport_on_kexinit(session_t *s, alk_rd_t *r)
{
  transport_t *t = s->transport;
  alk_rd_t all = *r;
  if (is_one_too_many(s)) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "too many key exchanges before the login");
    return true;
  }
  alk_buf_u8(&t->their_init, MSG_KEXINIT);
  alk_buf_add(&t->their_init, all.p, all.len);
  transport_rekey(s); /* ours, if it is not out yet */
  bool first = !t->has_session_id;
  if (!negotiate_agree(s, t, *r)) return false;
  if (native_is_over(s)) return true;
  if (first && t->strict && s->rx.packets != 1) {
    native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
               "strict key exchange: KEXINIT was not the first packet");
    return true;
  }
  t->stage = KEX_EXCHANGE;
  t->kex = kex_new(t->agreed.method);
  if (t->kex == NULL ||
      (!s->base.server && !kex_client_start(t->kex, &t->our_public))) {
    native_fail(s, ALK_E_CRYPTO, "the key exchange could not be started");
    return true;
  }
  if (s->base.server) return true;
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_KEX_INIT);
  alk_buf_str(&m, alk_buf_head(&t->our_public), alk_buf_size(&t->our_public));
  packet_send(s, alk_buf_head(&m), alk_buf_size(&m), NULL, 0);
  alk_buf_free(&m);
  return true;
}

/* A wrong guess is skipped, whatever it holds (RFC 4253 §7.1): it is of another
 * method, which may begin with another number than ours. */
bool transport_skips(session_t *s, uint8_t number)
{
  transport_t *t = s->transport;
  bool skips = t->stage == KEX_EXCHANGE && t->agreed.skip_guess &&
               number >= MSG_KEX_FIRST && number <= MSG_KEX_LAST;
  if (skips) t->agreed.skip_guess = false;
  return skips;
}

static bool bad_public(session_t *s)
{
  native_bye(s, BYE_KEX, ALK_E_PROTO,
             "the peer's part of the key exchange is not acceptable");
  return true;
}

static const alk_key_t *host_key_for(const transport_t *t)
{
  const sig_alg_t *alg = t->agreed.hostkey;
  for (size_t i = 0; i < t->hostkeys_len; i++)
    if (sig_alg_for(t->hostkeys[i], alg->is_cert, alg->name) == alg)
      return t->hostkeys[i];
  return NULL;
}

static void send_reply(session_t *s, kex_span_t host_key, kex_span_t public,
                       const alk_buf_t *sig)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_KEX_REPLY);
  alk_buf_str(&m, host_key.p, host_key.len);
  alk_buf_str(&m, public.p, public.len);
  alk_buf_str(&m, alk_buf_head(sig), alk_buf_size(sig));
  packet_send(s, alk_buf_head(&m), alk_buf_size(&m), NULL, 0);
  alk_buf_free(&m);
}

bool transport_on_kex_init(session_t *s, alk_rd_t *r)
{
  transport_t *t = s->transport;
  kex_span_t theirs, blob = {0};
  theirs.p = alk_rd_str(r, &theirs.len);
  if (!alk_rd_done(r)) return false;
  alk_buf_t public = {0}, sig = {0};
  const alk_key_t *key = host_key_for(t);
  if (!kex_server_reply(t->kex, theirs.p, theirs.len, &public)) {
    alk_buf_free(&public);
    return bad_public(s);
  }
  if (key != NULL)
    blob.p = t->agreed.hostkey->is_cert ? alk_key_cert(key, &blob.len)
                                        : alk_key_blob(key, &blob.len);
  if (key != NULL && make_hash(s, blob, theirs, span(&public)) &&
      alk_key_sign(key, t->agreed.hostkey->sig, t->hash, t->hash_len, &sig,
                   NULL)) {
    send_reply(s, blob, span(&public), &sig);
    change_keys(s);
  } else {
    native_bye(s, BYE_KEX, ALK_E_CRYPTO, "the key exchange failed");
  }
  alk_buf_free(&public);
  alk_buf_free(&sig);
  return true;
}

/* The first time it is the owner who decides; later it has to be the same. */
static void judge_hostkey(session_t *s, kex_span_t blob, bool first)
{
  transport_t *t = s->transport;
  if (first) {
    alk_buf_add(&t->peer_key, blob.p, blob.len);
    native_ask(s);
    s->base.ev->on_hostkey(&s->base, alk_buf_head(&t->peer_key), blob.len);
  } else if (blob.len == alk_buf_size(&t->peer_key) &&
             memcmp(blob.p, alk_buf_head(&t->peer_key), blob.len) == 0) {
    change_keys(s);
  } else {
    native_bye(s, BYE_HOSTKEY, ALK_E_HOSTKEY,
               "the server's host key changed during the session");
  }
}

/* Why the signature is not taken; whose certificate is no good has proved
 * nothing, and should hear what is wrong with it. */
static void unproved(session_t *s, kex_span_t blob)
{
  alk_err_t err = {0};
  alk_key_t *key = s->transport->agreed.hostkey->is_cert
                     ? alk_cert_subject(blob.p, blob.len, &err)
                     : NULL;
  alk_key_free(key);
  if (err.code != ALK_OK)
    native_bye(s, BYE_HOSTKEY, ALK_E_HOSTKEY,
               "the server's host certificate cannot be used: %s", err.msg);
  else
    native_bye(s, BYE_KEX, ALK_E_PROTO,
               "the server could not prove that the host key is its own");
}

bool transport_on_kex_reply(session_t *s, alk_rd_t *r)
{
  transport_t *t = s->transport;
  kex_span_t blob, theirs, sig;
  blob.p = alk_rd_str(r, &blob.len);
  theirs.p = alk_rd_str(r, &theirs.len);
  sig.p = alk_rd_str(r, &sig.len);
  if (!alk_rd_done(r) || blob.len > ALK_KEY_BLOB_MAX) return false;
  bool first = !t->has_session_id;
  if (!kex_client_finish(t->kex, theirs.p, theirs.len)) return bad_public(s);
  if (!make_hash(s, blob, span(&t->our_public), theirs)) {
    native_bye(s, BYE_KEX, ALK_E_CRYPTO, "the key exchange failed");
    return true;
  }
  if (sig_alg_verify(t->agreed.hostkey, blob.p, blob.len, sig.p, sig.len,
                     t->hash, t->hash_len))
    judge_hostkey(s, blob, first);
  else
    unproved(s, blob);
  return true;
}

void transport_trusted(session_t *s, bool yes)
{
  CHECK(s->asking && s->phase == PHASE_KEX);
  if (!yes) {
    native_bye(s, BYE_HOSTKEY, ALK_E_HOSTKEY,
               "the server's host key is not trusted");
    return;
  }
  change_keys(s);
  native_answered(s);
}

bool transport_on_newkeys(session_t *s, alk_rd_t *r)
{
  transport_t *t = s->transport;
  if (!alk_rd_done(r)) return false;
  renew(t, &s->rx, t->next_rx, t->agreed.cipher_rx->packets_max);
  t->next_rx = NULL;
  t->stage = KEX_IDLE;
  if (s->phase == PHASE_KEX) {
    s->phase = PHASE_SERVICE;
    if (!s->base.server) auth_start(s);
  }
  native_keys_fresh(s);
  native_wake(s);
  return true;
}
