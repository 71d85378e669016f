/* loop.c - deferred tasks, the list of what is alive, and the teardown.
 *
 * Deferred tasks run from one uv_check_t. An uv_idle_t is active only while
 * tasks wait, so that the poll before the check does not sleep. A task that
 * queues another is served in the same check, for a bounded number of passes,
 * so that a chain of answers costs no extra turn and an endless one starves
 * nobody.
 *
 * Teardown: alk_loop_close asks every live object to close; the last one to
 * leave the list lets the two handles be closed; their callbacks end it. */
#include "core/loop.h"

#include <stdint.h>

#include "core/mem.h"

enum { PASSES_MAX = 8 };

struct alk_loop {
  uv_loop_t *uv;
  uv_check_t check;
  uv_idle_t idle;
  int handles;      /* of check and idle that uv has not given back */
  alk_task_t tasks; /* ring: next is the first, prev the last */
  alk_live_t live;  /* ring */
  size_t live_len;
  bool closing, handles_closing;
  bool late; /* something was born while closing */
  void (*on_idle)(void *data);
  void *data;
  alk_task_t finish;
  char *read_buf;
  uint8_t *scratch;
};

static void on_check(uv_check_t *check);

static void on_spin(uv_idle_t *idle)
{
  (void) idle; /* only keeps the poll from sleeping */
}

static void close_all(alk_loop_t *l)
{
  /* close() never removes its object from inside (law 1), so the ring stands
   * still; objects born during the walk join at its end and are met too. */
  for (alk_live_t *o = l->live.next; o != &l->live; o = o->next)
    o->close(o);
}

/* Wakes on_check, which sees whether it is over. */
static void finish(alk_task_t *t)
{
  alk_loop_t *l =
    (alk_loop_t *) (void *) ((char *) t - offsetof(alk_loop_t, finish));
  if (!l->late) return;
  l->late = false;
  close_all(l);
}

alk_loop_t *alk_loop_new(uv_loop_t *uv)
{
  alk_loop_t *l = alk_alloc(sizeof *l);
  l->uv = uv;
  l->tasks.next = l->tasks.prev = &l->tasks;
  l->live.next = l->live.prev = &l->live;
  l->finish.run = finish;
  CHECK(uv_check_init(uv, &l->check) == 0);
  CHECK(uv_idle_init(uv, &l->idle) == 0);
  l->handles = 2;
  l->check.data = l->idle.data = l;
  CHECK(uv_check_start(&l->check, on_check) == 0);
  uv_unref((uv_handle_t *) &l->check);
  return l;
}

uv_loop_t *alk_loop_uv(alk_loop_t *l)
{
  return l->uv;
}

char *alk_loop_read_buf(alk_loop_t *l)
{
  if (l->read_buf == NULL) l->read_buf = alk_alloc(ALK_READ_BUF);
  return l->read_buf;
}

uint8_t *alk_loop_scratch(alk_loop_t *l)
{
  if (l->scratch == NULL) l->scratch = alk_alloc(ALK_SCRATCH);
  return l->scratch;
}

void alk_loop_defer(alk_loop_t *l, alk_task_t *t)
{
  if (t->queued) return;
  t->queued = true;
  t->next = &l->tasks;
  t->prev = l->tasks.prev;
  t->prev->next = t->next->prev = t;
  if (!uv_is_active((uv_handle_t *) &l->idle))
    CHECK(uv_idle_start(&l->idle, on_spin) == 0);
}

void alk_task_cancel(alk_loop_t *l, alk_task_t *t)
{
  (void) l;
  if (!t->queued) return;
  t->queued = false;
  t->prev->next = t->next;
  t->next->prev = t->prev;
}

/* Runs what was queued when the pass began: a marker stands for the end. */
static void run_pass(alk_loop_t *l)
{
  alk_task_t marker = {0};
  alk_loop_defer(l, &marker);
  while (l->tasks.next != &marker) {
    alk_task_t *t = l->tasks.next;
    alk_task_cancel(l, t);
    t->run(t);
  }
  alk_task_cancel(l, &marker);
}

static void on_handle_closed(uv_handle_t *h)
{
  alk_loop_t *l = h->data;
  if (--l->handles > 0) return;
  void (*on_idle)(void *data) = l->on_idle;
  void *data = l->data;
  alk_free(l->read_buf);
  alk_free(l->scratch);
  alk_free(l);
  on_idle(data);
}

static void close_handles_when_idle(alk_loop_t *l)
{
  if (!l->closing || l->handles_closing || l->live_len > 0) return;
  l->handles_closing = true;
  uv_close((uv_handle_t *) &l->check, on_handle_closed);
  uv_close((uv_handle_t *) &l->idle, on_handle_closed);
}

static void on_check(uv_check_t *check)
{
  alk_loop_t *l = check->data;
  for (int i = 0; i < PASSES_MAX && l->tasks.next != &l->tasks; i++)
    run_pass(l);
  if (l->tasks.next == &l->tasks) CHECK(uv_idle_stop(&l->idle) == 0);
  close_handles_when_idle(l);
}

void alk_loop_close(alk_loop_t *l, void (*on_idle)(void *data), void *data)
{
  CHECK(!l->closing);
  l->closing = true;
  l->on_idle = on_idle;
  l->data = data;
  close_all(l);
  alk_loop_defer(l, &l->finish);
}

void alk_live_add(alk_loop_t *l, alk_live_t *o, void (*close)(alk_live_t *o))
{
  CHECK(!l->handles_closing);
  o->close = close;
  o->next = &l->live;
  o->prev = l->live.prev;
  o->prev->next = o->next->prev = o;
  l->live_len++;
  if (!l->closing) return;
  l->late = true; /* an answer to the closing of another: nobody asked it */
  alk_loop_defer(l, &l->finish);
}

void alk_live_remove(alk_loop_t *l, alk_live_t *o)
{
  o->prev->next = o->next;
  o->next->prev = o->prev;
  l->live_len--;
  if (l->closing) alk_loop_defer(l, &l->finish);
}

size_t alk_loop_live(const alk_loop_t *l)
{
  return l->live_len;
}
