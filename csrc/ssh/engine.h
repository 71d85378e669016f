/* engine.h - for the rooms that implement an engine, and the table of those
 * that are built in. session.c keeps what every engine shares; an engine only
 * speaks SSH. */
#ifndef ALK_ENGINE_H
#define ALK_ENGINE_H

#include "core/stream_impl.h"

#include "ssh/ssh.h"

typedef struct {
  const char *name;             /* "libssh", "native" */
  const char *(*version)(void); /* of the library beneath; NULL: none */
  alk_session_t *(*open)(alk_stream_t *transport, bool server,
                         const alk_session_opts_t *opts, alk_err_t *err);
  void (*close)(alk_session_t *s); /* must lead to alk_session_emit_close */
  void (*free)(alk_session_t *s);
  void (*trust)(alk_session_t *s, bool yes);
  void (*login)(alk_session_t *s, alk_key_t *key);
  void (*admit)(alk_session_t *s, bool yes);
  void (*ref)(alk_session_t *s, bool keeps); /* its transport; or NULL */
  void (*keepalive)(alk_session_t *s);
  uint64_t (*received)(const alk_session_t *s);
  uint64_t (*sent)(const alk_session_t *s);
  uint32_t (*channels)(const alk_session_t *s);
  void (*info)(const alk_session_t *s, alk_session_info_t *out);
  /* NULL: the engine cannot. cancel: the other way. */
  bool (*listen)(alk_session_t *s, const alk_listen_t *what, bool cancel,
                 alk_reply_cb cb, void *data);
  bool (*ping)(alk_session_t *s, alk_reply_cb cb, void *data); /* or NULL */
  void (*answer)(alk_request_t *r, bool yes, uint16_t port);
  alk_stream_t *(*open_channel)(alk_session_t *s, const alk_target_t *target);
  void (*accept)(alk_stream_t *ch);
  void (*refuse)(alk_stream_t *ch, alk_open_reason_t reason, const char *text);
} alk_engine_t;

struct alk_session { /* embed as the first member */
  const alk_engine_t *engine;
  alk_loop_t *loop;
  const alk_session_events_t *ev;
  void *data;
  alk_live_t live;
  alk_err_t err;     /* the first thing that went wrong */
  uint64_t heard_at; /* uv_now() of the last bytes, or of its birth */
  bool server;
  int closing;        /* 0 no, 1 in good order, 2 at once */
  uint32_t bye;       /* what the peer is told at the end; 0: by application */
  char bye_text[128]; /* and in words */
};

void alk_session_init(alk_session_t *s, alk_loop_t *l,
                      const alk_engine_t *engine, bool server);
/* Remembers the first error and closes. */
void alk_session_fail(alk_session_t *s, const alk_err_t *err);
void alk_session_emit_close(alk_session_t *s); /* the owner, then ->free */
/* Tells the owner of a channel that was refused unasked. */
void alk_session_emit_refused(alk_session_t *s, alk_open_reason_t reason);
/* What a DISCONNECT of ours says. */
uint32_t alk_session_bye_reason(const alk_session_t *s);
const char *alk_session_bye_text(const alk_session_t *s);
void alk_session_heard(alk_session_t *s); /* bytes have come */

/* NULL: no engine of that name is built in; name NULL: the default. */
const alk_engine_t *alk_engine_find(const char *name);

struct alk_request { /* embed as the first member */
  alk_session_t *session;
};

/* Channels of every engine say so, whatever their kind's other words. */
typedef struct {
  alk_stream_t stream; /* first */
  alk_session_t *session;
} alk_channel_t;

#endif
