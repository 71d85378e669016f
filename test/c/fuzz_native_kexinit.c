/* fuzz_native_kexinit.c - what we offer and what they offer (negotiate.c),
 * beside a second, slower way to find what both have to choose.
 *
 * Input: role and options, the lists that our owner asks for, then their
 * KEXINIT: as it comes, or put together of lists. A list is bytes that stand
 * for names, up to one that stands for none. */
#include <stdarg.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/native/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SERVER = 1, RAW = 2, LATER = 4, TEXT_MAX = 600 };

static const char *const names[] = {
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "mlkem768x25519-sha256",
  "kex-strict-c-v00@openssh.com",
  "kex-strict-s-v00@openssh.com",
  "ext-info-c",
  "ssh-ed25519",
  "rsa-sha2-512",
  "ssh-rsa",
  "ssh-ed25519-cert-v01@openssh.com",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
  "aes128-cbc",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha1",
  "none",
  "zlib@openssh.com",
  "",
  "a-name-that-is-longer-than-any-name-may-be-by-the-rules-of-rfc-4251-6",
};
enum { NAMES = sizeof names / sizeof *names };

typedef struct {
  char text[TEXT_MAX];
} text_t;

static int byes;

/* The link diverts it to here. */
void __wrap_native_bye(session_t *s, bye_t reason, alk_code_t code,
                       const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));
void __wrap_native_bye(session_t *s, bye_t reason, alk_code_t code,
                       const char *fmt, ...)
{
  char said[sizeof s->base.err.msg];
  va_list ap;
  va_start(ap, fmt);
  CHECK(vsnprintf(said, sizeof said, fmt, ap) >= 0);
  va_end(ap);
  CHECK(reason == BYE_KEX && code == ALK_E_KEX);
  for (const char *p = said; *p != '\0'; p++)
    CHECK(*p >= ' ' && *p <= '~');
  byes++;
}

static void read_list(alk_rd_t *r, text_t *out)
{
  out->text[0] = '\0';
  for (bool first = true;; first = false) {
    uint8_t which = alk_rd_u8(r);
    if (r->bad || which % (NAMES + 1) == NAMES) return;
    const char *name = names[which % (NAMES + 1)];
    size_t len = strlen(out->text);
    if (len + strlen(name) + 2 > TEXT_MAX) return;
    snprintf(out->text + len, TEXT_MAX - len, "%s%s", first ? "" : ",", name);
  }
}

/* Name number i of a list, in out; false: there is none. */
static bool name_at(const char *list, size_t i, text_t *out)
{
  while (i > 0 && *list != '\0')
    if (*list++ == ',') i--;
  if (i > 0) return false;
  size_t n = strcspn(list, ",");
  memcpy(out->text, list, n);
  out->text[n] = '\0';
  return true;
}

/* The first of the client's that the server names too; "" for none. */
static text_t common(const char *client, const char *server)
{
  text_t a, b;
  for (size_t i = 0; name_at(client, i, &a); i++)
    for (size_t j = 0; a.text[0] != '\0' && name_at(server, j, &b); j++)
      if (strcmp(a.text, b.text) == 0) return a;
  return (text_t){""};
}

static bool names_it(const char *list, const char *name)
{
  text_t a;
  for (size_t i = 0; name_at(list, i, &a); i++)
    if (strcmp(a.text, name) == 0) return true;
  return false;
}

typedef struct {
  text_t lists[10];
  uint8_t guesses;
} init_t;

static const char *chosen(const char *name, bool there)
{
  return there ? name : "";
}

static void check_ciphers(const session_t *s, text_t want[4])
{
  const agreed_t *a = &s->transport->agreed;
  bool server = s->base.server;
  const cipher_info_t *up = server ? a->cipher_rx : a->cipher_tx;
  const cipher_info_t *down = server ? a->cipher_tx : a->cipher_rx;
  const mac_info_t *up_mac = server ? a->mac_rx : a->mac_tx;
  const mac_info_t *down_mac = server ? a->mac_tx : a->mac_rx;
  CHECK(strcmp(up->name, want[0].text) == 0);
  CHECK(strcmp(down->name, want[1].text) == 0);
  CHECK(up->aead == (up_mac == NULL) && down->aead == (down_mac == NULL));
  CHECK(strcmp(chosen(want[2].text, !up->aead),
               up_mac == NULL ? "" : up_mac->name) == 0);
  CHECK(strcmp(chosen(want[3].text, !down->aead),
               down_mac == NULL ? "" : down_mac->name) == 0);
}

/* Whether there is something in common in all that matters. */
static bool expect(const session_t *s, const init_t *i, text_t want[6])
{
  const offer_t *o = &s->transport->offer;
  const char *ours[] = {o->kex,     o->hostkeys, o->ciphers,
                        o->ciphers, o->macs,     o->macs};
  bool ok = true;
  for (int n = 0; n < 6; n++) {
    const char *theirs = i->lists[n].text;
    want[n] =
      s->base.server ? common(theirs, ours[n]) : common(ours[n], theirs);
  }
  for (int n = 0; n < 4; n++)
    ok = ok && want[n].text[0] != '\0';
  for (int n = 4; n < 6; n++)
    ok = ok && (want[n].text[0] != '\0' || cipher_find(want[n - 2].text)->aead);
  return ok && names_it(i->lists[6].text, "none") &&
         names_it(i->lists[7].text, "none");
}

static void check_agreed(session_t *s, const init_t *i, bool later)
{
  transport_t *t = s->transport;
  const agreed_t *a = &t->agreed;
  text_t want[6], first[2];
  bool ok = expect(s, i, want), strict = t->strict;
  CHECK((byes == 0) == ok);
  if (!ok) return;
  CHECK(strcmp(a->kex, want[0].text) == 0 && a->method != NULL);
  CHECK(strcmp(a->hostkey->name, want[1].text) == 0);
  check_ciphers(s, want + 2);
  bool right = name_at(i->lists[0].text, 0, &first[0]) &&
               name_at(t->offer.kex, 0, &first[1]) &&
               strcmp(first[0].text, first[1].text) == 0 &&
               name_at(i->lists[1].text, 0, &first[0]) &&
               name_at(t->offer.hostkeys, 0, &first[1]) &&
               strcmp(first[0].text, first[1].text) == 0;
  CHECK(a->skip_guess == (i->guesses != 0 && !right));
  const char *mark = s->base.server ? names[4] : names[5];
  CHECK(strict == (!later && names_it(i->lists[0].text, mark)));
}

static void build(const init_t *i, alk_buf_t *out)
{
  static const uint8_t cookie[16];
  alk_buf_add(out, cookie, sizeof cookie);
  for (int n = 0; n < 10; n++)
    alk_buf_cstr(out, i->lists[n].text);
  alk_buf_u8(out, i->guesses);
  alk_buf_u32(out, 0);
}

/* A list that our owner asks for narrows what is offered, or is refused. */
static bool make_offer(transport_t *t, bool server, alk_rd_t *r)
{
  text_t asked[4];
  const char *given[4];
  alk_err_t err = {0};
  uint8_t which = alk_rd_u8(r);
  for (int n = 0; n < 4; n++) {
    given[n] = NULL;
    if ((which >> n & 1) == 0) continue;
    read_list(r, &asked[n]);
    given[n] = asked[n].text;
  }
  bool ok =
    negotiate_offer(t, server,
                    &(alk_session_opts_t){.kex = given[0],
                                          .hostkey_algorithms = given[1],
                                          .ciphers = given[2],
                                          .macs = given[3]},
                    &err);
  CHECK(ok || err.msg[0] != '\0');
  const char *offered[] = {t->offer.kex, t->offer.hostkeys, t->offer.ciphers,
                           t->offer.macs};
  text_t name;
  for (int n = 0; ok && n < 4; n++)
    for (size_t k = 0; name_at(offered[n], k, &name); k++)
      CHECK(name.text[0] != '\0' &&
            (given[n] == NULL || names_it(given[n], name.text)));
  return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  alk_rd_t r = alk_rd(data, size);
  uint8_t how = alk_rd_u8(&r);
  transport_t *t = alk_alloc(sizeof *t);
  session_t s = {.base.server = (how & SERVER) != 0, .transport = t};
  alk_buf_t m = {0};
  init_t i = {.guesses = how >> 7};
  byes = 0;
  t->has_session_id = (how & LATER) != 0;
  if (!make_offer(t, s.base.server, &r)) {
    alk_free(t);
    return 0;
  }
  if (how & RAW) {
    alk_buf_add(&m, r.p, r.len);
  } else {
    for (int n = 0; n < 10; n++)
      read_list(&r, &i.lists[n]);
    build(&i, &m);
  }
  uint8_t *copy = alk_memdup(alk_buf_head(&m), alk_buf_size(&m));
  bool ok = negotiate_agree(&s, t, alk_rd(copy, alk_buf_size(&m)));
  CHECK((how & RAW) != 0 || ok);
  if ((how & RAW) == 0) check_agreed(&s, &i, (how & LATER) != 0);
  CHECK(byes <= 1);
  alk_free(copy);
  alk_buf_free(&m);
  alk_free(t);
  return 0;
}
