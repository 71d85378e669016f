/* test_key_interop.c - keys and signatures against the real ssh-keygen, in both
 * directions. Skipped, with a reason, where there is none. */
#include <openssl/evp.h>

#include "core/mem.h"

#include "ssh/key.h"

#include "tool.h"

#define PASSPHRASE "correct horse"
#define COMMENT    "someone@somewhere else"

static const struct {
  const char *name, *bits;
} types[] = {
  {"ed25519", "256"}, {"ecdsa", "256"}, {"ecdsa", "384"},
  {"ecdsa", "521"},   {"rsa", "3072"},
};

enum { TYPES = sizeof types / sizeof types[0] };

static void generate(size_t type, const char *pass)
{
  assert_int_equal(TOOL(NULL, "rm", "-f", "k", "k.pub"), 0);
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-t", types[type].name, "-b",
                        types[type].bits, "-a", "2", "-N", pass, "-C", COMMENT,
                        "-f", "k"),
                   0);
}

static alk_key_t *read_file(const char *path, const char *pass, alk_err_t *err)
{
  alk_buf_t text = {0};
  file_read(path, &text);
  alk_key_t *k = alk_key_read_private((const char *) alk_buf_head(&text),
                                      alk_buf_size(&text), pass, err);
  alk_buf_free(&text);
  return k;
}

static void must_refuse(const char *path, const char *pass, const char *why)
{
  alk_err_t err = {0};
  assert_null(read_file(path, pass, &err));
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
}

static void same_text(alk_buf_t *a, alk_buf_t *b)
{
  assert_string_equal(buf_text(a), buf_text(b));
  alk_buf_free(a);
  alk_buf_free(b);
}

/* k is what ssh-keygen says of k.pub: the line, the fingerprint, the size. */
static void compare_public(const alk_key_t *k)
{
  alk_buf_t ours = {0}, theirs = {0}, listed = {0};
  alk_key_write_public(k, NULL, &ours);
  file_read("k.pub", &theirs);
  same_text(&ours, &theirs);
  alk_key_write_public(k, NULL, &ours);
  file_write("ours.pub", ours.p, alk_buf_size(&ours));
  alk_buf_free(&ours);
  assert_int_equal(TOOL(&listed, "ssh-keygen", "-lf", "ours.pub"), 0);
  char print[ALK_FINGERPRINT_MAX], line[256];
  size_t len;
  const uint8_t *blob = alk_key_blob(k, &len);
  assert_true(alk_fingerprint(blob, len, print));
  snprintf(line, sizeof line, "%u %s %s (", alk_key_bits(k), print, COMMENT);
  assert_memory_equal(buf_text(&listed), line, strlen(line));
  alk_buf_free(&listed);
}

/* What we write, ssh-keygen opens and finds to be the same key. */
static void compare_private(const alk_key_t *k, const char *pass)
{
  alk_buf_t text = {0}, ours = {0}, theirs = {0};
  assert_true(alk_key_write_private(k, pass, COMMENT, &text, NULL));
  file_write("ours", text.p, alk_buf_size(&text));
  alk_buf_free_secret(&text);
  assert_int_equal(TOOL(&theirs, "ssh-keygen", "-y", "-P",
                        pass == NULL ? "" : pass, "-f", "ours"),
                   0);
  alk_key_write_public(k, COMMENT, &ours);
  same_text(&ours, &theirs);
  if (pass != NULL)
    assert_int_not_equal(
      TOOL(NULL, "ssh-keygen", "-y", "-P", "wrong", "-f", "ours"), 0);
}

static void keys_of_ssh_keygen(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  for (size_t i = 0; i < TYPES; i++)
    for (int locked = 0; locked < 2; locked++) {
      const char *pass = locked ? PASSPHRASE : NULL;
      generate(i, locked ? PASSPHRASE : "");
      alk_err_t err = {0};
      alk_key_t *k = read_file("k", pass, &err);
      assert_string_equal(err.msg, "");
      assert_non_null(k);
      assert_string_equal(alk_key_comment(k), COMMENT);
      compare_public(k);
      compare_private(k, pass);
      alk_key_free(k);
      if (!locked) continue;
      must_refuse("k", NULL, "the key is encrypted: give its passphrase");
      must_refuse("k", "wrong", "the passphrase is wrong");
    }
}

static void keys_of_ours(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  static const char *const names[] = {"ed25519", "ecdsa", "rsa"};
  for (size_t i = 0; i < 3; i++) {
    alk_key_t *k = alk_key_generate(names[i], NULL);
    assert_non_null(k);
    compare_private(k, NULL);
    compare_private(k, PASSPHRASE);
    alk_key_free(k);
  }
}

static void ciphers(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  static const char *const names[] = {"aes256-ctr", "aes192-ctr", "aes128-ctr",
                                      "aes256-cbc", "aes256-gcm@openssh.com"};
  generate(1, "");
  alk_key_t *k = read_file("k", NULL, NULL);
  alk_buf_t plain = {0};
  file_read("k", &plain);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    file_write("c", plain.p, alk_buf_size(&plain));
    assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-p", "-Z", names[i], "-a",
                          i == 0 ? "16" : "1", "-P", "", "-N", PASSPHRASE, "-f",
                          "c"),
                     0);
    alk_key_t *c = read_file("c", PASSPHRASE, NULL);
    assert_non_null(c);
    compare_public(c);
    alk_key_free(c);
    must_refuse("c", "wrong", "the passphrase is wrong");
  }
  alk_buf_free(&plain);
  alk_key_free(k);
}

/* A refusal's advice is followed, word for word but for FILE, and helps. */
static void advice_is_right(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  static const char *const formats[] = {"PEM", "PKCS8"};
  for (size_t i = 0; i < 2; i++) {
    generate(4, "");
    assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-p", "-P", "", "-N", "",
                          "-m", formats[i], "-f", "k"),
                     0);
    must_refuse("k", NULL, "convert it with: ssh-keygen -p -f FILE");
    assert_int_equal(
      TOOL(NULL, "ssh-keygen", "-p", "-f", "k", "-P", "", "-N", ""), 0);
    alk_err_t err = {0};
    alk_key_t *k = read_file("k", NULL, &err);
    assert_string_equal(err.msg, "");
    alk_key_free(k);
  }
  generate(0, "");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-p", "-Z",
                        "chacha20-poly1305@openssh.com", "-P", "", "-N",
                        PASSPHRASE, "-f", "k"),
                   0);
  must_refuse("k", PASSPHRASE, "ssh-keygen -p -Z aes256-ctr -f FILE");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-p", "-Z", "aes256-ctr", "-f", "k",
                        "-P", PASSPHRASE, "-N", PASSPHRASE),
                   0);
  alk_key_t *k = read_file("k", PASSPHRASE, NULL);
  assert_non_null(k);
  alk_key_free(k);
}

static void weak_keys(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048",
                        "-N", PASSPHRASE, "-f", "small"),
                   0);
  must_refuse("small", NULL, "the RSA key has 2048 bits; at least 3072");
  must_refuse("small.pub", NULL, "this is a public key");
  if (TOOL(NULL, "ssh-keygen", "-q", "-t", "dsa", "-N", "", "-f", "dsa") == 0)
    must_refuse("dsa", NULL, "ssh-dss is not supported: DSA is not secure");
  else
    print_message("part skipped: this ssh-keygen makes no DSA keys\n");
}

/* What an SSH SIGNATURE of OpenSSH signs (PROTOCOL.sshsig). */
static void put_signed_data(const char *text, alk_buf_t *out)
{
  uint8_t digest[64];
  assert_int_equal(
    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha512(), NULL), 1);
  alk_buf_add(out, "SSHSIG", 6);
  alk_buf_cstr(out, "file");
  alk_buf_cstr(out, "");
  alk_buf_cstr(out, "sha512");
  alk_buf_str(out, digest, sizeof digest);
}

static void put_file_signature(const alk_key_t *k, const alk_buf_t *sig)
{
  alk_buf_t bytes = {0}, text = {0};
  size_t len;
  const uint8_t *blob = alk_key_blob(k, &len);
  alk_buf_add(&bytes, "SSHSIG", 6);
  alk_buf_u32(&bytes, 1);
  alk_buf_str(&bytes, blob, len);
  alk_buf_cstr(&bytes, "file");
  alk_buf_cstr(&bytes, "");
  alk_buf_cstr(&bytes, "sha512");
  alk_buf_str(&bytes, alk_buf_head(sig), alk_buf_size(sig));
  const char *begin = "-----BEGIN SSH SIGNATURE-----\n";
  const char *end = "\n-----END SSH SIGNATURE-----\n";
  alk_buf_add(&text, begin, strlen(begin));
  alk_base64_encode(alk_buf_head(&bytes), alk_buf_size(&bytes), &text);
  alk_buf_add(&text, end, strlen(end));
  file_write("sig", text.p, alk_buf_size(&text));
  alk_buf_free(&bytes);
  alk_buf_free(&text);
}

/* The signature inside what ssh-keygen -Y sign wrote. */
static void get_file_signature(alk_buf_t *out)
{
  alk_buf_t text = {0}, letters = {0}, bytes = {0};
  file_read("msg.sig", &text);
  const char *p = strchr((const char *) text.p, '\n'), *end = strstr(p, "---");
  for (; p < end; p++)
    if (*p != '\n') alk_buf_u8(&letters, (uint8_t) *p);
  assert_true(alk_base64_decode((const char *) letters.p,
                                alk_buf_size(&letters), &bytes));
  alk_rd_t r = alk_rd(bytes.p, alk_buf_size(&bytes));
  alk_rd_bytes(&r, 6);
  alk_rd_u32(&r);
  size_t len;
  for (int i = 0; i < 4; i++)
    alk_rd_str(&r, &len);
  const uint8_t *sig = alk_rd_str(&r, &len);
  assert_true(alk_rd_done(&r));
  alk_buf_add(out, sig, len);
  alk_buf_free(&text);
  alk_buf_free(&letters);
  alk_buf_free(&bytes);
}

static int check_novalidate(void)
{
  return tool_run((const char *const[]){"ssh-keygen", "-Y", "check-novalidate",
                                        "-n", "file", "-s", "sig", NULL},
                  "msg", NULL);
}

static void signatures(void **state)
{
  (void) state;
  tool_need("ssh-keygen");
  static const char text[] = "to be signed\n";
  for (size_t i = 0; i < TYPES; i++) {
    generate(i, "");
    alk_key_t *k = read_file("k", NULL, NULL);
    assert_non_null(k);
    const char *algorithm = alk_key_type(k);
    if (strcmp(algorithm, "ssh-rsa") == 0) algorithm = "rsa-sha2-512";
    alk_buf_t data = {0}, sig = {0};
    put_signed_data(text, &data);

    file_write("msg", text, strlen(text));
    assert_int_equal(TOOL(NULL, "rm", "-f", "msg.sig"), 0);
    assert_int_equal(
      TOOL(NULL, "ssh-keygen", "-Y", "sign", "-n", "file", "-f", "k", "msg"),
      0);
    get_file_signature(&sig);
    assert_true(alk_key_verify(k, algorithm, sig.p, alk_buf_size(&sig), data.p,
                               alk_buf_size(&data)));
    alk_buf_free(&sig);

    assert_true(
      alk_key_sign(k, algorithm, data.p, alk_buf_size(&data), &sig, NULL));
    put_file_signature(k, &sig);
    assert_int_equal(check_novalidate(), 0);
    sig.p[alk_buf_size(&sig) - 1] ^= 1;
    put_file_signature(k, &sig);
    assert_int_not_equal(check_novalidate(), 0);
    alk_buf_free(&sig);
    alk_buf_free(&data);
    alk_key_free(k);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(keys_of_ssh_keygen),
    cmocka_unit_test(keys_of_ours),
    cmocka_unit_test(ciphers),
    cmocka_unit_test(advice_is_right),
    cmocka_unit_test(weak_keys),
    cmocka_unit_test(signatures),
  };
  return cmocka_run_group_tests(tests, tool_setup, tool_teardown);
}
