/* impl.h - the libssh engine's inside: one session, its pump, its channels.
 *
 * The rules that keep libssh on an event loop (docs/ssh-engines.md has the
 * traps behind them):
 * 1. Every call into libssh that can read, write or dispatch is made by the
 *    pump, and the pump is run by the loop alone. The public functions only
 *    note what is wanted and queue the pump.
 * 2. libssh's callbacks come in the middle of its own work. In the pump's
 *    reading phase the data callback may emit; in every other phase callbacks
 *    only note what happened and the bytes stay in libssh.
 * 3. Nothing is freed before the pump has left libssh. */
#ifndef ALK_LIBSSH_IMPL_H
#define ALK_LIBSSH_IMPL_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <uv.h>

#include "ssh/engine.h"

enum {
  WRITE_CHUNK = 128 * 1024, /* a channel's turn at writing */
  WIRE_FD = 65535,          /* stands for the transport in libssh's calls */
  WIRE_BATCH = 128 * 1024,  /* bytes that leave in one write */
  WIRE_PATIENT = 256,       /* a window adjustment has 36 to 52 bytes */
  PATIENCE_MS = 1,
  OTHER_AUTH_MAX = 10,   /* auth requests that are not publickey */
  MAX_PACKET_MIN = 64,   /* RFC 4254 §5.1 names no minimum; 10 hangs
                            libssh's writer, which subtracts 10 */
  FIRST_CHANNEL_ID = 43, /* libssh numbers a session's channels from here */
  MAX_CHANNELS_DEFAULT = 1024,
  REFUSAL_MAX = 120, /* of the peer's words */
  LINGER_MS = 2000,  /* for the last bytes of a session that closes */
  REKEY_SECONDS_DEFAULT = 3600
};
#define REKEY_BYTES_MAX ((uint64_t) 1 << 30)

typedef struct session session_t;
typedef struct channel channel_t;

typedef struct { /* one row a state: the pump calls step, enter() moves on */
  const char *name;
  void (*step)(session_t *s);
} state_t;

struct session {
  alk_session_t base; /* first */
  const state_t *state;
  ssh_session ssh; /* NULL: let go */
  ssh_bind bind;   /* server */
  struct ssh_counter_struct wire, packets;
  struct ssh_callbacks_struct callbacks;
  struct ssh_packet_callbacks_struct observer;

  alk_stream_t *transport; /* NULL: closed */
  const char *in;          /* what the transport has just brought */
  size_t in_len;
  bool in_ended;
  bool greeted;  /* the peer's identification has been read */
  alk_buf_t out; /* what libssh has sent in this pump */
  bool full;     /* the transport wants no more before its drain */
  uint64_t wire_in, wire_out;
  bool hasty;          /* somebody waits for what is in out */
  bool idle_words;     /* nobody waits for what libssh now sends */
  uv_timer_t linger;   /* runs while the session closes */
  uv_timer_t patience; /* runs while out waits for company */
  int handles;         /* of the two that uv has not given back */
  alk_task_t pump;

  bool reading;  /* the phase in which libssh gets bytes, and may emit */
  bool asking;   /* a question of ours is open: do not read on */
  bool answered; /* a packet came that may have opened a channel */
  bool adjusted; /* a packet came that may have opened a window */
  bool rekeying; /* a write was not taken: the keys are being changed */
  bool keepalive_wanted, ready_told, login_asked;

  ssh_key login_key; /* client, while it is tried */
  ssh_message auth_msg;
  int auth_answer; /* 1 yes, -1 no, 0 none yet */
  bool auth_proven;
  unsigned other_auths;
  alk_buf_t peer_key; /* client: the server's; server: the one offered */
  char hostkeys[64];  /* the host key algorithms offered, comma list */
  char hostkey[32];   /* the one that was agreed on */

  bool disconnected; /* the peer said so, for this reason, with these words */
  uint32_t last_reason;
  char last_words[REFUSAL_MAX + 1];

  channel_t *channels; /* all, newest first */
  uint32_t channels_len, channels_max, ids_used;
  channel_t *dirty_head, *dirty_tail; /* wants service in this pump */
  unsigned opening_len, blocked_len;  /* how many are */
};

struct channel {
  alk_channel_t base; /* first */
  ssh_channel ch;     /* NULL: none yet, or let go */
  ssh_message msg;    /* server: the question */
  struct ssh_channel_callbacks_struct callbacks;
  channel_t *next, *prev; /* the session's */
  channel_t *next_dirty;
  bool is_dirty;
  enum { CH_ASKED, CH_WANTED, CH_OPENING, CH_OPEN, CH_GONE } state;
  enum { ANSWER_NONE, ANSWER_ACCEPT, ANSWER_REFUSE } answer;
  alk_open_reason_t reason;
  char *host, *origin_host; /* of one that we open */
  uint16_t port, origin_port;
  uint32_t id;
  char *refusal;           /* the peer's words; reason says why */
  uint32_t refusal_reason; /* 0: not refused */
  alk_buf_t out;
  bool held;      /* libssh holds bytes that nobody wanted */
  bool got_eof;   /* the peer's EOF has come */
  bool got_close; /* the peer's CLOSE has come */
  bool eof_sent, blocked;
};

/* session.c */
void session_enter(session_t *s, const state_t *state);
void session_wake(session_t *s); /* queues the pump */
void session_pump(session_t *s); /* from the loop only; s may be gone after */
void session_read(session_t *s); /* the reading phase */
void session_push(session_t *s); /* from libssh's buffers to the wire */
void session_answered(session_t *s); /* a question was: read on */
void session_transport_gone(session_t *s, const alk_err_t *err);
void session_fail(session_t *s, alk_code_t code, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));
void session_fail_ssh(session_t *s, alk_code_t code, const char *what);
bool session_is_dead(session_t *s);           /* trap 14 */
bool session_blob(session_t *s, ssh_key key); /* into peer_key */
extern const state_t state_ready;

/* wire.c: between libssh's system calls and the transport */
void wire_attach(session_t *s, alk_stream_t *transport);
void wire_flush(session_t *s);
void wire_flush_later(session_t *s); /* the same, if it may wait a little */
void wire_end(session_t *s);
session_t *wire_enter(session_t *s); /* around every pump */
void wire_leave(session_t *outer);

/* client.c, server.c */
extern const state_t state_connect, state_accept;
bool client_prepare(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err);
bool server_prepare(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err);
void client_trust(alk_session_t *base, bool yes);
void client_login(alk_session_t *base, alk_key_t *key);
void server_admit(alk_session_t *base, bool yes);
void server_message(session_t *s, ssh_message msg); /* takes msg */

/* channel.c */
void channel_service_all(session_t *s);
void channel_retry(session_t *s);                 /* after reading */
void channel_take(session_t *s, ssh_message msg); /* a peer opens one */
void channel_kill_all(session_t *s);              /* the session is dead */
void channel_close_all(session_t *s);             /* the session is closing */
alk_stream_t *channel_open(alk_session_t *base, const alk_target_t *target);
void channel_accept(alk_stream_t *ch);
void channel_refuse(alk_stream_t *ch, alk_open_reason_t reason,
                    const char *text);

/* observer.c: packets seen before libssh handles them */
void observer_attach(session_t *s);
/* Replies with an exact reason, which libssh's own reply cannot carry. */
void observer_refuse(ssh_message msg, alk_open_reason_t reason,
                     const char *text);
/* Disconnects, in the session's own words. */
void observer_bye(const session_t *s);

/* options.c */
bool options_session(session_t *s, const alk_session_opts_t *opts,
                     alk_err_t *err);
bool options_client(session_t *s, const alk_session_opts_t *opts,
                    alk_err_t *err);
bool options_bind(session_t *s, const alk_session_opts_t *opts, alk_err_t *err);
ssh_key options_key(const alk_key_t *key, alk_err_t *err);
/* The same with its certificate, if it has one. */
ssh_key options_login_key(const alk_key_t *key, alk_err_t *err);
/* The first name of a list that the other has too, or "". */
void options_agreed(const char *first, const char *other, char *out,
                    size_t cap);

#endif
