/* krl_build.h - revocation lists for test_krl.c, right and wrong ones. */
#ifndef KRL_BUILD_H
#define KRL_BUILD_H

#include "core/buf.h"

#include "ssh/krl.h"

#include "cert_build.h"

enum {
  KRL_CERTS = 1,
  KRL_KEYS,
  KRL_SHA1,
  KRL_SIGNATURE,
  KRL_SHA256,
  KRL_EXTENSION = 255,
  KRL_SERIALS = 0x20,
  KRL_RANGE,
  KRL_BITMAP,
  KRL_KEY_IDS,
  KRL_CERT_EXTENSION = 0x39
};

static inline void krl_head(alk_buf_t *out, uint32_t version, uint64_t flags)
{
  alk_buf_add(out, "SSHKRL\n", 8);
  alk_buf_u32(out, version);
  alk_buf_u64(out, 12);         /* the list's version */
  alk_buf_u64(out, 1600000000); /* when it was made */
  alk_buf_u64(out, flags);
  alk_buf_cstr(out, "");
  alk_buf_cstr(out, "a comment");
}

static inline void krl_section(alk_buf_t *out, unsigned type, const void *p,
                               size_t len)
{
  alk_buf_u8(out, (uint8_t) type);
  alk_buf_str(out, p, len);
}

/* A list with one section. */
static inline alk_buf_t krl_with(unsigned type, const void *p, size_t len)
{
  alk_buf_t out = {0};
  krl_head(&out, 1, 0);
  krl_section(&out, type, p, len);
  return out;
}

/* One with one section for the certificates of a CA (NULL: of all), in which
 * there is one. */
static inline alk_buf_t krl_of_ca(const alk_key_t *ca, unsigned type,
                                  const void *p, size_t len)
{
  alk_buf_t section = {0};
  size_t ca_len = 0;
  const uint8_t *blob = ca == NULL ? NULL : alk_key_blob(ca, &ca_len);
  alk_buf_str(&section, blob, ca_len);
  alk_buf_cstr(&section, "reserved");
  krl_section(&section, type, p, len);
  alk_buf_t out = krl_with(KRL_CERTS, section.p, alk_buf_size(&section));
  alk_buf_free(&section);
  return out;
}

#endif
