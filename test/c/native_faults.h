/* native_faults.h - calls that fail when a test says so, for
 * test_native_faults.c.
 *
 *   fault_set(FAULT_CALL, n, lasting)    the n-th call of that kind fails, or
 *                                        all from the n-th on
 *   fault.hits                           how many have failed since
 *   wires[i].flip                        the byte of which one bit changes on
 *                                        its way; -1: none
 *
 * The link diverts the calls to here: the Makefile takes the names from the
 * lines below that begin with INT, SIZE or PTR. They are all that
 * csrc/ssh/native and csrc/ssh/key*.c ask of OpenSSL in a session and that can
 * fail (EVP_PKEY_up_ref only counts). What happens inside of OpenSSL is reached
 * by its memory (FAULT_MEMORY) and by the system's random bytes
 * (FAULT_ENTROPY). */
#ifndef NATIVE_FAULTS_H
#define NATIVE_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <uv.h>

#include "core/mem.h"
#include "core/stream_impl.h"

typedef enum {
  FAULT_NONE,
  FAULT_MEMORY,     /* an allocation of OpenSSL's */
  FAULT_CALL,       /* OpenSSL says 0 or NULL */
  FAULT_CALL_MINUS, /* the same, -1 where it can */
  FAULT_CALL_DONE,  /* it does what it should, and says 0: who does not look
                       at the answer goes on as if nothing was wrong */
  FAULT_ENTROPY,    /* the system has no random bytes */
  FAULT_TRY_WRITE,  /* the peer is gone */
  FAULT_WRITE,      /* uv_write says no, though the peer is there */
  FAULT_WRITTEN,    /* uv_write says yes, and later no */
  FAULT_SHUTDOWN,
  FAULT_READ,
  FAULT_STREAM /* the transport fails inside of write() */
} fault_kind_t;

static struct {
  fault_kind_t kind;
  unsigned long n, calls, hits;
  const char *what; /* the first of OpenSSL's calls that failed */
  bool lasting;
} fault;

static inline void fault_set(fault_kind_t kind, unsigned long n, bool lasting)
{
  fault.kind = kind;
  fault.n = n;
  fault.lasting = lasting;
  fault.calls = fault.hits = 0;
  fault.what = "";
}

static inline bool fault_is_due(fault_kind_t kind)
{
  if (fault.kind != kind) return false;
  fault.calls++;
  bool due = fault.lasting ? fault.calls >= fault.n : fault.calls == fault.n;
  fault.hits += due;
  return due;
}

/* OpenSSL's memory: before its first use. */

static void *faulty_malloc(size_t size, const char *file, int line)
{
  (void) file;
  (void) line;
  return fault_is_due(FAULT_MEMORY) ? NULL : malloc(size);
}

static void *faulty_realloc(void *p, size_t size, const char *file, int line)
{
  (void) file;
  (void) line;
  return fault_is_due(FAULT_MEMORY) ? NULL : realloc(p, size);
}

static void plain_free(void *p, const char *file, int line)
{
  (void) file;
  (void) line;
  free(p);
}

/* Ahead of libssh's constructor, which uses OpenSSL. */
__attribute__((constructor(101))) static void put_in_faulty_memory(void)
{
  CHECK(CRYPTO_set_mem_functions(faulty_malloc, faulty_realloc, plain_free) ==
        1);
}

/* OpenSSL's answers. A name may be a macro of OpenSSL's headers no more than
 * any other here: it stands for what is linked. */
static inline bool call_fails(const char *what)
{
  bool due = fault_is_due(FAULT_CALL) || fault_is_due(FAULT_CALL_MINUS);
  if (due && fault.hits == 1) fault.what = what;
  return due;
}

static inline bool done_call_fails(const char *what)
{
  bool due = fault_is_due(FAULT_CALL_DONE);
  if (due && fault.hits == 1) fault.what = what;
  return due;
}

static inline int int_fault(void)
{
  return fault.kind == FAULT_CALL_MINUS ? -1 : 0;
}

#define INT(name, params, args)                \
  int __real_##name params;                    \
  int __wrap_##name params;                    \
  int __wrap_##name params                     \
  {                                            \
    if (call_fails(#name)) return int_fault(); \
    int rc = __real_##name args;               \
    return done_call_fails(#name) ? 0 : rc;    \
  }
/* What it gives, or takes, would have no owner if it were done. */
#define INT_OWNS(name, params, args)                             \
  int __real_##name params;                                      \
  int __wrap_##name params;                                      \
  int __wrap_##name params                                       \
  {                                                              \
    return call_fails(#name) ? int_fault() : __real_##name args; \
  }
#define SIZE(name, params, args)                            \
  size_t __real_##name params;                              \
  size_t __wrap_##name params;                              \
  size_t __wrap_##name params                               \
  {                                                         \
    bool due = call_fails(#name) || done_call_fails(#name); \
    return due ? 0 : __real_##name args;                    \
  }
#define PTR(name, type, params, args)                     \
  type *__real_##name params;                             \
  type *__wrap_##name params;                             \
  type *__wrap_##name params                              \
  {                                                       \
    return call_fails(#name) ? NULL : __real_##name args; \
  }

/* clang-format off */
PTR(EVP_CIPHER_fetch, EVP_CIPHER, (OSSL_LIB_CTX *l, const char *n, const char *q), (l, n, q))
PTR(EVP_CIPHER_CTX_new, EVP_CIPHER_CTX, (void), ())
INT(EVP_CIPHER_get_key_length, (const EVP_CIPHER *c), (c))
INT(EVP_CIPHER_CTX_get_iv_length, (const EVP_CIPHER_CTX *c), (c))
INT(EVP_CIPHER_CTX_set_padding, (EVP_CIPHER_CTX *c, int pad), (c, pad))
INT(EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX *c, int type, int arg, void *p), (c, type, arg, p))
INT(EVP_CipherInit_ex2, (EVP_CIPHER_CTX *c, const EVP_CIPHER *t, const unsigned char *k, const unsigned char *iv, int enc, const OSSL_PARAM *p), (c, t, k, iv, enc, p))
INT(EVP_CipherUpdate, (EVP_CIPHER_CTX *c, unsigned char *out, int *n, const unsigned char *in, int len), (c, out, n, in, len))
INT(EVP_CipherFinal_ex, (EVP_CIPHER_CTX *c, unsigned char *out, int *n), (c, out, n))
PTR(EVP_MAC_fetch, EVP_MAC, (OSSL_LIB_CTX *l, const char *n, const char *q), (l, n, q))
PTR(EVP_MAC_CTX_new, EVP_MAC_CTX, (EVP_MAC *m), (m))
SIZE(EVP_MAC_CTX_get_mac_size, (EVP_MAC_CTX *c), (c))
INT(EVP_MAC_init, (EVP_MAC_CTX *c, const unsigned char *k, size_t n, const OSSL_PARAM *p), (c, k, n, p))
INT(EVP_MAC_update, (EVP_MAC_CTX *c, const unsigned char *p, size_t n), (c, p, n))
INT(EVP_MAC_final, (EVP_MAC_CTX *c, unsigned char *out, size_t *n, size_t max), (c, out, n, max))
PTR(EVP_MD_fetch, EVP_MD, (OSSL_LIB_CTX *l, const char *n, const char *q), (l, n, q))
INT(EVP_MD_get_size, (const EVP_MD *m), (m))
PTR(EVP_MD_CTX_new, EVP_MD_CTX, (void), ())
INT(EVP_DigestInit_ex2, (EVP_MD_CTX *c, const EVP_MD *m, const OSSL_PARAM *p), (c, m, p))
INT(EVP_DigestUpdate, (EVP_MD_CTX *c, const void *p, size_t n), (c, p, n))
INT(EVP_DigestFinal_ex, (EVP_MD_CTX *c, unsigned char *out, unsigned *n), (c, out, n))
INT(EVP_DigestSignInit, (EVP_MD_CTX *c, EVP_PKEY_CTX **p, const EVP_MD *m, ENGINE *e, EVP_PKEY *k), (c, p, m, e, k))
INT(EVP_DigestSign, (EVP_MD_CTX *c, unsigned char *sig, size_t *n, const unsigned char *p, size_t len), (c, sig, n, p, len))
INT(EVP_DigestVerifyInit, (EVP_MD_CTX *c, EVP_PKEY_CTX **p, const EVP_MD *m, ENGINE *e, EVP_PKEY *k), (c, p, m, e, k))
INT(EVP_DigestVerify, (EVP_MD_CTX *c, const unsigned char *sig, size_t n, const unsigned char *p, size_t len), (c, sig, n, p, len))
PTR(EVP_PKEY_CTX_new_from_name, EVP_PKEY_CTX, (OSSL_LIB_CTX *l, const char *n, const char *q), (l, n, q))
PTR(EVP_PKEY_CTX_new_from_pkey, EVP_PKEY_CTX, (OSSL_LIB_CTX *l, EVP_PKEY *k, const char *q), (l, k, q))
INT(EVP_PKEY_CTX_set_params, (EVP_PKEY_CTX *c, const OSSL_PARAM *p), (c, p))
INT(EVP_PKEY_keygen_init, (EVP_PKEY_CTX *c), (c))
INT(EVP_PKEY_generate, (EVP_PKEY_CTX *c, EVP_PKEY **k), (c, k))
INT(EVP_PKEY_fromdata_init, (EVP_PKEY_CTX *c), (c))
INT(EVP_PKEY_fromdata, (EVP_PKEY_CTX *c, EVP_PKEY **k, int what, OSSL_PARAM *p), (c, k, what, p))
INT(EVP_PKEY_derive_init, (EVP_PKEY_CTX *c), (c))
INT(EVP_PKEY_derive_set_peer, (EVP_PKEY_CTX *c, EVP_PKEY *k), (c, k))
INT(EVP_PKEY_derive, (EVP_PKEY_CTX *c, unsigned char *p, size_t *n), (c, p, n))
INT(EVP_PKEY_get_octet_string_param, (const EVP_PKEY *k, const char *n, unsigned char *p, size_t max, size_t *len), (k, n, p, max, len))
INT_OWNS(EVP_PKEY_get_bn_param, (const EVP_PKEY *k, const char *n, BIGNUM **b), (k, n, b))
INT(EVP_PKEY_get_raw_public_key, (const EVP_PKEY *k, unsigned char *p, size_t *n), (k, p, n))
INT(EVP_PKEY_get_size, (const EVP_PKEY *k), (k))
INT(EVP_PKEY_get_bits, (const EVP_PKEY *k), (k))
PTR(EVP_PKEY_new_raw_public_key, EVP_PKEY, (int t, ENGINE *e, const unsigned char *p, size_t n), (t, e, p, n))
PTR(OSSL_PARAM_BLD_new, OSSL_PARAM_BLD, (void), ())
PTR(OSSL_PARAM_BLD_to_param, OSSL_PARAM, (OSSL_PARAM_BLD *b), (b))
INT(OSSL_PARAM_BLD_push_BN, (OSSL_PARAM_BLD *b, const char *n, const BIGNUM *v), (b, n, v))
INT(OSSL_PARAM_BLD_push_utf8_string, (OSSL_PARAM_BLD *b, const char *n, const char *p, size_t len), (b, n, p, len))
INT(OSSL_PARAM_BLD_push_octet_string, (OSSL_PARAM_BLD *b, const char *n, const void *p, size_t len), (b, n, p, len))
PTR(BN_bin2bn, BIGNUM, (const unsigned char *p, int n, BIGNUM *b), (p, n, b))
INT(BN_bn2bin, (const BIGNUM *b, unsigned char *p), (b, p))
INT(BN_bn2binpad, (const BIGNUM *b, unsigned char *p, int n), (b, p, n))
PTR(ECDSA_SIG_new, ECDSA_SIG, (void), ())
INT_OWNS(ECDSA_SIG_set0, (ECDSA_SIG *s, BIGNUM *a, BIGNUM *b), (s, a, b))
PTR(d2i_ECDSA_SIG, ECDSA_SIG, (ECDSA_SIG **s, const unsigned char **p, long n), (s, p, n))
INT(i2d_ECDSA_SIG, (const ECDSA_SIG *s, unsigned char **p), (s, p))
INT(RAND_bytes, (unsigned char *p, int n), (p, n))
/* clang-format on */

/* The system's random bytes. libcrypto asks getentropy(), which is getrandom(),
 * then the devices; a generator asks only when it is seeded, so it is made to
 * seed itself anew each time. */
int getentropy(void *p, size_t n)
{
  if (fault_is_due(FAULT_ENTROPY)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_getrandom, p, n, 0) == (long) n ? 0 : -1;
}

int faulty_open(const char *path, int flags, ...) __asm__("open");
int faulty_open(const char *path, int flags, ...)
{
  va_list ap;
  va_start(ap, flags);
  int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
  va_end(ap);
  bool random = strstr(path, "random") != NULL;
  if (random && fault.kind == FAULT_ENTROPY && fault.hits > 0) {
    errno = EIO;
    return -1;
  }
  return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline bool always_reseed(void)
{
  unsigned once = 1;
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_uint(OSSL_DRBG_PARAM_RESEED_REQUESTS, &once),
    OSSL_PARAM_construct_end(),
  };
  EVP_RAND_CTX *all[] = {RAND_get0_primary(NULL), RAND_get0_public(NULL),
                         RAND_get0_private(NULL)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i] == NULL || EVP_RAND_CTX_set_params(all[i], params) != 1)
      return false;
  return true;
}

/* The transport. */

typedef struct {
  int fd;
  uint64_t said;   /* bytes */
  int64_t flip;    /* -1: none */
  alk_buf_t *copy; /* of what was said, or NULL */
} wire_t;
static wire_t wires[2];

static inline wire_t *wire_of(uv_stream_t *h)
{
  uv_os_fd_t fd = -1;
  CHECK(uv_fileno((uv_handle_t *) h, &fd) == 0);
  for (int i = 0; i < 2; i++)
    if (wires[i].fd == fd) return &wires[i];
  return NULL;
}

static inline void cut_wire(uv_stream_t *h)
{
  wire_t *w = wire_of(h);
  if (w != NULL) shutdown(w->fd, SHUT_RDWR);
}

/* The bytes that leave, with their bit turned. */
static inline void turn_bit(const wire_t *w, uint64_t from, uint8_t *p,
                            size_t len)
{
  if (w->flip < 0 || (uint64_t) w->flip < from) return;
  uint64_t at = (uint64_t) w->flip - from;
  if (at < len) p[at] ^= (uint8_t) (1 << (w->flip % 8));
}

static inline void has_said(wire_t *w, const void *p, size_t len)
{
  if (w->copy != NULL) alk_buf_add(w->copy, p, len);
  w->said += len;
}

#define UV_WRAP(type, name, params) \
  type __real_##name params;        \
  type __wrap_##name params;        \
  type __wrap_##name params

UV_WRAP(int, uv_try_write, (uv_stream_t * h, const uv_buf_t bufs[], unsigned n))
{
  wire_t *w = wire_of(h);
  if (w == NULL || n != 1) return __real_uv_try_write(h, bufs, n);
  if (fault_is_due(FAULT_TRY_WRITE)) {
    cut_wire(h);
    return UV_EPIPE;
  }
  if (fault.kind == FAULT_WRITE || fault.kind == FAULT_WRITTEN ||
      fault.kind == FAULT_SHUTDOWN) /* which is only for what waits */
    return UV_EAGAIN;               /* all of it goes the long way */
  uint8_t *copy = alk_memdup(bufs[0].base, bufs[0].len);
  turn_bit(w, w->said, copy, bufs[0].len);
  uv_buf_t b = {.base = (char *) copy, .len = bufs[0].len};
  int rc = __real_uv_try_write(h, &b, 1);
  if (rc > 0) has_said(w, bufs[0].base, (size_t) rc);
  alk_free(copy);
  return rc;
}

UV_WRAP(int, uv_write,
        (uv_write_t * req, uv_stream_t *h, const uv_buf_t bufs[], unsigned n,
         uv_write_cb cb))
{
  wire_t *w = wire_of(h);
  if (fault_is_due(FAULT_WRITE)) return UV_ENOMEM;
  if (fault_is_due(FAULT_WRITTEN)) cut_wire(h);
  if (w != NULL && n == 1) {
    size_t len = bufs[0].len;
    has_said(w, bufs[0].base, len); /* the bytes are the request's own */
    turn_bit(w, w->said - len, (uint8_t *) bufs[0].base, len);
  }
  return __real_uv_write(req, h, bufs, n, cb);
}

UV_WRAP(int, uv_shutdown,
        (uv_shutdown_t * req, uv_stream_t *h, uv_shutdown_cb cb))
{
  return fault_is_due(FAULT_SHUTDOWN) ? UV_ENOTCONN
                                      : __real_uv_shutdown(req, h, cb);
}

UV_WRAP(int, uv_read_start,
        (uv_stream_t * h, uv_alloc_cb alloc, uv_read_cb read))
{
  return fault_is_due(FAULT_READ) ? UV_ENOMEM
                                  : __real_uv_read_start(h, alloc, read);
}

UV_WRAP(bool, alk_stream_write, (alk_stream_t * s, const char *buf, size_t len))
{
  bool transport = strcmp(s->ops->kind, "channel") != 0;
  if (!transport || alk_stream_is(s, ALK_S_CLOSING) ||
      !fault_is_due(FAULT_STREAM))
    return __real_alk_stream_write(s, buf, len);
  alk_stream_fail_sys(s, UV_ECONNRESET, "write");
  return true;
}

#endif
