/* algorithms.c - signature algorithms: what is negotiated or logged in with,
 * the key that it needs, the signature that it makes (RFC 4253 §6.6, 5656,
 * 8332, 8709, PROTOCOL.certkeys). What is not in the table does not exist:
 * there is no SHA-1 and no DSA to ask for. */
#include <string.h>

#include "ssh/cert.h"
#include "ssh/native/impl.h"

#define CERT "-cert-v01@openssh.com"

/* In the order of our preference for one key. */
static const sig_alg_t algs[] = {
  {"ssh-ed25519", "ssh-ed25519", "ssh-ed25519", false},
  {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", false},
  {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", false},
  {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", false},
  {"rsa-sha2-512", "ssh-rsa", "rsa-sha2-512", false},
  {"rsa-sha2-256", "ssh-rsa", "rsa-sha2-256", false},
  {"ssh-ed25519" CERT, "ssh-ed25519" CERT, "ssh-ed25519", true},
  {"ecdsa-sha2-nistp256" CERT, "ecdsa-sha2-nistp256" CERT,
   "ecdsa-sha2-nistp256", true},
  {"ecdsa-sha2-nistp384" CERT, "ecdsa-sha2-nistp384" CERT,
   "ecdsa-sha2-nistp384", true},
  {"ecdsa-sha2-nistp521" CERT, "ecdsa-sha2-nistp521" CERT,
   "ecdsa-sha2-nistp521", true},
  {"rsa-sha2-512" CERT, "ssh-rsa" CERT, "rsa-sha2-512", true},
  {"rsa-sha2-256" CERT, "ssh-rsa" CERT, "rsa-sha2-256", true},
};

enum { ALGS = sizeof algs / sizeof algs[0] };

/* Of signatures, so without the certificates: these are algorithms of keys
 * (RFC 8308 §3.1; OpenSSH lists and expects it so). */
const char sig_algs_accepted[] =
  "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
  "rsa-sha2-512,rsa-sha2-256";

static bool equals(const char *name, const void *p, size_t len)
{
  return strlen(name) == len && memcmp(name, p, len) == 0;
}

const sig_alg_t *sig_alg_find(const uint8_t *name, size_t len)
{
  if (name == NULL) return NULL;
  for (size_t i = 0; i < ALGS; i++)
    if (equals(algs[i].name, name, len)) return &algs[i];
  return NULL;
}

static const sig_alg_t *first_of(const char *type)
{
  for (size_t i = 0; i < ALGS; i++)
    if (strcmp(algs[i].key, type) == 0) return &algs[i];
  return NULL;
}

/* A certificate's type is never a plain key's, so the type decides alone. */
const sig_alg_t *sig_alg_for(const alk_key_t *key, bool cert,
                             const char *allowed)
{
  const char *type = cert ? alk_key_cert_type(key) : alk_key_type(key);
  if (type == NULL) return NULL;
  if (allowed == NULL) return first_of(type);
  for (const char *p = allowed;; p++) {
    size_t len = strcspn(p, ",");
    const sig_alg_t *a = sig_alg_find((const uint8_t *) p, len);
    if (a != NULL && strcmp(a->key, type) == 0) return a;
    p += len;
    if (*p == '\0') return NULL;
  }
}

/* NOLINTNEXTLINE(readability-function-size): the header's seven parameters */
bool sig_alg_verify(const sig_alg_t *alg, const uint8_t *blob, size_t blob_len,
                    const uint8_t *sig, size_t sig_len, const uint8_t *data,
                    size_t len)
{
  alk_rd_t r = alk_rd(blob, blob_len);
  if (blob_len > ALK_KEY_BLOB_MAX || !alk_rd_is(&r, alg->key)) return false;
  alk_key_t *key = alk_cert_subject(blob, blob_len, NULL);
  bool ok =
    key != NULL && alk_key_verify(key, alg->sig, sig, sig_len, data, len);
  alk_key_free(key);
  return ok;
}
