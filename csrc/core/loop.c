/* loop.c - deferred tasks, the list of what is alive, and the teardown.
 *
 * Deferred tasks run from one uv_check_t. An uv_idle_t is active only while
 * tasks wait, so that the poll before the check does not sleep. A task that
 * queues another is served in the same check, for a bounded number of passes,
 * so that a chain of answers costs no extra turn and an endless one starves
 * nobody.
 *
 * Limits wait in no order behind one timer, which runs to the first of them:
 * one that is stopped leaves the timer as it is, and then it fires for
 * nothing, once.
 *
 * Teardown: alk_loop_close asks every live object to close; the last one to
 * leave the list lets the three handles be closed; their callbacks end it. */
#include "core/loop.h"

#include "core/mem.h"

enum { PASSES_MAX = 8 };

struct alk_loop {
  uv_loop_t *uv;
  uv_check_t check;
  uv_idle_t idle;
  uv_timer_t timer;
  int handles;        /* of the three that uv has not given back */
  alk_task_t tasks;   /* ring: next is the first, prev the last */
  alk_limit_t limits; /* ring */
  uint64_t timer_at;  /* when the timer is due, if it is active */
  alk_live_t live;    /* ring */
  size_t live_len;
  bool closing, handles_closing;
  bool late; /* something was born while closing */
  void (*on_idle)(void *data);
  void *data;
  alk_task_t finish;
  char *read_buf;
  uint8_t *scratch;
  struct spare *spares;
};

/* A buffer of those that are lent, while nobody has it. */
struct spare {
  struct spare *next;
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
  l->limits.next = l->limits.prev = &l->limits;
  l->live.next = l->live.prev = &l->live;
  l->finish.run = finish;
  CHECK(uv_check_init(uv, &l->check) == 0);
  CHECK(uv_idle_init(uv, &l->idle) == 0);
  CHECK(uv_timer_init(uv, &l->timer) == 0);
  l->handles = 3;
  l->check.data = l->idle.data = l->timer.data = l;
  CHECK(uv_check_start(&l->check, on_check) == 0);
  uv_unref((uv_handle_t *) &l->check);
  uv_unref((uv_handle_t *) &l->timer);
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

char *alk_loop_borrow(alk_loop_t *l)
{
  struct spare *first = l->spares;
  /* Not zeroed: it is for bytes that come. */
  if (first == NULL) return alk_realloc(NULL, ALK_READ_BUF);
  l->spares = first->next;
  return (char *) first;
}

void alk_loop_give_back(alk_loop_t *l, char *buf)
{
  struct spare *first = (struct spare *) (void *) buf;
  first->next = l->spares;
  l->spares = first;
}

static void free_spares(alk_loop_t *l)
{
  while (l->spares != NULL)
    alk_free(alk_loop_borrow(l));
}

void alk_loop_defer(alk_loop_t *l, alk_task_t *t)
{
  if (t->next != NULL) return;
  t->next = &l->tasks;
  t->prev = l->tasks.prev;
  t->prev->next = t->next->prev = t;
  if (!uv_is_active((uv_handle_t *) &l->idle))
    CHECK(uv_idle_start(&l->idle, on_spin) == 0);
}

void alk_task_cancel(alk_loop_t *l, alk_task_t *t)
{
  (void) l;
  if (t->next == NULL) return;
  t->prev->next = t->next;
  t->next->prev = t->prev;
  t->next = t->prev = NULL;
}

bool alk_task_is_queued(const alk_task_t *t)
{
  return t->next != NULL;
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

static void run_tasks(alk_loop_t *l)
{
  for (int i = 0; i < PASSES_MAX && l->tasks.next != &l->tasks; i++)
    run_pass(l);
}

static void on_handle_closed(uv_handle_t *h)
{
  alk_loop_t *l = h->data;
  if (--l->handles > 0) return;
  void (*on_idle)(void *data) = l->on_idle;
  void *data = l->data;
  alk_free(l->read_buf);
  alk_free(l->scratch);
  free_spares(l);
  alk_free(l);
  on_idle(data);
}

static void close_handles_when_idle(alk_loop_t *l)
{
  if (!l->closing || l->handles_closing || l->live_len > 0) return;
  l->handles_closing = true;
  uv_close((uv_handle_t *) &l->check, on_handle_closed);
  uv_close((uv_handle_t *) &l->idle, on_handle_closed);
  uv_close((uv_handle_t *) &l->timer, on_handle_closed);
}

static void on_check(uv_check_t *check)
{
  alk_loop_t *l = check->data;
  run_tasks(l);
  if (l->tasks.next == &l->tasks) CHECK(uv_idle_stop(&l->idle) == 0);
  close_handles_when_idle(l);
}

static void link_limit(alk_loop_t *l, alk_limit_t *t)
{
  t->next = &l->limits;
  t->prev = l->limits.prev;
  t->prev->next = t->next->prev = t;
}

static void unlink_limit(alk_limit_t *t)
{
  t->prev->next = t->next;
  t->next->prev = t->prev;
}

static void on_timer(uv_timer_t *timer);

static void arm(alk_loop_t *l, uint64_t at)
{
  uint64_t now = uv_now(l->uv);
  l->timer_at = at;
  CHECK(uv_timer_start(&l->timer, on_timer, at > now ? at - now : 0, 0) == 0);
}

/* Each limit once, those that have passed are told: a marker stands for the
 * end, and what late() starts or stops meanwhile changes nothing about it. What
 * was ready comes first: after a long turn of the loop, or a stop of the
 * process, it is not late for that. */
static void on_timer(uv_timer_t *timer)
{
  alk_loop_t *l = timer->data;
  alk_limit_t marker = {0};
  uint64_t first = UINT64_MAX;
  run_tasks(l);
  link_limit(l, &marker);
  while (l->limits.next != &marker) {
    alk_limit_t *t = l->limits.next;
    unlink_limit(t);
    if (t->at > uv_now(l->uv)) {
      link_limit(l, t);
    } else {
      t->running = false;
      t->late(t);
    }
  }
  unlink_limit(&marker);
  for (const alk_limit_t *t = l->limits.next; t != &l->limits; t = t->next)
    if (t->at < first) first = t->at;
  if (first != UINT64_MAX && !l->handles_closing) arm(l, first);
}

void alk_limit_start(alk_loop_t *l, alk_limit_t *t, unsigned ms)
{
  alk_limit_stop(l, t);
  t->running = true;
  t->at = uv_now(l->uv) + ms;
  link_limit(l, t);
  if (!uv_is_active((uv_handle_t *) &l->timer) || t->at < l->timer_at)
    arm(l, t->at);
}

void alk_limit_stop(alk_loop_t *l, alk_limit_t *t)
{
  (void) l;
  if (!t->running) return;
  t->running = false;
  unlink_limit(t);
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
