/* fuzz_native_auth.c - authentication requests from hostile bytes, at a server
 * of the native engine. The input is a run of steps: a byte that says what,
 * and bytes for it.
 *
 *   0      a message, as it stands: u16 length, payload
 *   1      the same as a request, user and service given
 *   2      a good request, with one byte of it changed: u16 where, u8 how
 *   3      the owner says no    4 the owner says yes    5 a good request
 *
 * The model: the owner's yes to a proven key is the only way in, a key is
 * proven only in a request of step 5 and its like, and there are never more
 * than AUTH_KEYS_DEFAULT questions. */
#include "key_fixtures.h"
#include "native_auth_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static alk_key_t *key;

/* The same one in every run, so that inputs mean the same. */
static const alk_key_t *signer(void)
{
  const char *text = fixture_ed25519;
  if (key == NULL) key = alk_key_read_private(text, strlen(text), NULL, NULL);
  CHECK(key != NULL);
  return key;
}

static alk_buf_t good(const fake_t *f)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(signer(), &len);
  return fake_request(
    f, (fake_request_t){
         .alg = "ssh-ed25519", .blob = blob, .blob_len = len, .key = signer()});
}

/* Whether these are the bytes of a request that the key has signed. */
static bool is_good(const fake_t *f, const alk_buf_t *m)
{
  alk_buf_t want = good(f); /* Ed25519 signs alike each time */
  bool same =
    alk_buf_size(m) == alk_buf_size(&want) &&
    memcmp(alk_buf_head(m), alk_buf_head(&want), alk_buf_size(m)) == 0;
  alk_buf_free(&want);
  return same;
}

static alk_buf_t message(fake_t *f, uint8_t what, alk_rd_t *r)
{
  alk_buf_t m = {0};
  if (what == 0 || what == 1) {
    if (what == 1) {
      alk_buf_u8(&m, MSG_USERAUTH_REQUEST);
      alk_buf_cstr(&m, "tester");
      alk_buf_cstr(&m, "ssh-connection");
    }
    size_t len = alk_rd_u16(r);
    if (len > r->len) len = r->len;
    alk_buf_add(&m, alk_rd_bytes(r, len), len);
    return m;
  }
  m = good(f);
  if (what == 2) {
    size_t at = alk_rd_u16(r) % alk_buf_size(&m);
    m.p[at] ^= alk_rd_u8(r);
  }
  return m;
}

static void hear(fake_t *f, uint8_t what, alk_rd_t *r)
{
  alk_buf_t m = message(f, what, r);
  int asked = f->asked;
  bool was_over = f->over || f->s.asking || alk_buf_size(&m) == 0;
  if (alk_buf_size(&m) > 0)
    (void) fake_hear(f, alk_buf_head(&m), alk_buf_size(&m));
  CHECK(f->asked == asked || (!was_over && f->asked == asked + 1));
  if (f->asked > asked) {
    CHECK(f->s.asking && strlen(f->user) <= AUTH_USER_MAX);
    CHECK(alk_buf_size(&f->blob) <= ALK_KEY_BLOB_MAX);
    CHECK(!f->proven || is_good(f, &m));
  }
  if (f->asked == asked && what == 5 && !was_over)
    CHECK(f->over); /* one too many, or another user was there first */
  alk_buf_free(&m);
}

static void answer(fake_t *f, bool yes)
{
  bool was_asked = f->s.asking, proven = f->proven;
  int before = f->authenticated;
  if (f->over) return; /* the front door drops it */
  auth_admit(&f->s, yes);
  CHECK(!f->s.asking);
  CHECK(f->authenticated == before + (was_asked && yes && proven));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fake_t *f = fake_new(true, NULL);
  alk_rd_t r = alk_rd(data, size);
  f->ext_info = size % 2 == 1;
  auth_start(&f->s);
  fake_hear(f, "\x05\0\0\0\x0cssh-userauth", 17);
  for (int steps = 0; r.len > 0 && steps < 64; steps++) {
    uint8_t what = alk_rd_u8(&r) % 6;
    fake_forget_sent(f);
    if (what == 3 || what == 4)
      answer(f, what == 4);
    else
      hear(f, what, &r);
    CHECK(f->authenticated <= 1 && f->asked <= AUTH_KEYS_DEFAULT);
    CHECK((f->authenticated == 1) == (f->s.phase == PHASE_OPEN));
  }
  fake_free(f);
  return 0;
}
