/* fuzz_native_cipher.c - packets from hostile bytes, for every cipher.
 *
 * Input: one byte for the cipher and what is done with it, one for the sequence
 * number, then bytes. They are taken for a packet as it comes from the wire;
 * for the inside of a packet whose tag is right; or for a payload, that has to
 * come back as it was, and not at all when a bit of the packet is another. */
#include <string.h>

#include "core/mem.h"

#include "ssh/native/cipher_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
  const char *name, *mac;
} rows[] = {
  {NULL, NULL},
  {"aes128-gcm@openssh.com", NULL},
  {"aes256-gcm@openssh.com", NULL},
  {"chacha20-poly1305@openssh.com", NULL},
  {"aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
  {"aes192-ctr", "hmac-sha2-512-etm@openssh.com"},
  {"aes256-ctr", "hmac-sha2-256-etm@openssh.com"},
  {"aes256-ctr", "hmac-sha2-512-etm@openssh.com"},
};
enum { ROWS = sizeof rows / sizeof rows[0], FRAME_MAX = 4 + 64 };

static cipher_t *make(size_t row, bool seal)
{
  static uint8_t key[CIPHER_KEY_MAX], iv[CIPHER_IV_MAX];
  if (rows[row].name == NULL) return NULL;
  memset(key, 0x11, sizeof key);
  memset(iv, 0xff, sizeof iv); /* every counter runs over */
  const cipher_info_t *info = cipher_find(rows[row].name);
  const mac_info_t *mac =
    rows[row].mac == NULL ? NULL : cipher_find_mac(rows[row].mac);
  CHECK(info != NULL && info->aead == (mac == NULL));
  cipher_t *c = cipher_new(info, mac, key, iv, key, seal);
  CHECK(c != NULL);
  return c;
}

static size_t tag_of(const cipher_t *c)
{
  return c == NULL ? 0 : c->tag_len;
}

/* What RFC 4253 §6 allows, said once more. */
static bool may_be(const cipher_t *c, size_t length)
{
  size_t block = c == NULL || c->kind->block == 8 ? 8 : 16;
  size_t whole = length + (c == NULL ? 4 : 0);
  return length <= 35000 && whole % block == 0 &&
         whole >= (c == NULL ? 16 : block);
}

/* Opens from and to memory of just the size. */
static bool open_exact(cipher_t *c, uint32_t seq, const uint8_t *p, size_t len,
                       uint8_t **out, size_t *payload_len)
{
  uint8_t *in = alk_memdup(p, len);
  size_t inner = len < 4 + tag_of(c) ? 0 : len - 4 - tag_of(c);
  *out = alk_alloc(inner);
  bool ok = cipher_open(c, seq, in, len, *out, payload_len);
  CHECK(ok == (*payload_len > 0));
  CHECK(!ok || *payload_len + 1 + 4 <= inner);
  alk_free(in);
  return ok;
}

/* Packet after packet, as a session reads them. */
static void fuzz_wire(size_t row, uint32_t seq, const uint8_t *p, size_t len)
{
  cipher_t *c = make(row, false);
  bool ok = true;
  while (ok && len >= 4) {
    size_t packet_len, again, payload_len;
    uint8_t *out;
    ok = cipher_packet_len(c, seq, p, &packet_len);
    if (!ok) break;
    CHECK(may_be(c, packet_len - 4 - tag_of(c)));
    CHECK(cipher_packet_len(c, seq, p, &again) && again == packet_len);
    if (packet_len > len) break;
    ok = open_exact(c, seq++, p, packet_len, &out, &payload_len);
    alk_free(out);
    p += packet_len;
    len -= packet_len;
  }
  cipher_free(c);
}

/* p is the inside: padding length, payload, padding. */
static void fuzz_inside(size_t row, uint32_t seq, const uint8_t *p, size_t len)
{
  if (len == 0 || len > PACKET_LENGTH_MAX) return;
  cipher_t *c = make(row, true), *d = make(row, false);
  size_t payload_len, pad_len = p[0];
  uint8_t *packet = alk_alloc(len + FRAME_MAX), *out;
  cipher_put_u32(packet, (uint32_t) len);
  memcpy(packet + 4, p, len);
  cipher_plain_t plain = {.out = packet + 4, .front_len = len};
  if (c != NULL) CHECK(c->kind->ops->seal(c, seq, packet, &plain));
  bool ok = open_exact(d, seq, packet, 4 + len + tag_of(c), &out, &payload_len);
  CHECK(ok == (may_be(c, len) && pad_len >= 4 && pad_len + 1 < len));
  CHECK(!ok || payload_len == len - 1 - pad_len);
  CHECK(!ok || memcmp(out, p, len) == 0);
  alk_free(out);
  alk_free(packet);
  cipher_free(c);
  cipher_free(d);
}

/* Two bytes say where the payload is cut and which bit is turned. */
static void fuzz_payload(size_t row, uint32_t seq, const uint8_t *p, size_t len)
{
  if (len < 2) return;
  size_t where = (size_t) p[0] << 8 | p[1], payload_len;
  p += 2;
  len -= 2;
  cipher_t *c = make(row, true), *d = make(row, false), *e = make(row, false);
  size_t sealed_len = cipher_sealed_len(c, len), cut = where % (len + 1);
  uint8_t *packet = alk_alloc(sealed_len), *out;
  bool ok = cipher_seal(c, seq, packet, p, cut, p + cut, len - cut);
  CHECK(ok == (sealed_len > 0));
  if (ok) {
    CHECK(open_exact(d, seq, packet, sealed_len, &out, &payload_len));
    CHECK(payload_len == len && memcmp(out + 1, p, len) == 0);
    alk_free(out);
    packet[where % sealed_len] ^= (uint8_t) (1 << where % 8);
    if (c != NULL) {
      CHECK(!open_exact(e, seq, packet, sealed_len, &out, &payload_len));
      alk_free(out);
    }
  }
  alk_free(packet);
  cipher_free(c);
  cipher_free(d);
  cipher_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2) return 0;
  size_t row = data[0] % ROWS, len = size - 2;
  uint32_t seq = data[1] < 128 ? data[1] : 0xffffff00u | data[1];
  const uint8_t *p = data + 2;
  switch (data[0] / ROWS % 3) {
  case 0:
    fuzz_wire(row, seq, p, len);
    break;
  case 1:
    fuzz_inside(row, seq, p, len);
    break;
  default:
    fuzz_payload(row, seq, p, len);
    break;
  }
  return 0;
}
