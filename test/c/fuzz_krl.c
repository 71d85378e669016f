/* fuzz_krl.c - revocation lists from hostile bytes. The first byte chooses: the
 * bytes as they are; behind a right head; or as one section for certificates of
 * our CA, or of every CA. What is read is asked about a key, a certificate of
 * it and one that it signed, which must agree. */
#include <string.h>

#include "core/mem.h"

#include "key_fixtures.h"
#include "krl_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CERTS = 4 };

static alk_key_t *ca, *key;
static alk_buf_t of_key[CERTS],
  by_key; /* of_key by ca, with serial 0, 1, ... */

static alk_key_t *read_fixture(const char *text)
{
  alk_key_t *k = alk_key_read_private(text, strlen(text), NULL, NULL);
  CHECK(k != NULL);
  return k;
}

static void prepare(void)
{
  ca = read_fixture(fixture_ed25519);
  key = read_fixture(fixture_p256);
  spec_t s = {.key = key, .ca = ca, .kind = 1, .before = 1};
  for (size_t i = 0; i < CERTS; i++) {
    s.serial = i < CERTS - 1 ? i : UINT64_MAX;
    of_key[i] = cert_build(&s);
    CHECK(alk_buf_size(&of_key[i]) > 0);
  }
  s = (spec_t){.key = ca, .ca = key, .kind = 1, .before = 1};
  by_key = cert_build(&s);
  CHECK(alk_buf_size(&by_key) > 0);
}

static bool revokes(const alk_krl_t *l, const alk_buf_t *blob)
{
  return alk_krl_revokes(l, blob->p, alk_buf_size(blob)) != NULL;
}

static void ask(const alk_krl_t *l)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(key, &len);
  bool key_is = alk_krl_revokes(l, blob, len) != NULL;
  blob = alk_key_blob(ca, &len);
  bool ca_is = alk_krl_revokes(l, blob, len) != NULL;
  for (size_t i = 0; i < CERTS; i++)
    CHECK(!(key_is || ca_is) || revokes(l, &of_key[i]));
  CHECK(!(key_is || ca_is) || revokes(l, &by_key));
  /* Number 0 is only ever revoked by what takes the others, too. */
  for (size_t i = 1; i < CERTS; i++)
    CHECK(!revokes(l, &of_key[0]) || revokes(l, &of_key[i]));
  CHECK(alk_krl_revokes(l, NULL, 0) != NULL);
}

static void fuzz_list(const uint8_t *p, size_t len)
{
  alk_err_t err = {0};
  alk_krl_t *l = alk_krl_read(p, len, &err);
  CHECK((l == NULL) == (err.msg[0] != '\0'));
  CHECK(l == NULL || alk_krl_is(p, len));
  if (l != NULL) ask(l);
  alk_krl_free(l);
}

static void fuzz_buf(alk_buf_t b)
{
  fuzz_list(b.p, alk_buf_size(&b));
  alk_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (ca == NULL) prepare();
  if (size < 2) return 0;
  const uint8_t *p = data + 1;
  size_t len = size - 1;
  alk_buf_t b = {0};
  switch (data[0] % 4) {
  case 0:
    fuzz_list(p, len);
    break;
  case 1:
    krl_head(&b, 1, 0);
    alk_buf_add(&b, p, len);
    fuzz_buf(b);
    break;
  default:
    fuzz_buf(krl_of_ca(data[0] % 4 == 2 ? ca : NULL, p[0], p + 1, len - 1));
    break;
  }
  return 0;
}
