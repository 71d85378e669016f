/* parcel.h - things on their way from one thread's loop to another's.
 *
 * A thing that is sent gets a number that no other has had, and the number is
 * what one thread tells the other: whoever takes it has the thing, once. What
 * nobody has taken is dropped by its number, or with the loop it came from. So
 * a descriptor has one owner at each moment, whichever of the two threads ends
 * first. All of it may be called on any thread. */
#ifndef ALK_PARCEL_H
#define ALK_PARCEL_H

#include "core/loop.h"

/* What a thing is: the address tells kinds from one another. */
typedef struct {
  void (*drop)(void *thing);
} alk_parcel_kind_t;

/* Takes thing. from: with whose end it is dropped. Never 0, and small enough
 * for a number of JavaScript. */
uint64_t alk_parcel_send(const alk_loop_t *from, const alk_parcel_kind_t *kind,
                         void *thing);
/* NULL: it was taken or dropped, or is of another kind, which it stays. */
void *alk_parcel_take(uint64_t number, const alk_parcel_kind_t *kind);
void alk_parcel_drop(uint64_t number);
void alk_parcel_drop_all(const alk_loop_t *from);

#endif
