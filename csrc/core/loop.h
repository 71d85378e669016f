/* loop.h - everything that belongs to one event loop. One per napi_env.
 *
 * The happy path: alk_loop_new; objects join the live list when they are born
 * and leave it when they are gone; alk_loop_close asks each that is still
 * there to close, and calls back when the list is empty and the loop's own
 * handles are closed too. There is no other way to tear an environment down,
 * and no object that is not on the list. */
#ifndef ALK_LOOP_H
#define ALK_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

typedef struct alk_loop alk_loop_t;

/* A thing to run later in this turn of the loop. Embedded in its owner: no
 * allocation, idempotent, and forgotten with alk_task_cancel(). next is NULL
 * while it is not queued. */
typedef struct alk_task alk_task_t;
struct alk_task {
  void (*run)(alk_task_t *t);
  alk_task_t *next, *prev;
};

/* A thing that must be closed before the loop can end. Embedded too. close()
 * must be idempotent and must lead to alk_live_remove() later. */
typedef struct alk_live alk_live_t;
struct alk_live {
  void (*close)(alk_live_t *o);
  alk_live_t *next, *prev;
};

/* A time limit: late() is called from the loop, once, when it has passed.
 * Embedded too, and all share one timer, so that starting and stopping one,
 * as most are before they pass, is next to nothing. Keeps no loop alive. */
typedef struct alk_limit alk_limit_t;
struct alk_limit {
  void (*late)(alk_limit_t *t);
  alk_limit_t *next, *prev;
  uint64_t at;
  bool running;
};

/* One read buffer a loop, lent to whoever reads: on_data's bytes are borrowed
 * until it returns, so one is enough. */
enum { ALK_READ_BUF = 256 * 1024 };

/* And one for what a layer makes of the bytes before it hands them on: a
 * read's worth, and one packet more. */
enum { ALK_SCRATCH = ALK_READ_BUF + 64 * 1024 };

alk_loop_t *alk_loop_new(uv_loop_t *uv);
uv_loop_t *alk_loop_uv(alk_loop_t *l);
char *alk_loop_read_buf(alk_loop_t *l);   /* ALK_READ_BUF bytes */
uint8_t *alk_loop_scratch(alk_loop_t *l); /* ALK_SCRATCH bytes */
/* ALK_READ_BUF bytes that are the caller's until they are given back, for a
 * layer between a stream and the one that uses the scratch memory. Layers lie
 * over one another: the last one borrowed is the first one given back. */
char *alk_loop_borrow(alk_loop_t *l);
void alk_loop_give_back(alk_loop_t *l, char *buf);

/* Closes every live object, then calls on_idle from the loop. When it is
 * called the loop is freed and no alknet handle is left in uv. */
void alk_loop_close(alk_loop_t *l, void (*on_idle)(void *data), void *data);

void alk_loop_defer(alk_loop_t *l, alk_task_t *t);
void alk_task_cancel(alk_loop_t *l, alk_task_t *t);
bool alk_task_is_queued(const alk_task_t *t);

void alk_limit_start(alk_loop_t *l, alk_limit_t *t, unsigned ms); /* anew */
void alk_limit_stop(alk_loop_t *l, alk_limit_t *t);

void alk_live_add(alk_loop_t *l, alk_live_t *o, void (*close)(alk_live_t *o));
void alk_live_remove(alk_loop_t *l, alk_live_t *o);
size_t alk_loop_live(const alk_loop_t *l); /* how many objects are on it */

#endif
