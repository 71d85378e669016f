/* work.c - work on libuv's pool that settles a promise. */
#include "napi/work.h"

static void execute(napi_env env, void *data)
{
  (void) env;
  work_t *w = data;
  w->kind->run(w);
}

void work_free(napi_env env, work_t *w)
{
  if (w->handle != NULL) (void) napi_delete_async_work(env, w->handle);
  w->kind->free(env, w);
}

static void settle(wrap_env_t *e, work_t *w)
{
  if (w->err.code != ALK_OK) {
    (void) napi_reject_deferred(e->env, w->deferred, wrap_error(e, &w->err));
    return;
  }
  napi_value result = w->kind->result(e, w);
  if (result != NULL) (void) napi_resolve_deferred(e->env, w->deferred, result);
}

static void complete(napi_env env, napi_status status, void *data)
{
  work_t *w = data;
  wrap_env_t *e = wrap_env(env);
  if (status != napi_ok && w->err.code == ALK_OK)
    alk_fail(&w->err, ALK_E_CANCELED, 0, "canceled");
  if (!e->exiting) settle(e, w); /* else nobody waits */
  work_free(env, w);
}

napi_value work_queue(napi_env env, work_t *w)
{
  napi_value promise;
  if (napi_create_promise(env, &w->deferred, &promise) == napi_ok &&
      napi_create_async_work(env, NULL, wrap_text(env, w->kind->name), execute,
                             complete, w, &w->handle) == napi_ok &&
      napi_queue_async_work(env, w->handle) == napi_ok)
    return promise;
  work_free(env, w);
  return NULL;
}
