/* test_buf.c - the reader never leaves its input; the queue keeps its bytes,
 * and a secret leaves no copy behind. */
#include "helpers.h"

/* What the code under test wiped: the two names a fortified and a plain build
 * call (explicit_bzero is the second's). */
static size_t wiped;

void __explicit_bzero_chk(void *p, size_t len, size_t size);
void __explicit_bzero_chk(void *p, size_t len, size_t size)
{
  (void) size;
  wiped += len;
  for (volatile char *c = p; len > 0; len--)
    *c++ = 0;
}

void explicit_bzero(void *p, size_t len)
{
  __explicit_bzero_chk(p, len, len);
}

static void reader_reads_integers(void **state)
{
  (void) state;
  const uint8_t in[] = {1,    2,    3,    4,    5,    6,    7,   0xff,
                        0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8};
  alk_rd_t r = alk_rd(in, sizeof in);
  assert_int_equal(alk_rd_u8(&r), 1);
  assert_int_equal(alk_rd_u16(&r), 0x0203);
  assert_int_equal(alk_rd_u32(&r), 0x04050607);
  assert_false(alk_rd_done(&r));
  assert_true(alk_rd_u64(&r) == 0xfffefdfcfbfaf9f8);
  assert_true(alk_rd_done(&r));
}

/* Each input is an allocation of its exact size: a sanitizer sees one byte. */
static void reader_cut_at_every_byte(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  alk_buf_u8(&b, 7);
  alk_buf_u16(&b, 8);
  alk_buf_u32(&b, 9);
  alk_buf_u64(&b, 10);
  alk_buf_cstr(&b, "eleven");
  alk_buf_cstr(&b, "twelve");
  for (size_t cut = 0; cut <= alk_buf_size(&b); cut++) {
    uint8_t *in = alk_memdup(alk_buf_head(&b), cut);
    size_t len;
    alk_rd_t r = alk_rd(in, cut);
    alk_rd_u8(&r);
    alk_rd_u16(&r);
    alk_rd_u32(&r);
    uint64_t ten = alk_rd_u64(&r);
    const uint8_t *p = alk_rd_str(&r, &len);
    bool twelve = alk_rd_is(&r, "twelve");
    bool whole = cut == alk_buf_size(&b);
    assert_int_equal(alk_rd_done(&r), whole);
    assert_int_equal(twelve, whole);
    assert_true(ten == (cut >= 15 ? 10 : 0));
    assert_int_equal(p != NULL, cut >= 25);
    assert_int_equal(len, cut >= 25 ? 6 : 0);
    alk_free(in);
  }
  alk_buf_free(&b);
}

static void reader_stays_bad(void **state)
{
  (void) state;
  const uint8_t in[] = {0, 0, 0, 1, 2, 3};
  size_t len = 99;
  alk_rd_t r = alk_rd(in, sizeof in);
  assert_null(alk_rd_bytes(&r, sizeof in + 1));
  assert_true(r.bad);
  assert_int_equal(alk_rd_u8(&r), 0);
  assert_int_equal(alk_rd_u64(&r), 0);
  assert_null(alk_rd_str(&r, &len));
  assert_int_equal(len, 0);
  assert_null(alk_rd_bytes(&r, 0));
  alk_rd_t sub = alk_rd_sub(&r);
  assert_true(sub.bad);
  assert_false(alk_rd_done(&sub));
  assert_false(alk_rd_done(&r));
  assert_false(alk_rd_is(&r, ""));
}

static void reader_refuses_giant_lengths(void **state)
{
  (void) state;
  const uint32_t lens[] = {5, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff};
  for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
    alk_buf_t b = {0};
    size_t len;
    alk_buf_u32(&b, lens[i]);
    alk_buf_u32(&b, 0);
    alk_rd_t r = alk_rd(alk_buf_head(&b), alk_buf_size(&b));
    assert_null(alk_rd_str(&r, &len));
    assert_int_equal(len, 0);
    assert_true(r.bad);
    alk_buf_free(&b);
  }
}

static void reader_of_a_string(void **state)
{
  (void) state;
  alk_buf_t in = {0}, out = {0};
  alk_buf_u32(&in, 5);
  alk_buf_str(&out, alk_buf_head(&in), alk_buf_size(&in));
  alk_buf_u32(&out, 6);
  alk_rd_t r = alk_rd(alk_buf_head(&out), alk_buf_size(&out));
  alk_rd_t sub = alk_rd_sub(&r);
  assert_int_equal(alk_rd_u32(&sub), 5);
  assert_true(alk_rd_done(&sub));
  assert_int_equal(alk_rd_u8(&sub), 0); /* not the 6 that follows it */
  assert_true(sub.bad);
  assert_false(r.bad);
  assert_int_equal(alk_rd_u32(&r), 6);
  assert_true(alk_rd_done(&r));
  alk_buf_free(&in);
  alk_buf_free(&out);
}

static void reader_compares_whole_strings(void **state)
{
  (void) state;
  const struct {
    const char *text;
    size_t len;
    bool same;
  } t[] = {{"abc", 3, true},    {"ab", 2, false}, {"abcd", 4, false},
           {"abc\0", 4, false}, {"", 0, false},   {"abC", 3, false}};
  for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
    alk_buf_t b = {0};
    alk_buf_str(&b, t[i].text, t[i].len);
    alk_rd_t r = alk_rd(alk_buf_head(&b), alk_buf_size(&b));
    assert_int_equal(alk_rd_is(&r, "abc"), t[i].same);
    assert_true(alk_rd_done(&r));
    alk_buf_free(&b);
  }
}

static void empty_things(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  assert_int_equal(alk_buf_size(&b), 0);
  assert_null(alk_buf_head(&b));
  alk_buf_add(&b, NULL, 0);
  alk_buf_consume(&b, 0);
  assert_int_equal(alk_buf_size(&b), 0);
  alk_buf_free(&b);
  alk_buf_free_secret(&b);
  alk_rd_t r = alk_rd(NULL, 0);
  assert_true(alk_rd_done(&r));
  assert_int_equal(alk_rd_u8(&r), 0);
  assert_true(r.bad);
}

/* Adds and consumes in uneven steps, against a count of each: what comes out
 * is what went in, and a queue that is emptied does not grow for ever. */
static void queue_keeps_order(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  char chunk[977];
  uint64_t in = 0, out = 0;
  unsigned seed = 12345;
  for (int i = 0; i < 20000; i++) {
    seed = seed * 1103515245u + 12345u;
    size_t add = (seed >> 16) % sizeof chunk;
    fill_pattern(chunk, add, in);
    alk_buf_add(&b, chunk, add);
    in += add;
    seed = seed * 1103515245u + 12345u;
    size_t take = (seed >> 16) % (2 * sizeof chunk);
    if (take > alk_buf_size(&b)) take = alk_buf_size(&b);
    if (take > 0) check_pattern(alk_buf_head(&b), take, out);
    alk_buf_consume(&b, take);
    out += take;
    assert_true(alk_buf_size(&b) == in - out);
  }
  assert_true(b.cap <= 64 * 1024);
  alk_buf_free(&b);
}

static void queue_reserve_and_commit(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  alk_buf_add(&b, "ab", 2);
  uint8_t *p = alk_buf_reserve(&b, 1000);
  memset(p, 'c', 1000);
  assert_int_equal(alk_buf_size(&b), 2); /* not yet */
  alk_buf_commit(&b, 3);
  assert_int_equal(alk_buf_size(&b), 5);
  assert_memory_equal(alk_buf_head(&b), "abccc", 5);
  alk_buf_consume(&b, 1);
  alk_buf_add(&b, "d", 1);
  assert_memory_equal(alk_buf_head(&b), "bcccd", 5);
  alk_buf_free(&b);
}

static void writer_mpint(void **state)
{
  (void) state;
  /* The examples of RFC 4251 §5, from unsigned numbers with zeros in front. */
  const struct {
    const char *in;
    size_t in_len;
    const char *out;
    size_t out_len;
  } t[] = {
    {"", 0, "\0\0\0\0", 4},
    {"\0\0", 2, "\0\0\0\0", 4},
    {"\x09\xa3\x78\xf9\xb2\xe3\x32\xa7", 8,
     "\0\0\0\x08\x09\xa3\x78\xf9\xb2\xe3\x32\xa7", 12},
    {"\x80", 1, "\0\0\0\x02\0\x80", 6},
    {"\0\0\x80", 3, "\0\0\0\x02\0\x80", 6},
    {"\0\x7f", 2, "\0\0\0\x01\x7f", 5},
  };
  for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
    alk_buf_t b = {0};
    alk_buf_mpint(&b, (const uint8_t *) t[i].in, t[i].in_len);
    assert_int_equal(alk_buf_size(&b), t[i].out_len);
    assert_memory_equal(alk_buf_head(&b), t[i].out, t[i].out_len);
    alk_buf_free(&b);
  }
}

/* Bytes that were consumed are still in the block: growing and freeing wipe
 * the whole of it, not only what is held. */
static void secret_is_wiped(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  char secret[100];
  memset(secret, 's', sizeof secret);
  alk_buf_add(&b, secret, sizeof secret);
  alk_buf_consume(&b, sizeof secret);
  wiped = 0;
  alk_buf_reserve(&b, 4000);
  assert_true(wiped >= sizeof secret);
  alk_buf_add(&b, secret, sizeof secret);
  alk_buf_consume(&b, sizeof secret);
  wiped = 0;
  alk_buf_free_secret(&b);
  assert_true(wiped >= sizeof secret);
  assert_null(b.p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(reader_reads_integers),
    cmocka_unit_test(reader_cut_at_every_byte),
    cmocka_unit_test(reader_stays_bad),
    cmocka_unit_test(reader_refuses_giant_lengths),
    cmocka_unit_test(reader_of_a_string),
    cmocka_unit_test(reader_compares_whole_strings),
    cmocka_unit_test(empty_things),
    cmocka_unit_test(queue_keeps_order),
    cmocka_unit_test(queue_reserve_and_commit),
    cmocka_unit_test(writer_mpint),
    cmocka_unit_test(secret_is_wiped),
  };
  return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
