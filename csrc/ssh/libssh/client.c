/* client.c - the client's road to `ready`.
 *
 *   connect --(kex done)--> hostkey --trust()--> login --key--> try --ok-->
 * ready no: close    ^             |refused
 *                                                   +-------------+
 *
 * hostkey and login are questions: no step, no reading, until the answer. */
#include "core/mem.h"

#include "ssh/libssh/impl.h"

static void connect_step(session_t *s);
static void service_step(session_t *s);
static void try_step(session_t *s);

static void wait_step(session_t *s)
{
  (void) s; /* a question is open */
}

static void login_step(session_t *s)
{
  if (s->login_asked) return;
  s->login_asked = s->asking = true;
  s->base.ev->on_login(&s->base);
}

const state_t state_connect = {"connect", connect_step};
static const state_t state_hostkey = {"hostkey", wait_step};
static const state_t state_service = {"service", service_step};
static const state_t state_login = {"login", login_step};
static const state_t state_try = {"try", try_step};

static session_t *self(alk_session_t *s)
{
  return (session_t *) (void *) s;
}

bool client_prepare(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err)
{
  return options_session(s, opts, err) && options_client(s, opts, err);
}

static void ask_hostkey(session_t *s)
{
  ssh_key key = NULL;
  bool ok =
    ssh_get_server_publickey(s->ssh, &key) == SSH_OK && session_blob(s, key);
  ssh_key_free(key);
  if (!ok) {
    session_fail(s, ALK_E_CRYPTO, "the server's host key could not be read");
    return;
  }
  s->asking = true;
  session_enter(s, &state_hostkey);
  s->base.ev->on_hostkey(&s->base, alk_buf_head(&s->peer_key),
                         alk_buf_size(&s->peer_key));
}

static void connect_step(session_t *s)
{
  int rc = ssh_connect(s->ssh);
  if (rc == SSH_AGAIN) return;
  if (rc == SSH_OK)
    ask_hostkey(s);
  else
    session_fail_ssh(
      s, ssh_get_serverbanner(s->ssh) == NULL ? ALK_E_PROTO : ALK_E_KEX,
      "SSH handshake");
}

/* Asked for by itself, because the server's list of signature algorithms
 * (RFC 8308) comes before the answer, and libssh chooses an RSA signature's
 * hash before it would ask. */
static void service_step(session_t *s)
{
  int rc = ssh_service_request(s->ssh, "ssh-userauth");
  if (rc == SSH_AGAIN) {
    session_is_dead(s); /* trap 14: libssh would wait for ever */
    return;
  }
  if (rc == SSH_OK)
    session_enter(s, &state_login);
  else
    session_fail_ssh(s, ALK_E_AUTH, "login");
}

void client_trust(alk_session_t *base, bool yes)
{
  session_t *s = self(base);
  CHECK(s->state == &state_hostkey);
  if (!yes) {
    session_fail(s, ALK_E_HOSTKEY, "the server's host key is not trusted");
    return;
  }
  session_answered(s);
  session_enter(s, &state_service);
}

void client_login(alk_session_t *base, alk_key_t *key)
{
  session_t *s = self(base);
  alk_err_t err;
  CHECK(s->state == &state_login);
  s->login_key = options_login_key(key, &err);
  if (s->login_key == NULL) {
    alk_session_fail(base, &err);
    return;
  }
  session_answered(s);
  session_enter(s, &state_try);
}

static void try_step(session_t *s)
{
  int rc = ssh_userauth_publickey(s->ssh, NULL, s->login_key);
  if (rc == SSH_AUTH_AGAIN) {
    session_is_dead(s);
    return;
  }
  ssh_key_free(s->login_key);
  s->login_key = NULL;
  if (rc == SSH_AUTH_SUCCESS) {
    session_enter(s, &state_ready);
  } else if (rc == SSH_AUTH_DENIED) {
    s->login_asked = false;
    session_enter(s, &state_login);
  } else if (rc == SSH_AUTH_PARTIAL) {
    session_fail(s, ALK_E_AUTH,
                 "the server wants more than a key, and keys are all we give");
  } else {
    session_fail_ssh(s, ALK_E_AUTH, "login");
  }
}
