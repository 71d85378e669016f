/* hosts_wrap.c - known_hosts for JS: pure functions. */
#include "core/mem.h"

#include "napi/classes.h"
#include "ssh/hosts.h"

static const char *const verdicts[] = {
  [ALK_HOST_UNKNOWN] = "unknown", [ALK_HOST_TRUSTED] = "trusted",
  [ALK_HOST_CHANGED] = "changed", [ALK_HOST_OTHER] = "other",
  [ALK_HOST_REVOKED] = "revoked",
};

static bool host_args(napi_env env, const napi_value *argv, char host[256],
                      uint32_t *port)
{
  return wrap_str(env, argv[0], host, 256) &&
         wrap_u32(env, argv[1], UINT16_MAX, port);
}

/* The text of a file, as a string or as bytes. *own is to be freed. */
static bool text_arg(napi_env env, napi_value v, const char **text, size_t *len,
                     char **own)
{
  napi_valuetype type;
  *own = NULL;
  if (napi_typeof(env, v, &type) != napi_ok || type != napi_string)
    return wrap_bytes(env, v, text, len);
  if (napi_get_value_string_utf8(env, v, NULL, 0, len) != napi_ok) return false;
  *text = *own = alk_alloc(*len + 1);
  return napi_get_value_string_utf8(env, v, *own, *len + 1, len) == napi_ok;
}

typedef alk_host_match_t look_up_t(const char *text, size_t len,
                                   const char *host, uint16_t port,
                                   const uint8_t *blob, size_t blob_len);

static napi_value ask(napi_env env, napi_callback_info info, look_up_t *look_up)
{
  napi_value argv[4], o;
  const char *text = NULL, *blob = NULL;
  char *own = NULL;
  size_t len, blob_len = 0;
  char host[256];
  uint32_t port;
  wrap_args(env, info, 4, argv);
  bool ok = host_args(env, argv + 1, host, &port) &&
            (wrap_is_null(env, argv[3]) ||
             wrap_bytes(env, argv[3], &blob, &blob_len)) &&
            text_arg(env, argv[0], &text, &len, &own);
  alk_host_match_t m = {0};
  if (ok)
    m = look_up(text, len, host, (uint16_t) port, (const uint8_t *) blob,
                blob_len);
  alk_free(own);
  if (!ok) return NULL;
  if (napi_create_object(env, &o) != napi_ok) return NULL;
  wrap_set(env, o, "verdict", wrap_text(env, verdicts[m.verdict]));
  wrap_set(env, o, "line", wrap_number(env, m.line));
  wrap_set(env, o, "types", wrap_text(env, m.types));
  return o;
}

napi_value hosts_match(napi_env env, napi_callback_info info)
{
  return ask(env, info, alk_hosts_match);
}

napi_value hosts_authority(napi_env env, napi_callback_info info)
{
  return ask(env, info, alk_hosts_authority);
}

napi_value hosts_line(napi_env env, napi_callback_info info)
{
  napi_value argv[4];
  const char *blob;
  size_t blob_len;
  char host[256];
  uint32_t port;
  alk_buf_t out = {0};
  wrap_args(env, info, 4, argv);
  if (!host_args(env, argv, host, &port) ||
      !wrap_bytes(env, argv[3], &blob, &blob_len))
    return NULL;
  alk_err_t err;
  alk_fail(&err, ALK_E_CRYPTO, 0, "HMAC failed");
  if (!alk_hosts_line(host, (uint16_t) port, wrap_bool(env, argv[2]),
                      (const uint8_t *) blob, blob_len, &out))
    return wrap_throw(env, &err);
  alk_buf_u8(&out, 0);
  napi_value line = wrap_text(env, (const char *) alk_buf_head(&out));
  alk_buf_free(&out);
  return line;
}
