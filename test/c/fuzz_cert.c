/* fuzz_cert.c - certificates from hostile bytes. The first byte chooses: the
 * bytes as they are; or signed by a CA of ours, so that what stands inside is
 * looked at: as everything up to the CA's key, or as the contents of the lists.
 * What is accepted must be what was read. */
#include <string.h>

#include "core/mem.h"

#include "cert_build.h"
#include "key_fixtures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static alk_key_t *ca, *key;

static void check_options(const alk_cert_options_t *o)
{
  CHECK(o->count <= ALK_CERT_OPTIONS_MAX);
  for (size_t i = 0; i < o->count; i++) {
    const alk_cert_option_t *it = &o->list[i];
    CHECK(i == 0 || strcmp(o->list[i - 1].name, it->name) < 0);
    CHECK(alk_cert_option(o, it->name) == it);
    CHECK(it->text == NULL || strlen(it->text) + 4 == it->value.len);
  }
}

static bool allows(const alk_cert_t *c, alk_cert_kind_t kind, const char *who)
{
  alk_err_t err = {0};
  bool ok = alk_cert_check(c, kind, who, c->valid_after, &err);
  CHECK(ok == (err.msg[0] == '\0'));
  CHECK(!ok || (c->kind == kind && c->principals_count > 0));
  CHECK(!ok || c->valid_after < c->valid_before);
  CHECK(!ok || kind == ALK_CERT_USER || c->critical.count == 0);
  CHECK(!ok || c->critical.count <= 3);
  return ok;
}

static void check_rules(const alk_cert_t *c)
{
  bool anybody = allows(c, c->kind, NULL);
  CHECK(
    !allows(c, c->kind == ALK_CERT_USER ? ALK_CERT_HOST : ALK_CERT_USER, NULL));
  CHECK(!allows(c, c->kind, ""));
  CHECK(!allows(c, c->kind, "host.example") || anybody);
  for (size_t i = 0; i < c->principals_count && c->kind == ALK_CERT_USER; i++)
    CHECK(allows(c, c->kind, c->principals[i]) ==
          (anybody && c->principals[i][0] != '\0'));
}

static void check_cert(const alk_cert_t *c, const uint8_t *p, size_t len)
{
  CHECK(c->blob_len == len && memcmp(c->blob, p, len) == 0);
  CHECK(c->principals_count <= ALK_CERT_PRINCIPALS_MAX);
  for (size_t i = 0; i < c->principals_count; i++)
    CHECK(c->principals[i] != NULL);
  CHECK(c->key_id != NULL);
  CHECK(strncmp(c->type, alk_key_type(c->key), strlen(alk_key_type(c->key))) ==
        0);
  check_options(&c->critical);
  check_options(&c->extensions);
  check_rules(c);
}

static void fuzz_blob(const uint8_t *p, size_t len)
{
  alk_err_t err = {0};
  char print[ALK_FINGERPRINT_MAX];
  alk_cert_t *c = alk_cert_read(p, len, &err);
  CHECK((c == NULL) == (err.msg[0] != '\0'));
  alk_key_t *subject = alk_cert_subject(p, len, NULL);
  CHECK(!alk_cert_is(p, len) || (c == NULL) == (subject == NULL));
  CHECK(alk_cert_fingerprint(p, len, print) == (subject != NULL));
  CHECK(!alk_key_attach_cert(ca, p, len, NULL) || c != NULL);
  if (c != NULL) check_cert(c, p, len);
  alk_key_free(subject);
  alk_cert_free(c);
}

/* The bytes stand before the CA's key. */
static void fuzz_signed(const uint8_t *p, size_t len)
{
  alk_buf_t b = {0}, sig = {0};
  size_t ca_len;
  const uint8_t *ca_blob = alk_key_blob(ca, &ca_len);
  alk_buf_add(&b, p, len);
  alk_buf_str(&b, ca_blob, ca_len);
  CHECK(alk_key_sign(ca, "ssh-ed25519", b.p, alk_buf_size(&b), &sig, NULL));
  alk_buf_str(&b, sig.p, alk_buf_size(&sig));
  fuzz_blob(b.p, alk_buf_size(&b));
  alk_buf_free(&b);
  alk_buf_free(&sig);
}

/* A list is what stands between two bytes 0xfe. */
static lit_t next_list(alk_rd_t *r)
{
  const uint8_t *end = r->len > 0 ? memchr(r->p, 0xfe, r->len) : NULL;
  size_t len = end == NULL ? r->len : (size_t) (end - r->p);
  lit_t list = {(const char *) alk_rd_bytes(r, len), len};
  if (end != NULL) alk_rd_u8(r);
  return list;
}

static void fuzz_lists(const uint8_t *p, size_t len, uint32_t kind)
{
  alk_rd_t r = alk_rd(p, len);
  spec_t s = {.key = key, .ca = ca, .kind = kind, .before = 1};
  s.principals = next_list(&r);
  s.critical = next_list(&r);
  s.extensions = next_list(&r);
  s.key_id = next_list(&r);
  alk_buf_t b = cert_build(&s);
  fuzz_blob(b.p, alk_buf_size(&b));
  alk_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (ca == NULL) {
    ca = alk_key_read_private(fixture_ed25519, strlen(fixture_ed25519), NULL,
                              NULL);
    key = alk_key_read_private(fixture_p256, strlen(fixture_p256), NULL, NULL);
    CHECK(ca != NULL && key != NULL);
  }
  if (size < 2) return 0;
  const uint8_t *p = data + 1;
  size_t len = size - 1;
  switch (data[0] % 4) {
  case 0:
    fuzz_blob(p, len);
    break;
  case 1:
    fuzz_signed(p, len);
    break;
  default:
    fuzz_lists(p, len, data[0] % 4 - 1u);
    break;
  }
  return 0;
}
