/* relay.c - stream <-> stream.
 *
 * Bytes: on_data of one is write of the other; "full" pauses the source until
 * the drain. Ends: an end is passed on, and when a side has ended both ways
 * (its end seen, ours flushed to it) and so has the other, both are closed.
 * Deaths: a side that closed with an error takes the other down at once (a
 * reset, for tcp); one that closed cleanly, or after its end, has only stopped,
 * so what it said before still leaves through the other side before that is
 * closed too. Ends that were heard or said before the relay count as well.
 * Before: both have to open, which may be limited in time. */
#include "core/relay.h"

#include "core/mem.h"
#include "core/stream_impl.h"

typedef struct {
  alk_stream_t *s;      /* NULL: closed */
  uint64_t bytes : 62;  /* received from it; with the rest one word */
  uint64_t ended : 1;   /* it will say no more */
  uint64_t flushed : 1; /* our end has left through it */
} side_t;

#define BYTES_MAX (((uint64_t) 1 << 62) - 1)

/* What only one that opens, fails or lingers needs: a relay may live long. */
typedef struct {
  alk_limit_t limit; /* first; to open in, or to end in */
  alk_relay_t *r;
  unsigned linger_ms; /* for the end of one; 0: as long as it likes */
  alk_err_t err;      /* the first; ALK_OK: none */
} rare_t;

struct alk_relay {
  side_t side[2];
  rare_t
    *rare; /* NULL: it opens without a limit, or is open, and all is well */
  alk_relay_cb cb;
  void *data;
};

static side_t *side_of(alk_relay_t *r, const alk_stream_t *s)
{
  return s == r->side[0].s ? &r->side[0] : &r->side[1];
}

static side_t *other_of(alk_relay_t *r, const alk_stream_t *s)
{
  return s == r->side[0].s ? &r->side[1] : &r->side[0];
}

static rare_t *rare_of(alk_relay_t *r)
{
  if (r->rare == NULL) r->rare = alk_alloc(sizeof *r->rare);
  r->rare->r = r;
  return r->rare;
}

static void drop_rare(alk_relay_t *r, alk_loop_t *l)
{
  if (r->rare == NULL) return;
  alk_limit_stop(l, &r->rare->limit);
  alk_free(r->rare);
  r->rare = NULL;
}

static void remember(alk_relay_t *r, const alk_err_t *err)
{
  rare_t *rare = rare_of(r);
  if (rare->err.code == ALK_OK) rare->err = *err;
}

static void close_when_done(alk_relay_t *r)
{
  for (int i = 0; i < 2; i++) {
    const side_t *from = &r->side[i];
    side_t *to = &r->side[1 - i];
    if (!from->ended || (to->s != NULL && !to->flushed)) return;
  }
  for (int i = 0; i < 2; i++)
    if (r->side[i].s != NULL) alk_stream_close(r->side[i].s);
}

static void on_data(alk_stream_t *s, const char *buf, size_t len)
{
  alk_relay_t *r = alk_stream_data(s);
  side_t *from = side_of(r, s);
  alk_stream_t *to = other_of(r, s)->s;
  from->bytes = (from->bytes + len) & BYTES_MAX;
  if (to == NULL || alk_stream_has_ended(to)) return; /* nobody hears it */
  if (!alk_stream_write(to, buf, len)) alk_stream_pause(s);
}

static void on_lingered(alk_limit_t *t)
{
  alk_relay_close(((rare_t *) (void *) t)->r);
}

/* What b said last leaves first, however slow a is: its time begins then. */
static void linger(alk_relay_t *r)
{
  const side_t *a = &r->side[0];
  if (r->rare == NULL || r->rare->linger_ms == 0) return;
  if (a->s == NULL || !a->flushed || !r->side[1].ended) return;
  r->rare->limit.late = on_lingered;
  alk_limit_start(alk_stream_loop(a->s), &r->rare->limit, r->rare->linger_ms);
}

static void pass_end(alk_relay_t *r, side_t *from, side_t *to)
{
  if (from->ended) return;
  from->ended = true;
  linger(r);
  if (to->s != NULL) alk_stream_end(to->s);
  close_when_done(r);
}

static void on_end(alk_stream_t *s)
{
  alk_relay_t *r = alk_stream_data(s);
  pass_end(r, side_of(r, s), other_of(r, s));
}

static void on_drain(alk_stream_t *s)
{
  alk_relay_t *r = alk_stream_data(s);
  side_t *to = side_of(r, s);
  side_t *from = other_of(r, s);
  if (alk_stream_has_ended(s)) {
    to->flushed = true;
    linger(r);
    /* A side that is gone has nothing more to hear either. */
    if (from->s == NULL) to->ended = true;
    close_when_done(r);
  } else if (from->s != NULL) {
    alk_stream_resume(from->s);
  }
}

static void on_close(alk_stream_t *s, const alk_err_t *err)
{
  alk_relay_t *r = alk_stream_data(s);
  side_t *gone = side_of(r, s);
  side_t *left = other_of(r, s);
  gone->s = NULL;
  if (err != NULL) remember(r, err);
  if (left->s != NULL) {
    if (left->flushed || (err != NULL && !gone->ended))
      alk_stream_close(left->s);
    else
      pass_end(r, gone, left);
    return;
  }
  bool failed = r->rare != NULL && r->rare->err.code != ALK_OK;
  if (r->cb != NULL)
    r->cb(failed ? &r->rare->err : NULL, r->side[0].bytes, r->side[1].bytes,
          r->data);
  drop_rare(r, alk_stream_loop(s));
  alk_free(r);
}

/* Both are open. */
static void begin(alk_relay_t *r)
{
  drop_rare(r, alk_stream_loop(r->side[0].s));
  for (int i = 0; i < 2; i++) {
    side_t *side = &r->side[i];
    side->flushed = alk_stream_is(side->s, ALK_S_FLUSHED);
    alk_stream_resume(side->s);
  }
  for (int i = 0; i < 2; i++)
    if (alk_stream_is(r->side[i].s, ALK_S_GOT_END))
      pass_end(r, &r->side[i], &r->side[1 - i]);
}

static void on_open(alk_stream_t *s)
{
  alk_relay_t *r = alk_stream_data(s);
  side_t *other = other_of(r, s);
  if (other->s != NULL && alk_stream_is_open(other->s)) begin(r);
}

static const alk_owner_t relay_owner = {
  .on_open = on_open,
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

alk_relay_t *alk_relay(alk_stream_t *a, alk_stream_t *b, alk_relay_cb cb,
                       void *data)
{
  alk_relay_t *r = alk_alloc(sizeof *r);
  r->side[0].s = a;
  r->side[1].s = b;
  r->cb = cb;
  r->data = data;
  for (int i = 0; i < 2; i++)
    alk_stream_own(r->side[i].s, &relay_owner, r);
  if (alk_stream_is_open(a) && alk_stream_is_open(b)) begin(r);
  return r;
}

static void on_late(alk_limit_t *t)
{
  alk_relay_t *r = ((rare_t *) (void *) t)->r;
  alk_err_t err;
  alk_fail(&err, ALK_E_TIMEOUT, 0, "it did not open in time");
  remember(r, &err);
  alk_relay_close(r);
}

void alk_relay_limit(alk_relay_t *r, unsigned ms)
{
  bool is_open = true;
  for (int i = 0; i < 2; i++)
    is_open = is_open && alk_stream_is_open(r->side[i].s);
  if (is_open) return;
  rare_t *rare = rare_of(r);
  rare->limit.late = on_late;
  alk_limit_start(alk_stream_loop(r->side[0].s), &rare->limit, ms);
}

void alk_relay_linger(alk_relay_t *r, unsigned ms)
{
  rare_of(r)->linger_ms = ms;
  linger(r);
}

void alk_relay_finish(alk_relay_t *r, unsigned ms)
{
  for (int i = 0; i < 2; i++) {
    if (r->side[i].s == NULL) continue;
    rare_t *rare = rare_of(r);
    rare->linger_ms = 0;
    rare->limit.late = on_lingered;
    alk_limit_start(alk_stream_loop(r->side[i].s), &rare->limit, ms);
    break;
  }
  if (r->side[1].s != NULL) alk_stream_close(r->side[1].s);
}

void alk_relay_close(alk_relay_t *r)
{
  for (int i = 0; i < 2; i++)
    if (r->side[i].s != NULL) alk_stream_close(r->side[i].s);
}
