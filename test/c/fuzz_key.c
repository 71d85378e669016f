/* fuzz_key.c - keys from hostile bytes. The first byte chooses the parser; what
 * a parser accepts must survive being written and read again. Passphrases are
 * never given, so bcrypt never runs. */
#include <string.h>

#include "core/mem.h"

#include "ssh/key.h"

#include "key_fixtures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define END   "\n-----END OPENSSH PRIVATE KEY-----\n"

static const char *const fixtures[] = {fixture_ed25519, fixture_p256,
                                       fixture_p384, fixture_p521, fixture_rsa};
static const char *const algorithms[] = {"ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384",
                                         "ecdsa-sha2-nistp521", "rsa-sha2-256"};

static void same_blob(const alk_key_t *k, const uint8_t *blob, size_t len)
{
  size_t own_len;
  const uint8_t *own = alk_key_blob(k, &own_len);
  CHECK(own_len == len && memcmp(own, blob, len) == 0);
}

static void fuzz_blob(const uint8_t *p, size_t len)
{
  char print[ALK_FINGERPRINT_MAX];
  alk_key_t *k = alk_key_read_blob(p, len, NULL);
  if (k == NULL) return;
  same_blob(k, p, len);
  CHECK(alk_fingerprint(p, len, print));
  CHECK(alk_key_bits(k) >= 256);
  alk_key_free(k);
}

static void fuzz_text(const char *p, size_t len)
{
  alk_err_t err = {0};
  alk_key_format_t format = alk_key_format(p, len);
  alk_key_t *k = alk_key_read_private(p, len, NULL, &err);
  CHECK((k == NULL) == (err.msg[0] != '\0'));
  if (k == NULL) return;
  CHECK(format == ALK_KEY_FORMAT_OPENSSH);
  alk_buf_t out = {0};
  if (strlen(alk_key_comment(k)) <= 1024) {
    CHECK(alk_key_write_private(k, NULL, NULL, &out, NULL));
    alk_key_t *again = alk_key_read_private((const char *) alk_buf_head(&out),
                                            alk_buf_size(&out), NULL, NULL);
    CHECK(again != NULL);
    size_t blob_len;
    const uint8_t *blob = alk_key_blob(k, &blob_len);
    same_blob(again, blob, blob_len);
    CHECK(strcmp(alk_key_comment(k), alk_key_comment(again)) == 0);
    alk_key_free(again);
  }
  alk_buf_free_secret(&out);
  alk_key_free(k);
}

static void fuzz_container(const uint8_t *p, size_t len)
{
  alk_buf_t text = {0};
  alk_buf_add(&text, BEGIN, strlen(BEGIN));
  alk_base64_encode(p, len, &text);
  alk_buf_add(&text, END, strlen(END));
  fuzz_text((const char *) alk_buf_head(&text), alk_buf_size(&text));
  alk_buf_free(&text);
}

/* No signature that is not in the corpus is ever right. */
static void fuzz_signature(const uint8_t *p, size_t len)
{
  static alk_key_t *keys[5];
  if (len == 0) return;
  size_t at = p[0] % 5;
  if (keys[at] == NULL)
    keys[at] =
      alk_key_read_private(fixtures[at], strlen(fixtures[at]), NULL, NULL);
  CHECK(keys[at] != NULL);
  static const uint8_t data[] = {1, 2, 3};
  CHECK(!alk_key_verify(keys[at], algorithms[at], p + 1, len - 1, data, 3));
}

static void fuzz_base64(const char *p, size_t len)
{
  alk_buf_t bytes = {0}, text = {0};
  if (alk_base64_decode(p, len, &bytes)) {
    alk_base64_encode(alk_buf_head(&bytes), alk_buf_size(&bytes), &text);
    CHECK(alk_buf_size(&text) == len);
    CHECK(len == 0 || memcmp(alk_buf_head(&text), p, len) == 0);
  }
  alk_buf_free(&bytes);
  alk_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2) return 0;
  const uint8_t *p = data + 1;
  size_t len = size - 1;
  switch (data[0] % 5) {
  case 0:
    fuzz_blob(p, len);
    break;
  case 1:
    fuzz_text((const char *) p, len);
    break;
  case 2:
    fuzz_container(p, len);
    break;
  case 3:
    fuzz_signature(p, len);
    break;
  default:
    fuzz_base64((const char *) p, len);
    break;
  }
  return 0;
}
