/* stream.h - a stream is two queues of bytes, a peer, and one owner.
 *
 *   you call                    the stream calls (owner)
 *   --------                    ------------------------
 *   resume  pause               on_open   it is connected
 *   write   end                 on_data   bytes, yours until you return
 *   close                       on_end    the peer will send no more
 *                               on_drain  write again (write said false), or,
 *                                         after end(): all of it has left
 *                               on_close  the end; s is gone when you return
 *
 * The five laws:
 * 1. No callback from inside a call. Events come from the loop only.
 * 2. One owner. Who receives the events owns the stream; own() hands it over.
 * 3. close() asks, on_close answers: once, last, always. Nobody else frees.
 * 4. write() takes every byte. false means: wait for on_drain.
 * 5. pause() is immediate: no on_data, no on_end after it, until resume().
 *
 * close() drops what was written and has not left. To deliver all of it: end(),
 * wait for on_drain, then close(). Streams are born paused. */
#ifndef ALK_STREAM_H
#define ALK_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "core/loop.h"

typedef struct alk_stream alk_stream_t;

/* NULL members are events that the owner does not care for. */
typedef struct {
  void (*on_open)(alk_stream_t *s);
  void (*on_data)(alk_stream_t *s, const char *buf, size_t len);
  void (*on_end)(alk_stream_t *s);
  void (*on_drain)(alk_stream_t *s);
  void (*on_close)(alk_stream_t *s, const alk_err_t *err); /* NULL: clean */
} alk_owner_t;

void alk_stream_own(alk_stream_t *s, const alk_owner_t *owner, void *data);
void *alk_stream_data(const alk_stream_t *s);
alk_loop_t *alk_stream_loop(const alk_stream_t *s);

void alk_stream_resume(alk_stream_t *s);
void alk_stream_pause(alk_stream_t *s);
bool alk_stream_write(alk_stream_t *s, const char *buf, size_t len);
/* From how many unsent bytes on write() says false, now: who has a choice
 * writes no more at once. */
size_t alk_stream_high(const alk_stream_t *s);
void alk_stream_end(alk_stream_t *s);
void alk_stream_close(alk_stream_t *s); /* idempotent */

/* Puts bytes back in front: the next on_data delivers them first. This is all
 * that peeking, proxies and over-reading handshakes need. */
void alk_stream_unread(alk_stream_t *s, const char *buf, size_t len);

/* Whether the loop stays up for it; they all do at first. Kinds without a
 * handle of their own do not care. */
void alk_stream_ref(alk_stream_t *s, bool keeps);

const char *alk_stream_kind(const alk_stream_t *s); /* "tcp", "channel", ... */
bool alk_stream_is_open(const alk_stream_t *s);     /* connected, not closing */
bool alk_stream_has_ended(const alk_stream_t *s);   /* end() was called */

#endif
