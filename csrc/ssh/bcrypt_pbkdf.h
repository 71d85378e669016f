/* bcrypt_pbkdf.h - the key derivation of encrypted OpenSSH private keys. */
#ifndef ALK_BCRYPT_PBKDF_H
#define ALK_BCRYPT_PBKDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALK_BCRYPT_OUT_MAX = 1024, ALK_BCRYPT_SALT_MAX = 1024 };

typedef struct {
  const void *pass;
  size_t pass_len; /* at least 1 */
  const void *salt;
  size_t salt_len; /* 1 to ALK_BCRYPT_SALT_MAX */
  unsigned rounds; /* at least 1; each takes some 10 ms for every 32 bytes */
} alk_bcrypt_t;

/* Fills out, len of 1 to ALK_BCRYPT_OUT_MAX. False: an argument is out of
 * range or OpenSSL failed, and out is wiped. */
bool alk_bcrypt_pbkdf(const alk_bcrypt_t *in, uint8_t *out, size_t len);

#endif
