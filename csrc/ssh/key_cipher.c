/* key_cipher.c - how a private key's container is encrypted: bcrypt makes a
 * key and an IV of the passphrase, AES does the rest (PROTOCOL.key). */
#include <string.h>

#include <openssl/crypto.h>

#include "ssh/bcrypt_pbkdf.h"
#include "ssh/key_impl.h"

enum { MATERIAL_MAX = 32 + 16 };

static const alk_key_cipher_t ciphers[] = {
  {"none", NULL, 0, 0, 0, 8},
  {"aes256-ctr", "AES-256-CTR", 32, 16, 0, 16},
  {"aes192-ctr", "AES-192-CTR", 24, 16, 0, 16},
  {"aes128-ctr", "AES-128-CTR", 16, 16, 0, 16},
  {"aes256-cbc", "AES-256-CBC", 32, 16, 0, 16},
  {"aes256-gcm@openssh.com", "AES-256-GCM", 32, 12, 16, 16},
};

const alk_key_cipher_t *alk_key_cipher_find(const uint8_t *name, size_t len)
{
  for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
    if (strlen(ciphers[i].name) == len &&
        memcmp(ciphers[i].name, name, len) == 0)
      return &ciphers[i];
  return NULL;
}

static bool derive(const alk_key_cipher_t *cipher, const alk_key_kdf_t *kdf,
                   uint8_t out[MATERIAL_MAX])
{
  alk_bcrypt_t in = {
    .pass = kdf->passphrase,
    .pass_len = strlen(kdf->passphrase),
    .salt = kdf->salt,
    .salt_len = kdf->salt_len,
    .rounds = kdf->rounds,
  };
  return alk_bcrypt_pbkdf(&in, out, cipher->key_len + cipher->iv_len);
}

/* The tag of a sealed buffer is put behind it; that of a sealed one is told to
 * OpenSSL before the last step, which compares it. */
static alk_key_crypt_t run(EVP_CIPHER_CTX *ctx, const alk_key_cipher_t *cipher,
                           bool seal, uint8_t *buf, size_t len)
{
  int tag_len = (int) cipher->tag_len, n = 0, last = 0;
  if (!seal && tag_len > 0 &&
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag_len, buf + len) != 1)
    return ALK_KEY_CRYPT_FAILED;
  if (EVP_CipherUpdate(ctx, buf, &n, buf, (int) len) != 1 || n != (int) len)
    return ALK_KEY_CRYPT_FAILED;
  if (EVP_CipherFinal_ex(ctx, buf + n, &last) != 1 || last != 0)
    return seal || tag_len == 0 ? ALK_KEY_CRYPT_FAILED : ALK_KEY_CRYPT_BAD_TAG;
  if (seal && tag_len > 0 &&
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag_len, buf + len) != 1)
    return ALK_KEY_CRYPT_FAILED;
  return ALK_KEY_CRYPT_OK;
}

alk_key_crypt_t alk_key_crypt(const alk_key_cipher_t *cipher,
                              const alk_key_kdf_t *kdf, bool seal, uint8_t *buf,
                              size_t len)
{
  if (cipher->openssl == NULL) return ALK_KEY_CRYPT_OK;
  uint8_t material[MATERIAL_MAX];
  alk_key_crypt_t result = ALK_KEY_CRYPT_FAILED;
  EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, cipher->openssl, NULL);
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (aes != NULL && ctx != NULL && derive(cipher, kdf, material) &&
      EVP_CipherInit_ex2(ctx, aes, material, material + cipher->key_len, seal,
                         NULL) == 1 &&
      EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
    result = run(ctx, cipher, seal, buf, len);
  OPENSSL_cleanse(material, sizeof material);
  EVP_CIPHER_CTX_free(ctx);
  EVP_CIPHER_free(aes);
  return result;
}
