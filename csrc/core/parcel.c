/* parcel.c - things on their way from one thread's loop to another's: a list
 * behind a lock. Few are on it at a time, and the oldest is asked for first. */
#include "core/parcel.h"

#include "core/mem.h"

typedef struct parcel parcel_t;
struct parcel {
  parcel_t *next;
  uint64_t number;
  const alk_loop_t *from;
  const alk_parcel_kind_t *kind;
  void *thing;
};

static uv_once_t once = UV_ONCE_INIT;
static uv_mutex_t lock;
static parcel_t *first, **last = &first; /* where the next one is linked */
static uint64_t numbers;

static void init(void)
{
  CHECK(uv_mutex_init(&lock) == 0);
}

static void enter(void)
{
  uv_once(&once, init);
  uv_mutex_lock(&lock);
}

uint64_t alk_parcel_send(const alk_loop_t *from, const alk_parcel_kind_t *kind,
                         void *thing)
{
  parcel_t *p = alk_alloc(sizeof *p);
  *p = (parcel_t){.from = from, .kind = kind, .thing = thing};
  enter();
  uint64_t number = p->number = ++numbers;
  *last = p;
  last = &p->next;
  uv_mutex_unlock(&lock);
  return number;
}

typedef struct {
  uint64_t number;               /* 0: any */
  const alk_loop_t *from;        /* NULL: any */
  const alk_parcel_kind_t *kind; /* NULL: any */
} wanted_t;

static bool is_wanted(const parcel_t *p, const wanted_t *w)
{
  return (w->number == 0 || p->number == w->number) &&
         (w->from == NULL || p->from == w->from) &&
         (w->kind == NULL || p->kind == w->kind);
}

/* The first that is wanted, off the list; or NULL. */
static parcel_t *pull(const wanted_t *w)
{
  enter();
  parcel_t **at = &first;
  while (*at != NULL && !is_wanted(*at, w))
    at = &(*at)->next;
  parcel_t *p = *at;
  if (p != NULL) {
    *at = p->next;
    if (p->next == NULL) last = at;
  }
  uv_mutex_unlock(&lock);
  return p;
}

void *alk_parcel_take(uint64_t number, const alk_parcel_kind_t *kind)
{
  if (number == 0) return NULL;
  parcel_t *p = pull(&(wanted_t){.number = number, .kind = kind});
  void *thing = p == NULL ? NULL : p->thing;
  alk_free(p);
  return thing;
}

/* Outside of the lock: what drop() does is not this file's. */
static bool drop(const wanted_t *w)
{
  parcel_t *p = pull(w);
  if (p == NULL) return false;
  p->kind->drop(p->thing);
  alk_free(p);
  return true;
}

void alk_parcel_drop(uint64_t number)
{
  if (number != 0) (void) drop(&(wanted_t){.number = number});
}

void alk_parcel_drop_all(const alk_loop_t *from)
{
  while (drop(&(wanted_t){.from = from}))
    ;
}
