/* fuzz_native_session.c - the packet reader and the gate, with a whole session
 * behind them: either role, in each phase, in front of a peer who says
 * anything.
 *
 * The first bytes choose role, phase and cipher; the session is put there, with
 * keys that the peer knows, and what follows are steps: raw bytes, packets that
 * are sealed as they should be around whatever the input holds, answers of the
 * owner, the stream's moods. When an exchange has changed the keys, both sides
 * are put back on the known ones. */
#include "key_fixtures.h"
#include "native_known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
  CHANS = 8,
  STEPS_MAX = 200,
  FEED_MAX = 64 * 1024,
  IN_MAX = PACKET_LENGTH_MAX + 4 + 64 + FEED_MAX,
  OUT_MAX = CONTROL_MAX + OUT_BATCH + PACKET_LENGTH_MAX + 4 + 64
};

typedef struct {
  alk_rd_t in;
  known_t k;
  alk_stream_t *chans[CHANS];
  alk_request_t *request;
  int owned, gone, readies, closes;
  bool admitted, proven, question;
} fuzz_t;

static uv_loop_t uv;
static alk_loop_t *loop;
static alk_key_t *key;
static fuzz_t *fz;

/* the owner */

static void ch_data(alk_stream_t *ch, const char *buf, size_t len)
{
  CHECK(len > 0 && buf[len - 1] == buf[len - 1]); /* it can be read */
  if (alk_rd_u8(&fz->in) == 1) alk_stream_close(ch);
}

static void ch_event(alk_stream_t *ch)
{
  if (alk_rd_u8(&fz->in) == 1) alk_stream_end(ch);
}

static void ch_close(alk_stream_t *ch, const alk_err_t *err)
{
  (void) err;
  fz->gone++;
  for (int i = 0; i < CHANS; i++)
    if (fz->chans[i] == ch) fz->chans[i] = NULL;
}

static const alk_owner_t owner = {.on_open = ch_event,
                                  .on_data = ch_data,
                                  .on_end = ch_event,
                                  .on_drain = ch_event,
                                  .on_close = ch_close};

static void own(alk_stream_t *ch)
{
  alk_stream_own(ch, &owner, NULL);
  fz->owned++;
  for (int i = 0; i < CHANS; i++)
    if (fz->chans[i] == NULL) {
      fz->chans[i] = ch;
      return;
    }
  alk_stream_close(ch);
}

static void on_hostkey(alk_session_t *s, const uint8_t *blob, size_t len)
{
  (void) s;
  CHECK(blob != NULL && len <= ALK_KEY_BLOB_MAX);
  fz->question = true;
}

static void on_login(alk_session_t *s)
{
  (void) s;
  fz->question = true;
}

static void on_auth(alk_session_t *s, const alk_auth_t *auth)
{
  (void) s;
  CHECK(fz->k.s->phase == PHASE_AUTH && auth->blob_len <= ALK_KEY_BLOB_MAX);
  fz->proven = auth->proven;
  fz->question = true;
}

static void on_ready(alk_session_t *s)
{
  (void) s;
  CHECK(fz->admitted || !fz->k.s->base.server);
  CHECK(++fz->readies == 1);
}

static void on_channel(alk_session_t *s, alk_stream_t *ch,
                       const alk_target_t *target)
{
  (void) s;
  CHECK(fz->readies == 1 && target->host != NULL);
  own(ch);
  uint8_t what = alk_rd_u8(&fz->in);
  if (what % 4 == 1) alk_channel_refuse(ch, ALK_OPEN_CONNECT_FAILED, "no");
  if (what % 4 != 0) return;
  alk_channel_accept(ch);
  alk_stream_resume(ch);
}

static void on_listen(alk_session_t *s, alk_request_t *r,
                      const alk_listen_t *what)
{
  (void) s;
  CHECK(fz->readies == 1 && what->host != NULL);
  if (fz->request == NULL && alk_rd_u8(&fz->in) % 2 == 1)
    fz->request = r;
  else
    alk_request_answer(r, true, 4096);
}

static void on_close(alk_session_t *s, const alk_err_t *err)
{
  (void) err;
  CHECK(s == &fz->k.s->base && ++fz->closes == 1);
  fz->k.s = NULL;
}

static const alk_session_events_t events = {.on_hostkey = on_hostkey,
                                            .on_login = on_login,
                                            .on_auth = on_auth,
                                            .on_ready = on_ready,
                                            .on_channel = on_channel,
                                            .on_listen = on_listen,
                                            .on_unlisten = on_listen,
                                            .on_close = on_close};

/* the peer */

static void turn(void)
{
  known_turn(&fz->k);
  session_t *s = fz->k.s;
  if (s == NULL) return;
  CHECK(alk_buf_size(&s->in) <= IN_MAX && alk_buf_size(&s->out) <= OUT_MAX);
  CHECK(alk_buf_size(&s->transport->waiting) <= CONTROL_MAX);
  CHECK(fz->readies == 0 || s->phase == PHASE_OPEN);
  CHECK(s->phase != PHASE_OPEN || fz->admitted || !s->base.server);
  if (native_is_over(s) || s->transport->stage != KEX_IDLE) return;
  fz->k.f->out.off = fz->k.f->out.len = fz->k.f->sent = 0;
}

/* steps */

static void answer(bool yes)
{
  session_t *s = fz->k.s;
  if (!fz->question || native_is_over(s)) return;
  fz->question = false;
  if (s->base.server) {
    fz->admitted = fz->admitted || (yes && fz->proven);
    alk_session_admit(&s->base, yes);
  } else if (s->phase == PHASE_KEX) {
    alk_session_trust(&s->base, yes);
  } else {
    alk_session_login(&s->base, key);
  }
}

static void say(uint8_t what)
{
  size_t len = what == 2 ? alk_rd_u16(&fz->in) : alk_rd_u8(&fz->in);
  if (len > fz->in.len) len = fz->in.len;
  if (len == 0) return;
  const uint8_t *p = alk_rd_bytes(&fz->in, len);
  if (what == 0)
    fake_feed(fz->k.f, p, len);
  else
    known_say(&fz->k, p, len);
}

/* A packet of which one byte is not as it was sealed. */
static void say_changed(void)
{
  uint8_t p[256], payload[64] = {alk_rd_u8(&fz->in)};
  size_t at = alk_rd_u8(&fz->in), n = cipher_sealed_len(fz->k.seal, 40);
  CHECK(n <= sizeof p);
  if (!cipher_seal(fz->k.seal, fz->k.seq++, p, payload, 40, NULL, 0)) return;
  p[at % n] ^= alk_rd_u8(&fz->in);
  fake_feed(fz->k.f, p, n);
}

static void use_channel(void)
{
  static char bytes[20000];
  uint8_t what = alk_rd_u8(&fz->in);
  alk_stream_t *ch = fz->chans[what % CHANS];
  if (ch == NULL) return;
  if (what / CHANS % 6 == 0) alk_channel_accept(ch);
  if (what / CHANS % 6 == 1) alk_channel_refuse(ch, ALK_OPEN_SHORTAGE, "x");
  if (what / CHANS % 6 == 2 && !alk_stream_has_ended(ch))
    alk_stream_write(ch, bytes, alk_rd_u8(&fz->in) * (size_t) 78);
  if (what / CHANS % 6 == 3) alk_stream_end(ch);
  if (what / CHANS % 6 == 4) alk_stream_close(ch);
  if (what / CHANS % 6 != 5) return;
  alk_stream_resume(ch);
  if (alk_rd_u8(&fz->in) % 2 == 1) alk_stream_pause(ch);
}

static void own_step(uint8_t what)
{
  static const alk_target_t target = {.host = "h", .port = 1};
  session_t *s = fz->k.s;
  if (what == 0) transport_rekey(s);
  if (what == 1) alk_session_keepalive(&s->base);
  if (what == 2) own(alk_session_open(&s->base, &target));
  if (what == 3) fz->k.f->full = true;
  if (what == 4) fake_drain(fz->k.f);
  if (what == 5) fake_feed_end(fz->k.f);
  if (what == 6) fake_fail(fz->k.f, UV_ECONNRESET);
  if (what == 7) alk_session_close(&s->base);
  if (what == 8 && fz->request != NULL) {
    alk_request_answer(fz->request, alk_rd_u8(&fz->in) % 2 == 1, 7);
    fz->request = NULL;
  }
}

static void step(uint8_t op)
{
  session_t *s = fz->k.s;
  if (op < 100)
    say(op % 3);
  else if (op < 110)
    say_changed();
  else if (op < 150)
    turn();
  else if (op < 180)
    answer(op % 4 != 0);
  else if (op < 210)
    use_channel();
  else if (op < 250)
    own_step(op % 9);
  else if (s->phase >= PHASE_SERVICE && s->transport->stage == KEX_IDLE &&
           !s->transport->init_sent && alk_buf_size(&s->in) == 0)
    known_keys(&fz->k);
}

static void finish(void)
{
  for (int i = 0; i < 2; i++)
    if (fz->k.s != NULL) alk_session_close(&fz->k.s->base);
  for (int i = 0; i < 50 && (fz->k.s != NULL || alk_loop_live(loop) > 0); i++)
    uv_run(&uv, UV_RUN_NOWAIT);
  CHECK(fz->k.s == NULL && fz->closes == 1 && alk_loop_live(loop) == 0);
  CHECK(fz->owned == fz->gone);
  known_free(&fz->k);
}

static void set_up_once(void)
{
  if (loop != NULL) return;
  CHECK(uv_loop_init(&uv) == 0);
  loop = alk_loop_new(&uv);
  key =
    alk_key_read_private(fixture_ed25519, strlen(fixture_ed25519), NULL, NULL);
  CHECK(key != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const ciphers[][2] = {
    {NULL, NULL},
    {"aes128-gcm@openssh.com", NULL},
    {"chacha20-poly1305@openssh.com", NULL},
    {"aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
  };
  if (size < 2) return 0;
  set_up_once();
  fz = alk_alloc(sizeof *fz);
  fz->in = alk_rd(data, size);
  uint8_t how = alk_rd_u8(&fz->in), cipher = alk_rd_u8(&fz->in) % 4;
  fz->k.cipher = ciphers[cipher][0];
  fz->k.mac = ciphers[cipher][1];
  alk_session_opts_t opts = {.memory_max = 1 << 22, .max_channels = 6};
  phase_t phase = (phase_t) (how / 2 % 5);
  fz->k.uv = &uv;
  fz->k.loop = loop;
  fz->admitted = phase == PHASE_OPEN;
  known_open(&fz->k, (how & 1) != 0, key, opts, &events, NULL);
  known_put(&fz->k, phase, key);
  if (phase == PHASE_OPEN) fz->question = false;
  turn();
  for (int i = 0; i < STEPS_MAX && fz->in.len > 0 && fz->k.s != NULL; i++)
    step(alk_rd_u8(&fz->in));
  finish();
  alk_free(fz);
  return 0;
}
