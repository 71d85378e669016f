/* tls_bio.c - where OpenSSL reads and writes: no copy but its own on the way
 * in, one on the way out. It never blocks and never ends; that the stream
 * beneath has ended is tls.c's to know. */
#include <string.h>

#include <uv.h>

#include "core/mem.h"

#include "net/tls_impl.h"

static int bio_write(BIO *b, const char *buf, size_t len, size_t *written)
{
  tls_wire_t *w = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  alk_buf_add(&w->out, buf, len);
  *written = len;
  return 1;
}

static int bio_read(BIO *b, char *buf, size_t len, size_t *got)
{
  tls_wire_t *w = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  size_t n = w->in_len < len ? w->in_len : len;
  *got = n;
  if (n == 0) {
    BIO_set_retry_read(b);
    return 0;
  }
  memcpy(buf, w->in, n);
  w->in += n;
  w->in_len -= n;
  return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *p)
{
  (void) b;
  (void) num;
  (void) p;
  return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

/* The type is a number that nobody looks for: the new ones that OpenSSL gives
 * are soon used up where each worker loads the addon anew. */
enum { TYPE = BIO_TYPE_SOURCE_SINK | 127 };

static void make_method(void)
{
  method = BIO_meth_new(TYPE, "alknet");
  CHECK(method != NULL && BIO_meth_set_write_ex(method, bio_write) == 1 &&
        BIO_meth_set_read_ex(method, bio_read) == 1 &&
        BIO_meth_set_ctrl(method, bio_ctrl) == 1);
}

BIO *tls_bio(tls_wire_t *w)
{
  static uv_once_t once = UV_ONCE_INIT;
  uv_once(&once, make_method);
  BIO *b = BIO_new(method);
  if (b == NULL) return NULL;
  BIO_set_data(b, w);
  BIO_set_init(b, 1);
  return b;
}
