/* native_known.h - a whole session of the native engine on a fake stream, in
 * the phase that a test wants, with keys that the test knows.
 *
 *   known_t k = {.uv = uv, .loop = l, .cipher = name or NULL: in the clear};
 *   known_open(&k, server, key, &opts, &events, data);
 *   known_put(&k, PHASE_AUTH, key)     as if all before had been said
 *   known_say(&k, payload, len)        the peer says this, sealed
 *   known_turn(&k)                     the loop runs
 *   known_keys(&k)                     both are put (back) on the known keys
 *   known_strike(&k)                   the time that it waits for is over
 *   known_free(&k)                     when it is closed: k.s is NULL, which
 *                                      the test's on_close has to see to
 *
 * No test library is used: fuzzers use it too. */
#ifndef ALK_TEST_NATIVE_KNOWN_H
#define ALK_TEST_NATIVE_KNOWN_H

#include "ssh/native/auth.h"
#include "ssh/native/transport.h"

#include "fake_stream.h"

typedef struct {
  uv_loop_t *uv;
  alk_loop_t *loop;
  const char *cipher, *mac;
  session_t *s; /* NULL: closed */
  fake_t *f;
  cipher_t *seal; /* the peer's */
  uint32_t seq;   /* of the peer's next packet */
} known_t;

static inline void known_open(known_t *k, bool server, alk_key_t *key,
                              alk_session_opts_t opts,
                              const alk_session_events_t *ev, void *data)
{
  alk_session_t *s;
  k->f = fake_stream_new(k->loop);
  opts.user = "tester";
  opts.hostkeys = &key;
  opts.hostkeys_len = server ? 1 : 0;
  s = server ? alk_ssh_server(k->f->s, "native", &opts, ev, data, NULL)
             : alk_ssh_client(k->f->s, "native", &opts, ev, data, NULL);
  CHECK(s != NULL);
  k->s = (session_t *) (void *) s;
}

static inline void known_turn(known_t *k)
{
  for (int i = 0; i < 3; i++)
    uv_run(k->uv, UV_RUN_NOWAIT);
}

static inline cipher_t *known_cipher(const known_t *k, bool seal)
{
  static const uint8_t zero[CIPHER_KEY_MAX];
  if (k->cipher == NULL) return NULL;
  const mac_info_t *mac = k->mac == NULL ? NULL : cipher_find_mac(k->mac);
  cipher_t *c = cipher_new(cipher_find(k->cipher), mac, zero, zero,
                           mac == NULL ? NULL : zero, seal);
  CHECK(c != NULL);
  return c;
}

static inline void known_keys(known_t *k)
{
  session_t *s = k->s;
  cipher_free(k->seal);
  cipher_free(s->rx.cipher);
  cipher_free(s->tx.cipher);
  k->seal = known_cipher(k, true);
  s->rx.cipher = known_cipher(k, false);
  s->tx.cipher = known_cipher(k, true);
  s->rx.seq = s->tx.seq = k->seq = 0;
}

static inline void known_say(known_t *k, const void *payload, size_t len)
{
  size_t n = cipher_sealed_len(k->seal, len);
  if (n == 0 || k->s == NULL) return;
  uint8_t *p = alk_alloc(n);
  if (cipher_seal(k->seal, k->seq++, p, payload, len, NULL, 0))
    fake_feed(k->f, p, n);
  alk_free(p);
}

static inline void known_service(known_t *k)
{
  session_t *s = k->s;
  transport_t *t = s->transport;
  exchange_forget(t);
  t->init_sent = false;
  t->strict = t->ext_info = t->has_session_id = true;
  t->session_id_len = 32;
  s->phase = PHASE_SERVICE;
  known_keys(k);
  s->rx.packets = s->tx.packets = 0;
  s->rx.bytes_max = s->tx.bytes_max = REKEY_BYTES_MAX;
  s->rx.packets_max = s->tx.packets_max = REKEY_BYTES_MAX;
  auth_start(s);
}

static inline void known_put(known_t *k, phase_t phase, alk_key_t *key)
{
  static const char ident[] = "SSH-2.0-known\r\n";
  session_t *s = k->s;
  uint8_t m[17] = {s->base.server ? MSG_SERVICE_REQUEST : MSG_SERVICE_ACCEPT, 0,
                   0, 0, 12};
  known_turn(k);
  if (phase == PHASE_IDENT) return;
  fake_feed(k->f, ident, sizeof ident - 1);
  known_turn(k);
  if (phase == PHASE_KEX) return;
  known_service(k);
  if (phase == PHASE_SERVICE) return;
  memcpy(m + 5, "ssh-userauth", 12);
  known_say(k, m, sizeof m);
  known_turn(k);
  if (phase == PHASE_AUTH) return;
  if (s->base.server) { /* as if a key had been proven */
    s->auth->step = AUTH_DONE;
    native_authenticated(s);
  } else {
    alk_session_login(&s->base, key);
    known_turn(k);
    m[0] = MSG_USERAUTH_SUCCESS;
    known_say(k, m, 1);
  }
  known_turn(k);
}

/* The session's one timer, ahead of its time. */
static inline void known_strike(known_t *k)
{
  uv_timer_t *t = &k->s->timer;
  CHECK(uv_is_active((uv_handle_t *) t));
  uv_timer_cb cb = t->timer_cb;
  uv_timer_stop(t);
  cb(t);
}

static inline void known_free(known_t *k)
{
  CHECK(k->s == NULL);
  cipher_free(k->seal);
  fake_free(k->f);
}

#endif
