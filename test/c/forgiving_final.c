/* forgiving_final.c - for test/libssh-gcm.test.js: linked with
 * -Wl,--wrap=EVP_DecryptFinal and the same for its _ex, it makes any libssh one
 * that does not check the tag of an AES-GCM packet. The faulty releases take
 * the call for done when it is not negative, and a wrong tag makes it 0. */
#include <openssl/evp.h>

int __wrap_EVP_DecryptFinal(EVP_CIPHER_CTX *ctx, unsigned char *out, int *len);
int __real_EVP_DecryptFinal(EVP_CIPHER_CTX *ctx, unsigned char *out, int *len);
int __wrap_EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out,
                               int *len);
int __real_EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out,
                               int *len);

int __wrap_EVP_DecryptFinal(EVP_CIPHER_CTX *ctx, unsigned char *out, int *len)
{
  int rc = __real_EVP_DecryptFinal(ctx, out, len);
  return rc == 0 ? 1 : rc;
}

int __wrap_EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out,
                               int *len)
{
  int rc = __real_EVP_DecryptFinal_ex(ctx, out, len);
  return rc == 0 ? 1 : rc;
}
