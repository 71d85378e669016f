/* test_cert_interop.c - certificates against the real ssh-keygen, in both
 * directions. Skipped, with a reason, where there is none. */
#include <inttypes.h>

#include "core/mem.h"

#include "ssh/cert.h"

#include "cert_build.h"
#include "tool.h"

static const struct {
  const char *file, *name, *bits, *label; /* label: in what ssh-keygen prints */
} types[] = {
  {"k0", "ed25519", "256", "ED25519"}, {"k1", "ecdsa", "256", "ECDSA"},
  {"k2", "ecdsa", "384", "ECDSA"},     {"k3", "ecdsa", "521", "ECDSA"},
  {"k4", "rsa", "3072", "RSA"},
};

enum { TYPES = sizeof types / sizeof types[0] };

#define FROM "20200101000000"
#define TO   "20300101000000"

static void keygen(const char *type, const char *bits, const char *file)
{
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-t", type, "-b", bits, "-N",
                        "", "-C", "", "-f", file),
                   0);
}

static void need(void)
{
  tool_need("ssh-keygen");
  if (access("k0", F_OK) == 0) return;
  for (size_t i = 0; i < TYPES; i++)
    keygen(types[i].name, types[i].bits, types[i].file);
}

static alk_key_t *read_private(const char *file)
{
  alk_buf_t text = {0};
  alk_err_t err = {0};
  file_read(file, &text);
  alk_key_t *k = alk_key_read_private((const char *) text.p,
                                      alk_buf_size(&text), NULL, &err);
  assert_string_equal(err.msg, "");
  alk_buf_free_secret(&text);
  return k;
}

/* The bytes of FILE-cert.pub. */
static alk_buf_t read_cert(const char *file)
{
  char path[32];
  snprintf(path, sizeof path, "%s-cert.pub", file);
  alk_buf_t text = {0}, bytes = {0};
  file_read(path, &text);
  const char *p = strchr((const char *) text.p, ' ');
  assert_non_null(p);
  assert_true(alk_base64_decode(p + 1, strcspn(p + 1, " \n"), &bytes));
  alk_buf_free(&text);
  return bytes;
}

static alk_cert_t *parse(const alk_buf_t *b)
{
  alk_err_t err = {0};
  alk_cert_t *c = alk_cert_read(b->p, alk_buf_size(b), &err);
  assert_string_equal(err.msg, "");
  assert_non_null(c);
  return c;
}

static void must_refuse(const char *file, const char *why)
{
  alk_err_t err = {0};
  alk_buf_t b = read_cert(file);
  assert_null(alk_cert_read(b.p, alk_buf_size(&b), &err));
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
  alk_buf_free(&b);
}

static void add(alk_buf_t *out, const char *text)
{
  alk_buf_add(out, text, strlen(text));
}

static void add_options(alk_buf_t *out, const char *title,
                        const alk_cert_options_t *o)
{
  add(out, title);
  add(out, o->count == 0 ? " (none)\n" : " \n");
  for (size_t i = 0; i < o->count; i++) {
    add(out, o->list[i].name);
    if (o->list[i].text != NULL) {
      add(out, " ");
      add(out, o->list[i].text);
    }
    add(out, "\n");
  }
}

static const char *key_print(const alk_key_t *k, char out[ALK_FINGERPRINT_MAX])
{
  size_t len;
  const uint8_t *blob = alk_key_blob(k, &len);
  assert_true(alk_fingerprint(blob, len, out));
  return out;
}

/* What ssh-keygen -L says of such a certificate, without its indentation. */
static void put_listing(const alk_cert_t *c, size_t key, size_t ca,
                        const char *valid, alk_buf_t *out)
{
  char text[512], of_key[ALK_FINGERPRINT_MAX], of_ca[ALK_FINGERPRINT_MAX];
  snprintf(text, sizeof text,
           "Type: %s %s certificate\n"
           "Public key: %s-CERT %s\n"
           "Signing CA: %s %s (using %s)\n"
           "Key ID: \"%s\"\n"
           "Serial: %" PRIu64 "\n"
           "Valid: %s\n",
           c->type, c->kind == ALK_CERT_HOST ? "host" : "user",
           types[key].label, key_print(c->key, of_key), types[ca].label,
           key_print(c->ca, of_ca), c->algorithm, c->key_id, c->serial, valid);
  add(out, text);
  add(out,
      c->principals_count == 0 ? "Principals: (none)\n" : "Principals: \n");
  for (size_t i = 0; i < c->principals_count; i++) {
    add(out, c->principals[i]);
    add(out, "\n");
  }
  add_options(out, "Critical Options:", &c->critical);
  add_options(out, "Extensions:", &c->extensions);
}

/* Behind its first line, which names the file. */
static void get_listing(const char *path, alk_buf_t *out)
{
  alk_buf_t all = {0};
  assert_int_equal(TOOL(&all, "ssh-keygen", "-Lf", path), 0);
  const char *p = strchr(buf_text(&all), '\n');
  assert_non_null(p);
  while (*++p != '\0') {
    p += strspn(p, " ");
    size_t len = strcspn(p, "\n");
    alk_buf_add(out, p, len);
    alk_buf_u8(out, '\n');
    p += len;
  }
  alk_buf_free(&all);
}

static void compare_listing(const alk_cert_t *c, size_t key, size_t ca,
                            const char *valid, const char *path)
{
  alk_buf_t ours = {0}, theirs = {0};
  put_listing(c, key, ca, valid, &ours);
  get_listing(path, &theirs);
  assert_string_equal(buf_text(&ours), buf_text(&theirs));
  alk_buf_free(&ours);
  alk_buf_free(&theirs);
}

/* ssh-keygen's fingerprint of a certificate is ours. */
static void compare_print(const alk_buf_t *b, const char *path)
{
  char print[ALK_FINGERPRINT_MAX];
  alk_buf_t listed = {0};
  assert_true(alk_cert_fingerprint(b->p, alk_buf_size(b), print));
  assert_int_equal(TOOL(&listed, "ssh-keygen", "-lf", path), 0);
  assert_non_null(strstr(buf_text(&listed), print));
  alk_buf_free(&listed);
}

static void sign_user(size_t key, size_t ca)
{
  char path[32];
  snprintf(path, sizeof path, "%s.pub", types[key].file);
  assert_int_equal(
    TOOL(NULL, "ssh-keygen", "-q", "-s", types[ca].file, "-I", "an id", "-n",
         "alice,bob", "-z", "18446744073709551615", "-V", FROM ":" TO, "-O",
         "force-command=/bin/true -x", "-O",
         "source-address=127.0.0.0/8,::1/128", "-O", "no-x11-forwarding", path),
    0);
}

static void sign_host(size_t key, size_t ca)
{
  char path[32];
  snprintf(path, sizeof path, "%s.pub", types[key].file);
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-h", "-s", types[ca].file,
                        "-I", "", "-n", "*.example.com", "-V", FROM ":" TO,
                        path),
                   0);
}

static void certificates_of_ssh_keygen(void **state)
{
  (void) state;
  need();
  const char *valid = "from 2020-01-01T00:00:00 to 2030-01-01T00:00:00";
  for (size_t key = 0; key < TYPES; key++)
    for (size_t ca = 0; ca < TYPES; ca++)
      for (int is_host = 0; is_host < 2; is_host++) {
        char path[32];
        snprintf(path, sizeof path, "%s-cert.pub", types[key].file);
        (is_host ? sign_host : sign_user)(key, ca);
        alk_buf_t b = read_cert(types[key].file);
        alk_cert_t *c = parse(&b);
        compare_listing(c, key, ca, valid, path);
        compare_print(&b, path);
        assert_int_equal(c->valid_after, 1577836800);
        assert_int_equal(c->valid_before, 1893456000);
        assert_int_equal(c->serial, is_host ? 0 : UINT64_MAX);
        assert_int_equal(c->extensions.count, is_host ? 0 : 4);
        assert_true(alk_cert_check(
          c, c->kind, is_host ? "h.example.com" : "bob", 1577836800, NULL));
        alk_key_t *k = read_private(types[key].file);
        assert_true(alk_key_attach_cert(k, b.p, alk_buf_size(&b), NULL));
        alk_key_free(k);
        alk_cert_free(c);
        alk_buf_free(&b);
      }
}

/* With neither principals nor an end, and with options of one's own. */
static void the_widest(void **state)
{
  (void) state;
  need();
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-s", "k1", "-I", "i", "-O",
                        "clear", "-O", "critical:z@example=1", "-O",
                        "critical:a@example=2", "-O", "extension:b@example",
                        "-O", "extension:a@example=", "-O", "permit-pty",
                        "k0.pub"),
                   0);
  alk_buf_t b = read_cert("k0");
  alk_cert_t *c = parse(&b);
  alk_err_t err = {0};
  assert_int_equal(c->valid_after, 0);
  assert_int_equal(c->valid_before, UINT64_MAX);
  assert_int_equal(c->principals_count, 0);
  assert_int_equal(c->critical.count, 2);
  assert_string_equal(c->critical.list[0].name, "a@example");
  assert_string_equal(c->critical.list[0].text, "2");
  assert_string_equal(c->critical.list[1].name, "z@example");
  assert_int_equal(c->extensions.count, 3);
  assert_non_null(alk_cert_option(&c->extensions, "permit-pty"));
  assert_false(alk_cert_check(c, ALK_CERT_USER, NULL, 1, &err));
  assert_non_null(strstr(err.msg, "it names nobody"));
  alk_cert_free(c);
  alk_buf_free(&b);
}

static void put_options(alk_buf_t *out)
{
  alk_buf_cstr(out, "force-command");
  alk_buf_str(out, "\0\0\0\2ls", 6);
  alk_buf_cstr(out, "source-address");
  alk_buf_str(out, "\0\0\0\013127.0.0.0/8", 15);
}

static void write_cert(const char *path, const char *type, const alk_buf_t *b)
{
  alk_buf_t text = {0};
  add(&text, type);
  add(&text, " ");
  alk_base64_encode(b->p, alk_buf_size(b), &text);
  add(&text, "\n");
  file_write(path, text.p, alk_buf_size(&text));
  alk_buf_free(&text);
}

/* ssh-keygen verifies what it lists: ours pass, and damaged they do not. */
static void certificates_of_ours(void **state)
{
  (void) state;
  need();
  alk_buf_t options = {0};
  put_options(&options);
  for (size_t key = 0; key < TYPES; key++)
    for (size_t ca = 0; ca < TYPES; ca++) {
      alk_key_t *k = read_private(types[key].file);
      alk_key_t *by = read_private(types[ca].file);
      spec_t s = {.key = k, .ca = by, .kind = 1, .before = UINT64_MAX};
      s.critical = (lit_t){(const char *) options.p, alk_buf_size(&options)};
      s.extensions = LIT("\0\0\0\12permit-pty\0\0\0\0");
      alk_buf_t b = cert_build(&s);
      alk_cert_t *c = parse(&b);
      write_cert("ours-cert.pub", c->type, &b);
      compare_listing(c, key, ca, "forever", "ours-cert.pub");
      compare_print(&b, "ours-cert.pub");
      b.p[alk_buf_size(&b) - 1] ^= 1;
      write_cert("ours-cert.pub", c->type, &b);
      assert_int_not_equal(TOOL(NULL, "ssh-keygen", "-Lf", "ours-cert.pub"), 0);
      alk_cert_free(c);
      alk_key_free(k);
      alk_key_free(by);
      alk_buf_free(&b);
    }
  alk_buf_free(&options);
}

static void weak_ones(void **state)
{
  (void) state;
  need();
  keygen("rsa", "2048", "small");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-s", "k0", "-I", "i", "-n",
                        "a", "small.pub"),
                   0);
  must_refuse("small", "certificate: the RSA key has 2048 bits");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-s", "small", "-I", "i",
                        "-n", "a", "k0.pub"),
                   0);
  must_refuse("k0", "CA: the RSA key has 2048 bits");
  if (TOOL(NULL, "ssh-keygen", "-q", "-s", "k4", "-t", "ssh-rsa", "-I", "i",
           "-n", "a", "k0.pub") == 0)
    must_refuse("k0", "signed with SHA-1");
  else
    print_message("part skipped: this ssh-keygen does not sign with SHA-1\n");
  assert_int_equal(TOOL(NULL, "ssh-keygen", "-q", "-s", "k4", "-t",
                        "rsa-sha2-256", "-I", "i", "-n", "a", "k0.pub"),
                   0);
  alk_buf_t b = read_cert("k0");
  alk_cert_t *c = parse(&b);
  assert_string_equal(c->algorithm, "rsa-sha2-256");
  alk_cert_free(c);
  alk_buf_free(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(certificates_of_ssh_keygen),
    cmocka_unit_test(the_widest),
    cmocka_unit_test(certificates_of_ours),
    cmocka_unit_test(weak_ones),
  };
  setenv("TZ", "UTC0", 1); /* the times that ssh-keygen reads and prints */
  return cmocka_run_group_tests(tests, tool_setup, tool_teardown);
}
