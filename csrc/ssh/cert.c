/* cert.c - certificates: parsed, and their signature verified.
 *
 *   string  type: that of the key, and "-cert-v01@openssh.com"
 *   string  nonce
 *   ...     what stands behind the type in the plain key
 *   uint64  serial
 *   uint32  kind: 1 a user's, 2 a host's
 *   string  key id
 *   string  principals: strings
 *   uint64  valid after
 *   uint64  valid before
 *   string  critical options: pairs of strings, a name and a value
 *   string  extensions: likewise
 *   string  reserved
 *   string  the CA's key
 *   string  the signature over everything before it (RFC 4253 §6.6)
 *
 * The outer fields are walked over and the signature is checked before anything
 * is made of what stands inside them. That options are sorted and stand there
 * once is PROTOCOL.certkeys' demand, which OpenSSH makes of itself as a CA but
 * does not check; a CA that breaks it could mean two things at once. */
#include "ssh/cert.h"

#include <string.h>

#include "core/mem.h"

#include "ssh/key_impl.h"

#define SUFFIX "-cert-v01@openssh.com"

static const struct {
  const char *name;
  const alk_key_kind_t *kind;
} types[] = {
  {"ssh-ed25519" SUFFIX, &alk_key_ed25519},
  {"ecdsa-sha2-nistp256" SUFFIX, &alk_key_p256},
  {"ecdsa-sha2-nistp384" SUFFIX, &alk_key_p384},
  {"ecdsa-sha2-nistp521" SUFFIX, &alk_key_p521},
  {"ssh-rsa" SUFFIX, &alk_key_rsa},
};

/* The fields that are looked into once the signature is known to be right. */
typedef struct {
  alk_rd_t key_id, principals, critical, extensions;
  alk_rd_t ca, covered; /* covered: what the signature is over */
} parts_t;

static bool damaged(alk_err_t *err, const char *what)
{
  alk_fail(err, ALK_E_KEY, 0, "the certificate's %s damaged", what);
  return false;
}

bool alk_cert_is(const uint8_t *blob, size_t len)
{
  alk_rd_t r = alk_rd(blob, len);
  size_t type_len, n = strlen(SUFFIX);
  const uint8_t *p = alk_rd_str(&r, &type_len);
  return p != NULL && type_len > n && memcmp(p + type_len - n, SUFFIX, n) == 0;
}

static const alk_key_kind_t *read_type(alk_rd_t *r, alk_cert_t *c,
                                       alk_err_t *err)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (p == NULL) {
    damaged(err, "type is");
    return NULL;
  }
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (strlen(types[i].name) != len || memcmp(types[i].name, p, len) != 0)
      continue;
    c->type = types[i].name;
    return types[i].kind;
  }
  char text[ALK_KEY_TYPE_MAX + 1];
  alk_fail(err, ALK_E_KEY, 0,
           "%s is not a type of certificate that is supported",
           alk_key_type_text(p, len, text));
  return NULL;
}

static alk_cert_bytes_t read_bytes(alk_rd_t *r)
{
  alk_cert_bytes_t b;
  b.p = alk_rd_str(r, &b.len);
  return b;
}

static bool read_parts(alk_cert_t *c, parts_t *parts, alk_err_t *err)
{
  alk_rd_t r = alk_rd(c->blob, c->blob_len);
  const alk_key_kind_t *kind = read_type(&r, c, err);
  if (kind == NULL) return false;
  c->nonce = read_bytes(&r);
  alk_err_t why = {0};
  c->key = alk_key_read_fields(kind, &r, "certified key", &why);
  if (c->key == NULL) {
    alk_fail(err, why.code, 0, "the certificate: %s", why.msg);
    return false;
  }
  c->serial = alk_rd_u64(&r);
  uint32_t of = alk_rd_u32(&r);
  parts->key_id = alk_rd_sub(&r);
  parts->principals = alk_rd_sub(&r);
  c->valid_after = alk_rd_u64(&r);
  c->valid_before = alk_rd_u64(&r);
  parts->critical = alk_rd_sub(&r);
  parts->extensions = alk_rd_sub(&r);
  c->reserved = read_bytes(&r);
  parts->ca = alk_rd_sub(&r);
  parts->covered = alk_rd(c->blob, c->blob_len - r.len);
  c->signature = read_bytes(&r);
  if (!alk_rd_done(&r)) return damaged(err, "form is");
  c->kind = of == ALK_CERT_USER ? ALK_CERT_USER : ALK_CERT_HOST;
  if (of == (uint32_t) c->kind) return true;
  alk_fail(err, ALK_E_KEY, 0,
           "the certificate is neither for a user nor for a host");
  return false;
}

static bool read_ca(alk_cert_t *c, const parts_t *parts, alk_err_t *err)
{
  alk_err_t why = {0};
  if (alk_cert_is(parts->ca.p, parts->ca.len)) {
    alk_fail(err, ALK_E_KEY, 0, "the certificate's CA is itself a certificate");
    return false;
  }
  c->ca = alk_key_read_blob(parts->ca.p, parts->ca.len, &why);
  if (c->ca != NULL) return true;
  alk_fail(err, why.code, 0, "the certificate's CA: %s", why.msg);
  return false;
}

/* The algorithms of the CA's key, SHA-1 not being among them. */
static const char *algorithm_of(const alk_key_t *ca, alk_cert_bytes_t sig)
{
  const char *of_rsa[] = {"rsa-sha2-512", "rsa-sha2-256"};
  const char *of_others[] = {ca->kind->type};
  bool is_rsa = ca->kind == &alk_key_rsa;
  const char *const *names = is_rsa ? of_rsa : of_others;
  for (size_t i = 0; i < (is_rsa ? 2 : 1); i++) {
    alk_rd_t r = alk_rd(sig.p, sig.len);
    if (alk_rd_is(&r, names[i])) return names[i];
  }
  return NULL;
}

static bool verify(alk_cert_t *c, const parts_t *parts, alk_err_t *err)
{
  c->algorithm = algorithm_of(c->ca, c->signature);
  if (c->algorithm != NULL &&
      alk_key_verify(c->ca, c->algorithm, c->signature.p, c->signature.len,
                     parts->covered.p, parts->covered.len))
    return true;
  alk_rd_t r = alk_rd(c->signature.p, c->signature.len);
  alk_fail(err, ALK_E_KEY, 0,
           alk_rd_is(&r, "ssh-rsa")
             ? "the certificate is signed with SHA-1, which is not secure"
             : "the certificate's signature is wrong");
  return false;
}

/* NULL: it holds a NUL. */
static char *text_of(const uint8_t *p, size_t len)
{
  if (len > 0 && memchr(p, '\0', len) != NULL) return NULL;
  char *text = alk_alloc(len + 1);
  if (len > 0) memcpy(text, p, len);
  return text;
}

/* The next string as a text; NULL: r is bad now. */
static char *read_text(alk_rd_t *r)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  char *text = p == NULL ? NULL : text_of(p, len);
  if (text == NULL) r->bad = true;
  return text;
}

/* How many strings there are, of which the last may be damaged; more than max:
 * err. */
static bool count_strings(alk_rd_t r, size_t max, const char *what,
                          size_t *count, alk_err_t *err)
{
  size_t len;
  for (*count = 0; r.len > 0; ++*count)
    alk_rd_str(&r, &len);
  if (*count <= max) return true;
  alk_fail(err, ALK_E_KEY, 0, "the certificate's %s too many", what);
  return false;
}

static bool read_principals(alk_cert_t *c, alk_rd_t r, alk_err_t *err)
{
  const char *what = "principals are";
  size_t count;
  if (!count_strings(r, ALK_CERT_PRINCIPALS_MAX, what, &count, err))
    return false;
  c->principals = alk_alloc((count + 1) * sizeof *c->principals);
  c->principals_count = count;
  for (size_t i = 0; i < count && !r.bad; i++)
    c->principals[i] = read_text(&r);
  return alk_rd_done(&r) || damaged(err, what);
}

static void read_option(alk_rd_t *r, alk_cert_option_t *o)
{
  o->name = read_text(r);
  o->value = read_bytes(r);
  alk_rd_t value = alk_rd(o->value.p, o->value.len);
  size_t len;
  const uint8_t *p = alk_rd_str(&value, &len);
  if (alk_rd_done(&value)) o->text = text_of(p, len);
}

static bool read_options(alk_cert_options_t *options, alk_rd_t r,
                         const char *what, alk_err_t *err)
{
  size_t count;
  if (!count_strings(r, (size_t) 2 * ALK_CERT_OPTIONS_MAX, what, &count, err))
    return false;
  if (count % 2 != 0) return damaged(err, what);
  options->count = count / 2;
  options->list = alk_alloc((options->count + 1) * sizeof *options->list);
  const char *before = NULL;
  for (size_t i = 0; i < options->count; i++) {
    read_option(&r, &options->list[i]);
    if (r.bad) return damaged(err, what);
    const char *name = options->list[i].name;
    if (before != NULL && strcmp(before, name) >= 0) {
      alk_fail(err, ALK_E_KEY, 0, "the certificate's %s not in order", what);
      return false;
    }
    before = name;
  }
  return true;
}

static bool read_contents(alk_cert_t *c, const parts_t *parts, alk_err_t *err)
{
  c->key_id = text_of(parts->key_id.p, parts->key_id.len);
  if (c->key_id == NULL) return damaged(err, "key id is");
  return read_principals(c, parts->principals, err) &&
         read_options(&c->critical, parts->critical, "critical options are",
                      err) &&
         read_options(&c->extensions, parts->extensions, "extensions are", err);
}

alk_cert_t *alk_cert_read(const uint8_t *blob, size_t len, alk_err_t *err)
{
  if (len == 0 || len > ALK_KEY_BLOB_MAX) {
    alk_fail(err, ALK_E_KEY, 0, "the certificate is %s",
             len == 0 ? "empty" : "too long");
    return NULL;
  }
  alk_cert_t *c = alk_alloc(sizeof *c);
  c->blob = alk_memdup(blob, len);
  c->blob_len = len;
  parts_t parts = {0};
  if (read_parts(c, &parts, err) && read_ca(c, &parts, err) &&
      verify(c, &parts, err) && read_contents(c, &parts, err))
    return c;
  alk_cert_free(c);
  return NULL;
}

static void options_free(alk_cert_options_t *options)
{
  for (size_t i = 0; i < options->count; i++) {
    alk_free(options->list[i].name);
    alk_free(options->list[i].text);
  }
  alk_free(options->list);
}

void alk_cert_free(alk_cert_t *c)
{
  if (c == NULL) return;
  alk_key_free(c->key);
  alk_key_free(c->ca);
  alk_free(c->key_id);
  for (size_t i = 0; i < c->principals_count; i++)
    alk_free(c->principals[i]);
  alk_free(c->principals);
  options_free(&c->critical);
  options_free(&c->extensions);
  alk_free(c->blob);
  alk_free(c);
}
