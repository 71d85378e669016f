/* ssh.h - a session eats one stream and gives many.
 *
 * The one interface that every SSH engine implements and all that the rest of
 * alknet sees of one. Questions come as events and are answered by one call,
 * now or later; nothing else of that session moves on past the question
 * meanwhile, everything else does. The laws of stream.h hold for sessions too:
 * no event from inside a call, and on_close once, last, always. */
#ifndef ALK_SSH_H
#define ALK_SSH_H

#include <stdint.h>

#include "core/stream.h"

#include "ssh/key.h"

typedef struct alk_session alk_session_t;

/* Why an open was refused (RFC 4254 §5.1). */
typedef enum {
  ALK_OPEN_PROHIBITED = 1,
  ALK_OPEN_CONNECT_FAILED = 2,
  ALK_OPEN_UNKNOWN_TYPE = 3,
  ALK_OPEN_SHORTAGE = 4
} alk_open_reason_t;

typedef enum {
  ALK_DIRECT_TCPIP,         /* RFC 4254 §7.2 */
  ALK_FORWARDED_TCPIP,      /* RFC 4254 §7.2 */
  ALK_DIRECT_STREAMLOCAL,   /* OpenSSH PROTOCOL §2.4 */
  ALK_FORWARDED_STREAMLOCAL /* OpenSSH PROTOCOL §2.4 */
} alk_channel_type_t;

/* What a channel leads to. The texts live as long as the call they come in. */
typedef struct {
  alk_channel_type_t type;
  const char *host; /* a name or an address; a path for streamlocal */
  uint16_t port;    /* 0 for streamlocal */
  const char *origin_host;
  uint16_t origin_port;
} alk_target_t;

/* What a client asks the server to listen on for it (RFC 4254 §7.1; OpenSSH
 * PROTOCOL §2.4). */
typedef struct {
  bool local;       /* a Unix socket: host is its path */
  const char *host; /* "" or "*": every address; "localhost": loopback */
  uint16_t port;    /* 0: the server chooses; of a socket: 0 */
} alk_listen_t;
typedef struct alk_request alk_request_t; /* such a question, until answered */

/* A public key that a client offers (RFC 4252 §7). */
typedef struct {
  const char *user;
  const char *algorithm; /* the key's type, or its certificate's */
  const uint8_t *blob;   /* the key, or the whole certificate */
  size_t blob_len;
  bool proven; /* the signature was there and right; false: only asked */
} alk_auth_t;

/* What the engine refuses by itself, of those who want in. */
typedef enum {
  ALK_REFUSED_METHOD,   /* not publickey; `none`, which asks for the methods and
                           begins every login, is not told */
  ALK_REFUSED_USER,     /* no user name: user is "" */
  ALK_REFUSED_KEY,      /* of a kind that is not accepted, or no key at all */
  ALK_REFUSED_SIGNATURE /* that was not made with the key; libssh lets such a
                           client wait, and does not tell */
} alk_refused_t;

/* Why a session ends, as the peer is told (RFC 4253 §11.1). */
enum { ALK_BYE_BY_APPLICATION = 11, ALK_BYE_MAX = 15 };

typedef struct {
  /* Client: is this the server's key? Answer with alk_session_trust(). */
  void (*on_hostkey)(alk_session_t *s, const uint8_t *blob, size_t len);
  /* Client: with which key to log in? Answer with alk_session_login(), or
   * close. Comes again each time a key was refused. */
  void (*on_login)(alk_session_t *s);
  /* Server: may this key in? Answer with alk_session_admit(). Only a yes to a
   * proven key admits; the engine itself refuses everything but publickey. */
  void (*on_auth)(alk_session_t *s, const alk_auth_t *auth);
  /* Server: somebody was refused unasked. blob: the key that was shown, or
   * NULL. There is nothing to answer. NULL: nobody wants to know. */
  void (*on_auth_refused)(alk_session_t *s, const char *user, alk_refused_t why,
                          const uint8_t *blob, size_t len);
  /* Authenticated: channels may be opened. */
  void (*on_ready)(alk_session_t *s);
  /* The peer opens a channel: answer with alk_channel_accept() or
   * alk_channel_refuse(); own() it first. Other types are refused unasked. */
  void (*on_channel)(alk_session_t *s, alk_stream_t *ch,
                     const alk_target_t *target);
  /* The peer was refused a channel unasked. There is nothing to answer. NULL:
   * nobody wants to know. */
  void (*on_channel_refused)(alk_session_t *s, alk_open_reason_t reason);
  /* Server: the client wants a listener, or no more of it. Answer with
   * alk_request_answer(), in any order, now or later; r is good until then or
   * until on_close. NULL: refused. */
  void (*on_listen)(alk_session_t *s, alk_request_t *r,
                    const alk_listen_t *what);
  void (*on_unlisten)(alk_session_t *s, alk_request_t *r,
                      const alk_listen_t *what);
  void (*on_close)(alk_session_t *s, const alk_err_t *err); /* NULL: clean */
} alk_session_events_t;

/* NULL and 0 stand for the default. Lists are comma separated and narrow what
 * the engine offers, in their order; a name that it does not have is an
 * error. Copied. */
typedef struct {
  const char *user;           /* client: required */
  alk_key_t *const *hostkeys; /* server: required; borrowed for the call */
  size_t hostkeys_len;
  const char *kex, *ciphers, *macs, *hostkey_algorithms;
  uint64_t rekey_bytes;   /* 0: the engine's, at most 1 GiB */
  uint32_t rekey_seconds; /* 0: 3600 */
  uint32_t window_max;    /* bytes a channel; 0: 16 MiB; libssh: 1.28 MB */
  uint32_t memory_max;    /* bytes that all windows may promise; 0: 64 MiB */
  uint32_t max_channels;  /* 0: 1024; more are refused with reason 4 */
  uint32_t max_auth;      /* server: keys that one client may offer, questions
                             included; 0: 20; libssh: the owner counts */
} alk_session_opts_t;

/* transport belongs to the session from now on, also when the result is NULL
 * (wrong options: err says which). It must be open. */
alk_session_t *alk_ssh_client(alk_stream_t *transport, const char *engine,
                              const alk_session_opts_t *opts,
                              const alk_session_events_t *ev, void *data,
                              alk_err_t *err);
alk_session_t *alk_ssh_server(alk_stream_t *transport, const char *engine,
                              const alk_session_opts_t *opts,
                              const alk_session_events_t *ev, void *data,
                              alk_err_t *err);

void *alk_session_data(const alk_session_t *s);
/* Closes every channel and disconnects (RFC 4253 §11.1, BY_APPLICATION) as soon
 * as what was handed over is out. A second call does not wait for that: a peer
 * that has stopped reading cannot hold the session. */
void alk_session_close(alk_session_t *s);
/* The same, and the peer is told why: reason is a number of RFC 4253 §11.1,
 * text is copied, and cut at 127 bytes. Only the first of all calls is heard. A
 * session that failed, or that has not come far enough for a DISCONNECT, says
 * nothing. */
void alk_session_bye(alk_session_t *s, uint32_t reason, const char *text);

void alk_session_trust(alk_session_t *s, bool yes);
void alk_session_login(alk_session_t *s, alk_key_t *key); /* borrowed */
void alk_session_admit(alk_session_t *s, bool yes);

/* Whether the loop stays up for it, as it does at first. */
void alk_session_ref(alk_session_t *s, bool keeps);

/* Sends a request that the peer has to answer (keepalive@openssh.com); the
 * answer counts as received bytes. */
void alk_session_keepalive(alk_session_t *s);
uint64_t alk_session_received(const alk_session_t *s);
uint64_t alk_session_sent(const alk_session_t *s);
/* For how many milliseconds nothing has come. */
uint64_t alk_session_silence(const alk_session_t *s);
/* How many channels take a place of max_channels, those that open included. */
uint32_t alk_session_channels(const alk_session_t *s);

/* Whether this side of this engine can ask for listeners at all. */
bool alk_session_can_listen(const alk_session_t *s);
/* Client: asks the server to listen, or to stop. The reply, or the session's
 * end, is told once: yes, and the port (the one asked for unless that was 0).
 * False: the session is not ready, or its engine cannot; no reply follows. */
typedef void (*alk_reply_cb)(alk_session_t *s, bool yes, uint16_t port,
                             void *data);
bool alk_session_listen(alk_session_t *s, const alk_listen_t *what,
                        alk_reply_cb cb, void *data);
bool alk_session_unlisten(alk_session_t *s, const alk_listen_t *what,
                          alk_reply_cb cb, void *data);
/* The request of a keepalive; any answer is told as a yes, the session's end as
 * a no. Either side may. */
bool alk_session_can_ping(const alk_session_t *s);
bool alk_session_ping(alk_session_t *s, alk_reply_cb cb, void *data);
/* port: what was bound, if the client left the choice to us. r is gone. */
void alk_request_answer(alk_request_t *r, bool yes, uint16_t port);

/* What was negotiated; valid from on_hostkey (client) or on_auth (server) on.
 * Empty strings where the engine cannot say. */
typedef struct {
  const char *engine;
  char peer[256]; /* the peer's identification string, escaped by nobody */
  char kex[64], hostkey[64], cipher_in[64], cipher_out[64];
  char mac_in[64], mac_out[64];
} alk_session_info_t;
void alk_session_info(const alk_session_t *s, alk_session_info_t *out);

/* Channels are streams. on_open follows when the peer has confirmed; refusal
 * arrives as on_close with ALK_E_CHANNEL, err->reason and the peer's words. */
alk_stream_t *alk_session_open(alk_session_t *s, const alk_target_t *target);
void alk_channel_accept(alk_stream_t *ch); /* on_open follows */
void alk_channel_refuse(alk_stream_t *ch, alk_open_reason_t reason,
                        const char *text); /* on_close follows */
bool alk_stream_is_channel(const alk_stream_t *s);

#endif
