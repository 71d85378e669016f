/* impl.h - the native engine's inside: one session in four layers.
 *
 *   session.c     the engine's front door, the phases, the end of a session
 *   gate.c        which message may come now, from whom, and who takes it
 *   conn.c chan.c window.c            channels and requests (RFC 4254)
 *   auth.c auth_client.c auth_server.c           who is there (RFC 4252)
 *   transport.c exchange.c negotiate.c            key exchange (RFC 4253)
 *   packet.c      packets, cut from the transport and sealed into it
 *   cipher.h kex.h window.h           arithmetic, without any session
 *
 * The rules:
 * 1. A message is acted on only through the gate's table. No layer looks at a
 *    message number by itself, but for data, which packet.c gathers for speed
 *    after it has asked the gate.
 * 2. Handlers run from the loop and may emit. The public functions only note,
 *    send and wake: the session's task, run by the loop, emits what is due.
 * 3. After an emit a session may be closing: ask before going on. It and its
 *    channels are freed by the session's task alone. */
#ifndef ALK_NATIVE_IMPL_H
#define ALK_NATIVE_IMPL_H

#include <uv.h>

#include "ssh/engine.h"
#include "ssh/native/cipher.h"
#include "ssh/native/kex.h"

/* Message numbers (RFC 4250 §4.1, RFC 8308, OpenSSH PROTOCOL). */
enum {
  MSG_DISCONNECT = 1,
  MSG_IGNORE = 2,
  MSG_UNIMPLEMENTED = 3,
  MSG_DEBUG = 4,
  MSG_SERVICE_REQUEST = 5,
  MSG_SERVICE_ACCEPT = 6,
  MSG_EXT_INFO = 7,
  MSG_KEXINIT = 20,
  MSG_NEWKEYS = 21,
  MSG_KEX_FIRST = 30, /* of those that belong to a method (RFC 4253 §12) */
  MSG_KEX_INIT = 30,  /* ECDH and hybrid alike */
  MSG_KEX_REPLY = 31,
  MSG_KEX_LAST = 49,
  MSG_USERAUTH_REQUEST = 50,
  MSG_USERAUTH_FAILURE = 51,
  MSG_USERAUTH_SUCCESS = 52,
  MSG_USERAUTH_BANNER = 53,
  MSG_USERAUTH_PK_OK = 60,
  MSG_GLOBAL_REQUEST = 80,
  MSG_REQUEST_SUCCESS = 81,
  MSG_REQUEST_FAILURE = 82,
  MSG_CHANNEL_OPEN = 90,
  MSG_CHANNEL_OPEN_CONFIRMATION = 91,
  MSG_CHANNEL_OPEN_FAILURE = 92,
  MSG_CHANNEL_WINDOW_ADJUST = 93,
  MSG_CHANNEL_DATA = 94,
  MSG_CHANNEL_EXTENDED_DATA = 95,
  MSG_CHANNEL_EOF = 96,
  MSG_CHANNEL_CLOSE = 97,
  MSG_CHANNEL_REQUEST = 98,
  MSG_CHANNEL_SUCCESS = 99,
  MSG_CHANNEL_FAILURE = 100
};

/* RFC 4253 §11.1. */
typedef enum {
  BYE_PROTOCOL = 2,
  BYE_KEX = 3,
  BYE_MAC = 5,
  BYE_SERVICE = 7,
  BYE_HOSTKEY = 9,
  BYE_APPLICATION = 11,
  BYE_NO_MORE_AUTH = 14
} bye_t;

enum {
  DATA_HEAD = 9,            /* number, channel, length */
  DATA_MAX = 32 * 1024,     /* bytes of data in a packet, both ways */
  CONTROL_MAX = 1 << 20,    /* bytes of messages that wait for new keys */
  OUT_BATCH = 128 * 1024,   /* sealed bytes that leave in one write */
  HANDSHAKE_SECONDS = 120,  /* the engine's own last resort */
  REKEY_LIMIT_SECONDS = 60, /* from our KEXINIT to their NEWKEYS */
  REKEY_SECONDS_DEFAULT = 3600,
  LINGER_MS = 2000 /* for the last bytes of a session that closes */
};
#define REKEY_BYTES_MAX ((uint64_t) 1 << 30)

/* How far a session is. */
typedef enum {
  PHASE_IDENT,   /* their identification line is awaited */
  PHASE_KEX,     /* the first key exchange */
  PHASE_SERVICE, /* encrypted: ssh-userauth is asked for */
  PHASE_AUTH,
  PHASE_OPEN /* authenticated */
} phase_t;

typedef struct session session_t;
typedef struct transport transport_t;
typedef struct auth auth_t;
typedef struct conn conn_t;
typedef struct chan chan_t;

/* One direction of the packet layer. */
typedef struct {
  cipher_t *cipher;                /* NULL: before the first keys */
  uint32_t seq;                    /* of the next packet */
  uint64_t bytes, packets;         /* under these keys */
  uint64_t packets_max, bytes_max; /* rekey when reached */
} direction_t;

struct session {
  alk_session_t base; /* first */
  phase_t phase;
  alk_stream_t *stream; /* the transport; NULL: closed */
  direction_t rx, tx;
  alk_buf_t in;      /* came, not opened yet */
  alk_buf_t out;     /* sealed, not written yet */
  bool full;         /* the stream wants no more before its drain */
  bool asking;       /* a question is open: no packet is opened meanwhile */
  bool ready_owed;   /* on_ready is to be told */
  bool said_bye;     /* a DISCONNECT has come or gone */
  bool ending;       /* the last words are said */
  bool success_next; /* EXT_INFO came where only USERAUTH_SUCCESS may follow */
  unsigned small_flushes;  /* in a row: see packet_flush */
  uint64_t received, sent; /* bytes */
  alk_task_t task;
  uv_timer_t timer;
  int handles; /* of uv's, not given back yet */
  transport_t *transport;
  auth_t *auth;
  conn_t *conn;
};

/* session.c */
void native_wake(session_t *s); /* the task runs in this turn of the loop */
/* Remembers the error and closes, without (fail) or with (bye) telling the
 * peer. Neither emits. */
void native_fail(session_t *s, alk_code_t code, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));
void native_bye(session_t *s, bye_t reason, alk_code_t code, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));
bool native_is_over(const session_t *s); /* closing: read no more */
void native_ask(session_t *s);           /* before a question is asked */
void native_answered(session_t *s);      /* packets are opened again */
void native_authenticated(session_t *s); /* from auth: on to PHASE_OPEN */
/* At most one is set at a time; ms 0 stops it. */
void native_timer(session_t *s, uint64_t ms, uv_timer_cb cb);
void native_keys_fresh(session_t *s); /* from transport: an exchange is done */
extern const alk_engine_t alk_native_engine;

/* gate.c: payload has at least its number. */
void gate_pass(session_t *s, const uint8_t *payload, size_t len);
bool gate_lets_data(const session_t *s);

/* packet.c */
void packet_feed(session_t *s, const uint8_t *p, size_t len);
void packet_resume(session_t *s); /* after a question: what waits in s->in */
/* Seals head and body into out at once, whatever is under way: for the key
 * exchange, for data, and for messages by way of message_send(). */
void packet_send(session_t *s, const uint8_t *head, size_t head_len,
                 const uint8_t *body, size_t body_len);
void packet_flush(session_t *s);

/* transport.c, exchange.c */
transport_t *transport_new(session_t *s, const alk_session_opts_t *opts,
                           alk_err_t *err);
void transport_free(transport_t *t);
void transport_start(session_t *s); /* our identification, our KEXINIT */
/* Takes the lines before the packets; how many bytes it has used. */
size_t transport_ident(session_t *s, const uint8_t *p, size_t len);
void transport_trusted(session_t *s, bool yes);
/* No message but the key exchange's own may leave between our KEXINIT and our
 * NEWKEYS. */
bool transport_may_send(const session_t *s);
/* The same for what comes: from their KEXINIT to their NEWKEYS. */
typedef enum { KEX_IDLE, KEX_EXCHANGE, KEX_NEWKEYS } kex_stage_t;
kex_stage_t transport_stage(const session_t *s);
/* Whether a message is the one that follows a wrong guess of theirs; once. */
bool transport_skips(session_t *s, uint8_t number);
bool transport_is_strict(const session_t *s);
void transport_rekey(session_t *s);          /* now, unless one is under way */
void transport_consider_rekey(session_t *s); /* when so much has passed */
uint64_t transport_rekey_ms(const session_t *s); /* the same in time */
void transport_info(const session_t *s, alk_session_info_t *out);
const uint8_t *transport_session_id(const session_t *s, size_t *len);
bool transport_peer_wants_ext_info(const session_t *s);
/* Sends a message, or keeps it until new keys are there. Frees m. */
void message_send(session_t *s, alk_buf_t *m);

/* Handlers: the gate's table names them. r stands behind the number. False:
 * malformed. */
typedef bool handler_t(session_t *s, alk_rd_t *r);
handler_t transport_on_disconnect, transport_on_ignore,
  transport_on_unimplemented, transport_on_debug, transport_on_kexinit,
  transport_on_kex_init, transport_on_kex_reply, transport_on_newkeys;

/* auth.c: opts is borrowed for the call */
auth_t *auth_new(session_t *s, const alk_session_opts_t *opts);
void auth_free(auth_t *a);
void auth_start(session_t *s);                 /* the first keys are in place */
void auth_login(session_t *s, alk_key_t *key); /* the answer to on_login */
void auth_admit(session_t *s, bool yes);       /* the answer to on_auth */
handler_t auth_on_service_request, auth_on_service_accept, auth_on_ext_info,
  auth_on_request, auth_on_failure, auth_on_success, auth_on_banner,
  auth_on_pk_ok;

/* conn.c, chan.c */
conn_t *conn_new(session_t *s, const alk_session_opts_t *opts);
void conn_free(conn_t *c);
bool conn_is_empty(const conn_t *c); /* no channel is left */
uint32_t conn_channels(const conn_t *c);
alk_stream_t *conn_open(session_t *s, const alk_target_t *target);
void conn_accept(alk_stream_t *ch);
void conn_refuse(alk_stream_t *ch, alk_open_reason_t reason, const char *text);
bool conn_listen(session_t *s, const alk_listen_t *what, bool cancel,
                 alk_reply_cb cb, void *data);
void conn_answer(alk_request_t *r, bool yes, uint16_t port);
void conn_keepalive(session_t *s);
bool conn_ping(session_t *s, alk_reply_cb cb, void *data);
/* From the session's task: emits what is owed, sends what waits while the
 * stream takes it and the keys are there, frees what is over. */
void conn_service(session_t *s);
void conn_close_all(session_t *s); /* in good order: CLOSE to each */
/* The session is dead: what had come is still delivered, then each channel's
 * on_close; replies that were awaited are told no. */
void conn_kill_all(session_t *s);
/* A data message's payload, number included: what is in it, checked and
 * counted against the window. False: the session ends (told). *c NULL: nobody
 * wants it. Then conn_deliver() with it, or with several that follow one
 * another in memory. Neither frees a channel. */
bool conn_take_data(session_t *s, const uint8_t *payload, size_t len,
                    chan_t **c, const uint8_t **data, size_t *data_len);
void conn_deliver(chan_t *c, const uint8_t *data, size_t len);
handler_t conn_on_global_request, conn_on_request_success,
  conn_on_request_failure, conn_on_open, conn_on_open_confirmation,
  conn_on_open_failure, conn_on_window_adjust, conn_on_data,
  conn_on_extended_data, conn_on_eof, conn_on_close, conn_on_request,
  conn_on_channel_reply;

/* algorithms.c: names, on our lists and between key and signature */
typedef struct {
  const char *name; /* as it is negotiated or logged in with */
  const char *key;  /* the type that stands in the blob */
  const char *sig;  /* the algorithm that stands in the signature */
  bool is_cert;
} sig_alg_t;
const sig_alg_t *sig_alg_find(const uint8_t *name, size_t len);
/* The first algorithm of a comma list (NULL: all of ours) for this key (with
 * its certificate if cert); NULL: none. */
const sig_alg_t *sig_alg_for(const alk_key_t *key, bool cert,
                             const char *allowed);
/* Checks an SSH signature made by the key in blob (plain or certificate):
 * fits the algorithm, and is right. */
bool sig_alg_verify(const sig_alg_t *alg, const uint8_t *blob, size_t blob_len,
                    const uint8_t *sig, size_t sig_len, const uint8_t *data,
                    size_t len);
extern const char sig_algs_accepted[]; /* for server-sig-algs */

#endif
