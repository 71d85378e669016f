/* tls.c - TLS as a layer: a stream over a stream.
 *
 *   inner on_data -> OpenSSL -> handshake, or plain bytes -> on_data
 *   write -> OpenSSL -> records in wire.out -> one write to inner a turn
 *   on_open: the handshake is done. Until then inner is read whatever the owner
 *     says, and what the owner writes waits in `early`. So it does while the
 *     peer is in the middle of a later message: OpenSSL seals nothing then.
 *   on_end: close_notify. end(): close_notify, then inner's end, whose drain is
 *     ours.
 *
 * The owner pauses: inner is paused; what OpenSSL has not taken yet goes back
 * to it (unread), what it has opened already, one record at most, waits in it.
 *
 * What can go wrong: inner fails (its error is ours), or ends without
 * close_notify (ALK_E_LOST: cut off); OpenSSL refuses what the peer says, or is
 * refused (ALK_E_TLS). Then what OpenSSL has to say last, an alert, still
 * leaves: inner is ended, and closed when all has left or after FAREWELL_MS. A
 * close() of the owner closes inner at once.
 *
 * A peer can make OpenSSL answer (new keys, a renegotiation refused). While
 * inner is full these answers are counted, and too many end it. So do too many
 * handshake messages in a row behind the handshake: OpenSSL takes any number,
 * and new keys cost much more to make than to ask for. */
#include "net/tls.h"

#include <string.h>

#include <openssl/err.h>
#include <uv.h>

#include "core/mem.h"
#include "core/stream_impl.h"

#include "net/tls_impl.h"

enum {
  FAREWELL_MS = 1000,
  FLUSH_AT = 64 * 1024, /* sealed bytes that do not wait for the turn's end */
  ANSWERS_MAX = 64 * 1024, /* that nobody reads */
  TALK_MAX = 64,           /* handshake messages in a row, once it is open */
  OUT_KEEP = 32 * 1024,    /* memory that an idle stream may keep */
  OUT_IDLE = 8,            /* small flushes in a row until it is idle */
  MAX_PLAIN = SSL3_RT_MAX_PLAIN_LENGTH,
  RECORD_COST = 64 /* head, tag and padding of a record, or more */
};

typedef struct {
  alk_stream_t stream; /* first */
  alk_stream_t *inner; /* NULL: closed */
  SSL *ssl;
  tls_wire_t wire;
  tls_peer_t peer;
  alk_task_t task;       /* flushes, and delivers what OpenSSL holds */
  alk_limit_t limit;     /* of a farewell */
  alk_buf_t early;       /* written while OpenSSL seals nothing */
  uint32_t records;      /* sealed with the same key, or a few less */
  size_t answers;        /* bytes sealed while reading and inner was full */
  uint32_t talk;         /* handshake messages since the last plain bytes */
  uint8_t small_flushes; /* in a row */
  bool is_full;          /* inner's write said false */
  bool is_reading;       /* inside read_on() */
  bool has_ended;        /* end() was taken up */
  bool inner_ended;      /* inner's on_end came */
  bool wants_read;       /* OpenSSL may hold bytes that a resume() asked for */
  bool has_last_words;   /* it fails, and an alert is to leave */
} tls_t;

static tls_t *self(alk_stream_t *s)
{
  return (tls_t *) (void *) s;
}

static bool is_closing(const tls_t *t)
{
  return alk_stream_is(&t->stream, ALK_S_CLOSING);
}

static void wake(tls_t *t)
{
  alk_loop_defer(t->stream.loop, &t->task);
}

/* ---- to inner */

static void flush(tls_t *t)
{
  alk_buf_t *out = &t->wire.out;
  size_t len = alk_buf_size(out);
  if (len == 0 || t->inner == NULL) return;
  /* After our close_notify OpenSSL may answer still: nobody is to hear it. */
  if (!alk_stream_has_ended(t->inner)) {
    if (!alk_stream_write(t->inner, (const char *) alk_buf_head(out), len))
      t->is_full = true;
    if (t->is_full && t->is_reading) t->answers += len;
  }
  alk_buf_consume(out, len);
  t->small_flushes = len > OUT_KEEP ? 0 : (uint8_t) (t->small_flushes + 1);
  if (t->small_flushes < OUT_IDLE) return;
  t->small_flushes = 0;
  if (out->cap > OUT_KEEP) alk_buf_free(out);
}

static void fail(tls_t *t, const alk_err_t *err)
{
  /* Where others end a connection, a reset would name us. */
  t->has_last_words = alk_buf_size(&t->wire.out) > 0 || t->peer.ctx->is_lenient;
  alk_stream_fail(&t->stream, err);
}

static void fail_ssl(tls_t *t, const char *what)
{
  alk_err_t err;
  tls_why(t->ssl, what, &err);
  fail(t, &err);
}

/* AES-GCM is not to seal more than 2^24.5 records with a key (RFC 8446 §5.5),
 * and OpenSSL does not count them. TLS 1.2 knows no other key without a new
 * connection, and goes on with the one it has: its nonces are a counter of 64
 * bits, and what is inside is sealed by SSH, whose keys do change. To end a
 * tunnel for the sake of what hides it would cost more than it saves. */
static bool renew_key(tls_t *t, size_t len)
{
  t->records += 1 + (uint32_t) (len / MAX_PLAIN);
  if (t->records < t->peer.ctx->records_max) return true;
  t->records = 0;
  return SSL_version(t->ssl) != TLS1_3_VERSION ||
         SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1;
}

/* OpenSSL takes all of it: it waits for nothing. */
static void seal(tls_t *t, const char *buf, size_t len)
{
  size_t written;
  if (len == 0) return;
  alk_buf_reserve(&t->wire.out, len + RECORD_COST * (1 + len / MAX_PLAIN));
  ERR_clear_error();
  if (!renew_key(t, len) || SSL_write_ex(t->ssl, buf, len, &written) != 1 ||
      written != len) {
    fail_ssl(t, "TLS");
    return;
  }
  if (alk_buf_size(&t->wire.out) >= FLUSH_AT ||
      alk_buf_size(&t->wire.out) >= alk_stream_high(&t->stream))
    flush(t);
  else
    wake(t);
}

/* Whether what is written now has to wait. */
static bool is_held(const tls_t *t)
{
  return !alk_stream_is(&t->stream, ALK_S_OPEN) || SSL_in_init(t->ssl) == 1;
}

static size_t tls_high(const alk_stream_t *s)
{
  const tls_t *t = (const tls_t *) (const void *) s;
  return t->inner == NULL ? ALK_HIGH_WATER : alk_stream_high(t->inner);
}

static bool tls_write(alk_stream_t *s, const char *buf, size_t len)
{
  tls_t *t = self(s);
  if (is_held(t)) {
    alk_buf_add(&t->early, buf, len);
    return alk_buf_size(&t->early) < ALK_HIGH_WATER;
  }
  seal(t, buf, len);
  return !t->is_full;
}

static void tls_end(alk_stream_t *s)
{
  tls_t *t = self(s);
  if (is_held(t) || t->has_ended) return; /* go_on() does */
  t->has_ended = true;
  ERR_clear_error();
  if (SSL_shutdown(t->ssl) < 0) {
    fail_ssl(t, "TLS");
    return;
  }
  flush(t);
  alk_stream_end(t->inner);
}

static void seal_early(tls_t *t)
{
  seal(t, (const char *) alk_buf_head(&t->early), alk_buf_size(&t->early));
  alk_buf_free_secret(&t->early);
}

/* What has waited until OpenSSL seals again. */
static void go_on(tls_t *t)
{
  alk_stream_t *s = &t->stream;
  if (is_closing(t) || is_held(t)) return;
  seal_early(t);
  if (is_closing(t)) return;
  if (alk_stream_is(s, ALK_S_ENDED))
    tls_end(s);
  else if (alk_stream_is(s, ALK_S_FULL) && !t->is_full)
    alk_emit_drain(s);
}

/* ---- from inner */

static void cut_off(tls_t *t)
{
  alk_err_t err;
  bool open = alk_stream_is(&t->stream, ALK_S_OPEN);
  alk_fail(&err, ALK_E_LOST, 0,
           open ? "the TLS connection was cut off: it ended without a "
                  "close_notify"
                : "the peer closed the connection during the TLS handshake");
  fail(t, &err);
}

/* From inside OpenSSL, which would go through all that is there before it
 * comes back: too much, and it is told that no more has come. */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL's seven parameters */
static void on_message(int is_ours, int version, int type, const void *p,
                       size_t len, SSL *ssl, void *data)
{
  (void) version;
  (void) p;
  (void) len;
  (void) ssl;
  tls_t *t = data;
  if (is_ours != 0 || type != SSL3_RT_HANDSHAKE) return;
  if (!alk_stream_is(&t->stream, ALK_S_OPEN)) return;
  if (++t->talk > TALK_MAX) t->wire.in_len = 0;
}

/* What OpenSSL said when there was nothing more to read. */
static void settle(tls_t *t, int why)
{
  alk_err_t err;
  if (is_closing(t)) return;
  if (why == SSL_ERROR_ZERO_RETURN) {
    alk_emit_end(&t->stream);
  } else if (why != SSL_ERROR_WANT_READ) {
    fail_ssl(t, "TLS");
  } else if (t->talk > TALK_MAX) {
    alk_fail(&err, ALK_E_LIMIT, 0,
             "the peer sends handshake messages and nothing else");
    fail(t, &err);
  } else if (t->answers > ANSWERS_MAX) {
    alk_fail(&err, ALK_E_LIMIT, 0, "the peer asks much and reads nothing");
    fail(t, &err);
  } else if (t->inner_ended) {
    if (t->peer.ctx->is_lenient)
      alk_emit_end(&t->stream);
    else
      cut_off(t);
  }
}

/* Opens what there is, as much as fits, and gives why it stopped. */
static int open_records(tls_t *t, char *plain, size_t *len)
{
  size_t got;
  ERR_clear_error(); /* a call that goes well leaves nothing there */
  for (*len = 0; *len < ALK_READ_BUF; *len += got) {
    int rc = SSL_read_ex(t->ssl, plain + *len, ALK_READ_BUF - *len, &got);
    if (rc != 1) return SSL_get_error(t->ssl, rc);
    t->talk = 0;
  }
  return SSL_ERROR_NONE;
}

/* Reads what there is, and tells the owner, for as long as it wants to hear. */
static void read_on(tls_t *t)
{
  alk_stream_t *s = &t->stream;
  alk_loop_t *l = s->loop;
  char *plain = alk_loop_borrow(l);
  int why = SSL_ERROR_NONE;
  while (why == SSL_ERROR_NONE && !is_closing(t) &&
         alk_stream_is(s, ALK_S_READING)) {
    size_t len;
    flush(t); /* what the owner has said is no answer */
    t->is_reading = true;
    why = open_records(t, plain, &len);
    if (alk_buf_size(&t->wire.out) > 0) flush(t);
    t->is_reading = false;
    alk_emit_data(s, plain, len);
  }
  alk_loop_give_back(l, plain);
  go_on(t);
  if (why != SSL_ERROR_NONE) settle(t, why);
}

/* What came and was not taken goes back, in front of what is to come. */
static void put_back(tls_t *t)
{
  const char *rest = t->wire.in;
  size_t len = t->wire.in_len;
  t->wire.in = NULL;
  t->wire.in_len = 0;
  if (is_closing(t) || !alk_stream_is(&t->stream, ALK_S_OPEN) ||
      alk_stream_is(&t->stream, ALK_S_READING))
    return;
  alk_stream_pause(t->inner);
  alk_stream_unread(t->inner, rest, len);
}

/* Nor is it to be resumed. */
static void refuse_cipher(tls_t *t)
{
  alk_err_t err;
  if (t->peer.name != NULL)
    SSL_SESSION_free(tls_tickets_take(t->peer.ctx->tickets, t->peer.name));
  alk_fail(&err, ALK_E_TLS, 0,
           "TLS handshake: the server has chosen %s, which is offered for the "
           "looks only",
           SSL_get_cipher_name(t->ssl));
  fail(t, &err);
}

static void opened(tls_t *t)
{
  if (!tls_ctx_takes(t->peer.ctx, t->ssl)) {
    refuse_cipher(t);
    return;
  }
  seal_early(t);
  alk_emit_open(&t->stream);
  go_on(t);
}

static void handshake(tls_t *t)
{
  ERR_clear_error();
  int rc = SSL_do_handshake(t->ssl);
  if (rc == 1) {
    flush(t);
    opened(t);
  } else if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ) {
    flush(t);
  } else {
    fail_ssl(t, "TLS handshake");
  }
}

static void on_inner_open(alk_stream_t *inner)
{
  tls_t *t = alk_stream_data(inner);
  if (!is_closing(t)) handshake(t);
}

static void on_inner_data(alk_stream_t *inner, const char *buf, size_t len)
{
  tls_t *t = alk_stream_data(inner);
  if (is_closing(t)) return; /* a farewell hears nothing */
  t->wire.in = buf;
  t->wire.in_len = len;
  if (!alk_stream_is(&t->stream, ALK_S_OPEN)) handshake(t);
  if (alk_stream_is(&t->stream, ALK_S_OPEN)) read_on(t);
  put_back(t);
}

static void on_inner_end(alk_stream_t *inner)
{
  tls_t *t = alk_stream_data(inner);
  t->inner_ended = true;
  if (is_closing(t)) return;
  if (!alk_stream_is(&t->stream, ALK_S_OPEN))
    cut_off(t);
  else
    read_on(t);
}

static void on_inner_drain(alk_stream_t *inner)
{
  tls_t *t = alk_stream_data(inner);
  alk_stream_t *s = &t->stream;
  t->is_full = false;
  t->answers = 0;
  if (is_closing(t)) {
    if (alk_stream_has_ended(inner)) alk_stream_close(inner);
  } else if (t->has_ended ? alk_stream_has_ended(inner)
                          : alk_stream_is(s, ALK_S_FULL) && !is_held(t)) {
    alk_emit_drain(s);
  }
}

static void on_inner_close(alk_stream_t *inner, const alk_err_t *err)
{
  tls_t *t = alk_stream_data(inner);
  t->inner = NULL;
  alk_limit_stop(t->stream.loop, &t->limit);
  if (is_closing(t))
    ; /* it was asked to */
  else if (err != NULL)
    alk_stream_fail(&t->stream, err);
  else if ((SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) != 0)
    alk_stream_close(&t->stream);
  else
    cut_off(t);
  alk_emit_close(&t->stream);
}

static const alk_owner_t inner_owner = {
  .on_open = on_inner_open,
  .on_data = on_inner_data,
  .on_end = on_inner_end,
  .on_drain = on_inner_drain,
  .on_close = on_inner_close,
};

/* ---- the stream */

static void run_task(alk_task_t *task)
{
  tls_t *t = (tls_t *) (void *) ((char *) task - offsetof(tls_t, task));
  if (!alk_stream_is(&t->stream, ALK_S_OPEN))
    handshake(t);
  else
    flush(t);
  if (!t->wants_read || is_closing(t)) return;
  t->wants_read = false;
  read_on(t);
}

static void tls_resume(alk_stream_t *s)
{
  tls_t *t = self(s);
  alk_stream_resume(t->inner);
  if (SSL_has_pending(t->ssl) != 1 && !t->inner_ended) return;
  t->wants_read = true;
  wake(t);
}

static void tls_pause(alk_stream_t *s)
{
  alk_stream_pause(self(s)->inner);
}

static void on_farewell_late(alk_limit_t *limit)
{
  tls_t *t = (tls_t *) (void *) ((char *) limit - offsetof(tls_t, limit));
  alk_stream_close(t->inner);
}

static void tls_close(alk_stream_t *s)
{
  tls_t *t = self(s);
  alk_task_cancel(s->loop, &t->task);
  if (t->inner == NULL) return; /* its on_close tells ours */
  if (!t->has_last_words || !alk_stream_is_open(t->inner) ||
      alk_stream_has_ended(t->inner)) {
    alk_stream_close(t->inner);
    return;
  }
  flush(t);
  alk_stream_end(t->inner);
  alk_stream_resume(t->inner);
  alk_limit_start(s->loop, &t->limit, FAREWELL_MS);
}

static void tls_free(alk_stream_t *s)
{
  tls_t *t = self(s);
  /* Else OpenSSL takes a connection that was cut off for a reason to forget
   * its ticket, and that is when it is wanted. */
  if (t->ssl != NULL)
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(t->ssl);
  alk_buf_free(&t->wire.out);
  alk_buf_free_secret(&t->early);
  alk_tls_ctx_free(t->peer.ctx);
  alk_free(t->peer.name);
  alk_free(t);
}

static void tls_ref(alk_stream_t *s, bool keeps)
{
  if (self(s)->inner != NULL) alk_stream_ref(self(s)->inner, keeps);
}

static const alk_stream_ops_t ops = {
  .kind = "tls",
  .resume = tls_resume,
  .pause = tls_pause,
  .write = tls_write,
  .high = tls_high,
  .end = tls_end,
  .close = tls_close,
  .free = tls_free,
  .ref = tls_ref,
};

/* ---- making one */

/* TLS 1.3 gives new ones each time; those of TLS 1.2 stay good. */
static bool use_ticket(tls_t *t)
{
  SSL_SESSION *session = tls_tickets_take(t->peer.ctx->tickets, t->peer.name);
  if (session == NULL) return true;
  bool ok = SSL_SESSION_is_resumable(session) != 1 ||
            SSL_set_session(t->ssl, session) == 1;
  if (ok && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION)
    tls_tickets_keep(t->peer.ctx->tickets, t->peer.name, session);
  else
    SSL_SESSION_free(session);
  return ok;
}

static bool connect_to(tls_t *t, const char *name)
{
  SSL_set_connect_state(t->ssl);
  if (name == NULL) return SSL_get_verify_mode(t->ssl) == SSL_VERIFY_NONE;
  t->peer.name = tls_plain_name(name);
  return tls_set_name(t->ssl, t->peer.name) && use_ticket(t);
}

static bool set_up(tls_t *t)
{
  t->ssl = SSL_new(t->peer.ctx->ssl);
  BIO *bio = t->ssl == NULL ? NULL : tls_bio(&t->wire);
  if (bio == NULL) return false;
  SSL_set_bio(t->ssl, bio, bio);
  SSL_set_msg_callback(t->ssl, on_message);
  if (t->peer.ctx->is_disguised) tls_pad_records(&t->peer);
  return SSL_set_msg_callback_arg(t->ssl, t) == 1 &&
         SSL_set_app_data(t->ssl, &t->peer) == 1 && tls_pad_prepare(t->ssl);
}

static alk_stream_t *layer(alk_stream_t *inner, alk_tls_ctx_t *ctx, bool server,
                           const char *name)
{
  alk_loop_t *l = alk_stream_loop(inner);
  tls_t *t = alk_alloc(sizeof *t);
  alk_stream_init(&t->stream, l, &ops);
  t->task.run = run_task;
  t->limit.late = on_farewell_late;
  t->inner = inner;
  t->peer.ctx = tls_ctx_hold(ctx);
  alk_stream_own(inner, &inner_owner, t);
  ERR_clear_error();
  bool ok = set_up(t);
  if (ok && server) SSL_set_accept_state(t->ssl);
  if (ok && !server) ok = connect_to(t, name);
  if (!ok) {
    fail_ssl(t, "TLS");
    return &t->stream;
  }
  alk_stream_resume(inner);
  if (alk_stream_is_open(inner)) wake(t);
  return &t->stream;
}

alk_stream_t *alk_tls_client(alk_stream_t *inner, alk_tls_ctx_t *ctx,
                             const char *name)
{
  return layer(inner, ctx, false, name);
}

alk_stream_t *alk_tls_server(alk_stream_t *inner, alk_tls_ctx_t *ctx)
{
  return layer(inner, ctx, true, NULL);
}

void alk_tls_pad(alk_stream_t *s)
{
  if (s->ops == &ops) tls_pad_records(&self(s)->peer);
}

void alk_tls_hang_up(alk_stream_t *s)
{
  if (s->ops == &ops) self(s)->has_last_words = true;
  alk_stream_close(s);
}

void alk_tls_drop(alk_stream_t *s)
{
  alk_stream_close(s);
  if (s->ops == &ops && self(s)->inner != NULL)
    alk_stream_close(self(s)->inner);
}

bool alk_tls_export(const alk_stream_t *s, const char *label, void *out,
                    size_t len)
{
  if (s->ops != &ops || !alk_stream_is_open(s)) return false;
  SSL *ssl = ((const tls_t *) (const void *) s)->ssl;
  if (SSL_version(ssl) != TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
    return false;
  ERR_clear_error();
  bool ok = SSL_export_keying_material(ssl, out, len, label, strlen(label),
                                       NULL, 0, 0) == 1;
  ERR_clear_error();
  return ok;
}

static void copy_text(char out[ALK_TLS_NAME_MAX], const void *p, size_t len)
{
  if (p == NULL || len >= ALK_TLS_NAME_MAX) len = 0;
  if (len > 0) memcpy(out, p, len);
  out[len] = '\0';
}

static bool digest_of(const X509 *cert, uint8_t out[ALK_TLS_DIGEST])
{
  unsigned len = 0;
  return cert != NULL && X509_digest(cert, EVP_sha256(), out, &len) == 1 &&
         len == ALK_TLS_DIGEST;
}

bool alk_tls_info(const alk_stream_t *s, alk_tls_info_t *out)
{
  if (s->ops != &ops || !alk_stream_is_open(s)) return false;
  const tls_t *t = (const tls_t *) (const void *) s;
  const unsigned char *alpn;
  unsigned alpn_len;
  const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
  SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
  out->version = SSL_get_version(t->ssl);
  out->cipher = SSL_get_cipher_name(t->ssl);
  copy_text(out->alpn, alpn, alpn_len);
  copy_text(out->name, name, name == NULL ? 0 : strlen(name));
  out->resumed = SSL_session_reused(t->ssl) == 1;
  out->has_peer = digest_of(SSL_get0_peer_certificate(t->ssl), out->peer);
  return true;
}
