/* join.h - a relay whose second stream is still to be had.
 *
 * Somebody asks for a way to `to`, which is opening. When it opens, on_open
 * says yes to the asker and hands over the asker's stream, and both are
 * relayed. When it does not open, or not in time, on_refused says why, and the
 * asker is still there to be told. */
#ifndef ALK_JOIN_H
#define ALK_JOIN_H

#include "core/stream.h"

typedef struct alk_join alk_join_t;

/* One of the last two comes, once, and j is gone then; neither comes after an
 * on_open that gave NULL, or after alk_join_close() before on_open. */
typedef struct {
  /* The asker's stream, open or opening. NULL: it is going; to is closed. */
  alk_stream_t *(*on_open)(void *data);
  void (*on_refused)(void *data, const alk_err_t *err);
  /* Both are closed; err is the first (NULL: clean). */
  void (*on_close)(void *data, const alk_err_t *err);
} alk_join_events_t;

/* Owns to, which may take limit_ms to open. */
alk_join_t *alk_join(alk_stream_t *to, unsigned limit_ms,
                     const alk_join_events_t *ev, void *data);
void alk_join_close(alk_join_t *j); /* at once */

#endif
