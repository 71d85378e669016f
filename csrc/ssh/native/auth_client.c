/* auth_client.c - logging in.
 *
 * The happy path: SERVICE_ACCEPT -> on_login -> auth_login: one signed request
 * -> SUCCESS. A refusal leads back to on_login. Keys are not asked about
 * before they sign: that would be a round trip for nothing, and it is the
 * owner who chooses what to try.
 *
 * The end of the session: the server wants more than a key, or none; the key
 * does not sign; an answer comes that nothing of ours has asked for. */
#include <stdio.h>
#include <string.h>

#include "ssh/native/auth.h"

void auth_ask_login(session_t *s)
{
  s->auth->step = AUTH_LOGIN;
  native_ask(s);
  s->base.ev->on_login(&s->base);
}

/* A server lists algorithms of signatures and may leave out the certificates'
 * (OpenSSH does): then the plain one stands for both. A list without any for
 * this key is not believed: the refusal, if it comes, leads to the next key. */
static const sig_alg_t *choose(const alk_key_t *key, const char *allowed)
{
  bool cert = alk_key_cert_type(key) != NULL;
  const sig_alg_t *alg = sig_alg_for(key, cert, allowed);
  if (alg != NULL || allowed == NULL) return alg;
  const sig_alg_t *plain = cert ? sig_alg_for(key, false, allowed) : NULL;
  if (plain == NULL) return sig_alg_for(key, cert, NULL);
  char name[64];
  snprintf(name, sizeof name, "%s-cert-v01@openssh.com", plain->name);
  return sig_alg_for(key, cert, name);
}

/*  byte     50
 *  string   user
 *  string   "ssh-connection"
 *  string   "publickey"
 *  boolean  TRUE
 *  string   algorithm
 *  string   key or certificate
 *  string   signature, over the session id as a string and all of the above
 *                              (RFC 4252 §7) */
static void add_request(alk_buf_t *out, const char *user, const char *algorithm,
                        const uint8_t *blob, size_t len)
{
  alk_buf_u8(out, MSG_USERAUTH_REQUEST);
  alk_buf_cstr(out, user);
  alk_buf_cstr(out, AUTH_CONNECTION);
  alk_buf_cstr(out, AUTH_METHOD);
  alk_buf_u8(out, 1);
  alk_buf_cstr(out, algorithm);
  alk_buf_str(out, blob, len);
}

static bool add_signature(session_t *s, const alk_key_t *key,
                          const sig_alg_t *alg, alk_buf_t *m, alk_err_t *err)
{
  alk_buf_t covered = {0}, sig = {0};
  size_t len;
  const uint8_t *id = transport_session_id(s, &len);
  alk_buf_str(&covered, id, len);
  alk_buf_add(&covered, alk_buf_head(m), alk_buf_size(m));
  bool ok = alk_key_sign(key, alg->sig, alk_buf_head(&covered),
                         alk_buf_size(&covered), &sig, err);
  if (ok) alk_buf_str(m, alk_buf_head(&sig), alk_buf_size(&sig));
  alk_buf_free(&covered);
  alk_buf_free(&sig);
  return ok;
}

static bool make_request(session_t *s, const alk_key_t *key, alk_buf_t *out,
                         alk_err_t *err)
{
  const sig_alg_t *alg = choose(key, s->auth->sig_algs);
  if (alg == NULL) {
    alk_fail(err, ALK_E_KEY, 0, "a %s key does not log in", alk_key_type(key));
    return false;
  }
  size_t len;
  const uint8_t *blob =
    alg->is_cert ? alk_key_cert(key, &len) : alk_key_blob(key, &len);
  add_request(out, s->auth->user, alg->name, blob, len);
  return add_signature(s, key, alg, out, err);
}

/* The key signs here and now: it is only borrowed. An answer that nobody
 * waits for is one too many, and nothing is sent for it. */
void auth_login(session_t *s, alk_key_t *key)
{
  if (s->auth->step != AUTH_LOGIN) return;
  alk_buf_t m = {0};
  alk_err_t err = {0};
  if (!make_request(s, key, &m, &err)) {
    alk_buf_free(&m);
    native_fail(s, err.code, "%s", err.msg);
    return;
  }
  s->auth->step = AUTH_TRIED;
  message_send(s, &m);
  native_answered(s);
}

static bool list_has(alk_rd_t list, const char *want)
{
  while (list.len > 0) {
    const uint8_t *comma = memchr(list.p, ',', list.len);
    size_t len = comma == NULL ? list.len : (size_t) (comma - list.p);
    if (auth_text_is(alk_rd(list.p, len), want)) return true;
    alk_rd_bytes(&list, comma == NULL ? len : len + 1);
  }
  return false;
}

bool auth_on_failure(session_t *s, alk_rd_t *r)
{
  alk_rd_t methods = alk_rd_sub(r);
  uint8_t partial = alk_rd_u8(r);
  if (!alk_rd_done(r)) return false;
  if (s->auth->step != AUTH_TRIED)
    return auth_out_of_turn(s, "a refusal of a login that was not tried");
  if (partial != 0)
    native_fail(s, ALK_E_AUTH,
                "the server wants more than a key, and keys are all we give");
  else if (!list_has(methods, AUTH_METHOD))
    native_fail(s, ALK_E_AUTH,
                "the server does not take keys, and keys are all we give");
  else
    auth_ask_login(s);
  return true;
}

bool auth_on_success(session_t *s, alk_rd_t *r)
{
  if (!alk_rd_done(r)) return false;
  if (s->auth->step != AUTH_TRIED)
    return auth_out_of_turn(s, "a success of a login that was not tried");
  s->auth->step = AUTH_DONE;
  native_authenticated(s);
  return true;
}

/* Every request of ours is signed, so none is answered like this. */
bool auth_on_pk_ok(session_t *s, alk_rd_t *r)
{
  (void) r;
  return auth_out_of_turn(s, "an answer about a key that was not asked about");
}
