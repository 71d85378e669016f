/* krl.c - revocation lists: read. Asking them is krl_match.c.
 *
 *   "SSHKRL\n\0"
 *   uint32  format version: 1
 *   uint64  version of the list, uint64 when it was made, uint64 flags: none
 *   string  reserved
 *   string  comment
 *   sections to the end:
 *     byte    type
 *     string  1 certificates, 2 keys, 3 SHA-1 of keys, 4 a signature,
 *             5 SHA-256 of keys, 255 an extension
 *
 * Certificates:
 *   string  the CA's key; empty: every CA
 *   string  reserved
 *   sections to the end:
 *     byte    type
 *     string  0x20 serial numbers: uint64 each
 *             0x21 a range: uint64 lowest, uint64 highest
 *             0x22 a bitmap: uint64 lowest, mpint
 *             0x23 key ids: a string each
 *             0x39 an extension
 *
 * An extension: string name, byte whether it is critical, string contents.
 *
 * Numbers and ids are brought in order once, so that a question costs a binary
 * search; bitmaps stay as they are, since one of 2 KiB may hold 16384 numbers.
 * So a list takes up at most a few times as much memory as its bytes. */
#include "ssh/krl.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/key_impl.h"
#include "ssh/krl_impl.h"

static const char magic[] = "SSHKRL\n"; /* its final NUL is part of it */

static bool damaged(alk_err_t *err, const char *what)
{
  alk_fail(err, ALK_E_KEY, 0, "the revocation list's %s damaged", what);
  return false;
}

static bool unknown(alk_err_t *err, const char *what, unsigned type)
{
  alk_fail(err, ALK_E_KEY, 0,
           "the revocation list has %s of type %u, which is not known", what,
           type);
  return false;
}

bool alk_krl_is(const uint8_t *p, size_t len)
{
  return len >= sizeof magic && memcmp(p, magic, sizeof magic) == 0;
}

int alk_krl_compare(const void *a, const void *b)
{
  const alk_cert_bytes_t *x = a, *y = b;
  if (x->len != y->len) return x->len < y->len ? -1 : 1;
  return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

static void sort_bytes(alk_buf_t *b)
{
  size_t count = alk_krl_count(b, sizeof(alk_cert_bytes_t));
  if (count > 1)
    qsort(alk_krl_list(b), count, sizeof(alk_cert_bytes_t), alk_krl_compare);
}

/* The one form of a key whose type is known: another one would be compared with
 * keys and never be equal to any, and so revoke nothing. Sizes are not looked
 * at: a list may go on revoking what is too small to be let in anyway. */
static bool fields_are_canonical(const alk_key_kind_t *kind, alk_rd_t r)
{
  size_t len;
  if (kind == &alk_key_rsa) {
    (void) alk_key_num(&r, ALK_RSA_MAX_BYTES);
    (void) alk_key_num(&r, ALK_RSA_MAX_BYTES);
    return alk_rd_done(&r);
  }
  if (kind->curve != NULL && !alk_rd_is(&r, kind->curve)) return false;
  const uint8_t *p = alk_rd_str(&r, &len);
  if (!alk_rd_done(&r) || p == NULL) return false;
  if (kind->curve == NULL) return len == 32;
  return len == 1 + 2 * kind->field_len && p[0] == 4;
}

/* A plain key, of any type: lists outlive the types they were made for. */
static bool is_key(alk_cert_bytes_t b)
{
  if (b.len > ALK_KEY_BLOB_MAX || alk_cert_is(b.p, b.len)) return false;
  alk_rd_t r = alk_rd(b.p, b.len), type = r;
  const alk_key_kind_t *kind = alk_key_read_kind(&r, "key", NULL);
  if (kind != NULL) return fields_are_canonical(kind, r);
  size_t len;
  (void) alk_rd_str(&type, &len);
  return !type.bad && len > 0 && type.len > 0;
}

static bool read_extension(alk_rd_t r, alk_err_t *err)
{
  size_t len;
  (void) alk_rd_str(&r, &len);
  bool is_critical = alk_rd_u8(&r) != 0;
  (void) alk_rd_str(&r, &len);
  if (!alk_rd_done(&r)) return damaged(err, "extension is");
  if (!is_critical) return true;
  alk_fail(err, ALK_E_KEY, 0,
           "the revocation list has a critical extension that is not known");
  return false;
}

/* Strings to the end: keys, when hash_len is 0, or hashes of that length. */
static bool read_keys(alk_buf_t *out, alk_rd_t r, size_t hash_len,
                      alk_err_t *err)
{
  while (r.len > 0 && !r.bad) {
    alk_cert_bytes_t b;
    b.p = alk_rd_str(&r, &b.len);
    bool ok = b.p != NULL && (hash_len == 0 ? is_key(b) : b.len == hash_len);
    if (!ok) return damaged(err, hash_len == 0 ? "keys are" : "hashes are");
    alk_buf_add(out, &b, sizeof b);
  }
  return alk_rd_done(&r) || damaged(err, "keys are");
}

/* Number 0 is none: OpenSSH refuses to revoke it, too. */
static bool add_range(alk_krl_section_t *s, uint64_t lo, uint64_t hi)
{
  if (lo == 0 || lo > hi) return false;
  alk_krl_range_t range = {lo, hi};
  alk_buf_add(&s->ranges, &range, sizeof range);
  return true;
}

static bool read_serials(alk_krl_section_t *s, alk_rd_t r)
{
  while (r.len > 0 && !r.bad) {
    uint64_t serial = alk_rd_u64(&r);
    if (r.bad || !add_range(s, serial, serial)) return false;
  }
  return alk_rd_done(&r);
}

static bool read_range(alk_krl_section_t *s, alk_rd_t r)
{
  uint64_t lo = alk_rd_u64(&r), hi = alk_rd_u64(&r);
  return alk_rd_done(&r) && add_range(s, lo, hi);
}

/* A number that is not negative; zeros in front say nothing. None of its bits
 * may stand for number 0, or for one beyond the last. */
static bool read_bitmap(alk_krl_section_t *s, alk_rd_t r)
{
  alk_krl_bitmap_t m = {.first = alk_rd_u64(&r)};
  m.bits.p = alk_rd_str(&r, &m.bits.len);
  if (!alk_rd_done(&r)) return false;
  if (m.bits.len > 0 && (m.bits.p[0] & 0x80) != 0) return false;
  while (m.bits.len > 0 && m.bits.p[0] == 0) {
    m.bits.p++;
    m.bits.len--;
  }
  if (m.bits.len > ALK_KRL_BITMAP_MAX) return false;
  if (m.bits.len == 0) return true;
  if (m.first == 0 && (m.bits.p[m.bits.len - 1] & 1) != 0) return false;
  unsigned top = 7;
  while ((m.bits.p[0] >> top) == 0)
    top--;
  if (m.first > UINT64_MAX - ((m.bits.len - 1) * 8 + top)) return false;
  alk_buf_add(&s->bitmaps, &m, sizeof m);
  return true;
}

/* One with a NUL in it could not be a certificate's. */
static bool read_key_ids(alk_krl_section_t *s, alk_rd_t r)
{
  while (r.len > 0 && !r.bad) {
    alk_cert_bytes_t b;
    b.p = alk_rd_str(&r, &b.len);
    if (b.p == NULL || memchr(b.p, '\0', b.len) != NULL) return false;
    alk_buf_add(&s->key_ids, &b, sizeof b);
  }
  return alk_rd_done(&r);
}

static bool read_subsection(alk_krl_section_t *s, unsigned type, alk_rd_t r,
                            alk_err_t *err)
{
  switch (type) {
  case 0x20:
    return read_serials(s, r) || damaged(err, "serial numbers are");
  case 0x21:
    return read_range(s, r) || damaged(err, "range of serial numbers is");
  case 0x22:
    return read_bitmap(s, r) || damaged(err, "bitmap of serial numbers is");
  case 0x23:
    return read_key_ids(s, r) || damaged(err, "key ids are");
  case 0x39:
    return read_extension(r, err);
  default:
    return unknown(err, "a section for certificates", type);
  }
}

static int by_low_end(const void *a, const void *b)
{
  const alk_krl_range_t *x = a, *y = b;
  return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* In order, and those that touch in one. */
static void sort_ranges(alk_buf_t *b)
{
  size_t count = alk_krl_count(b, sizeof(alk_krl_range_t)), kept = 0;
  alk_krl_range_t *list = alk_krl_list(b);
  if (count < 2) return;
  qsort(list, count, sizeof *list, by_low_end);
  for (size_t i = 1; i < count; i++) {
    alk_krl_range_t *last = &list[kept];
    if (last->hi == UINT64_MAX || list[i].lo <= last->hi + 1)
      last->hi = list[i].hi > last->hi ? list[i].hi : last->hi;
    else
      list[++kept] = list[i];
  }
  b->len = (kept + 1) * sizeof *list;
}

static bool read_section(alk_krl_section_t *s, alk_rd_t r, alk_err_t *err)
{
  size_t len;
  s->ca.p = alk_rd_str(&r, &s->ca.len);
  (void) alk_rd_str(&r, &len); /* reserved */
  if (r.bad || (s->ca.len > 0 && !is_key(s->ca)))
    return damaged(err, "CA key is");
  while (r.len > 0 && !r.bad) {
    unsigned type = alk_rd_u8(&r);
    alk_rd_t sub = alk_rd_sub(&r);
    if (r.bad) return damaged(err, "section for certificates is");
    if (!read_subsection(s, type, sub, err)) return false;
  }
  sort_ranges(&s->ranges);
  sort_bytes(&s->key_ids);
  return true;
}

static bool read_certificates(alk_krl_t *l, alk_rd_t r, alk_err_t *err)
{
  alk_krl_section_t s = {0};
  if (alk_krl_count(&l->sections, sizeof s) == ALK_KRL_SECTIONS_MAX) {
    alk_fail(err, ALK_E_KEY, 0, "the revocation list has too many sections");
    return false;
  }
  bool ok = read_section(&s, r, err);
  alk_buf_add(&l->sections, &s,
              sizeof s); /* what it holds goes with the list */
  return ok;
}

static bool read_any(alk_krl_t *l, unsigned type, alk_rd_t r, alk_err_t *err)
{
  switch (type) {
  case 1:
    return read_certificates(l, r, err);
  case 2:
    return read_keys(&l->keys, r, 0, err);
  case 3:
    return read_keys(&l->sha1, r, 20, err);
  case 4:
    alk_fail(err, ALK_E_KEY, 0,
             "the revocation list is signed, which is not supported; sign the "
             "file instead (ssh-keygen -Y sign)");
    return false;
  case 5:
    return read_keys(&l->sha256, r, 32, err);
  case 255:
    return read_extension(r, err);
  default:
    return unknown(err, "a section", type);
  }
}

static bool read_head(alk_rd_t *r, alk_err_t *err)
{
  size_t len;
  (void) alk_rd_bytes(r, sizeof magic);
  uint32_t version = alk_rd_u32(r);
  (void) alk_rd_bytes(r, 16); /* the list's version, and when it was made */
  uint64_t flags = alk_rd_u64(r);
  (void) alk_rd_str(r, &len);
  (void) alk_rd_str(r, &len);
  if (r->bad) return damaged(err, "head is");
  if (version == 1 && flags == 0) return true;
  alk_fail(err, ALK_E_KEY, 0,
           "the revocation list is of a format that is not known");
  return false;
}

alk_krl_t *alk_krl_read(const uint8_t *p, size_t len, alk_err_t *err)
{
  if (len > ALK_KRL_MAX || !alk_krl_is(p, len)) {
    alk_fail(err, ALK_E_KEY, 0, "the revocation list %s",
             len > ALK_KRL_MAX ? "is too long" : "is none");
    return NULL;
  }
  alk_krl_t *l = alk_alloc(sizeof *l);
  l->bytes = alk_memdup(p, len);
  alk_rd_t r = alk_rd(l->bytes, len);
  bool ok = read_head(&r, err);
  while (ok && r.len > 0) {
    unsigned type = alk_rd_u8(&r);
    alk_rd_t section = alk_rd_sub(&r);
    ok = r.bad ? damaged(err, "section is") : read_any(l, type, section, err);
  }
  if (!ok) {
    alk_krl_free(l);
    return NULL;
  }
  sort_bytes(&l->keys);
  sort_bytes(&l->sha1);
  sort_bytes(&l->sha256);
  return l;
}

void alk_krl_free(alk_krl_t *l)
{
  if (l == NULL) return;
  alk_krl_section_t *s = alk_krl_list(&l->sections);
  for (size_t i = 0; i < alk_krl_count(&l->sections, sizeof *s); i++) {
    alk_buf_free(&s[i].ranges);
    alk_buf_free(&s[i].bitmaps);
    alk_buf_free(&s[i].key_ids);
  }
  alk_buf_free(&l->sections);
  alk_buf_free(&l->keys);
  alk_buf_free(&l->sha1);
  alk_buf_free(&l->sha256);
  alk_free(l->bytes);
  alk_free(l);
}
