/* cipher.c - the format of a packet and the table of ciphers.
 *
 *    uint32    packet_length (of all that follows, without the tag)
 *    byte      padding_length
 *    byte[n1]  payload; n1 = packet_length - padding_length - 1
 *    byte[n2]  random padding; n2 = padding_length
 *    byte[m]   tag, or MAC                                (RFC 4253 §6)
 *
 * Sealing writes length, padding length, the payload's head and the padding to
 * where they belong and encrypts them there; the body goes through the cipher
 * from where the caller has it to where the packet wants it, once. Opening is
 * one pass over memory, or two where the tag is checked first.
 *
 * A cipher that failed once fails for ever: a wrong tag, a length that may not
 * be, an error of OpenSSL's and a packet too many under one key all end the
 * direction, and the session with it. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "ssh/native/cipher_impl.h"

#if defined(__linux__) && defined(__aarch64__)
#  include <asm/hwcap.h>
#  include <sys/auxv.h>
#endif

#include "core/mem.h"

enum {
  PAD_MIN = 4,
  PLAIN_BLOCK = 8, /* without a cipher */
  PLAIN_MIN = 16   /* then the whole packet has at least as many bytes */
};

/* RFC 4344 §3.1 asks for new keys after 2^31 packets. Its §3.2 counts blocks
 * (2^32 for AES): with the longest packets that is 2^21 of them, 64 GiB, far
 * behind the session's limit in bytes. */
#define PACKETS_MAX ((uint64_t) 1 << 31)

/* Whatever a session or a peer does, no more than this under one key: here the
 * sequence number repeats, which is ChaCha's nonce, and AES-GCM is at the end
 * of what SP 800-38D §8.3 allows. */
#define PACKETS_LAST ((uint64_t) 1 << 32)

#define GCM(name, openssl, key_len)                                          \
  {                                                                          \
    {name, key_len, 12, true, PACKETS_MAX}, openssl, 16, 16, &cipher_gcm_ops \
  }
#define CTR(name, openssl, key_len)                                          \
  {                                                                          \
    {name, key_len, 16, false, PACKETS_MAX}, openssl, 16, 0, &cipher_ctr_ops \
  }

static const cipher_kind_t kinds[] = {
  GCM("aes128-gcm@openssh.com", "AES-128-GCM", 16),
  GCM("aes256-gcm@openssh.com", "AES-256-GCM", 32),
  {{"chacha20-poly1305@openssh.com", 64, 0, true, PACKETS_MAX},
   "ChaCha20",
   8,
   16,
   &cipher_chacha_ops},
  CTR("aes128-ctr", "AES-128-CTR", 16),
  CTR("aes192-ctr", "AES-192-CTR", 24),
  CTR("aes256-ctr", "AES-256-CTR", 32),
};

static const cipher_mac_t macs[] = {
  {{"hmac-sha2-256-etm@openssh.com", 32, 32}, "SHA256"},
  {{"hmac-sha2-512-etm@openssh.com", 64, 64}, "SHA512"},
};

enum {
  KINDS = sizeof kinds / sizeof kinds[0],
  MACS = sizeof macs / sizeof macs[0]
};

/* helpers of the families */

uint32_t cipher_get_u32(const uint8_t p[4])
{
  return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 |
         p[3];
}

void cipher_put_u32(uint8_t p[4], uint32_t v)
{
  for (int i = 0; i < 4; i++)
    p[i] = (uint8_t) (v >> (24 - 8 * i));
}

EVP_CIPHER_CTX *cipher_ctx_new(const cipher_t *c, const uint8_t *key,
                               size_t key_len, const uint8_t *iv)
{
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, c->kind->openssl, NULL);
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  bool ok = cipher != NULL && ctx != NULL &&
            EVP_CIPHER_get_key_length(cipher) == (int) key_len &&
            EVP_CipherInit_ex2(ctx, cipher, key, iv, c->seal, NULL) == 1 &&
            EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
  EVP_CIPHER_free(cipher); /* the context has its own reference */
  if (ok) return ctx;
  EVP_CIPHER_CTX_free(ctx);
  return NULL;
}

EVP_MAC_CTX *cipher_mac_ctx_new(const char *mac)
{
  EVP_MAC *fetched = EVP_MAC_fetch(NULL, mac, NULL);
  EVP_MAC_CTX *ctx = fetched == NULL ? NULL : EVP_MAC_CTX_new(fetched);
  EVP_MAC_free(fetched);
  return ctx;
}

bool cipher_update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in,
                   size_t len)
{
  int n = 0;
  if (len == 0) return true;
  return EVP_CipherUpdate(ctx, out, &n, in, (int) len) == 1 && n == (int) len;
}

bool cipher_update_plain(EVP_CIPHER_CTX *ctx, const cipher_plain_t *plain)
{
  uint8_t *mid = plain->out + plain->front_len;
  uint8_t *tail = mid + plain->mid_len;
  if (plain->mid_len == 0) /* short: both ends in one go */
    return cipher_update(ctx, plain->out, plain->out,
                         plain->front_len + plain->tail_len);
  return cipher_update(ctx, plain->out, plain->out, plain->front_len) &&
         cipher_update(ctx, mid, plain->mid, plain->mid_len) &&
         cipher_update(ctx, tail, tail, plain->tail_len);
}

/* no cipher */

static bool plain_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                       const cipher_plain_t *plain)
{
  (void) c;
  (void) seq;
  (void) out;
  if (plain->mid_len > 0)
    memcpy(plain->out + plain->front_len, plain->mid, plain->mid_len);
  return true;
}

static bool plain_length(cipher_t *c, uint32_t seq,
                         const uint8_t in[LENGTH_SIZE], uint32_t *length)
{
  (void) c;
  (void) seq;
  *length = cipher_get_u32(in);
  return true;
}

static bool plain_open(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
                       uint8_t *out)
{
  (void) c;
  (void) seq;
  memcpy(out, in + LENGTH_SIZE, len);
  return true;
}

static const cipher_ops_t plain_ops = {
  .seal = plain_seal,
  .length = plain_length,
  .open = plain_open,
};
static const cipher_kind_t none = {.block = PLAIN_BLOCK, .ops = &plain_ops};

/* lengths */

static const cipher_kind_t *kind_of(const cipher_t *c)
{
  return c == NULL ? &none : c->kind;
}

static size_t tag_len(const cipher_t *c)
{
  return c == NULL ? 0 : c->tag_len;
}

/* The length field counts towards the block only without a cipher: an AEAD and
 * a MAC over the encrypted packet leave it out. */
static size_t counted(const cipher_t *c)
{
  return c == NULL ? LENGTH_SIZE : 0;
}

static bool is_length(const cipher_t *c, size_t length)
{
  size_t block = kind_of(c)->block;
  size_t min = c == NULL ? PLAIN_MIN : block;
  size_t whole = length + counted(c);
  return length <= PACKET_LENGTH_MAX && whole >= min && whole % block == 0;
}

static size_t padding_len(const cipher_t *c, size_t payload_len)
{
  size_t block = kind_of(c)->block;
  size_t len = block - (counted(c) + 1 + payload_len) % block;
  return len < PAD_MIN ? len + block : len;
}

/* What packet_length says; 0: no packet can carry such a payload. */
static size_t packet_length(const cipher_t *c, size_t payload_len)
{
  if (payload_len == 0 || payload_len > PACKET_LENGTH_MAX) return 0;
  size_t length = 1 + payload_len + padding_len(c, payload_len);
  return length <= PACKET_LENGTH_MAX ? length : 0;
}

size_t cipher_sealed_len(const cipher_t *c, size_t payload_len)
{
  size_t length = packet_length(c, payload_len);
  return length == 0 ? 0 : LENGTH_SIZE + length + tag_len(c);
}

/* sealing and opening */

/* What OpenSSL has to say about it does not stay: its queue of errors belongs
 * to the whole thread. A mark for every packet would cost the good ones. */
static bool fail(cipher_t *c)
{
  if (c != NULL) c->failed = true;
  ERR_clear_error();
  return false;
}

/* One more packet under this key, unless there may be none. */
static bool count(cipher_t *c, bool seal)
{
  if (c == NULL) return true;
  if (c->failed || c->seal != seal || c->packets >= PACKETS_LAST) return false;
  c->packets++;
  return true;
}

/* Every byte of the pool is used once. Without a cipher there is no pool: the
 * few packets before the first keys ask for their padding one by one. */
static bool put_padding(cipher_t *c, uint8_t *out, size_t len)
{
  if (c == NULL) return RAND_bytes(out, (int) len) == 1;
  if (c->pad_left < len) {
    c->pad_left = 0;
    if (RAND_bytes(c->pad, sizeof c->pad) != 1) return false;
    c->pad_left = sizeof c->pad;
  }
  c->pad_left -= len;
  memcpy(out, c->pad + c->pad_left, len);
  return true;
}

static void put(uint8_t **out, const uint8_t *p, size_t len)
{
  if (len > 0) memcpy(*out, p, len);
  *out += len;
}

/* The front takes the head and so much of the body as fills its last block,
 * the tail what is left of the body behind its last whole one. */
static cipher_plain_t split(uint8_t *out, size_t head_len, const uint8_t *body,
                            size_t body_len)
{
  size_t front = 1 + head_len;
  size_t lent = (CHACHA_BLOCK - front % CHACHA_BLOCK) % CHACHA_BLOCK;
  if (lent > body_len) lent = body_len;
  size_t rest = (body_len - lent) % CHACHA_BLOCK;
  return (cipher_plain_t){
    .out = out,
    .mid = body_len == 0 ? NULL : body + lent,
    .front_len = front + lent,
    .mid_len = body_len - lent - rest,
    .tail_len = rest,
  };
}

/* NOLINTNEXTLINE(readability-function-size): the header's seven parameters */
bool cipher_seal(cipher_t *c, uint32_t seq, uint8_t *out, const uint8_t *head,
                 size_t head_len, const uint8_t *body, size_t body_len)
{
  if (head_len > PACKET_LENGTH_MAX || body_len > PACKET_LENGTH_MAX)
    return fail(c);
  size_t payload_len = head_len + body_len;
  size_t length = packet_length(c, payload_len);
  if (length == 0 || !count(c, true)) return fail(c);
  size_t pad_len = length - 1 - payload_len;
  cipher_plain_t plain = split(out + LENGTH_SIZE, head_len, body, body_len);
  cipher_put_u32(out, (uint32_t) length);
  uint8_t *p = plain.out;
  *p++ = (uint8_t) pad_len;
  put(&p, head, head_len);
  put(&p, body, plain.front_len - 1 - head_len);
  p += plain.mid_len;
  if (plain.tail_len > 0) put(&p, plain.mid + plain.mid_len, plain.tail_len);
  plain.tail_len += pad_len;
  if (!put_padding(c, p, pad_len) ||
      !kind_of(c)->ops->seal(c, seq, out, &plain)) {
    OPENSSL_cleanse(out, LENGTH_SIZE + length); /* a part is in the clear */
    return fail(c);
  }
  return true;
}

bool cipher_packet_len(cipher_t *c, uint32_t seq, const uint8_t in[4],
                       size_t *len)
{
  uint32_t length = 0;
  *len = 0;
  if (c != NULL && (c->failed || c->seal)) return fail(c);
  if (!kind_of(c)->ops->length(c, seq, in, &length) || !is_length(c, length))
    return fail(c);
  *len = LENGTH_SIZE + length + tag_len(c);
  return true;
}

/* The padding is at least four bytes long and leaves a payload of one. */
static bool take_payload_len(const uint8_t *packet, size_t length, size_t *len)
{
  size_t pad_len = packet[0];
  if (pad_len < PAD_MIN || pad_len + 1 >= length) return false;
  *len = length - 1 - pad_len;
  return true;
}

bool cipher_open(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
                 uint8_t *out, size_t *payload_len)
{
  size_t said = 0;
  *payload_len = 0;
  if (len < LENGTH_SIZE + tag_len(c)) return fail(c);
  if (!cipher_packet_len(c, seq, in, &said) || said != len || !count(c, false))
    return fail(c);
  size_t length = len - LENGTH_SIZE - tag_len(c);
  if (!kind_of(c)->ops->open(c, seq, in, length, out) ||
      !take_payload_len(out, length, payload_len)) {
    OPENSSL_cleanse(out, length); /* nobody reads what no tag vouches for */
    return fail(c);
  }
  return true;
}

/* the table */

static const cipher_kind_t *kind_with(const cipher_info_t *info)
{
  size_t i = 0;
  while (i < KINDS && info != &kinds[i].info)
    i++;
  CHECK(i < KINDS);
  return &kinds[i];
}

static const cipher_mac_t *mac_with(const mac_info_t *info)
{
  size_t i = 0;
  while (i < MACS && info != &macs[i].info)
    i++;
  CHECK(i < MACS);
  return &macs[i];
}

static bool has_cipher(const char *name)
{
  ERR_set_mark();
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
  ERR_pop_to_mark();
  EVP_CIPHER_free(cipher);
  return cipher != NULL;
}

static bool has_mac(const char *name)
{
  ERR_set_mark();
  EVP_MAC *mac = EVP_MAC_fetch(NULL, name, NULL);
  ERR_pop_to_mark();
  EVP_MAC_free(mac);
  return mac != NULL;
}

static bool has_digest(const char *name)
{
  ERR_set_mark();
  EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
  ERR_pop_to_mark();
  EVP_MD_free(md);
  return md != NULL;
}

const cipher_info_t *cipher_find(const char *name)
{
  for (size_t i = 0; i < KINDS; i++) {
    const cipher_kind_t *kind = &kinds[i];
    if (strcmp(kind->info.name, name) != 0) continue;
    bool poly = kind->ops == &cipher_chacha_ops;
    return has_cipher(kind->openssl) && (!poly || has_mac("POLY1305"))
             ? &kind->info
             : NULL;
  }
  return NULL;
}

const mac_info_t *cipher_find_mac(const char *name)
{
  for (size_t i = 0; i < MACS; i++)
    if (strcmp(macs[i].info.name, name) == 0)
      return has_mac("HMAC") && has_digest(macs[i].digest) ? &macs[i].info
                                                           : NULL;
  return NULL;
}

bool cipher_has_fast_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__linux__) && defined(__aarch64__)
  unsigned long has = getauxval(AT_HWCAP);
  return (has & HWCAP_AES) != 0 && (has & HWCAP_PMULL) != 0;
#elif defined(__APPLE__) && defined(__aarch64__)
  return true; /* every one of them */
#else
  return false;
#endif
}

cipher_t *cipher_new(const cipher_info_t *info, const mac_info_t *mac,
                     const uint8_t *key, const uint8_t *iv,
                     const uint8_t *mac_key, bool seal)
{
  const cipher_kind_t *kind = kind_with(info);
  CHECK(info->aead == (mac == NULL));
  cipher_t *c = alk_alloc(sizeof *c);
  c->kind = kind;
  c->mac = mac == NULL ? NULL : mac_with(mac);
  c->tag_len = mac == NULL ? kind->tag_len : mac->tag_len;
  c->seal = seal;
  ERR_set_mark();
  bool ok = kind->ops->start(c, key, iv, mac_key);
  ERR_pop_to_mark();
  if (ok) return c;
  cipher_free(c);
  return NULL;
}

void cipher_free(cipher_t *c)
{
  if (c == NULL) return;
  EVP_CIPHER_CTX_free(c->ctx);
  EVP_CIPHER_CTX_free(c->length_ctx);
  EVP_MAC_CTX_free(c->mac_ctx);
  alk_free_secret(c, sizeof *c);
}
