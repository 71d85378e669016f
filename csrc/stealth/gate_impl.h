/* gate_impl.h - what gate.c and visitor.c share. */
#ifndef ALK_GATE_IMPL_H
#define ALK_GATE_IMPL_H

#include "core/buf.h"
#include "core/relay.h"

#include "stealth/body_codec.h"
#include "stealth/first_codec.h"
#include "stealth/gate.h"
#include "stealth/head_codec.h"
#include "stealth/page_codec.h"
#include "stealth/token.h"

typedef enum {
  G_PEEK,   /* for the first byte: is it TLS? */
  G_SECURE, /* in the handshake */
  G_FIRST,  /* who is it? */
  G_ASKED,  /* the owner has to say; paused */
  G_HEAD,   /* a visitor: a request is to come, or is coming */
  G_BODY,   /* what follows it is dropped */
  G_LAST,   /* all is said; what was written leaves */
  G_LINGER, /* and what still comes is dropped for a while */
  G_SITE,   /* relayed */
  G_OVER    /* closed, or about to be */
} gate_state_t;

struct alk_gate {
  alk_stream_t *s; /* tcp, then TLS */
  alk_relay_t *relay;
  const alk_gate_events_t *ev;
  void *data;
  alk_tls_ctx_t *tls; /* held */
  gate_state_t state;
  alk_gate_outcome_t outcome;
  alk_limit_t limit;
  alk_buf_t first; /* said before it is known by whom */
  alk_token_t token;
  bool has_secret, has_site;
  bool is_secure; /* s is the TLS stream */
  bool is_plain;  /* it speaks, and no TLS */
  bool is_idle;   /* nothing of a request has come */
  bool lingers;   /* once all is said */
  bool is_full;   /* its answers do not leave */
  bool has_ended;
  unsigned page, head_ms, idle_ms, requests;
  uint64_t until; /* of G_BODY and G_LINGER, by the loop's clock */
  alk_head_t head;
  alk_body_t body;
  uint8_t *secret;
  size_t secret_len;
  char server[ALK_PAGE_SERVER_MAX + 1];
};

/* The limit anew, in ms. */
void gate_limit(alk_gate_t *g, unsigned ms);
/* It ends, after what was written has left. */
void gate_end(alk_gate_t *g);
/* The connection ends without a word of TLS about it. */
void gate_hang_up(alk_gate_t *g);

/* The visitor's part. */
void visitor_begin(alk_gate_t *g);
void visitor_data(alk_gate_t *g, const uint8_t *p, size_t n);
void visitor_end(alk_gate_t *g);
void visitor_drain(alk_gate_t *g);
void visitor_late(alk_gate_t *g);

#endif
