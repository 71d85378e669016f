/* notify_wrap.c - notify(path, text), and nothing else. */
#include <uv.h>

#include "napi/classes.h"
#include "net/notify.h"

/* A state has a few short lines; systemd takes no more than this either. */
enum { NOTIFY_PATH_MAX = 128, NOTIFY_TEXT_MAX = 2048 };

napi_value notify_send(napi_env env, napi_callback_info info)
{
  alk_err_t err;
  napi_value argv[2];
  char path[NOTIFY_PATH_MAX];
  const char *text;
  size_t len;
  wrap_args(env, info, 2, argv);
  if (!wrap_str(env, argv[0], path, sizeof path) ||
      !wrap_bytes(env, argv[1], &text, &len))
    return NULL;
  int rc = len > NOTIFY_TEXT_MAX ? UV_EMSGSIZE : alk_notify(path, text, len);
  if (rc == 0) return NULL;
  alk_fail(&err, ALK_E_SYS, rc, "notify: %s", uv_strerror(rc));
  return wrap_throw(env, &err);
}
