/* stream_impl.h - for the files that implement a kind of stream.
 *
 * A kind is its functions below. stream.c keeps the flags and the laws; a kind
 * only moves bytes and emits. Emitting is allowed from the loop only, never
 * from inside one of them. resume() may come twice in a row; an end may be
 * emitted while the stream is paused: it is kept. After alk_emit_data,
 * alk_emit_end, alk_emit_drain or alk_emit_open the stream may be closing: ask
 * before going on. After alk_emit_close it is gone. */
#ifndef ALK_STREAM_IMPL_H
#define ALK_STREAM_IMPL_H

#include "core/stream.h"

/* A stream's unsent bytes: write() says false from HIGH on, and on_drain comes
 * at LOW; a kind may have less. */
enum { ALK_HIGH_WATER = 256 * 1024, ALK_LOW_WATER = 64 * 1024 };

enum {
  ALK_S_OPEN = 1 << 0,      /* connected */
  ALK_S_READING = 1 << 1,   /* resumed */
  ALK_S_FULL = 1 << 2,      /* write said false, drain is owed */
  ALK_S_GOT_END = 1 << 3,   /* the peer has ended */
  ALK_S_ENDED = 1 << 4,     /* we have ended */
  ALK_S_FLUSHED = 1 << 5,   /* we have ended, and all of it has left */
  ALK_S_CLOSING = 1 << 6,   /* only on_close is left */
  ALK_S_END_HELD = 1 << 7,  /* the peer has ended; on_end waits for resume() */
  ALK_S_DRAIN_OWED = 1 << 8 /* on_drain comes from the task */
};

typedef struct {
  const char *kind;
  void (*resume)(alk_stream_t *s);
  void (*pause)(alk_stream_t *s);
  bool (*write)(alk_stream_t *s, const char *buf, size_t len);
  size_t (*high)(const alk_stream_t *s); /* NULL: ALK_HIGH_WATER */
  void (*end)(alk_stream_t *s);     /* leads to alk_emit_drain when all left */
  void (*drained)(alk_stream_t *s); /* behind a drain that alk_owe_drain told */
  void (*close)(alk_stream_t *s);   /* must lead to alk_emit_close, later */
  void (*free)(alk_stream_t *s);
  void (*ref)(alk_stream_t *s, bool keeps); /* NULL: it has no handle */
} alk_stream_ops_t;

/* As small as can be: there are two for each forwarded connection. */
struct alk_stream { /* embed as the first member */
  const alk_stream_ops_t *ops;
  alk_loop_t *loop;
  const alk_owner_t *owner;
  void *data;
  unsigned flags;  /* ALK_S_*; only stream.c changes them */
  alk_err_t *err;  /* why it closes; NULL: nothing went wrong */
  alk_task_t task; /* delivers unread bytes, and an owed drain */
  alk_live_t live;
  struct alk_prefix *prefix; /* unread bytes; NULL: none */
};

void alk_stream_init(alk_stream_t *s, alk_loop_t *l,
                     const alk_stream_ops_t *ops);

bool alk_stream_is(const alk_stream_t *s, unsigned flag);

void alk_emit_open(alk_stream_t *s);
void alk_emit_data(alk_stream_t *s, const char *buf, size_t len);
void alk_emit_end(alk_stream_t *s);
void alk_emit_drain(alk_stream_t *s);
/* From inside end(), when all has left already: the drain comes from the task,
 * and then drained(), unless its owner has closed the stream. */
void alk_owe_drain(alk_stream_t *s);
void alk_emit_close(alk_stream_t *s); /* calls the owner, then ops->free */

/* Remembers the first error and closes. */
void alk_stream_fail(alk_stream_t *s, const alk_err_t *err);
void alk_stream_fail_sys(alk_stream_t *s, int sys, const char *what);

#endif
