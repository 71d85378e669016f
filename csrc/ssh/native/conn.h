/* conn.h - the connection layer's own: what conn.c, chan.c and request.c share.
 *
 * conn.c keeps the table and the lists and opens channels; chan.c is one open
 * channel; request.c is what is asked for the whole connection.
 *
 * One that we open:   OPENING -> OPEN -> gone
 * One of the peer's:  ASKED (the question) -> OPEN or refused -> gone
 *
 * A stream's end does not wait for the peer, the number of its channel does:
 * RFC 4254 §5.3 lets it be used again when CLOSE has gone both ways. Until then
 * its slot of the table is a ghost, which takes what the peer still sends. */
#ifndef ALK_NATIVE_CONN_H
#define ALK_NATIVE_CONN_H

#include "core/mem.h"

#include "ssh/native/impl.h"
#include "ssh/native/window.h"

enum {
  CHANNELS_DEFAULT = 1024,
  NAME_MAX_LEN = 255,   /* of a host */
  PATH_MAX_LEN = 108,   /* of a Unix socket: what its address has room for */
  WORDS_MAX = 120,      /* of the peer's, in a refusal */
  PEER_PACKET_MIN = 64, /* RFC 4254 §5.1 names no minimum; bytes cost 9 each */
  TURN = 64 * 1024,     /* a channel's turn at sending, in bytes */
  PIECE_MIN = 1024,     /* what waits is held, and delivered, in pieces of */
  PIECE_MAX = 64 * 1024, /* this many bytes, */
  PIECES_A_TURN = 4,     /* so many of a channel before others have a turn */
  REQUESTS_MAX = 128,    /* of the peer's, not answered yet */
  KEEPALIVES_MAX = 8     /* of ours, not answered yet */
};
#define NO_ID UINT32_MAX

/* An element of a ring, embedded; next NULL: in none. */
typedef struct ring ring_t;
struct ring {
  ring_t *next, *prev;
};
typedef struct {
  ring_t head;
  size_t len;
} list_t;

/* Bytes that came while nobody read. */
typedef struct piece piece_t;

enum { CHAN_UNKNOWN, CHAN_ASKED, CHAN_OPENING, CHAN_OPEN };

/* Small: there may be thousands, and most of them have nothing to do. */
struct chan {
  alk_channel_t base;   /* first */
  uint32_t id, peer_id; /* id NO_ID: not in the table (UNKNOWN) */
  uint32_t peer_left;   /* what the peer's window takes */
  uint32_t peer_packet; /* the most data that it takes in one packet */
  window_t window;
  bool open_owed : 1; /* on_open is to be told */
  bool flowing : 1;   /* the owner reads, and nothing is unread before */
  bool got_eof : 1, got_close : 1, eof_sent : 1, close_sent : 1;
  unsigned state : 2; /* CHAN_* */
  piece_t *in;    /* came while nobody read: the last; its next is the first */
  alk_buf_t *out; /* written and not sent; NULL: nothing */
  ring_t dirty, writer; /* of the two lists */
};

typedef struct {
  enum {
    SLOT_FREE,
    SLOT_CHAN,
    SLOT_ABANDONED, /* closed by us before the peer had answered */
    SLOT_GHOST      /* closed by us: the peer's CLOSE is awaited */
  } kind;
  uint32_t left; /* what the peer may still send; FREE: the next free one */
  chan_t *chan;  /* NULL but for SLOT_CHAN */
} slot_t;

typedef struct request request_t;
typedef struct awaited awaited_t;
typedef struct grant grant_t;

struct conn {
  session_t *s;
  slot_t *slots;
  uint32_t slots_len;
  uint32_t first_free, last_free; /* NO_ID: none is free */
  uint32_t max, busy, ghosts;     /* busy: chans and abandoned ones */
  size_t streams;                 /* not gone yet, with or without a slot */
  uint32_t window_max, window_least;
  uint32_t windows;              /* how many channels have one */
  uint64_t memory_max, promised; /* bytes of all windows */
  list_t dirty;                  /* something is to be told or said */
  list_t writers;   /* have bytes or an end to send, and a window for it */
  alk_buf_t *spare; /* room for the next that has to wait; or NULL */
  request_t *asked; /* of the peer, oldest first */
  size_t asked_len;
  awaited_t *awaited; /* of ours, oldest first */
  unsigned keepalives;
  grant_t *grants; /* client: what the server listens on for us */
};

/* conn.c */
void conn_mark(chan_t *c);         /* onto the dirty list, and wake */
void conn_want_to_send(chan_t *c); /* onto the writers' list, and wake */
void conn_unlist(chan_t *c);       /* off both */
/* The slot of a channel of which the peer has been told, or NULL. */
slot_t *conn_slot(conn_t *n, uint32_t id);
void conn_release(conn_t *n, uint32_t id); /* its number is free again */
uint64_t conn_room(const conn_t *n);       /* bytes that may be promised */
uint64_t conn_now(const session_t *s);     /* ms */
/* The last step of every stream: on_close. c is gone. */
void conn_gone(chan_t *c);

/* A message to the peer, with its number and the channel's. */
void conn_say(session_t *s, uint8_t number, uint32_t peer_id);
void conn_say_refused(session_t *s, uint32_t peer_id, alk_open_reason_t reason,
                      const char *text);
/* Bytes of the peer as a text of less than size. False: too long, or a NUL. */
bool conn_text(char *out, size_t size, const uint8_t *p, size_t len);

/* chan.c */
session_t *chan_session(const chan_t *c);
conn_t *chan_conn(const chan_t *c);
alk_stream_t *chan_stream(chan_t *c);
chan_t *chan_of(alk_stream_t *s);
chan_t *chan_new(session_t *s); /* in no table, on no list */
void chan_fail(chan_t *c, alk_code_t code, int reason, const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));
void chan_opened(chan_t *c); /* both sides know it: on_open is owed */
bool chan_can_send(const session_t *s);
void chan_free_buf(alk_buf_t *b); /* NULL is fine */
void chan_serve(chan_t *c);       /* c may be gone */
void chan_send(chan_t *c);        /* one turn; c has left the writers' list */
void chan_last_words(chan_t *c);  /* the session is dead */

/* request.c */
/* Whether the server listens there for us. */
bool request_is_granted(const conn_t *n, const alk_target_t *target);
void request_kill_all(session_t *s); /* what we await is told no */
void request_free_all(conn_t *n);

#endif
