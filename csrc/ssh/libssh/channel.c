/* channel.c - a libssh channel as a stream.
 *
 * One that we open:   WANTED -> OPENING -> OPEN -> GONE
 * One of the peer's:  ASKED (the question) -> OPEN or refused -> GONE
 *
 * The stream's functions note a wish and put the channel on the session's
 * dirty list; the pump serves it: pull what libssh held back, push what was
 * written, say EOF, say CLOSE. Bytes that come while the owner reads go to it
 * straight from libssh's callback, without a stop.
 *
 * A paused owner: the callback takes nothing, libssh keeps the bytes and the
 * window stays shut, so the peer stops: that is the back-pressure. A shut
 * window of the peer: the channel is `blocked` until a packet opens it.
 *
 * Closing while OPENING waits for the peer's answer, because only an open
 * channel can be closed; until then it counts against the limit. */
#include <string.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

static session_t *session_of(const channel_t *c)
{
  return (session_t *) (void *) c->base.session;
}

static channel_t *self(alk_stream_t *s)
{
  return (channel_t *) (void *) s;
}

static alk_stream_t *stream(channel_t *c)
{
  return &c->base.stream;
}

static void mark_dirty(channel_t *c)
{
  session_t *s = session_of(c);
  session_wake(s);
  if (c->is_dirty) return;
  c->is_dirty = true;
  c->next_dirty = NULL;
  if (s->dirty_tail != NULL)
    s->dirty_tail->next_dirty = c;
  else
    s->dirty_head = c;
  s->dirty_tail = c;
}

static channel_t *pop_dirty(session_t *s)
{
  channel_t *c = s->dirty_head;
  if (c == NULL) return NULL;
  s->dirty_head = c->next_dirty;
  if (s->dirty_head == NULL) s->dirty_tail = NULL;
  c->is_dirty = false;
  return c;
}

static void forget_dirty(session_t *s, channel_t *c)
{
  if (!c->is_dirty) return;
  channel_t **at = &s->dirty_head, *before = NULL;
  while (*at != c) {
    before = *at;
    at = &(*at)->next_dirty;
  }
  *at = c->next_dirty;
  if (s->dirty_tail == c) s->dirty_tail = before;
  c->is_dirty = false;
}

static void unblock(channel_t *c)
{
  if (c->blocked) session_of(c)->blocked_len--;
  c->blocked = false;
}

/* The last step of every channel. c is gone afterwards. */
static void gone(channel_t *c)
{
  session_t *s = session_of(c);
  unblock(c);
  if (c->state == CH_OPENING) s->opening_len--;
  c->state = CH_GONE;
  forget_dirty(s, c);
  if (c->msg != NULL) ssh_message_free(c->msg);
  if (c->ch != NULL) {
    /* It may live on in libssh until the peer has closed it too. */
    ssh_remove_channel_callbacks(c->ch, &c->callbacks);
    ssh_channel_free(c->ch);
  }
  if (c->prev != NULL)
    c->prev->next = c->next;
  else
    s->channels = c->next;
  if (c->next != NULL) c->next->prev = c->prev;
  s->channels_len--;
  alk_stream_close(stream(c));
  alk_emit_close(stream(c));
}

static void stream_wish(alk_stream_t *s)
{
  mark_dirty(self(s));
}

static void stream_pause(alk_stream_t *s)
{
  (void) s; /* the data callback asks alk_stream_is(READING) */
}

static bool stream_write(alk_stream_t *s, const char *buf, size_t len)
{
  channel_t *c = self(s);
  alk_buf_add(&c->out, buf, len);
  if (!c->blocked) mark_dirty(c);
  return alk_buf_size(&c->out) < ALK_HIGH_WATER;
}

static void stream_free(alk_stream_t *s)
{
  channel_t *c = self(s);
  alk_buf_free(&c->out);
  alk_free(c->host);
  alk_free(c->origin_host);
  alk_free(c->refusal);
  alk_free(c);
}

static const alk_stream_ops_t channel_ops = {
  .kind = "channel",
  .resume = stream_wish,
  .pause = stream_pause,
  .write = stream_write,
  .end = stream_wish,
  .close = stream_wish,
  .free = stream_free,
};

/* What was unread comes first, by a task of the stream's. */
static bool is_read(const channel_t *c)
{
  const alk_stream_t *s = &c->base.stream;
  return alk_stream_is(s, ALK_S_READING) && s->prefix == NULL;
}

static int on_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len,
                   int is_stderr, void *user)
{
  (void) ssh;
  (void) ch;
  channel_t *c = user;
  if (is_stderr || alk_stream_is(stream(c), ALK_S_CLOSING))
    return (int) len; /* dropped: nobody reads it */
  if (!session_of(c)->reading || !is_read(c)) {
    c->held = true;
    mark_dirty(c);
    return 0;
  }
  alk_emit_data(stream(c), data, len);
  return (int) len;
}

static void on_eof(ssh_session ssh, ssh_channel ch, void *user)
{
  (void) ssh;
  (void) ch;
  channel_t *c = user;
  c->got_eof = true;
  mark_dirty(c);
}

static void on_close(ssh_session ssh, ssh_channel ch, void *user)
{
  (void) ssh;
  (void) ch;
  channel_t *c = user;
  c->got_close = true;
  mark_dirty(c);
}

static channel_t *make_channel(session_t *s)
{
  channel_t *c = alk_alloc(sizeof *c);
  alk_stream_init(stream(c), s->base.loop, &channel_ops);
  c->base.session = &s->base;
  ssh_callbacks_init(&c->callbacks);
  c->callbacks.userdata = c;
  c->callbacks.channel_data_function = on_data;
  c->callbacks.channel_eof_function = on_eof;
  c->callbacks.channel_close_function = on_close;
  c->next = s->channels;
  if (c->next != NULL) c->next->prev = c;
  s->channels = c;
  s->channels_len++;
  return c;
}

static void fail(channel_t *c, alk_code_t code, const char *text)
{
  alk_err_t err;
  alk_fail(&err, code, 0, "%s", text);
  alk_stream_fail(stream(c), &err);
}

alk_stream_t *channel_open(alk_session_t *base, const alk_target_t *target)
{
  session_t *s = (session_t *) (void *) base;
  channel_t *c = make_channel(s);
  c->state = CH_WANTED;
  c->host = alk_strdup(target->host);
  c->port = target->port;
  c->origin_host =
    alk_strdup(target->origin_host == NULL ? "127.0.0.1" : target->origin_host);
  c->origin_port = target->origin_port;
  if (base->closing > 0 || s->state != &state_ready)
    fail(c, ALK_E_CLOSED, "the session is not open");
  else if (target->type != ALK_DIRECT_TCPIP || base->server)
    fail(c, ALK_E_UNSUPPORTED, "libssh opens direct-tcpip channels only");
  else if (s->channels_len > s->channels_max)
    fail(c, ALK_E_LIMIT, "too many channels on one session (maxChannels)");
  else
    mark_dirty(c);
  return stream(c);
}

void channel_accept(alk_stream_t *ch)
{
  self(ch)->answer = ANSWER_ACCEPT;
  mark_dirty(self(ch));
}

void channel_refuse(alk_stream_t *ch, alk_open_reason_t reason,
                    const char *text)
{
  channel_t *c = self(ch);
  c->answer = ANSWER_REFUSE;
  c->reason = reason;
  alk_free(c->refusal);
  c->refusal = alk_strdup(text);
  alk_stream_close(ch);
}

static void opened(channel_t *c)
{
  c->state = CH_OPEN;
  alk_emit_open(stream(c));
  mark_dirty(c);
}

static void start_open(session_t *s, channel_t *c)
{
  c->ch = ssh_channel_new(s->ssh);
  CHECK(c->ch != NULL);
  ssh_add_channel_callbacks(c->ch, &c->callbacks);
  c->state = CH_OPENING;
  s->opening_len++;
  c->id = FIRST_CHANNEL_ID + s->ids_used++;
  int rc = ssh_channel_open_forward(c->ch, c->host, c->port, c->origin_host,
                                    c->origin_port);
  if (rc == SSH_ERROR && c->refusal_reason == 0 && !session_is_dead(s))
    fail(c, ALK_E_LOST, ssh_get_error(s->ssh));
}

/* A question was answered, or its asker closed without an answer. */
static void answer(session_t *s, channel_t *c)
{
  if (c->answer == ANSWER_ACCEPT) {
    c->ch = ssh_message_channel_request_open_reply_accept(c->msg);
    CHECK(c->ch != NULL);
    s->ids_used++;
    ssh_add_channel_callbacks(c->ch, &c->callbacks);
    ssh_message_free(c->msg);
    c->msg = NULL;
    opened(c);
    return;
  }
  observer_refuse(c->msg,
                  c->answer == ANSWER_REFUSE ? c->reason : ALK_OPEN_PROHIBITED,
                  c->refusal == NULL ? "refused" : c->refusal);
  gone(c);
}

/* What libssh kept while nobody read. False: c is closing or gone. */
static bool pull(session_t *s, channel_t *c)
{
  char *buf = alk_loop_read_buf(s->base.loop);
  while (c->held && is_read(c)) {
    int n = ssh_channel_read_nonblocking(c->ch, buf, ALK_READ_BUF, 0);
    if (n <= 0)
      c->held = false;
    else
      alk_emit_data(stream(c), buf, (size_t) n);
    if (alk_stream_is(stream(c), ALK_S_CLOSING)) return false;
  }
  if (c->got_eof && !c->held) alk_emit_end(stream(c));
  if (c->got_close && !c->held && stream(c)->prefix == NULL) {
    if (c->got_eof)
      alk_stream_close(stream(c));
    else
      alk_stream_fail_sys(stream(c), UV_ECONNRESET,
                          "the peer closed without an end");
  }
  return !alk_stream_is(stream(c), ALK_S_CLOSING);
}

static void block(session_t *s, channel_t *c)
{
  if (!c->blocked) s->blocked_len++;
  c->blocked = true;
}

static void push_bytes(session_t *s, channel_t *c)
{
  size_t n = alk_buf_size(&c->out);
  uint32_t window = ssh_channel_window_size(c->ch);
  if (n > window) n = window;
  if (n > WRITE_CHUNK) n = WRITE_CHUNK;
  if (n == 0) {
    block(s, c);
    return;
  }
  int rc = ssh_channel_write(c->ch, alk_buf_head(&c->out), (uint32_t) n);
  if (rc > 0) {
    alk_buf_consume(&c->out, (size_t) rc);
    if (alk_buf_size(&c->out) > 0) mark_dirty(c);
  } else if (rc == 0) { /* no packet leaves while the keys are changed */
    s->rekeying = true;
    block(s, c);
  } else {
    alk_buf_free(&c->out); /* the peer has closed; on_close follows */
  }
}

static void push(session_t *s, channel_t *c)
{
  if (c->got_close) alk_buf_free(&c->out); /* nobody will take it */
  if (alk_buf_size(&c->out) > 0) {
    if (ssh_get_status(s->ssh) & SSH_WRITE_PENDING)
      mark_dirty(c); /* after what is on its way */
    else
      push_bytes(s, c);
  }
  size_t left = alk_buf_size(&c->out);
  bool ended = alk_stream_is(stream(c), ALK_S_ENDED);
  if (alk_stream_is(stream(c), ALK_S_FULL) && left <= ALK_LOW_WATER && !ended)
    alk_emit_drain(stream(c));
  if (!ended || left > 0 || c->eof_sent ||
      alk_stream_is(stream(c), ALK_S_CLOSING))
    return;
  c->eof_sent = true;
  ssh_channel_send_eof(c->ch);
  alk_emit_drain(stream(c)); /* all of it has left */
}

/* CLOSE may be held up by output (trap 13): then it is asked for again. For an
 * answer to the peer's own CLOSE nobody waits. */
static void say_close(session_t *s, channel_t *c)
{
  bool idle = c->got_close;
  if (idle) session_push(s); /* what came before keeps its haste */
  s->idle_words = idle;
  int rc = ssh_channel_close(c->ch);
  if (idle) session_push(s);
  s->idle_words = false;
  if (rc == SSH_AGAIN && !session_is_dead(s))
    mark_dirty(c);
  else
    gone(c);
}

static void service(session_t *s, channel_t *c)
{
  bool closing = alk_stream_is(stream(c), ALK_S_CLOSING);
  switch (c->state) {
  case CH_ASKED:
    if (closing || c->answer != ANSWER_NONE) answer(s, c);
    break;
  case CH_WANTED:
    if (closing)
      gone(c);
    else
      start_open(s, c);
    break;
  case CH_OPEN:
    if (!closing && pull(s, c)) push(s, c);
    if (alk_stream_is(stream(c), ALK_S_CLOSING)) say_close(s, c);
    break;
  case CH_OPENING: /* channel_retry waits for the answer */
  case CH_GONE:
    break;
  }
}

/* Each channel that is dirty now, once and in turn: what makes itself dirty
 * again waits for the next pump, so that none starves the others. */
void channel_service_all(session_t *s)
{
  channel_t *last = s->dirty_tail;
  if (last == NULL) return;
  for (bool more = true; more && s->base.err.code == ALK_OK;) {
    channel_t *c = pop_dirty(s);
    if (c == NULL) return;
    more = c != last;
    service(s, c);
  }
}

static void check_opening(session_t *s, channel_t *c)
{
  if (c->refusal_reason != 0) {
    alk_err_t err;
    alk_fail(&err, ALK_E_CHANNEL, 0, "the peer refused the channel: %s",
             c->refusal[0] != '\0' ? c->refusal : "no reason given");
    err.reason = (int) c->refusal_reason;
    alk_stream_fail(stream(c), &err);
    gone(c);
  } else if (ssh_channel_is_open(c->ch)) {
    s->opening_len--;
    opened(c);
  } else if (stream(c)->err != NULL && stream(c)->err->code == ALK_E_LOST &&
             alk_stream_is(stream(c), ALK_S_CLOSING)) {
    gone(c);
  }
}

void channel_retry(session_t *s)
{
  bool answers = s->answered && s->opening_len > 0;
  bool windows = (s->adjusted || s->rekeying) && s->blocked_len > 0;
  s->answered = s->adjusted = s->rekeying = false;
  if (!answers && !windows) return;
  for (channel_t *c = s->channels, *next; c != NULL; c = next) {
    next = c->next;
    if (c->blocked && windows) {
      unblock(c);
      mark_dirty(c);
    } else if (c->state == CH_OPENING && answers) {
      check_opening(s, c);
    }
  }
}

static void refuse_now(session_t *s, ssh_message msg, alk_open_reason_t reason,
                       const char *text)
{
  observer_refuse(msg, reason, text);
  ssh_message_free(msg);
  alk_session_emit_refused(&s->base, reason);
}

void channel_take(session_t *s, ssh_message msg)
{
  int type = ssh_message_subtype(msg);
  const char *host = ssh_message_channel_request_open_destination(msg);
  const char *origin = ssh_message_channel_request_open_originator(msg);
  if (type != SSH_CHANNEL_DIRECT_TCPIP || !s->base.server) {
    bool known = type != SSH_CHANNEL_UNKNOWN && type != SSH_CHANNEL_AUTH_AGENT;
    refuse_now(s, msg, known ? ALK_OPEN_PROHIBITED : ALK_OPEN_UNKNOWN_TYPE,
               "channels of this type are not served");
    return;
  }
  if (s->channels_len >= s->channels_max || s->base.closing > 0) {
    refuse_now(s, msg, ALK_OPEN_SHORTAGE, "too many channels on one session");
    return;
  }
  channel_t *c = make_channel(s);
  c->state = CH_ASKED;
  c->msg = msg;
  alk_target_t target = {
    .type = ALK_DIRECT_TCPIP,
    .host = host == NULL ? "" : host,
    .port = (uint16_t) ssh_message_channel_request_open_destination_port(msg),
    .origin_host = origin == NULL ? "" : origin,
    .origin_port =
      (uint16_t) ssh_message_channel_request_open_originator_port(msg),
  };
  s->base.ev->on_channel(&s->base, stream(c), &target);
}

void channel_close_all(session_t *s)
{
  for (channel_t *c = s->channels; c != NULL; c = c->next)
    alk_stream_close(stream(c));
}

/* What had come before the session died is still delivered: bytes that libssh
 * held, an end, a close. A channel that had ended both ways is no victim. */
static void last_words(session_t *s, channel_t *c)
{
  if (c->state != CH_OPEN || alk_stream_is(stream(c), ALK_S_CLOSING)) return;
  if (pull(s, c) && c->got_eof && !c->held &&
      alk_stream_is(stream(c), ALK_S_FLUSHED))
    alk_stream_close(stream(c));
}

void channel_kill_all(session_t *s)
{
  alk_err_t err = s->base.err;
  if (err.code == ALK_OK)
    alk_fail(&err, ALK_E_LOST, 0, "the session was closed");
  while (s->channels != NULL) {
    channel_t *c = s->channels;
    last_words(s, c);
    if (c->ch != NULL) ssh_remove_channel_callbacks(c->ch, &c->callbacks);
    c->ch = NULL; /* ssh_free takes it along */
    alk_stream_fail(stream(c), &err);
    gone(c);
  }
}
