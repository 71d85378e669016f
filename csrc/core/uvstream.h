/* uvstream.h - a libuv tcp or pipe handle as a stream: the simplest kind. */
#ifndef ALK_UVSTREAM_H
#define ALK_UVSTREAM_H

#include "core/stream_impl.h"

/* One end of a socketpair, open at once. Takes fd; NULL: the system refused,
 * and fd is closed. */
alk_stream_t *alk_pipe_open(alk_loop_t *l, int fd);

/* For net/: a handle to connect or accept with, then opened() or fail(). */
alk_stream_t *alk_uvstream_new(alk_loop_t *l, uv_handle_type type);
uv_stream_t *alk_uvstream_handle(alk_stream_t *s);
void alk_uvstream_opened(alk_stream_t *s);

/* A descriptor of its own of an open tcp stream that was never read from or
 * written to; s is closed, of which its peer hears nothing. Or an error of
 * libuv, and s is as it was. */
int alk_uvstream_give(alk_stream_t *s);

#endif
