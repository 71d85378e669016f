/* key_write.c - writes keys: the private container that key_file.c draws, and
 * the public line. A comment of NULL is the key's own. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "core/mem.h"

#include "ssh/key_impl.h"

enum { SALT_LEN = 16, COMMENT_MAX = 1024, COLUMNS = 70 };

/* The part to be encrypted, padded to whole blocks. */
static bool put_secret(const alk_key_t *k, const char *comment,
                       size_t block_len, alk_buf_t *out)
{
  uint8_t check[4]; /* shows a reader that its passphrase was right */
  if (RAND_bytes(check, sizeof check) != 1) return false;
  alk_buf_add(out, check, sizeof check);
  alk_buf_add(out, check, sizeof check);
  alk_buf_cstr(out, k->kind->type);
  if (!k->kind->write_private(k->kind, k->pkey, out)) return false;
  alk_buf_cstr(out, comment);
  for (uint8_t i = 1; alk_buf_size(out) % block_len != 0; i++)
    alk_buf_u8(out, i);
  return true;
}

static void put_head(const alk_key_t *k, const alk_key_cipher_t *cipher,
                     const alk_key_kdf_t *kdf, alk_buf_t *out)
{
  alk_buf_add(out, ALK_KEY_MAGIC, sizeof ALK_KEY_MAGIC);
  alk_buf_cstr(out, cipher->name);
  if (cipher->openssl == NULL) {
    alk_buf_cstr(out, "none");
    alk_buf_cstr(out, "");
  } else {
    alk_buf_cstr(out, "bcrypt");
    alk_buf_u32(out, (uint32_t) (4 + kdf->salt_len + 4));
    alk_buf_str(out, kdf->salt, kdf->salt_len);
    alk_buf_u32(out, kdf->rounds);
  }
  alk_buf_u32(out, 1);
  alk_buf_str(out, alk_buf_head(&k->blob), alk_buf_size(&k->blob));
}

static bool put_container(const alk_key_t *k, const char *passphrase,
                          const char *comment, alk_buf_t *out)
{
  const char *name = passphrase == NULL ? "none" : "aes256-ctr";
  const alk_key_cipher_t *cipher =
    alk_key_cipher_find((const uint8_t *) name, strlen(name));
  CHECK(cipher != NULL && cipher->tag_len == 0);
  uint8_t salt[SALT_LEN];
  alk_key_kdf_t kdf = {passphrase, salt, SALT_LEN, ALK_BCRYPT_ROUNDS};
  alk_buf_t secret = {0};
  bool ok = RAND_bytes(salt, SALT_LEN) == 1 &&
            put_secret(k, comment, cipher->block_len, &secret) &&
            alk_key_crypt(cipher, &kdf, true, secret.p,
                          alk_buf_size(&secret)) == ALK_KEY_CRYPT_OK;
  if (ok) {
    put_head(k, cipher, &kdf, out);
    alk_buf_str(out, alk_buf_head(&secret), alk_buf_size(&secret));
  }
  alk_buf_free_secret(&secret);
  return ok;
}

static void armor(const alk_buf_t *bytes, alk_buf_t *out)
{
  alk_buf_t letters = {0};
  alk_base64_encode(alk_buf_head(bytes), alk_buf_size(bytes), &letters);
  alk_buf_add(out, ALK_KEY_BEGIN "\n", strlen(ALK_KEY_BEGIN) + 1);
  while (alk_buf_size(&letters) > 0) {
    size_t left = alk_buf_size(&letters), n = left < COLUMNS ? left : COLUMNS;
    alk_buf_add(out, alk_buf_head(&letters), n);
    alk_buf_u8(out, '\n');
    alk_buf_consume(&letters, n);
  }
  alk_buf_add(out, ALK_KEY_END "\n", strlen(ALK_KEY_END) + 1);
  alk_buf_free_secret(&letters);
}

static bool is_control(char c)
{
  return (unsigned char) c < ' ' || c == 0x7f;
}

static bool may_write(const alk_key_t *k, const char *passphrase,
                      const char *comment, alk_err_t *err)
{
  bool plain = true;
  for (const char *p = comment; *p != '\0'; p++)
    plain = plain && !is_control(*p);
  if (!k->is_private)
    alk_fail(err, ALK_E_KEY, 0, "the key has no private part to write");
  else if (passphrase != NULL && *passphrase == '\0')
    alk_fail(err, ALK_E_OPTION, 0, "an empty passphrase encrypts nothing");
  else if (!plain || strlen(comment) > COMMENT_MAX)
    alk_fail(err, ALK_E_OPTION, 0,
             "the key's comment must be one line of at most %d bytes",
             COMMENT_MAX);
  else
    return true;
  return false;
}

bool alk_key_write_private(const alk_key_t *k, const char *passphrase,
                           const char *comment, alk_buf_t *out, alk_err_t *err)
{
  if (comment == NULL) comment = k->comment;
  if (!may_write(k, passphrase, comment, err)) return false;
  alk_buf_t bytes = {0};
  ERR_set_mark();
  bool ok = put_container(k, passphrase, comment, &bytes);
  ERR_pop_to_mark();
  if (ok)
    armor(&bytes, out);
  else
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot write the key");
  alk_buf_free_secret(&bytes);
  return ok;
}

void alk_key_write_public(const alk_key_t *k, const char *comment,
                          alk_buf_t *out)
{
  if (comment == NULL) comment = k->comment;
  alk_buf_add(out, k->kind->type, strlen(k->kind->type));
  alk_buf_u8(out, ' ');
  alk_base64_encode(alk_buf_head(&k->blob), alk_buf_size(&k->blob), out);
  if (*comment != '\0') alk_buf_u8(out, ' ');
  for (const char *p = comment; *p != '\0'; p++) /* it must stay one line */
    alk_buf_u8(out, is_control(*p) ? '?' : (uint8_t) *p);
  alk_buf_u8(out, '\n');
}
