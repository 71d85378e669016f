/* work.h - a call that takes long: it runs on libuv's pool and answers with a
 * promise. What is particular to it is a row of functions; its struct embeds
 * work_t first. */
#ifndef ALK_NAPI_WORK_H
#define ALK_NAPI_WORK_H

#include "napi/wrap.h"

typedef struct work work_t;

typedef struct {
  const char *name;       /* the resource's, for async_hooks */
  void (*run)(work_t *w); /* on the pool: no N-API; w->err when it fails */
  napi_value (*result)(wrap_env_t *e, work_t *w); /* what it resolves to */
  void (*free)(napi_env env, work_t *w); /* w, and what is left in it */
} work_kind_t;

struct work {
  const work_kind_t *kind;
  napi_async_work handle;
  napi_deferred deferred;
  alk_err_t err;
};

/* Takes w, which the caller allocated and filled but for handle and deferred.
 * The promise, or NULL when the environment is going. */
napi_value work_queue(napi_env env, work_t *w);
void work_free(napi_env env, work_t *w); /* of one that was not queued */

#endif
