/* krl_match.c - revocation lists: asked. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "ssh/krl_impl.h"

typedef enum { NO, YES, BROKEN } answer_t; /* BROKEN: OpenSSL failed */

static bool has(const alk_buf_t *list, const void *p, size_t len)
{
  alk_cert_bytes_t wanted = {p, len};
  size_t count = alk_krl_count(list, sizeof wanted);
  return count > 0 && bsearch(&wanted, alk_krl_list(list), count, sizeof wanted,
                              alk_krl_compare) != NULL;
}

static answer_t has_hash(const alk_buf_t *list, const char *name,
                         const uint8_t *blob, size_t len)
{
  if (alk_buf_size(list) == 0) return NO;
  uint8_t digest[EVP_MAX_MD_SIZE];
  size_t digest_len = 0;
  ERR_set_mark();
  int rc = EVP_Q_digest(NULL, name, NULL, blob, len, digest, &digest_len);
  ERR_pop_to_mark();
  if (rc != 1) return BROKEN;
  return has(list, digest, digest_len) ? YES : NO;
}

static answer_t key_is_revoked(const alk_krl_t *l, const alk_key_t *k)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(k, &len);
  if (has(&l->keys, blob, len)) return YES;
  answer_t sha1 = has_hash(&l->sha1, "SHA1", blob, len);
  return sha1 != NO ? sha1 : has_hash(&l->sha256, "SHA256", blob, len);
}

static int by_range(const void *wanted, const void *element)
{
  const uint64_t *serial = wanted;
  const alk_krl_range_t *range = element;
  if (*serial < range->lo) return -1;
  return *serial > range->hi;
}

static bool bitmap_has(const alk_krl_bitmap_t *m, uint64_t serial)
{
  if (serial < m->first) return false;
  uint64_t bit = serial - m->first, byte = bit / 8;
  if (byte >= m->bits.len) return false;
  return (m->bits.p[m->bits.len - 1 - (size_t) byte] >> (bit % 8) & 1) != 0;
}

static bool has_serial(const alk_krl_section_t *s, uint64_t serial)
{
  if (serial == 0) return false; /* the CA does not count */
  size_t count = alk_krl_count(&s->ranges, sizeof(alk_krl_range_t));
  if (count > 0 && bsearch(&serial, alk_krl_list(&s->ranges), count,
                           sizeof(alk_krl_range_t), by_range) != NULL)
    return true;
  const alk_krl_bitmap_t *maps = alk_krl_list(&s->bitmaps);
  for (size_t i = 0; i < alk_krl_count(&s->bitmaps, sizeof *maps); i++)
    if (bitmap_has(&maps[i], serial)) return true;
  return false;
}

static bool is_of(const alk_krl_section_t *s, const alk_cert_t *c)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(c->ca, &len);
  return s->ca.len == 0 ||
         (s->ca.len == len && memcmp(s->ca.p, blob, len) == 0);
}

static const char *cert_is_named(const alk_krl_t *l, const alk_cert_t *c)
{
  const alk_krl_section_t *s = alk_krl_list(&l->sections);
  for (size_t i = 0; i < alk_krl_count(&l->sections, sizeof *s); i++) {
    if (!is_of(&s[i], c)) continue;
    if (has_serial(&s[i], c->serial))
      return "the certificate's serial number is revoked";
    if (has(&s[i].key_ids, c->key_id, strlen(c->key_id)))
      return "the certificate's key id is revoked";
  }
  return NULL;
}

static const char *cert_is_revoked(const alk_krl_t *l, const alk_cert_t *c)
{
  answer_t key = key_is_revoked(l, c->key), ca = key_is_revoked(l, c->ca);
  if (key == BROKEN || ca == BROKEN) return "revocation cannot be checked";
  if (key == YES) return "the certified key is revoked";
  if (ca == YES) return "the certificate's CA is revoked";
  return cert_is_named(l, c);
}

const char *alk_krl_revokes(const alk_krl_t *l, const uint8_t *blob, size_t len)
{
  static const char *const unreadable = "the key cannot be read";
  if (alk_cert_is(blob, len)) {
    alk_cert_t *c = alk_cert_read(blob, len, NULL);
    const char *why = c == NULL ? unreadable : cert_is_revoked(l, c);
    alk_cert_free(c);
    return why;
  }
  alk_key_t *k = alk_key_read_blob(blob, len, NULL);
  if (k == NULL) return unreadable;
  answer_t answer = key_is_revoked(l, k);
  alk_key_free(k);
  if (answer == BROKEN) return "revocation cannot be checked";
  return answer == YES ? "the key is revoked" : NULL;
}
