/* net.h - where streams come from. Names are resolved above, in JavaScript:
 * what was checked against a policy is what is connected to. */
#ifndef ALK_NET_H
#define ALK_NET_H

#include <stdint.h>

#include "core/stream.h"

/* Long enough for an IPv6 address with a scope. */
enum { ALK_ADDR_MAX = 64 };

typedef struct {
  char address[ALK_ADDR_MAX];
  uint16_t port;
  int family; /* 4 or 6 */
} alk_addr_t;

/* address is numeric. Returns a stream at once; on_open or on_close tells how
 * it went. */
alk_stream_t *alk_tcp_connect(alk_loop_t *l, const char *address,
                              uint16_t port);
alk_stream_t *alk_unix_connect(alk_loop_t *l, const char *path);

/* The two ends of a tcp stream. False: not a tcp stream, or not connected. */
bool alk_tcp_peer(alk_stream_t *s, alk_addr_t *out);
bool alk_tcp_local(alk_stream_t *s, alk_addr_t *out);

/* How long the kernel waits for what was sent to be acknowledged until it takes
 * the peer for dead; 0: as long as it likes, which is a quarter of an hour or
 * so. False: not a tcp stream, not connected, or the system has no such
 * limit. */
bool alk_tcp_limit_unacked(alk_stream_t *s, unsigned ms);

/* An open tcp stream that nobody has read from or written to, for another
 * thread: the number of its parcel (core/parcel.h). 0: *err says why not, and s
 * is as it was; else it is closed, and its peer hears nothing of that. */
uint64_t alk_tcp_send(alk_stream_t *s, alk_err_t *err);
/* The same stream, on this loop, open and paused. NULL: err. */
alk_stream_t *alk_tcp_take(alk_loop_t *l, uint64_t number, alk_err_t *err);

/* A listener is a source of streams, born open, paused and without owner: the
 * callback must own() or close() each. */
typedef struct alk_listener alk_listener_t;
typedef struct {
  void (*on_stream)(alk_listener_t *ln, alk_stream_t *s);
  /* accept() failed (EMFILE, ENFILE, ENOMEM): the listener rests for a moment
   * and goes on; who connects meanwhile waits. */
  void (*on_error)(alk_listener_t *ln, const alk_err_t *err);
  void (*on_close)(alk_listener_t *ln);
} alk_listener_events_t;

alk_listener_t *alk_tcp_listen(alk_loop_t *l, const char *address,
                               uint16_t port, const alk_listener_events_t *ev,
                               void *data, alk_err_t *err);
/* At a path where nothing is: a file with the mode 0600 from the first moment
 * on, so only this user can connect (and root). It goes when the listener is
 * closed. */
alk_listener_t *alk_unix_listen(alk_loop_t *l, const char *path,
                                const alk_listener_events_t *ev, void *data,
                                alk_err_t *err);
/* On a listening tcp socket that this process was started with: fd becomes the
 * listener's. When it cannot, fd stays open and the caller's: EINVAL for a
 * socket that is not one of tcp that listens, ENOTSOCK for what is no socket,
 * EBADF for what is not open. */
alk_listener_t *alk_tcp_adopt(alk_loop_t *l, int fd,
                              const alk_listener_events_t *ev, void *data,
                              alk_err_t *err);
void *alk_listener_data(const alk_listener_t *ln);
/* Where it listens: false, or NULL, of the other kind. */
bool alk_listener_address(const alk_listener_t *ln, alk_addr_t *out);
const char *alk_listener_path(const alk_listener_t *ln);
/* Whether it keeps the loop alive (it does, when born). */
void alk_listener_ref(alk_listener_t *ln, bool keeps);
void alk_listener_close(alk_listener_t *ln);

#endif
