/* test_cert_sign.c - the signature of a certificate: by every type of CA, and
 * every one that must not count. */
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "ssh/key_impl.h"

#include "cert_cases.h"

/* Every type of key, by every type of CA. */
static void everybody_signs_everybody(void **state)
{
  (void) state;
  for (size_t key = 0; key < FIXTURES; key++)
    for (size_t ca = 0; ca < FIXTURES; ca++)
      for (size_t a = 0; a < 2 && fixtures[ca].algorithms[a] != NULL; a++) {
        spec_t s = spec(key, ca);
        s.algorithm = fixtures[ca].algorithms[a];
        alk_cert_t *c = accepted(cert_build(&s));
        assert_string_equal(c->algorithm, s.algorithm);
        same_key(c->key, keys[key]);
        same_key(c->ca, keys[ca]);
        alk_cert_free(c);
      }
}

/* The same number, spelled otherwise: r with a zero too many in front. */
static void one_form_of_a_signature(void **state)
{
  (void) state;
  spec_t s = spec(0, 1);
  alk_buf_t body = cert_body(&s), sig = {0}, other = {0};
  assert_true(alk_key_sign(keys[1], "ecdsa-sha2-nistp256", body.p,
                           alk_buf_size(&body), &sig, NULL));
  alk_rd_t r = alk_rd(sig.p, alk_buf_size(&sig));
  size_t len, r_len;
  alk_rd_str(&r, &len);
  alk_rd_t pair = alk_rd_sub(&r);
  const uint8_t *first = alk_rd_str(&pair, &r_len);
  alk_buf_u32(&other, (uint32_t) r_len + 1);
  alk_buf_u8(&other, 0);
  alk_buf_add(&other, first, r_len);
  alk_buf_add(&other, pair.p, pair.len);
  alk_buf_free(&sig);
  alk_buf_cstr(&sig, "ecdsa-sha2-nistp256");
  alk_buf_str(&sig, other.p, alk_buf_size(&other));
  alk_buf_str(&body, sig.p, alk_buf_size(&sig));
  refused_buf(body, "signature is wrong");
  alk_buf_free(&sig);
  alk_buf_free(&other);
}

static void signed_by_another(void **state)
{
  (void) state;
  for (size_t ca = 0; ca < FIXTURES; ca++) {
    spec_t s = spec(0, ca);
    size_t len;
    const uint8_t *other = alk_key_blob(keys[(ca + 1) % FIXTURES], &len);
    s.ca_blob = (lit_t){(const char *) other, len};
    refused_spec(&s, "signature is wrong");
  }
  /* A key of the same type, too. */
  alk_key_t *k = alk_key_generate("ed25519", NULL);
  spec_t s = spec(1, 0);
  size_t len;
  s.ca_blob.p = (const char *) alk_key_blob(k, &len);
  s.ca_blob.len = len;
  refused_spec(&s, "signature is wrong");
  alk_key_free(k);
  s = spec(1, 0);
  alk_buf_t body = cert_body(&s);
  alk_buf_str(&body, "", 0);
  refused_buf(body, "signature is wrong");
}

static void no_chains(void **state)
{
  (void) state;
  alk_buf_t b = cert_bytes(2);
  spec_t s = spec(0, 2);
  s.ca_blob = (lit_t){(const char *) b.p, alk_buf_size(&b)};
  refused_spec(&s, "CA is itself a certificate");
  s.ca_blob = LIT("\0\0\0\34ssh-dss-cert-v01@openssh.com");
  refused_spec(&s, "CA is itself a certificate");
  s.ca_blob = LIT("\0\0\0\7ssh-dss\0\0\0\1\1");
  refused_spec(&s, "CA: the key type ssh-dss is not supported");
  s.ca_blob = LIT("");
  refused_spec(&s, "CA: the public key is empty");
  alk_buf_free(&b);
}

/* With any digest and under any name, which alk_key_sign does not do. */
static alk_buf_t sign_freely(const spec_t *s, const EVP_MD *md,
                             const char *name)
{
  alk_buf_t body = cert_body(s), wire = {0};
  uint8_t sig[ALK_SIG_MAX];
  size_t len = sizeof sig;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, s->ca->pkey), 1);
  assert_int_equal(EVP_DigestSign(ctx, sig, &len, body.p, alk_buf_size(&body)),
                   1);
  EVP_MD_CTX_free(ctx);
  alk_buf_cstr(&wire, name);
  alk_buf_str(&wire, sig, len);
  alk_buf_str(&body, wire.p, alk_buf_size(&wire));
  alk_buf_free(&wire);
  return body;
}

static void weak_signatures(void **state)
{
  (void) state;
  spec_t s = spec(0, 4);
  alk_cert_free(accepted(sign_freely(&s, EVP_sha512(), "rsa-sha2-512")));
  alk_cert_free(accepted(sign_freely(&s, EVP_sha256(), "rsa-sha2-256")));
  refused_buf(sign_freely(&s, EVP_sha1(), "ssh-rsa"), "signed with SHA-1");
  refused_buf(sign_freely(&s, EVP_sha1(), "rsa-sha2-256"),
              "signature is wrong");
  refused_buf(sign_freely(&s, EVP_sha256(), "rsa-sha2-512"),
              "signature is wrong");
  refused_buf(sign_freely(&s, EVP_sha512(), "rsa-sha2-512" CERT_SUFFIX),
              "signature is wrong");
  refused_buf(sign_freely(&s, EVP_sha512(), ""), "signature is wrong");
}

static void small_rsa_keys(void **state)
{
  (void) state;
  alk_key_t *small = alk_key_new(&alk_key_rsa, EVP_RSA_gen(2048), true, NULL);
  assert_non_null(small);
  spec_t s = spec(0, 4);
  s.ca = small;
  refused_buf(sign_freely(&s, EVP_sha512(), "rsa-sha2-512"),
              "CA: the RSA key has 2048 bits; at least 3072");
  s = spec(0, 4);
  s.key = small;
  refused_spec(&s, "certificate: the RSA key has 2048 bits; at least 3072");
  alk_key_free(small);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(everybody_signs_everybody),
    cmocka_unit_test(one_form_of_a_signature),
    cmocka_unit_test(signed_by_another),
    cmocka_unit_test(no_chains),
    cmocka_unit_test(weak_signatures),
    cmocka_unit_test(small_rsa_keys),
  };
  return cmocka_run_group_tests(tests, cert_setup, cert_teardown);
}
