/* gate.h - a connection to a listener that passes for a web server: who is it?
 *
 * An SSH client is somebody else's from then on; everybody else is a visitor,
 * to whom this is an nginx whose site is empty, or who is handed to a site
 * that there really is. No event comes from inside a call. */
#ifndef ALK_GATE_H
#define ALK_GATE_H

#include <stdint.h>

#include "core/stream.h"

#include "net/tls.h"

typedef struct alk_gate alk_gate_t;

typedef struct {
  alk_tls_ctx_t *tls;
  const char *server;    /* "nginx/1.22.1" */
  const uint8_t *secret; /* that clients have to know; copied */
  size_t secret_len;     /* 0: none */
  unsigned head_ms;      /* for the handshake of TLS and the first head */
  unsigned idle_ms;      /* between two requests */
  bool has_site;         /* visitors are asked about, by on_visitor */
} alk_gate_opts_t;

/* What became of it, in one word. */
typedef enum {
  ALK_GATE_SILENT,   /* left without a word */
  ALK_GATE_TLS,      /* its TLS handshake has failed */
  ALK_GATE_LATE,     /* took too long over a handshake, or a head */
  ALK_GATE_PLAIN,    /* spoke, and no TLS */
  ALK_GATE_BAD,      /* what it said is no request */
  ALK_GATE_TOO_LONG, /* or one that is too long */
  ALK_GATE_SERVED,   /* got an answer */
  ALK_GATE_SITE,     /* was handed to the site */
  ALK_GATE_OUTCOMES
} alk_gate_outcome_t;
const char *alk_gate_outcome_name(alk_gate_outcome_t outcome);

typedef struct {
  /* It is an SSH client, which knows the secret if there is one:
   * alk_gate_take(), or alk_gate_serve() to have none of it. */
  void (*on_ssh)(void *data);
  /* It is a visitor: alk_gate_relay(), or alk_gate_serve(). */
  void (*on_visitor)(void *data);
  /* It is gone, and so is g; but not after alk_gate_take(). err: NULL for a
   * clean end. */
  void (*on_close)(void *data, alk_gate_outcome_t outcome,
                   const alk_err_t *err);
} alk_gate_events_t;

/* s: open; owned. */
alk_gate_t *alk_gate(alk_stream_t *s, const alk_gate_opts_t *opts,
                     const alk_gate_events_t *ev, void *data);

/* After on_ssh: the TLS stream, paused, without owner, what the client has said
 * in front; g is gone. NULL: it is not asked about, or going. */
alk_stream_t *alk_gate_take(alk_gate_t *g);
/* After on_ssh or on_visitor: it gets pages. page: what there is for a right
 * request, 404, 502 or 504. */
void alk_gate_serve(alk_gate_t *g, unsigned page);
/* After on_visitor: all that it says goes to the site, which is open, and owned
 * from now on. */
void alk_gate_relay(alk_gate_t *g, alk_stream_t *site);
/* It ends as it would where an nginx has to make room, or ends itself: never by
 * a reset, but where what was said does not leave. Soon; idempotent. */
void alk_gate_close(alk_gate_t *g);
void alk_gate_drop(alk_gate_t *g); /* at once, also in the middle of that */

#endif
