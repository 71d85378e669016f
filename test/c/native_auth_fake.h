/* native_auth_fake.h - a session that is nothing but its authentication, for
 * test_native_auth.c and fuzz_native_auth.c: the layers around it are stand-ins
 * that record. Messages come in memory of exactly their size that is gone
 * right after the handler, and never while a question is open. */
#ifndef NATIVE_AUTH_FAKE_H
#define NATIVE_AUTH_FAKE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

/* The link diverts these to here (-Wl,--wrap in the Makefile). */
#define native_fail                   __wrap_native_fail
#define native_bye                    __wrap_native_bye
#define native_ask                    __wrap_native_ask
#define native_answered               __wrap_native_answered
#define native_authenticated          __wrap_native_authenticated
#define transport_session_id          __wrap_transport_session_id
#define transport_peer_wants_ext_info __wrap_transport_peer_wants_ext_info
#define message_send                  __wrap_message_send

#include "ssh/native/auth.h"

enum { FAKE_SENT_MAX = 64 };

typedef struct fake {
  session_t s; /* first */
  bool ext_info, over;
  uint8_t session_id[32];
  alk_buf_t sent[FAKE_SENT_MAX];
  size_t sent_len;
  unsigned bye; /* 0: none was said */
  alk_err_t err;
  int logins, authenticated;
  int asked; /* how often on_auth came; the rest is of the last time */
  char user[AUTH_USER_MAX + 1], algorithm[64];
  alk_buf_t blob;
  bool proven;
  int told; /* how often on_auth_refused came; the rest is of the last time */
  alk_refused_t why;
  size_t told_len; /* of its blob; 0: there was none */
  int answer;      /* given from inside the event; 0: later, 1: yes, -1: no */
} fake_t;

static inline const fake_t *fake_at(const session_t *s)
{
  return (const fake_t *) (const void *) s;
}

static inline fake_t *fake_of(session_t *s)
{
  return (fake_t *) (void *) s;
}

/* What the other layers would do. */
__attribute__((format(printf, 4, 0))) static inline void
fake_end(fake_t *f, unsigned bye, alk_code_t code, const char *fmt, va_list ap)
{
  if (f->over) return;
  f->over = true;
  f->bye = bye;
  f->err.code = code;
  (void) vsnprintf(f->err.msg, sizeof f->err.msg, fmt, ap);
}

void native_fail(session_t *s, alk_code_t code, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  fake_end(fake_of(s), 0, code, fmt, ap);
  va_end(ap);
}

void native_bye(session_t *s, bye_t reason, alk_code_t code, const char *fmt,
                ...)
{
  va_list ap;
  va_start(ap, fmt);
  fake_end(fake_of(s), reason, code, fmt, ap);
  va_end(ap);
}

void native_ask(session_t *s)
{
  CHECK(!s->asking);
  s->asking = true;
}

void native_answered(session_t *s)
{
  CHECK(s->asking);
  s->asking = false;
}

void native_authenticated(session_t *s)
{
  CHECK(s->phase == PHASE_AUTH);
  s->phase = PHASE_OPEN;
  fake_of(s)->authenticated++;
}

const uint8_t *transport_session_id(const session_t *s, size_t *len)
{
  *len = sizeof fake_at(s)->session_id;
  return fake_at(s)->session_id;
}

bool transport_peer_wants_ext_info(const session_t *s)
{
  return fake_at(s)->ext_info;
}

void message_send(session_t *s, alk_buf_t *m)
{
  fake_t *f = fake_of(s);
  CHECK(f->sent_len < FAKE_SENT_MAX && !f->over);
  f->sent[f->sent_len++] = *m;
  *m = (alk_buf_t){0};
}

static inline void fake_on_login(alk_session_t *base)
{
  fake_t *f = (fake_t *) (void *) base;
  CHECK(f->s.asking && !f->over);
  f->logins++;
}

static inline void fake_on_auth(alk_session_t *base, const alk_auth_t *auth)
{
  fake_t *f = (fake_t *) (void *) base;
  CHECK(f->s.asking && !f->over && f->authenticated == 0);
  f->asked++;
  (void) snprintf(f->user, sizeof f->user, "%s", auth->user);
  CHECK(strlen(auth->user) == strlen(f->user));
  (void) snprintf(f->algorithm, sizeof f->algorithm, "%s", auth->algorithm);
  alk_buf_free(&f->blob);
  alk_buf_add(&f->blob, auth->blob, auth->blob_len);
  f->proven = auth->proven;
  if (f->answer != 0) auth_admit(&f->s, f->answer > 0);
}

/* The peer has been answered by then, so that the owner may close. */
static inline void fake_on_auth_refused(alk_session_t *base, const char *user,
                                        alk_refused_t why, const uint8_t *blob,
                                        size_t len)
{
  fake_t *f = (fake_t *) (void *) base;
  CHECK(!f->s.asking && !f->over && f->sent_len > 0);
  CHECK((blob == NULL) == (len == 0));
  f->told++;
  f->why = why;
  f->told_len = len;
  (void) snprintf(f->user, sizeof f->user, "%s", user);
}

static const alk_session_events_t fake_events = {
  .on_login = fake_on_login,
  .on_auth = fake_on_auth,
  .on_auth_refused = fake_on_auth_refused,
};

/* max_auth: as in the options. */
static inline fake_t *fake_new_with(bool server, const char *user,
                                    uint32_t max_auth)
{
  fake_t *f = alk_alloc(sizeof *f);
  f->s.base.server = server;
  f->s.base.ev = &fake_events;
  f->s.phase = PHASE_SERVICE;
  memset(f->session_id, 0x5a, sizeof f->session_id);
  f->s.auth =
    auth_new(&f->s, &(alk_session_opts_t){.user = user, .max_auth = max_auth});
  return f;
}

static inline fake_t *fake_new(bool server, const char *user)
{
  return fake_new_with(server, user, 0);
}

static inline void fake_forget_sent(fake_t *f)
{
  while (f->sent_len > 0)
    alk_buf_free(&f->sent[--f->sent_len]);
}

static inline void fake_free(fake_t *f)
{
  fake_forget_sent(f);
  alk_buf_free(&f->blob);
  auth_free(f->s.auth);
  alk_free(f);
}

/* As the gate does: what may not come is not in the list. */
static inline handler_t *fake_handler(const fake_t *f, uint8_t number)
{
  bool server = f->s.base.server;
  phase_t phase = f->s.phase;
  const struct {
    uint8_t number;
    bool server;
    phase_t from, to;
    handler_t *handle;
  } rows[] = {
    {MSG_SERVICE_REQUEST, true, PHASE_SERVICE, PHASE_SERVICE,
     auth_on_service_request},
    {MSG_USERAUTH_REQUEST, true, PHASE_AUTH, PHASE_AUTH, auth_on_request},
    {MSG_SERVICE_ACCEPT, false, PHASE_SERVICE, PHASE_SERVICE,
     auth_on_service_accept},
    {MSG_EXT_INFO, false, PHASE_SERVICE, PHASE_AUTH, auth_on_ext_info},
    {MSG_USERAUTH_FAILURE, false, PHASE_AUTH, PHASE_AUTH, auth_on_failure},
    {MSG_USERAUTH_SUCCESS, false, PHASE_AUTH, PHASE_AUTH, auth_on_success},
    {MSG_USERAUTH_BANNER, false, PHASE_AUTH, PHASE_AUTH, auth_on_banner},
    {MSG_USERAUTH_PK_OK, false, PHASE_AUTH, PHASE_AUTH, auth_on_pk_ok},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].number == number && rows[i].server == server &&
        phase >= rows[i].from && phase <= rows[i].to)
      return rows[i].handle;
  return NULL;
}

/* True: it was acted on. A message of the wrong form or in the wrong phase
 * ends the session. */
static inline bool fake_hear(fake_t *f, const void *payload, size_t len)
{
  if (f->over || f->s.asking) return false;
  CHECK(len > 0);
  uint8_t *copy = alk_memdup(payload, len);
  handler_t *handle = fake_handler(f, copy[0]);
  alk_rd_t r = alk_rd(copy + 1, len - 1);
  if (handle == NULL)
    native_bye(&f->s, BYE_PROTOCOL, ALK_E_PROTO, "may not come");
  else if (!handle(&f->s, &r))
    native_bye(&f->s, BYE_PROTOCOL, ALK_E_PROTO, "malformed");
  alk_free(copy);
  return handle != NULL;
}

/* What a request says; NULL: what a good one does. */
typedef struct {
  const char *user, *service, *method;
  const char *alg; /* NULL: nothing stands behind the method */
  const uint8_t *blob;
  size_t blob_len;
  uint8_t flag;
  const alk_key_t *key; /* signs; NULL: no signature */
  const char *sig_alg;  /* NULL: what alg signs with */
} fake_request_t;

/* The signature is over what stands there, whether that makes sense or not. */
static inline alk_buf_t fake_request(const fake_t *f, fake_request_t q)
{
  alk_buf_t m = {0}, data = {0}, sig = {0};
  alk_buf_u8(&m, MSG_USERAUTH_REQUEST);
  alk_buf_cstr(&m, q.user == NULL ? "tester" : q.user);
  alk_buf_cstr(&m, q.service == NULL ? "ssh-connection" : q.service);
  alk_buf_cstr(&m, q.method == NULL ? "publickey" : q.method);
  if (q.alg == NULL) return m;
  alk_buf_u8(&m, q.key != NULL && q.flag == 0 ? 1 : q.flag);
  alk_buf_cstr(&m, q.alg);
  alk_buf_str(&m, q.blob, q.blob_len);
  if (q.key == NULL) return m;
  const sig_alg_t *alg = sig_alg_find((const uint8_t *) q.alg, strlen(q.alg));
  alk_buf_str(&data, f->session_id, sizeof f->session_id);
  alk_buf_add(&data, alk_buf_head(&m), alk_buf_size(&m));
  CHECK(alk_key_sign(q.key, q.sig_alg != NULL ? q.sig_alg : alg->sig,
                     alk_buf_head(&data), alk_buf_size(&data), &sig, NULL));
  alk_buf_str(&m, alk_buf_head(&sig), alk_buf_size(&sig));
  alk_buf_free(&data);
  alk_buf_free(&sig);
  return m;
}

#endif
