/* auth_server.c - letting in.
 *
 *   request ── not publickey, no such key, wrong signature ──► FAILURE
 *      │                                                          ▲
 *      ├── no signature ──► on_auth ── no ────────────────────────┤
 *      │                       └────── yes ──► PK_OK              │
 *      └── right signature ──► on_auth ── no ─────────────────────┘
 *                                 └────── yes ──► SUCCESS
 *
 * The signature is checked before the owner hears of the key, and it covers
 * the user, the service, the method and the key of this very request. While
 * the owner judges, no packet is opened: its answer is to the request that it
 * was asked about, and AUTH_PROVEN is the only step from which a session is
 * authenticated.
 *
 * A refusal always is the same message, whatever the reason, so that it says
 * nothing about users or keys; the owner hears the reason of one that it was
 * not asked about. Requests are counted before they are looked at.
 *
 * The end of the session: too many requests, another user name or service
 * than before (RFC 4252 §5 leaves that to us), a malformed message. */
#include <string.h>

#include "core/mem.h"

#include "ssh/cert.h"
#include "ssh/native/auth.h"

/* A publickey request (RFC 4252 §7), behind the method. */
typedef struct {
  const sig_alg_t *alg; /* NULL: none that is accepted */
  alk_rd_t name, blob;  /* the algorithm's name as it came */
  bool is_signed;
  alk_rd_t sig;
  alk_rd_t covered; /* from the user name to the blob, as it came */
} claim_t;

static void send_failure(session_t *s)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_USERAUTH_FAILURE);
  alk_buf_cstr(&m, AUTH_METHOD);
  alk_buf_u8(&m, 0); /* no partial success: there is nothing else to do */
  message_send(s, &m);
}

static bool is_user_name(alk_rd_t r)
{
  if (r.len > AUTH_USER_MAX) return false;
  for (size_t i = 0; i < r.len; i++)
    if (r.p[i] < ' ' || r.p[i] == 0x7f) return false;
  return true;
}

/* The first request's name stays. One that cannot be a name is as good as any
 * other such: none of them gets further than FAILURE. */
static bool keeps_user(auth_t *a, alk_rd_t user)
{
  bool is_bad = !is_user_name(user), is_first = a->user == NULL;
  if (is_first) {
    a->user_is_bad = is_bad;
    a->user = alk_alloc(is_bad ? 1 : user.len + 1);
    if (!is_bad && user.len > 0) memcpy(a->user, user.p, user.len);
  }
  return is_bad == a->user_is_bad && (is_bad || auth_text_is(user, a->user));
}

static bool too_many(session_t *s)
{
  native_bye(s, BYE_NO_MORE_AUTH, ALK_E_AUTH,
             "too many authentication requests");
  return true;
}

/* False: malformed. */
static bool read_claim(alk_rd_t *r, const uint8_t *start, claim_t *c)
{
  uint8_t is_signed = alk_rd_u8(r);
  c->name = alk_rd_sub(r);
  c->blob = alk_rd_sub(r);
  if (r->bad || is_signed > 1) return false;
  c->covered = alk_rd(start, (size_t) (r->p - start));
  c->is_signed = is_signed == 1;
  if (c->is_signed) c->sig = alk_rd_sub(r);
  c->alg = sig_alg_find(c->name.p, c->name.len);
  return alk_rd_done(r);
}

/* Whether the blob is what the algorithm needs, as far as it can be told
 * without computing: a question may not cost what a login does. A certificate
 * is read when its signature is checked, and by the owner. */
static bool is_plausible(const claim_t *c)
{
  alk_rd_t r = c->blob;
  if (c->alg == NULL || r.len > ALK_KEY_BLOB_MAX || !alk_rd_is(&r, c->alg->key))
    return false;
  if (c->alg->is_cert || c->is_signed) return true;
  alk_key_t *k = alk_key_read_blob(c->blob.p, c->blob.len, NULL);
  alk_key_free(k);
  return k != NULL;
}

/* RFC 4252 §7: over the session id as a string, and the request up to its
 * signature. */
static bool is_proven(session_t *s, const claim_t *c)
{
  alk_buf_t data = {0};
  size_t len;
  const uint8_t *id = transport_session_id(s, &len);
  alk_buf_str(&data, id, len);
  alk_buf_u8(&data, MSG_USERAUTH_REQUEST);
  alk_buf_add(&data, c->covered.p, c->covered.len);
  bool ok = sig_alg_verify(c->alg, c->blob.p, c->blob.len, c->sig.p, c->sig.len,
                           alk_buf_head(&data), alk_buf_size(&data));
  alk_buf_free(&data);
  return ok;
}

/* The answer to a question without a signature repeats it: kept ready, since
 * the request is gone when it comes. */
static void prepare_pk_ok(auth_t *a, const claim_t *c)
{
  alk_buf_free(&a->pk_ok);
  alk_buf_u8(&a->pk_ok, MSG_USERAUTH_PK_OK);
  alk_buf_str(&a->pk_ok, c->name.p, c->name.len);
  alk_buf_str(&a->pk_ok, c->blob.p, c->blob.len);
}

/* The peer has its answer before the owner hears of it, who may close. */
static void refuse(session_t *s, alk_refused_t why, const claim_t *c)
{
  const alk_session_events_t *ev = s->base.ev;
  bool has_key =
    c != NULL && c->blob.len > 0 && c->blob.len <= ALK_KEY_BLOB_MAX;
  send_failure(s);
  if (ev->on_auth_refused != NULL)
    ev->on_auth_refused(&s->base, s->auth->user, why,
                        has_key ? c->blob.p : NULL, has_key ? c->blob.len : 0);
}

static void take_claim(session_t *s, const claim_t *c)
{
  auth_t *a = s->auth;
  if (a->user_is_bad) {
    refuse(s, ALK_REFUSED_USER, c);
    return;
  }
  if (!is_plausible(c)) {
    refuse(s, ALK_REFUSED_KEY, c);
    return;
  }
  if (c->is_signed && !is_proven(s, c)) {
    refuse(s, ALK_REFUSED_SIGNATURE, c);
    return;
  }
  if (!c->is_signed) prepare_pk_ok(a, c);
  a->step = c->is_signed ? AUTH_PROVEN : AUTH_QUERIED;
  native_ask(s);
  s->base.ev->on_auth(&s->base, &(alk_auth_t){
                                  .user = a->user,
                                  .algorithm = c->alg->key,
                                  .blob = c->blob.p,
                                  .blob_len = c->blob.len,
                                  .proven = c->is_signed,
                                });
}

/*  string  user name
 *  string  service
 *  string  method, and what belongs to it     (RFC 4252 §5) */
bool auth_on_request(session_t *s, alk_rd_t *r)
{
  auth_t *a = s->auth;
  const uint8_t *start = r->p;
  alk_rd_t user = alk_rd_sub(r), service = alk_rd_sub(r);
  alk_rd_t method = alk_rd_sub(r);
  if (r->bad) return false;
  if (a->step != AUTH_IDLE)
    return auth_out_of_turn(s, "a request while another was judged");
  if (!auth_text_is(service, AUTH_CONNECTION)) {
    native_bye(s, BYE_SERVICE, ALK_E_PROTO,
               "the peer asked for a service that does not exist");
    return true;
  }
  if (!keeps_user(a, user))
    return auth_out_of_turn(s, "another user name than before");
  if (!auth_text_is(method, AUTH_METHOD)) {
    if (++a->others > AUTH_OTHERS_MAX) return too_many(s);
    if (auth_text_is(method, AUTH_NONE))
      send_failure(s);
    else
      refuse(s, ALK_REFUSED_METHOD, NULL);
    return true;
  }
  if (++a->keys > a->keys_max) return too_many(s);
  claim_t c = {0};
  if (!read_claim(r, start, &c)) return false;
  if (!c.is_signed && ++a->queries > a->queries_max) return too_many(s);
  take_claim(s, &c);
  return true;
}

/* An answer that nobody waits for is one too many, and admits nobody. */
void auth_admit(session_t *s, bool yes)
{
  auth_t *a = s->auth;
  auth_step_t asked = a->step;
  if (asked != AUTH_QUERIED && asked != AUTH_PROVEN) return;
  alk_buf_t m = a->pk_ok;
  a->pk_ok = (alk_buf_t){0};
  a->step = AUTH_IDLE;
  if (yes && asked == AUTH_PROVEN) {
    a->step = AUTH_DONE;
    alk_buf_u8(&m, MSG_USERAUTH_SUCCESS);
    message_send(s, &m);
    native_authenticated(s);
  } else if (yes) {
    message_send(s, &m);
  } else {
    alk_buf_free(&m);
    send_failure(s);
  }
  native_answered(s);
}
