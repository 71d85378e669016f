/* packet.c - packets, cut from the transport and sealed into it.
 *
 * The happy path in: packet_feed -> each whole packet is opened into the
 * loop's scratch memory -> data is gathered as long as it is for one channel
 * and delivered in one piece, everything else goes to the gate. What is not
 * whole waits in s->in. Out: packet_send seals into s->out, which leaves once
 * a turn of the loop, or when it is large. */
#include <string.h>

#include "core/mem.h"

#include "ssh/native/impl.h"

enum {
  DATA_AT = 1 + DATA_HEAD, /* where data begins in an opened packet */
  KEX_PACKETS_MAX = 64,    /* before the first keys, idle talk included */
  OUT_KEEP = 16 * 1024,    /* room that stays allocated without need */
  OUT_IDLE = 8             /* flushes that did not need more */
};

/* Data of one channel, opened and not delivered yet. */
typedef struct {
  session_t *s;
  uint8_t *scratch;
  chan_t *chan;
  uint8_t id[4]; /* its number, as it stands in the packets */
  uint8_t *data; /* len bytes; the next packet is opened so that its data
                    follows right behind */
  size_t len;
} gather_t;

static void deliver(gather_t *g)
{
  size_t len = g->len;
  g->len = 0;
  if (len > 0) conn_deliver(g->chan, g->data, len);
}

/* True: the packet's data is in g, or nobody wants it. */
static void take_data(gather_t *g, const uint8_t *payload, size_t len)
{
  chan_t *chan = NULL;
  const uint8_t *data = NULL;
  size_t n = 0;
  if (!conn_take_data(g->s, payload, len, &chan, &data, &n)) return;
  if (chan == NULL || n == 0) return;
  g->chan = chan;
  memcpy(g->id, payload + 1, sizeof g->id);
  if (g->len == 0) g->data = g->scratch + (data - g->scratch);
  g->len += n;
}

/* Data of the channel that is being gathered. */
static bool continues(const gather_t *g, const uint8_t *payload, size_t len)
{
  return len >= DATA_HEAD && memcmp(payload + 1, g->id, sizeof g->id) == 0;
}

static bool count_in(session_t *s, size_t len)
{
  s->rx.seq++;
  s->rx.packets++;
  s->rx.bytes += len;
  if (s->phase != PHASE_KEX || s->rx.packets <= KEX_PACKETS_MAX) return true;
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO,
             "too many packets before the first keys");
  return false;
}

/* Opens one whole packet of len bytes and passes it on. */
static void open_packet(gather_t *g, const uint8_t *p, size_t len)
{
  session_t *s = g->s;
  size_t used = (size_t) (g->data - g->scratch) + g->len;
  if (g->len > 0 && used + len > ALK_SCRATCH) deliver(g);
  if (native_is_over(s)) return;
  uint8_t *at = g->len > 0 ? g->data + g->len - DATA_AT : g->scratch;
  uint8_t under[DATA_AT], head[DATA_AT];
  memcpy(under, at, DATA_AT);
  size_t n;
  if (!cipher_open(s->rx.cipher, s->rx.seq, p, len, at, &n)) {
    g->len = 0; /* its last bytes are overwritten, and the session is over */
    native_bye(s, BYE_MAC, ALK_E_PROTO,
               "a packet was damaged or forged on its way");
    return;
  }
  if (!count_in(s, len)) return;
  bool is_data = at[1] == MSG_CHANNEL_DATA && gate_lets_data(s);
  if (g->len > 0 && !(is_data && continues(g, at + 1, n))) {
    memcpy(head, at, DATA_AT);
    memcpy(at, under, DATA_AT);
    deliver(g);
    memcpy(at, head, DATA_AT);
    if (native_is_over(s)) return;
  }
  if (!is_data) {
    gate_pass(s, at + 1, n);
    return;
  }
  bool follows = g->len > 0;
  take_data(g, at + 1, n);
  if (follows) memcpy(at, under, DATA_AT);
}

/* Bytes of the packet that begins at p, or 0: not known yet, or the session
 * is over because no packet can begin like this. */
static size_t packet_len(session_t *s, const uint8_t *p, size_t len)
{
  size_t n;
  if (len < 4) return 0;
  if (cipher_packet_len(s->rx.cipher, s->rx.seq, p, &n)) return n;
  native_bye(s, BYE_PROTOCOL, ALK_E_PROTO, "a packet with a wrong length");
  return 0;
}

/* Opens what is whole; how many bytes that was. */
static size_t open_all(session_t *s, const uint8_t *p, size_t len)
{
  gather_t g = {.s = s, .scratch = alk_loop_scratch(s->base.loop)};
  g.data = g.scratch;
  size_t used = 0;
  while (!s->asking && !s->ready_owed && !native_is_over(s)) {
    if (s->phase == PHASE_IDENT) {
      size_t n = transport_ident(s, p + used, len - used);
      used += n;
      if (n == 0) break;
      continue;
    }
    size_t n = packet_len(s, p + used, len - used);
    if (n == 0 || n > len - used) break;
    open_packet(&g, p + used, n);
    used += n;
  }
  deliver(&g);
  return used;
}

/* How many bytes more make the packet that s->in begins with whole. */
static size_t missing(session_t *s)
{
  size_t have = alk_buf_size(&s->in);
  if (s->phase == PHASE_IDENT) return 1;
  if (have < 4) return 4 - have;
  size_t n = packet_len(s, alk_buf_head(&s->in), have);
  return n > have ? n - have : 0;
}

void packet_resume(session_t *s)
{
  if (alk_buf_size(&s->in) == 0) return;
  /* The handlers may not touch s->in: it is ours until they are done. */
  size_t used = open_all(s, alk_buf_head(&s->in), alk_buf_size(&s->in));
  alk_buf_consume(&s->in, used);
}

void packet_feed(session_t *s, const uint8_t *p, size_t len)
{
  s->received += len;
  alk_session_heard(&s->base);
  while (alk_buf_size(&s->in) > 0 && len > 0 && !s->asking && !s->ready_owed &&
         !native_is_over(s)) {
    size_t n = missing(s);
    if (n > len) n = len;
    alk_buf_add(&s->in, p, n);
    p += n;
    len -= n;
    packet_resume(s);
  }
  if (native_is_over(s)) return;
  if (alk_buf_size(&s->in) == 0) {
    size_t used = open_all(s, p, len);
    p += used;
    len -= used;
  }
  if (len > 0 && !native_is_over(s)) alk_buf_add(&s->in, p, len);
}

void packet_send(session_t *s, const uint8_t *head, size_t head_len,
                 const uint8_t *body, size_t body_len)
{
  if (s->stream == NULL) return;
  size_t len = cipher_sealed_len(s->tx.cipher, head_len + body_len);
  uint8_t *p = alk_buf_reserve(&s->out, len);
  if (!cipher_seal(s->tx.cipher, s->tx.seq, p, head, head_len, body,
                   body_len)) {
    native_fail(s, ALK_E_CRYPTO, "a packet could not be sealed");
    return;
  }
  alk_buf_commit(&s->out, len);
  s->tx.seq++;
  s->tx.packets++;
  s->tx.bytes += len;
  size_t waits = alk_buf_size(&s->out);
  if ((waits >= OUT_BATCH || waits >= alk_stream_high(s->stream)) && !s->full)
    packet_flush(s);
  else if (waits > CONTROL_MAX + OUT_BATCH && !native_is_over(s))
    native_fail(s, ALK_E_LIMIT, "the peer asks much and reads nothing");
  native_wake(s);
}

void packet_flush(session_t *s)
{
  size_t len = alk_buf_size(&s->out);
  if (len == 0 || s->stream == NULL || s->full) return;
  if (!alk_stream_write(s->stream, (const char *) alk_buf_head(&s->out), len))
    s->full = true;
  s->sent += len;
  alk_buf_consume(&s->out, len);
  s->small_flushes = len > OUT_KEEP ? 0 : s->small_flushes + 1;
  if (s->small_flushes < OUT_IDLE) return;
  if (s->out.cap > OUT_KEEP) alk_buf_free(&s->out);
  /* During packet_resume there are bytes in it. */
  if (s->in.cap > OUT_KEEP && alk_buf_size(&s->in) == 0) alk_buf_free(&s->in);
}
