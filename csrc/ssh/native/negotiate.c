/* negotiate.c - KEXINIT: what we offer, what they offer, what both can
 * (RFC 4253 §7.1). */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "core/mem.h"

#include "ssh/native/transport.h"

#define KEX                                  \
  "mlkem768x25519-sha256,curve25519-sha256," \
  "curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
#define HOSTKEYS "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
/* A client asks for these by name, if it knows an authority to trust. */
#define HOSTCERTS                             \
  "ssh-ed25519-cert-v01@openssh.com,"         \
  "ecdsa-sha2-nistp256-cert-v01@openssh.com," \
  "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"
#define GCM    "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
#define CHACHA "chacha20-poly1305@openssh.com"
#define CTR    "aes256-ctr,aes128-ctr"
#define MACS   "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"

/* These two stand in the list of key exchanges and are none (OpenSSH PROTOCOL
 * §1.10, RFC 8308 §2.1). */
#define STRICT_CLIENT "kex-strict-c-v00@openssh.com"
#define STRICT_SERVER "kex-strict-s-v00@openssh.com"
#define EXT_INFO      "ext-info-c"

enum { COOKIE = 16, LISTS = 10 };

typedef struct { /* a name in a comma list */
  const char *p;
  size_t len;
} name_t;

/* The next name of a list; false: no more. Empty names are names. */
static bool next_name(const char **list, const char *end, name_t *out)
{
  if (*list == NULL) return false;
  const char *comma = memchr(*list, ',', (size_t) (end - *list));
  out->p = *list;
  out->len = (size_t) ((comma == NULL ? end : comma) - *list);
  *list = comma == NULL ? NULL : comma + 1;
  return true;
}

static bool has_name(const char *list, size_t len, name_t want)
{
  const char *p = list;
  name_t n;
  while (next_name(&p, list + len, &n))
    if (n.len == want.len && memcmp(n.p, want.p, n.len) == 0) return true;
  return false;
}

static bool has(const char *list, size_t len, const char *want)
{
  return has_name(list, len, (name_t){want, strlen(want)});
}

static bool copy_name(name_t n, char out[NAME_MAX_LEN])
{
  if (n.len == 0 || n.len >= NAME_MAX_LEN) return false;
  memcpy(out, n.p, n.len);
  out[n.len] = '\0';
  return true;
}

typedef bool can_t(const transport_t *t, const char *name);

static bool can_kex(const transport_t *t, const char *name)
{
  (void) t;
  return kex_find(name) != NULL;
}

static bool can_cipher(const transport_t *t, const char *name)
{
  (void) t;
  return cipher_find(name) != NULL;
}

static bool can_mac(const transport_t *t, const char *name)
{
  (void) t;
  return cipher_find_mac(name) != NULL;
}

/* The key of ours that signs with this algorithm; a client may be shown any. */
static bool can_hostkey(const transport_t *t, const char *name)
{
  const sig_alg_t *alg = sig_alg_find((const uint8_t *) name, strlen(name));
  if (alg == NULL) return false;
  for (size_t i = 0; i < t->hostkeys_len; i++)
    if (sig_alg_for(t->hostkeys[i], alg->is_cert, name) != NULL) return true;
  return t->hostkeys_len == 0;
}

static void append(char list[LIST_MAX], const char *name)
{
  size_t len = strlen(list);
  CHECK(len + 1 + strlen(name) < LIST_MAX);
  snprintf(list + len, LIST_MAX - len, "%s%s", len > 0 ? "," : "", name);
}

typedef struct {
  const char *what;   /* for people */
  const char *all;    /* what this engine has */
  const char *wanted; /* what is offered of it */
  can_t *can;
} choice_t;

/* Lists narrow what is offered and never widen it. A name of ours that the
 * running OpenSSL (or our keys) cannot do is left out, unless it was asked
 * for. */
static bool offer(const transport_t *t, const choice_t *c, char out[LIST_MAX],
                  alk_err_t *err)
{
  const char *list = c->wanted, *p = list;
  name_t n;
  while (next_name(&p, list + strlen(list), &n)) {
    char name[NAME_MAX_LEN];
    bool known = copy_name(n, name) && has_name(c->all, strlen(c->all), n);
    if (known && c->can(t, name) && !has(out, strlen(out), name))
      append(out, name);
    if (known) continue;
    alk_fail(err, ALK_E_OPTION, 0,
             "%s: %.*s is not offered by the native engine here", c->what,
             (int) (n.len > NAME_MAX_LEN ? NAME_MAX_LEN : n.len), n.p);
    return false;
  }
  if (out[0] != '\0') return true;
  alk_fail(err, ALK_E_OPTION, 0, "%s: nothing is left to offer", c->what);
  return false;
}

static const char * or (const char *wanted, const char *all)
{
  return wanted == NULL ? all : wanted;
}

bool negotiate_offer(transport_t *t, bool server,
                     const alk_session_opts_t *opts, alk_err_t *err)
{
  const char *all_ciphers =
    cipher_has_fast_aes() ? GCM "," CHACHA "," CTR : CHACHA "," GCM "," CTR;
  const choice_t kex = {"kex", KEX, or (opts->kex, KEX), can_kex};
  const choice_t hostkeys = {
    "host key algorithms", HOSTCERTS "," HOSTKEYS,
    or (opts->hostkey_algorithms, server ? HOSTCERTS "," HOSTKEYS : HOSTKEYS),
    can_hostkey};
  const choice_t ciphers = {"ciphers", all_ciphers,
                            or (opts->ciphers, all_ciphers), can_cipher};
  const choice_t macs = {"macs", MACS, or (opts->macs, MACS), can_mac};
  return offer(t, &kex, t->offer.kex, err) &&
         offer(t, &hostkeys, t->offer.hostkeys, err) &&
         offer(t, &ciphers, t->offer.ciphers, err) &&
         offer(t, &macs, t->offer.macs, err);
}

bool negotiate_init(const transport_t *t, bool server, alk_buf_t *out)
{
  uint8_t cookie[COOKIE];
  ERR_set_mark();
  bool ok = RAND_bytes(cookie, COOKIE) == 1;
  ERR_pop_to_mark();
  if (!ok) return false;
  char kex[LIST_MAX + 128];
  snprintf(kex, sizeof kex, "%s,%s", t->offer.kex,
           server ? STRICT_SERVER : EXT_INFO "," STRICT_CLIENT);
  alk_buf_u8(out, MSG_KEXINIT);
  alk_buf_add(out, cookie, COOKIE);
  alk_buf_cstr(out, kex);
  alk_buf_cstr(out, t->offer.hostkeys);
  for (int i = 0; i < 2; i++)
    alk_buf_cstr(out, t->offer.ciphers);
  for (int i = 0; i < 2; i++)
    alk_buf_cstr(out, t->offer.macs);
  for (int i = 0; i < 2; i++)
    alk_buf_cstr(out, "none");
  for (int i = 0; i < 2; i++)
    alk_buf_cstr(out, ""); /* languages */
  alk_buf_u8(out, 0);      /* we never guess */
  alk_buf_u32(out, 0);
  return true;
}

typedef struct { /* a list of theirs, as it lies in the packet */
  const char *p;
  size_t len;
} list_t;

/* The client's first that the server has too; out is a name of ours. */
static bool choose(bool server, list_t theirs, const char *ours,
                   char out[NAME_MAX_LEN])
{
  list_t mine = {ours, strlen(ours)};
  list_t client = server ? theirs : mine, other = server ? mine : theirs;
  const char *p = client.p;
  name_t n;
  while (next_name(&p, client.p + client.len, &n))
    if (copy_name(n, out) && has_name(other.p, other.len, n)) return true;
  return false;
}

/* A guess is right when both sides would rather have the same. */
static bool same_first(list_t theirs, const char *ours)
{
  const char *p = theirs.p, *q = ours;
  name_t a, b;
  return next_name(&p, theirs.p + theirs.len, &a) &&
         next_name(&q, ours + strlen(ours), &b) && a.len == b.len &&
         memcmp(a.p, b.p, a.len) == 0;
}

static bool nothing_in_common(session_t *s, const char *what, list_t theirs)
{
  char shown[120];
  size_t n = theirs.len < sizeof shown ? theirs.len : sizeof shown - 1;
  for (size_t i = 0; i < n; i++)
    shown[i] = theirs.p[i] > ' ' && theirs.p[i] <= '~' ? theirs.p[i] : '?';
  shown[n] = '\0';
  native_bye(s, BYE_KEX, ALK_E_KEX, "no %s in common; theirs: %s", what, shown);
  return true; /* well-formed, and over */
}

/* It was there when it was offered: OpenSSL has no memory, or the like. */
static bool is_gone(session_t *s, const char *name)
{
  native_bye(s, BYE_KEX, ALK_E_CRYPTO, "%s cannot be had from OpenSSL any more",
             name);
  return false;
}

/* The cipher of one direction, and its MAC if it needs one. */
static bool agree_cipher(session_t *s, list_t ciphers, list_t macs,
                         const cipher_info_t **cipher, const mac_info_t **mac)
{
  const offer_t *o = &s->transport->offer;
  char name[NAME_MAX_LEN];
  *mac = NULL;
  *cipher = NULL;
  if (!choose(s->base.server, ciphers, o->ciphers, name)) {
    nothing_in_common(s, "cipher", ciphers);
    return false;
  }
  *cipher = cipher_find(name);
  if (*cipher == NULL) return is_gone(s, name);
  if ((*cipher)->aead) return true;
  if (!choose(s->base.server, macs, o->macs, name)) {
    nothing_in_common(s, "MAC", macs);
    return false;
  }
  *mac = cipher_find_mac(name);
  return *mac != NULL || is_gone(s, name);
}

static bool agree_ciphers(session_t *s, agreed_t *a, const list_t *lists)
{
  bool server = s->base.server;
  return agree_cipher(s, lists[2], lists[4],
                      server ? &a->cipher_rx : &a->cipher_tx,
                      server ? &a->mac_rx : &a->mac_tx) &&
         agree_cipher(s, lists[3], lists[5],
                      server ? &a->cipher_tx : &a->cipher_rx,
                      server ? &a->mac_tx : &a->mac_rx);
}

bool negotiate_agree(session_t *s, transport_t *t, alk_rd_t r)
{
  bool server = s->base.server;
  list_t lists[LISTS];
  char hostkey[NAME_MAX_LEN];
  alk_rd_bytes(&r, COOKIE);
  for (int i = 0; i < LISTS; i++)
    lists[i].p = (const char *) alk_rd_str(&r, &lists[i].len);
  bool guesses = alk_rd_u8(&r) != 0;
  alk_rd_u32(&r);
  if (!alk_rd_done(&r)) return false;
  agreed_t *a = &t->agreed;
  *a = (agreed_t){0};
  if (!choose(server, lists[0], t->offer.kex, a->kex))
    return nothing_in_common(s, "key exchange", lists[0]);
  if (!choose(server, lists[1], t->offer.hostkeys, hostkey))
    return nothing_in_common(s, "host key algorithm", lists[1]);
  if (!agree_ciphers(s, a, lists)) return true;
  for (int i = 6; i < 8; i++)
    if (!has(lists[i].p, lists[i].len, "none"))
      return nothing_in_common(s, "compression", lists[i]);
  a->method = kex_find(a->kex);
  if (a->method == NULL) return !is_gone(s, a->kex); /* well-formed, and over */
  a->hostkey = sig_alg_find((const uint8_t *) hostkey, strlen(hostkey));
  a->skip_guess = guesses && !(same_first(lists[0], t->offer.kex) &&
                               same_first(lists[1], t->offer.hostkeys));
  if (t->has_session_id) return true;
  t->strict =
    has(lists[0].p, lists[0].len, server ? STRICT_CLIENT : STRICT_SERVER);
  t->ext_info = server && has(lists[0].p, lists[0].len, EXT_INFO);
  return true;
}
