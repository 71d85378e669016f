/* key_file.c - reads private keys in OpenSSH's own format (PROTOCOL.key).
 *
 *   -----BEGIN OPENSSH PRIVATE KEY-----      byte[]  "openssh-key-v1\0"
 *   base64 of:                               string  cipher
 *   -----END OPENSSH PRIVATE KEY-----        string  kdf: "none" or "bcrypt"
 *                                            string  kdf options: string salt,
 *   and in the last string, encrypted:               uint32 rounds
 *   uint32  check                            uint32  number of keys: 1
 *   uint32  the same check                   string  public key
 *   string  type                             string  private part
 *   ...     the type's fields                byte[]  tag, with an AEAD cipher
 *   string  comment
 *   byte[]  1, 2, 3 ... up to whole blocks
 *
 * The public part is read first and in full, so that a key that is refused for
 * its type or size is refused before anyone types a passphrase. Then the way
 * down: passphrase, decryption, checks, the private key, and last that its
 * public part is the one that was read. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "core/mem.h"

#include "ssh/key_impl.h"

enum { SALT_MAX = 256 };

typedef struct {
  const alk_key_cipher_t *cipher; /* NULL: one that we do not have */
  const uint8_t *cipher_name;
  size_t cipher_name_len;
  alk_key_kdf_t kdf;
  const uint8_t *blob;
  size_t blob_len;
  const uint8_t *secret; /* its tag stands behind it */
  size_t secret_len;
} container_t;

static bool is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins(const char *text, size_t len, const char *with)
{
  return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static void trim(const char **text, size_t *len)
{
  while (*len > 0 && is_space(**text)) {
    ++*text;
    --*len;
  }
  while (*len > 0 && is_space((*text)[*len - 1]))
    --*len;
}

/* What is between the two lines, decoded. */
static bool unarmor(const char *text, size_t len, alk_buf_t *out)
{
  trim(&text, &len);
  size_t begin = strlen(ALK_KEY_BEGIN), end = strlen(ALK_KEY_END);
  if (!begins(text, len, ALK_KEY_BEGIN) || len < begin + end ||
      memcmp(text + len - end, ALK_KEY_END, end) != 0)
    return false;
  alk_buf_t letters = {0};
  alk_buf_reserve(&letters, len);
  for (size_t i = begin; i < len - end; i++)
    if (!is_space(text[i])) alk_buf_u8(&letters, (uint8_t) text[i]);
  bool ok = alk_buf_size(&letters) > 0 &&
            alk_base64_decode((const char *) alk_buf_head(&letters),
                              alk_buf_size(&letters), out);
  alk_buf_free_secret(&letters);
  return ok;
}

/* The salt and rounds of bcrypt, or nothing at all without a cipher. */
static bool read_kdf(alk_rd_t *r, bool encrypted, alk_key_kdf_t *kdf)
{
  size_t len;
  const uint8_t *name = alk_rd_str(r, &len);
  alk_rd_t options = alk_rd_sub(r);
  if (name == NULL || r->bad) return false;
  if (!encrypted)
    return len == 4 && memcmp(name, "none", 4) == 0 && options.len == 0;
  kdf->salt = alk_rd_str(&options, &kdf->salt_len);
  kdf->rounds = alk_rd_u32(&options);
  return len == 6 && memcmp(name, "bcrypt", 6) == 0 && alk_rd_done(&options) &&
         kdf->salt_len > 0 && kdf->salt_len <= SALT_MAX && kdf->rounds > 0;
}

/* False: damaged. Of a cipher that we do not have only the name is read. */
static bool open_container(const alk_buf_t *bytes, container_t *c)
{
  alk_rd_t r = alk_rd(alk_buf_head(bytes), alk_buf_size(bytes));
  const uint8_t *magic = alk_rd_bytes(&r, sizeof ALK_KEY_MAGIC);
  if (magic == NULL || memcmp(magic, ALK_KEY_MAGIC, sizeof ALK_KEY_MAGIC) != 0)
    return false;
  c->cipher_name = alk_rd_str(&r, &c->cipher_name_len);
  if (c->cipher_name == NULL) return false;
  c->cipher = alk_key_cipher_find(c->cipher_name, c->cipher_name_len);
  if (c->cipher == NULL) return true;
  if (!read_kdf(&r, c->cipher->openssl != NULL, &c->kdf)) return false;
  if (alk_rd_u32(&r) != 1) return false;
  c->blob = alk_rd_str(&r, &c->blob_len);
  c->secret = alk_rd_str(&r, &c->secret_len);
  alk_rd_bytes(&r, c->cipher->tag_len);
  return alk_rd_done(&r) && c->secret_len > 0 &&
         c->secret_len % c->cipher->block_len == 0;
}

static bool is_pem(const char *text, size_t len)
{
  static const char dashes[] = "PRIVATE KEY-----";
  return memmem(text, len, "-----BEGIN ", 11) != NULL &&
         memmem(text, len, ALK_KEY_BEGIN, strlen(ALK_KEY_BEGIN)) == NULL &&
         memmem(text, len, dashes, sizeof dashes - 1) != NULL;
}

alk_key_format_t alk_key_format(const char *text, size_t len)
{
  if (len == 0 || len > ALK_KEY_FILE_MAX) return ALK_KEY_FORMAT_UNKNOWN;
  trim(&text, &len);
  if (!begins(text, len, ALK_KEY_BEGIN))
    return is_pem(text, len) ? ALK_KEY_FORMAT_PEM : ALK_KEY_FORMAT_UNKNOWN;
  alk_buf_t bytes = {0};
  container_t c = {0};
  bool encrypted = unarmor(text, len, &bytes) && open_container(&bytes, &c) &&
                   (c.cipher == NULL || c.cipher->openssl != NULL);
  alk_buf_free_secret(&bytes);
  return encrypted ? ALK_KEY_FORMAT_OPENSSH_ENCRYPTED : ALK_KEY_FORMAT_OPENSSH;
}

/* Why a text that is not an OpenSSH private key is refused. */
static void fail_format(const char *text, size_t len, alk_err_t *err)
{
  if (len > ALK_KEY_FILE_MAX) {
    alk_fail(err, ALK_E_KEY, 0, "the key file is longer than %d bytes",
             ALK_KEY_FILE_MAX);
    return;
  }
  trim(&text, &len);
  const char *why = "this is not a private key that OpenSSH wrote";
  if (len == 0)
    why = "the key file is empty";
  else if (is_pem(text, len))
    why = "PEM-encoded keys are not supported; convert it with: "
          "ssh-keygen -p -f FILE";
  else if (begins(text, len, "PuTTY-User-Key-File"))
    why = "PuTTY's format is not supported; export the key from PuTTYgen as "
          "an OpenSSH key";
  else if (begins(text, len, "ssh-") || begins(text, len, "ecdsa-"))
    why = "this is a public key; the private one is needed";
  alk_fail(err, ALK_E_KEY, 0, "%s", why);
}

static bool padding_is_right(alk_rd_t *r)
{
  size_t len = r->len;
  const uint8_t *p = alk_rd_bytes(r, len);
  if (len > UINT8_MAX) return false;
  for (size_t i = 0; i < len; i++)
    if (p[i] != i + 1) return false;
  return true;
}

/* Control characters would reach terminals, logs and lines of other files. */
static char *read_comment(alk_rd_t *r)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (p == NULL || memchr(p, '\0', len) != NULL) return NULL;
  char *text = alk_alloc(len + 1);
  for (size_t i = 0; i < len; i++)
    text[i] = p[i] < ' ' || p[i] == 0x7f ? '?' : (char) p[i];
  return text;
}

/* The decrypted part, behind its two check numbers. */
static alk_key_t *read_secret(alk_rd_t *r, const container_t *c, alk_err_t *err)
{
  const alk_key_kind_t *kind = alk_key_read_kind(r, "key", err);
  if (kind == NULL) return NULL;
  EVP_PKEY *pkey = kind->read_private(kind, r, err);
  if (pkey == NULL && !r->bad) return NULL;
  char *comment = read_comment(r);
  alk_key_t *k = NULL;
  if (comment == NULL || r->bad || !padding_is_right(r)) {
    alk_fail(err, ALK_E_KEY, 0, "the key file is damaged");
    EVP_PKEY_free(pkey);
  } else {
    k = alk_key_new(kind, pkey, true, err);
  }
  if (k != NULL && !alk_key_has_blob(k, c->blob, c->blob_len)) {
    alk_fail(err, ALK_E_KEY, 0,
             "the key file is damaged: its public key is of another");
    alk_key_free(k);
    k = NULL;
  }
  if (k != NULL) {
    alk_free(k->comment);
    k->comment = comment;
  } else {
    alk_free(comment);
  }
  return k;
}

static bool checks_agree(alk_rd_t *r)
{
  uint32_t first = alk_rd_u32(r), second = alk_rd_u32(r);
  return !r->bad && first == second;
}

/* Decrypts a copy and reads it. */
static alk_key_t *decrypt(const container_t *c, alk_err_t *err)
{
  static const char wrong[] = "the passphrase is wrong";
  bool encrypted = c->cipher->openssl != NULL;
  size_t room = c->secret_len + c->cipher->tag_len;
  uint8_t *copy = alk_memdup(c->secret, room);
  alk_rd_t r = alk_rd(copy, c->secret_len);
  alk_key_t *k = NULL;
  alk_key_crypt_t rc =
    alk_key_crypt(c->cipher, &c->kdf, false, copy, c->secret_len);
  if (rc == ALK_KEY_CRYPT_FAILED)
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot decrypt the key");
  else if (rc == ALK_KEY_CRYPT_BAD_TAG)
    alk_fail(err, ALK_E_KEY, 0, "%s", wrong);
  else if (!checks_agree(&r))
    alk_fail(err, ALK_E_KEY, 0, "%s",
             encrypted ? wrong : "the key file is damaged");
  else
    k = read_secret(&r, c, err);
  alk_free_secret(copy, room);
  return k;
}

static alk_key_t *read_container(container_t *c, const char *passphrase,
                                 alk_err_t *err)
{
  if (c->cipher == NULL) {
    alk_fail(err, ALK_E_KEY, 0,
             "the key's cipher is not supported; change it with: "
             "ssh-keygen -p -Z aes256-ctr -f FILE");
    return NULL;
  }
  alk_key_t *public = alk_key_read_blob(c->blob, c->blob_len, err);
  if (public == NULL) return NULL;
  alk_key_free(public);
  if (c->cipher->openssl != NULL) {
    if (passphrase == NULL || *passphrase == '\0') {
      alk_fail(err, ALK_E_KEY, 0, "the key is encrypted: give its passphrase");
      return NULL;
    }
    if (c->kdf.rounds > ALK_BCRYPT_ROUNDS_MAX) {
      alk_fail(err, ALK_E_KEY, 0,
               "the key has %u bcrypt rounds; at most %d "
               "are computed",
               c->kdf.rounds, ALK_BCRYPT_ROUNDS_MAX);
      return NULL;
    }
    c->kdf.passphrase = passphrase;
  }
  return decrypt(c, err);
}

alk_key_t *alk_key_read_private(const char *text, size_t len,
                                const char *passphrase, alk_err_t *err)
{
  const char *start = text;
  size_t trimmed = len;
  if (len <= ALK_KEY_FILE_MAX) trim(&start, &trimmed);
  if (len > ALK_KEY_FILE_MAX || !begins(start, trimmed, ALK_KEY_BEGIN)) {
    fail_format(text, len, err);
    return NULL;
  }
  alk_buf_t bytes = {0};
  container_t c = {0};
  alk_key_t *k = NULL;
  ERR_set_mark();
  if (unarmor(text, len, &bytes) && open_container(&bytes, &c))
    k = read_container(&c, passphrase, err);
  else
    alk_fail(err, ALK_E_KEY, 0, "the key file is damaged");
  ERR_pop_to_mark();
  alk_buf_free_secret(&bytes);
  return k;
}
