/* server.c - the server's road to `ready`, and the messages of both roles.
 *
 *   accept --(kex done)--> auth --admit(yes to a proven key)--> ready
 *
 * Requests come from libssh's queue, never from its callbacks: only so can an
 * answer wait (for JavaScript, for a target's connect). While a key is being
 * judged nothing is read. What is not asked of the owner is refused here. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

static void accept_step(session_t *s);
static void auth_step(session_t *s);

const state_t state_accept = {"accept", accept_step};
static const state_t state_auth = {"auth", auth_step};

static session_t *self(alk_session_t *s)
{
  return (session_t *) (void *) s;
}

bool server_prepare(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err)
{
  if (!options_session(s, opts, err) || !options_bind(s, opts, err))
    return false;
  if (ssh_bind_accept_fd(s->bind, s->ssh, WIRE_FD) != SSH_OK) {
    alk_fail(err, ALK_E_OPTION, 0, "libssh: %s", ssh_get_error(s->bind));
    return false;
  }
  ssh_set_blocking(s->ssh, 0);
  ssh_set_auth_methods(s->ssh, SSH_AUTH_METHOD_PUBLICKEY);
  return true;
}

static void accept_step(session_t *s)
{
  int rc = ssh_handle_key_exchange(s->ssh);
  if (rc == SSH_OK)
    session_enter(s, &state_auth);
  else if (rc != SSH_AGAIN)
    session_fail_ssh(
      s, ssh_get_clientbanner(s->ssh) == NULL ? ALK_E_PROTO : ALK_E_KEX,
      "SSH handshake");
}

/* The answer, given by the pump (rule 1). */
static void answer_auth(session_t *s)
{
  ssh_message msg = s->auth_msg;
  bool yes = s->auth_answer > 0;
  s->auth_msg = NULL;
  s->auth_answer = 0;
  session_answered(s);
  int rc;
  if (!yes)
    rc = ssh_message_reply_default(msg);
  else if (s->auth_proven)
    rc = ssh_message_auth_reply_success(msg, 0);
  else
    rc = ssh_message_auth_reply_pk_ok_simple(msg);
  ssh_message_free(msg);
  if (rc != SSH_OK)
    session_fail_ssh(s, ALK_E_LOST, "login");
  else if (yes && s->auth_proven)
    session_enter(s, &state_ready);
}

static void auth_step(session_t *s)
{
  if (s->auth_answer != 0) answer_auth(s);
  if (s->state != &state_auth || s->base.closing > 0) return;
  session_read(s);
  if (s->base.closing == 0) session_is_dead(s);
}

/* Answers, and tells the owner: user lives as long as the message. */
static void refuse(session_t *s, ssh_message msg, alk_refused_t why)
{
  const alk_session_events_t *ev = s->base.ev;
  const char *user = ssh_message_auth_user(msg);
  ssh_message_reply_default(msg);
  if (ev->on_auth_refused != NULL)
    ev->on_auth_refused(&s->base, user == NULL ? "" : user, why, NULL, 0);
  ssh_message_free(msg);
}

static void ask(session_t *s, ssh_message msg)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  /* libssh would rather have callbacks, which cannot wait (trap 9). */
  ssh_key key = ssh_message_auth_pubkey(msg);
  s->auth_proven =
    ssh_message_auth_publickey_state(msg) == SSH_PUBLICKEY_STATE_VALID;
#pragma GCC diagnostic pop
  const char *user = ssh_message_auth_user(msg);
  size_t len;
  if (key == NULL || user == NULL || !session_blob(s, key)) {
    refuse(s, msg, ALK_REFUSED_KEY);
    return;
  }
  alk_rd_t blob =
    alk_rd(alk_buf_head(&s->peer_key), alk_buf_size(&s->peer_key));
  const uint8_t *type = alk_rd_str(&blob, &len);
  char algorithm[64];
  (void) snprintf(algorithm, sizeof algorithm, "%.*s", (int) (len & 63), type);
  s->auth_msg = msg;
  s->asking = true;
  s->base.ev->on_auth(&s->base, &(alk_auth_t){
                                  .user = user,
                                  .algorithm = algorithm,
                                  .blob = alk_buf_head(&s->peer_key),
                                  .blob_len = alk_buf_size(&s->peer_key),
                                  .proven = s->auth_proven,
                                });
}

/* Only publickey is a question; the rest is refused and counted, so that it
 * cannot go on for the whole login time. */
static void take_auth(session_t *s, ssh_message msg)
{
  if (ssh_message_subtype(msg) == SSH_AUTH_METHOD_PUBLICKEY) {
    ask(s, msg);
    return;
  }
  bool over = ++s->other_auths > OTHER_AUTH_MAX;
  if (over)
    session_fail(s, ALK_E_AUTH, "too many authentication requests");
  else if (ssh_message_subtype(msg) != SSH_AUTH_METHOD_NONE) {
    refuse(s, msg, ALK_REFUSED_METHOD);
    return;
  }
  if (!over) ssh_message_reply_default(msg);
  ssh_message_free(msg);
}

void server_admit(alk_session_t *base, bool yes)
{
  session_t *s = self(base);
  CHECK(s->auth_msg != NULL);
  s->auth_answer = yes ? 1 : -1;
  session_wake(s);
}

void server_message(session_t *s, ssh_message msg)
{
  int type = ssh_message_type(msg);
  bool auth = s->base.server && s->state == &state_auth;
  if (type == SSH_REQUEST_AUTH && auth) {
    take_auth(s, msg);
    return;
  }
  if (type == SSH_REQUEST_CHANNEL_OPEN && s->state == &state_ready) {
    channel_take(s, msg);
    return;
  }
  const char *service = type == SSH_REQUEST_SERVICE && auth
                          ? ssh_message_service_service(msg)
                          : NULL;
  if (service != NULL && strcmp(service, "ssh-userauth") == 0)
    ssh_message_service_reply_success(msg);
  else
    ssh_message_reply_default(msg);
  ssh_message_free(msg);
}
