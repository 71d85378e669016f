/* test_native_cipher.c - packets sealed and opened: known answers, everything
 * that must be refused, and what two ends say to each other. */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/mem.h"

#include "ssh/native/cipher_impl.h"

#include "native_hex.h"
#include "native_vectors.h"

enum {
  VECTORS = sizeof packet_vectors / sizeof packet_vectors[0],
  NONE = VECTORS, /* the row behind the last: no cipher */
  BUF = PACKET_LENGTH_MAX + PACKET_OVERHEAD_MAX
};

static uint8_t text[BUF], packet[BUF], opened[BUF], copy[BUF];

static bool is_none(size_t row)
{
  return row == NONE;
}

static bool is_gcm(size_t row)
{
  return !is_none(row) && strstr(packet_vectors[row].cipher, "gcm") != NULL;
}

static bool is_chacha(size_t row)
{
  return !is_none(row) && strstr(packet_vectors[row].cipher, "chacha") != NULL;
}

static size_t block_of(size_t row)
{
  return is_none(row) || is_chacha(row) ? 8 : 16;
}

/* What of the length field counts towards the block. */
static size_t counted_of(size_t row)
{
  return is_none(row) ? 4 : 0;
}

static size_t tag_of(size_t row)
{
  if (is_none(row)) return 0;
  const char *mac = packet_vectors[row].mac;
  if (mac == NULL) return 16;
  return strstr(mac, "512") != NULL ? 64 : 32;
}

static cipher_t *new_cipher(size_t row, bool seal)
{
  if (is_none(row)) return NULL;
  const struct packet_vector *v = &packet_vectors[row];
  uint8_t key[CIPHER_KEY_MAX], iv[CIPHER_IV_MAX], mac_key[CIPHER_KEY_MAX];
  const cipher_info_t *info = cipher_find(v->cipher);
  const mac_info_t *mac = v->mac == NULL ? NULL : cipher_find_mac(v->mac);
  assert_non_null(info);
  assert_int_equal(info->aead, v->mac == NULL);
  assert_int_equal(unhex(v->key, key, sizeof key), info->key_len);
  assert_int_equal(unhex(v->iv, iv, sizeof iv), info->iv_len);
  size_t mac_key_len = unhex(v->mac_key, mac_key, sizeof mac_key);
  if (mac != NULL) {
    assert_int_equal(mac_key_len, mac->key_len);
    assert_int_equal(mac->tag_len, tag_of(row));
  }
  cipher_t *c = cipher_new(info, mac, key, iv, mac_key, seal);
  assert_non_null(c);
  return c;
}

static void fill(size_t n, size_t len)
{
  for (size_t i = 0; i < len; i++)
    text[i] = (uint8_t) ((64 * n + i) % 251);
}

/* Seals text[0..len), cut into head and body, to packet. */
static size_t seal(cipher_t *c, uint32_t seq, size_t head_len, size_t len)
{
  size_t sealed_len = cipher_sealed_len(c, len);
  assert_true(sealed_len > 0 && sealed_len <= len + PACKET_OVERHEAD_MAX);
  memset(packet, 0xee, sizeof packet);
  assert_true(cipher_seal(c, seq, packet, text, head_len, text + head_len,
                          len - head_len));
  if (sealed_len < sizeof packet) assert_int_equal(packet[sealed_len], 0xee);
  return sealed_len;
}

/* Opens a packet of memory that ends where it ends. */
static bool open_packet(cipher_t *c, uint32_t seq, const uint8_t *p, size_t len,
                        size_t *payload_len)
{
  size_t said = 0;
  *payload_len = 0;
  if (!cipher_packet_len(c, seq, p, &said)) {
    assert_int_equal(said, 0);
    return false;
  }
  if (said != len) return false;
  uint8_t *exact = malloc(len);
  assert_non_null(exact);
  memcpy(exact, p, len);
  bool ok = cipher_open(c, seq, exact, len, opened, payload_len);
  free(exact);
  assert_int_equal(*payload_len > 0, ok);
  return ok;
}

static void assert_opens(cipher_t *c, uint32_t seq, size_t sealed_len,
                         size_t len)
{
  size_t payload_len;
  assert_true(open_packet(c, seq, packet, sealed_len, &payload_len));
  assert_int_equal(payload_len, len);
  assert_memory_equal(opened + 1, text, len);
}

/* the table */

static void names(void **state)
{
  (void) state;
  static const char *const not_ours[] = {"",
                                         "none",
                                         "aes128-cbc",
                                         "3des-cbc",
                                         "AES128-CTR",
                                         "aes128-ctr ",
                                         "aes128-gcm",
                                         "chacha20-poly1305",
                                         "AES-128-GCM",
                                         "hmac-sha2-256",
                                         "hmac-sha1-etm@openssh.com",
                                         "umac-128-etm@openssh.com"};
  for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++) {
    assert_null(cipher_find(not_ours[i]));
    assert_null(cipher_find_mac(not_ours[i]));
  }
  for (size_t row = 0; row < VECTORS; row++) {
    const cipher_info_t *info = cipher_find(packet_vectors[row].cipher);
    assert_string_equal(info->name, packet_vectors[row].cipher);
    assert_ptr_equal(info, cipher_find(info->name));
    assert_true(info->packets_max >= 1 << 20);
    assert_true(info->packets_max <= (uint64_t) 1 << 31);
    assert_true(info->key_len <= CIPHER_KEY_MAX);
    assert_true(tag_of(row) <= CIPHER_TAG_MAX);
  }
  cipher_free(NULL);
}

/* known answers */

static void assert_hash(const uint8_t *p, size_t len, const char *hex)
{
  uint8_t want[32], got[32];
  unsigned n = 0;
  assert_int_equal(unhex(hex, want, sizeof want), 32);
  assert_int_equal(EVP_Digest(p, len, got, &n, EVP_sha256(), NULL), 1);
  assert_memory_equal(got, want, 32);
}

static void packets_are_as_computed(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    const struct packet_vector *v = &packet_vectors[row];
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    for (size_t n = 0; n < VECTOR_PACKETS; n++) {
      uint32_t seq = (uint32_t) (vector_seq + n);
      fill(n, vector_sizes[n]);
      memset(c->pad, VECTOR_PAD, sizeof c->pad);
      c->pad_left = sizeof c->pad;
      size_t len = seal(c, seq, n < vector_sizes[n] ? n : 0, vector_sizes[n]);
      if (n < 2) {
        assert_int_equal(unhex(v->sealed[n], copy, sizeof copy), len);
        assert_memory_equal(packet, copy, len);
      }
      assert_hash(packet, len, v->hash[n]);
      assert_opens(d, seq, len, vector_sizes[n]);
    }
    cipher_free(c);
    cipher_free(d);
  }
}

/* RFC 4253 §6, byte by byte. */
static void without_cipher(void **state)
{
  (void) state;
  static const uint8_t want[] = {0, 0, 0, 12, 10, 'x'};
  text[0] = 'x';
  assert_int_equal(seal(NULL, 7, 0, 1), 16);
  assert_memory_equal(packet, want, sizeof want);
  assert_opens(NULL, 7, 16, 1);
  fill(0, 3); /* 4 + 1 + 3 is a multiple of 8: padding is 8 */
  assert_int_equal(seal(NULL, 0, 3, 3), 16);
  assert_int_equal(packet[4], 8);
  memcpy(copy, packet, 16);
  bool differs = false; /* the padding is random */
  for (int i = 0; i < 4; i++) {
    seal(NULL, 0, 3, 3);
    differs |= memcmp(copy, packet, 16) != 0;
  }
  assert_true(differs);
}

/* what two ends say */

/* Head and body are cut at every place. */
static void every_split(void **state)
{
  (void) state;
  static const size_t sizes[] = {1, 2, 11, 12, 63, 64, 65, 127, 200, 333};
  for (size_t row = 0; row <= NONE; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    uint32_t seq = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      fill(i, sizes[i]);
      for (size_t head = 0; head <= sizes[i]; head++, seq++)
        assert_opens(d, seq, seal(c, seq, head, sizes[i]), sizes[i]);
    }
    cipher_free(c);
    cipher_free(d);
  }
}

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
  random_state = random_state * 1103515245u + 12345u;
  return random_state >> 8;
}

static void ten_thousand_packets(void **state)
{
  (void) state;
  for (size_t row = 0; row <= NONE; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    for (uint32_t n = 0; n < 10000; n++) {
      uint32_t seq = 0xfffff000u + n, r = next_random();
      /* Mostly short; each hundredth as long as any. */
      size_t len = 1 + r % (n % 100 == 0 ? 33000 : 500);
      fill(n % 4, len);
      assert_opens(d, seq, seal(c, seq, r % (len + 1), len), len);
    }
    cipher_free(c);
    cipher_free(d);
  }
}

/* Where the packet is on its way is not its business: the body may even lie
 * behind the packet in the same memory. */
static void one_buffer(void **state)
{
  (void) state;
  enum { SIZE = 1000 };
  for (size_t row = 0; row <= NONE; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    size_t len = cipher_sealed_len(c, SIZE);
    fill(1, SIZE);
    memcpy(packet + len, text, SIZE);
    assert_true(
      cipher_seal(c, 0, packet, packet + len, 9, packet + len + 9, SIZE - 9));
    assert_memory_equal(packet + len, text, SIZE);
    assert_opens(d, 0, len, SIZE);
    cipher_free(c);
    cipher_free(d);
  }
}

static void sizes(void **state)
{
  (void) state;
  for (size_t row = 0; row <= NONE; row++) {
    cipher_t *c = new_cipher(row, true);
    size_t block = block_of(row), out = 4 + tag_of(row);
    assert_int_equal(cipher_sealed_len(c, 0), 0);
    for (size_t len = 1; len <= 34950; len++) {
      size_t inner = cipher_sealed_len(c, len) - out;
      assert_int_equal((inner + counted_of(row)) % block, 0);
      assert_true(inner >= 1 + len + 4 && inner < 1 + len + 4 + block);
    }
    assert_int_equal(cipher_sealed_len(c, PACKET_LENGTH_MAX - 4), 0);
    assert_int_equal(cipher_sealed_len(c, PACKET_LENGTH_MAX), 0);
    assert_int_equal(cipher_sealed_len(c, SIZE_MAX), 0);
    cipher_free(c);
  }
}

/* what is not sealed */

static void not_sealed(void **state)
{
  (void) state;
  static const size_t bad[][2] = {{0, 0},
                                  {0, PACKET_LENGTH_MAX},
                                  {PACKET_LENGTH_MAX, 0},
                                  {PACKET_LENGTH_MAX, PACKET_LENGTH_MAX},
                                  {SIZE_MAX, 2},
                                  {2, SIZE_MAX}};
  for (size_t row = 0; row <= NONE; row++)
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
      cipher_t *c = new_cipher(row, true);
      packet[0] = 0xee;
      assert_false(cipher_seal(c, 0, packet, text, bad[i][0], text, bad[i][1]));
      assert_int_equal(packet[0], 0xee);
      /* From then on nothing is. */
      if (!is_none(row))
        assert_false(cipher_seal(c, 0, packet, text, 1, text, 0));
      cipher_free(c);
    }
}

static void each_its_direction(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    size_t len = seal(c, 0, 0, 5), payload_len, said;
    assert_false(cipher_packet_len(c, 0, packet, &said));
    assert_false(cipher_open(c, 0, packet, len, opened, &payload_len));
    assert_false(cipher_seal(d, 0, copy, text, 5, NULL, 0));
    cipher_free(c);
    cipher_free(d);
  }
}

/* No nonce is used twice: after 2^32 packets a key is used up. */
static void keys_are_used_up(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    size_t payload_len;
    c->packets = d->packets = UINT32_MAX;
    assert_opens(d, 0, seal(c, 0, 0, 5), 5); /* the last one */
    assert_int_equal(c->packets, (uint64_t) 1 << 32);
    assert_false(cipher_seal(c, 1, packet, text, 5, NULL, 0));
    c->failed = false;
    c->packets = 1;
    size_t len = seal(c, 1, 0, 5); /* what would have been the next one */
    assert_false(open_packet(d, 1, packet, len, &payload_len));
    cipher_free(c);
    cipher_free(d);
  }
}

static void padding_is_used_once(void **state)
{
  (void) state;
  enum { PACKETS = 200, CHUNK = 4 }; /* the pool is filled twice and more */
  static uint8_t pads[PACKETS][CHUNK];
  for (size_t row = 0; row < VECTORS; row++) {
    cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
    size_t repeated = 0;
    for (uint32_t n = 0; n < PACKETS; n++) {
      assert_opens(d, n, seal(c, n, 0, 5), 5);
      memcpy(pads[n], opened + 6, CHUNK);
      for (uint32_t i = 0; i < n; i++)
        repeated += memcmp(pads[i], pads[n], CHUNK) == 0;
    }
    assert_true(repeated <= 1); /* by chance: one in 200,000 runs */
    cipher_free(c);
    cipher_free(d);
  }
}

/* what is not opened */

/* Of packets that are otherwise right, each bit is turned once. The cipher
 * never takes back that it failed. */
static void every_bit(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    cipher_t *c = new_cipher(row, true);
    fill(0, 40);
    size_t len = seal(c, 3, 9, 40), payload_len;
    cipher_free(c);
    for (size_t bit = 0; bit < 8 * len; bit++) {
      cipher_t *d = new_cipher(row, false);
      memcpy(copy, packet, len);
      copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
      memset(opened, 0xee, sizeof opened);
      assert_false(cipher_open(d, 3, copy, len, opened, &payload_len));
      assert_int_equal(payload_len, 0);
      /* Not a byte of what no tag vouches for. */
      assert_memory_not_equal(opened + 1, text, 16);
      assert_false(open_packet(d, 3, packet, len, &payload_len));
      cipher_free(d);
    }
    cipher_t *d = new_cipher(row, false);
    assert_opens(d, 3, len, 40);
    cipher_free(d);
  }
}

/* GCM has its own count and does not look at the number. */
static void wrong_number(void **state)
{
  (void) state;
  static const uint32_t wrong[] = {0, 2, 4, 0x03000000, 0xfffffffc, 0x80000003};
  for (size_t row = 0; row < VECTORS; row++)
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
      cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
      fill(0, 40);
      size_t len = seal(c, 3, 0, 40), payload_len;
      if (is_gcm(row))
        assert_opens(d, wrong[i], len, 40);
      else
        assert_false(
          cipher_open(d, wrong[i], packet, len, opened, &payload_len));
      cipher_free(c);
      cipher_free(d);
    }
}

/* Dropped, repeated, exchanged. */
static void wrong_order(void **state)
{
  (void) state;
  static const int orders[][3] = {{1, 0, 2}, {0, 0, 1}, {0, 2, 1}};
  static uint8_t sealed[3][200];
  for (size_t row = 0; row < VECTORS; row++)
    for (size_t i = 0; i < 3; i++) {
      cipher_t *c = new_cipher(row, true), *d = new_cipher(row, false);
      size_t len = 0, payload_len;
      bool ok = true;
      fill(0, 20);
      for (uint32_t n = 0; n < 3; n++) {
        len = seal(c, n, 0, 20);
        memcpy(sealed[n], packet, len);
      }
      for (uint32_t n = 0; n < 3; n++) {
        const uint8_t *p = sealed[orders[i][n]];
        ok = ok && cipher_open(d, n, p, len, opened, &payload_len);
        if (orders[i][n] != (int) n) assert_false(ok);
      }
      cipher_free(c);
      cipher_free(d);
    }
}

static void wrong_key(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    cipher_t *c = new_cipher(row, true);
    size_t len = seal(c, 3, 0, 40), payload_len;
    const struct packet_vector *v = &packet_vectors[row];
    uint8_t part[3][CIPHER_KEY_MAX];
    size_t part_len[3] = {unhex(v->key, part[0], CIPHER_KEY_MAX),
                          is_gcm(row) ? unhex(v->iv, part[1], CIPHER_IV_MAX)
                                      : 0,
                          unhex(v->mac_key, part[2], CIPHER_KEY_MAX)};
    unhex(v->iv, part[1], CIPHER_IV_MAX);
    /* With CTR, key and IV are not what the MAC protects. */
    for (size_t which = v->mac == NULL ? 0 : 2; which < 3; which++)
      for (size_t i = 0; i < part_len[which]; i++) {
        part[which][i] ^= 0x40;
        cipher_t *d =
          cipher_new(cipher_find(v->cipher),
                     v->mac == NULL ? NULL : cipher_find_mac(v->mac), part[0],
                     part[1], part[2], false);
        assert_non_null(d);
        assert_false(cipher_open(d, 3, packet, len, opened, &payload_len));
        cipher_free(d);
        part[which][i] ^= 0x40;
      }
    cipher_free(c);
  }
}

/* lengths */

static bool may_be(size_t row, uint32_t length)
{
  if (length > PACKET_LENGTH_MAX) return false;
  size_t whole = length + counted_of(row);
  return whole % block_of(row) == 0 &&
         whole >= (is_none(row) ? 16 : block_of(row));
}

/* The four bytes that say this length. */
static void put_length(size_t row, uint32_t seq, uint32_t length,
                       uint8_t out[4])
{
  uint8_t clear[4];
  cipher_put_u32(clear, length);
  memcpy(out, clear, 4);
  if (!is_chacha(row)) return;
  cipher_t *c = new_cipher(row, true);
  uint8_t iv[16] = {0};
  cipher_put_u32(iv + 12, seq);
  int n = 0;
  assert_int_equal(EVP_CipherInit_ex2(c->length_ctx, NULL, NULL, iv, -1, NULL),
                   1);
  assert_int_equal(EVP_CipherUpdate(c->length_ctx, out, &n, clear, 4), 1);
  cipher_free(c);
}

static void check_length(size_t row, uint32_t length)
{
  uint8_t in[4];
  size_t len = 1;
  cipher_t *d = new_cipher(row, false);
  put_length(row, 5, length, in);
  bool ok = cipher_packet_len(d, 5, in, &len);
  assert_int_equal(ok, may_be(row, length));
  assert_int_equal(len, ok ? 4 + length + tag_of(row) : 0);
  if (ok) { /* once more, and it is the same */
    assert_true(cipher_packet_len(d, 5, in, &len));
    assert_int_equal(len, 4 + length + tag_of(row));
  }
  cipher_free(d);
}

static void every_length(void **state)
{
  (void) state;
  static const uint32_t extremes[] = {
    34984,      34992,      34996,      35000,      35001,      35004,
    35008,      35012,      0x10000,    0x7ffffff0, 0x7fffffff, 0x80000000,
    0x80000010, 0xfffffff0, 0xfffffff8, 0xfffffffc, 0xffffffff};
  for (size_t row = 0; row <= NONE; row++) {
    for (uint32_t length = 0; length <= 1024; length++)
      check_length(row, length);
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++)
      check_length(row, extremes[i]);
  }
}

/* ChaCha keeps the last length that it decrypted: of that packet alone. */
static void kept_lengths(void **state)
{
  (void) state;
  for (size_t row = 0; row < VECTORS; row++) {
    if (!is_chacha(row)) continue;
    uint8_t five[4], other[4], six[4];
    size_t len;
    cipher_t *d = new_cipher(row, false);
    put_length(row, 5, 64, five);
    put_length(row, 5, 128, other);
    put_length(row, 6, 256, six);
    assert_true(cipher_packet_len(d, 5, five, &len) && len == 4 + 64 + 16);
    assert_true(cipher_packet_len(d, 5, other, &len) && len == 4 + 128 + 16);
    assert_true(cipher_packet_len(d, 6, six, &len) && len == 4 + 256 + 16);
    assert_true(cipher_packet_len(d, 5, five, &len) && len == 4 + 64 + 16);
    assert_false(cipher_packet_len(d, 6, five, &len)); /* noise: too long */
    cipher_free(d);
  }
}

/* The memory given is not as long as the packet says, or longer. */
static void another_length(void **state)
{
  (void) state;
  for (size_t row = 0; row <= NONE; row++) {
    cipher_t *c = new_cipher(row, true);
    size_t len = seal(c, 3, 0, 40), payload_len;
    cipher_free(c);
    for (size_t other = 0; other <= len + 64; other++) {
      if (other == len) continue;
      cipher_t *d = new_cipher(row, false);
      assert_false(cipher_open(d, 3, packet, other, opened, &payload_len));
      cipher_free(d);
    }
  }
}

/* A packet whose tag is right and whose inside is what the test says. */
static size_t seal_raw(size_t row, size_t length, uint8_t pad_len)
{
  cipher_t *c = new_cipher(row, true);
  uint8_t *inner = packet + 4;
  memset(inner, 0x77, length);
  inner[0] = pad_len;
  cipher_put_u32(packet, (uint32_t) length);
  cipher_plain_t plain = {.out = inner, .front_len = length};
  if (!is_none(row)) assert_true(c->kind->ops->seal(c, 3, packet, &plain));
  cipher_free(c);
  return 4 + length + tag_of(row);
}

static void every_padding(void **state)
{
  (void) state;
  for (size_t row = 0; row <= NONE; row++)
    for (size_t blocks = is_none(row) ? 2 : 1; blocks <= 20; blocks++)
      for (unsigned pad_len = 0; pad_len <= 255; pad_len++) {
        size_t length = blocks * block_of(row) - counted_of(row), payload_len;
        size_t len = seal_raw(row, length, (uint8_t) pad_len);
        cipher_t *d = new_cipher(row, false);
        bool ok = open_packet(d, 3, packet, len, &payload_len);
        assert_int_equal(ok, pad_len >= 4 && pad_len + 1 < length);
        if (ok) assert_int_equal(payload_len, length - 1 - pad_len);
        cipher_free(d);
      }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names),
    cmocka_unit_test(packets_are_as_computed),
    cmocka_unit_test(without_cipher),
    cmocka_unit_test(every_split),
    cmocka_unit_test(ten_thousand_packets),
    cmocka_unit_test(one_buffer),
    cmocka_unit_test(sizes),
    cmocka_unit_test(not_sealed),
    cmocka_unit_test(each_its_direction),
    cmocka_unit_test(keys_are_used_up),
    cmocka_unit_test(padding_is_used_once),
    cmocka_unit_test(every_bit),
    cmocka_unit_test(wrong_number),
    cmocka_unit_test(wrong_order),
    cmocka_unit_test(wrong_key),
    cmocka_unit_test(every_length),
    cmocka_unit_test(kept_lengths),
    cmocka_unit_test(another_length),
    cmocka_unit_test(every_padding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
