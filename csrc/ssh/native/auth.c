/* auth.c - who is there (RFC 4252): what both roles share, and the messages
 * around the question itself.
 *
 * The happy path:
 *   client                      server
 *                               EXT_INFO (if the client knows it)
 *   SERVICE_REQUEST ssh-userauth
 *                               SERVICE_ACCEPT
 *   USERAUTH_REQUEST, signed    checks it, asks its owner
 *                               USERAUTH_SUCCESS
 *
 * auth_client.c and auth_server.c tell how it fails. A key is the only method
 * that exists on either side. */
#include "ssh/native/auth.h"

#include <string.h>

#include "core/mem.h"

auth_t *auth_new(session_t *s, const alk_session_opts_t *opts)
{
  auth_t *a = alk_alloc(sizeof *a);
  a->keys_max = opts->max_auth > 0 ? opts->max_auth : AUTH_KEYS_DEFAULT;
  a->queries_max = opts->max_auth > 0 ? opts->max_auth : AUTH_QUERIES_DEFAULT;
  if (!s->base.server) a->user = alk_strdup(opts->user);
  return a;
}

void auth_free(auth_t *a)
{
  if (a == NULL) return;
  alk_free(a->user);
  alk_free(a->sig_algs);
  alk_buf_free(&a->pk_ok);
  alk_free(a);
}

bool auth_text_is(alk_rd_t r, const char *text)
{
  return r.len == strlen(text) && memcmp(r.p, text, r.len) == 0;
}

bool auth_out_of_turn(session_t *s, const char *what)
{
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO, "the peer sent %s", what);
  return true;
}

static void send_service(session_t *s, uint8_t number)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, number);
  alk_buf_cstr(&m, AUTH_SERVICE);
  message_send(s, &m);
}

/* RFC 8308 §2.3 and §3.1. */
static void send_ext_info(session_t *s)
{
  alk_buf_t m = {0};
  alk_buf_u8(&m, MSG_EXT_INFO);
  alk_buf_u32(&m, 1);
  alk_buf_cstr(&m, AUTH_SIG_ALGS);
  alk_buf_cstr(&m, sig_algs_accepted);
  message_send(s, &m);
}

void auth_start(session_t *s)
{
  if (s->base.server) {
    if (transport_peer_wants_ext_info(s)) send_ext_info(s);
    return;
  }
  s->auth->step = AUTH_ASKED;
  send_service(s, MSG_SERVICE_REQUEST);
}

/* The gate's table lets one come: it is what ends PHASE_SERVICE. */
bool auth_on_service_request(session_t *s, alk_rd_t *r)
{
  alk_rd_t name = alk_rd_sub(r);
  if (!alk_rd_done(r)) return false;
  if (!auth_text_is(name, AUTH_SERVICE)) {
    native_bye(s, BYE_SERVICE, ALK_E_PROTO,
               "the peer asked for a service that does not exist");
    return true;
  }
  s->phase = PHASE_AUTH;
  send_service(s, MSG_SERVICE_ACCEPT);
  return true;
}

bool auth_on_service_accept(session_t *s, alk_rd_t *r)
{
  if (!alk_rd_is(r, AUTH_SERVICE) || !alk_rd_done(r)) return false;
  if (s->auth->step != AUTH_ASKED)
    return auth_out_of_turn(s, "an answer to a service that was not asked for");
  s->phase = PHASE_AUTH;
  auth_ask_login(s);
  return true;
}

static bool is_name_list(alk_rd_t v)
{
  for (size_t i = 0; i < v.len; i++)
    if (v.p[i] <= ' ' || v.p[i] > '~') return false;
  return true;
}

/* A longer list counts as none: a part of it could say what it does not. */
static void remember_sig_algs(auth_t *a, alk_rd_t v)
{
  alk_free(a->sig_algs);
  a->sig_algs = NULL;
  if (v.len > AUTH_SIG_ALGS_MAX) return;
  a->sig_algs = alk_alloc(v.len + 1);
  if (v.len > 0) memcpy(a->sig_algs, v.p, v.len);
}

/*  uint32  how many, then so often:
 *  string  name
 *  string  value               (RFC 8308 §2.3)
 *
 * It may come twice (§2.4); the last word counts. */
bool auth_on_ext_info(session_t *s, alk_rd_t *r)
{
  enum { PAIR_MIN = 8 };
  uint32_t count = alk_rd_u32(r);
  if (r->bad || count > r->len / PAIR_MIN) return false;
  alk_rd_t sig_algs = alk_rd(NULL, 0);
  bool has_sig_algs = false;
  for (; count > 0 && !r->bad; count--) {
    alk_rd_t name = alk_rd_sub(r), value = alk_rd_sub(r);
    if (!auth_text_is(name, AUTH_SIG_ALGS)) continue;
    sig_algs = value;
    has_sig_algs = true;
  }
  if (!alk_rd_done(r) || !is_name_list(sig_algs)) return false;
  if (has_sig_algs) remember_sig_algs(s->auth, sig_algs);
  return true;
}

/* Nobody here reads it, so nobody has to be protected from it. */
bool auth_on_banner(session_t *s, alk_rd_t *r)
{
  (void) alk_rd_sub(r); /* the message */
  (void) alk_rd_sub(r); /* its language */
  if (!alk_rd_done(r)) return false;
  if (++s->auth->banners > AUTH_BANNERS_MAX)
    return auth_out_of_turn(s, "too many banners");
  return true;
}
