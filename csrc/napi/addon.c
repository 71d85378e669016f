/* addon.c - one environment (the main thread or a worker): its loop, its
 * classes and functions, and its end.
 *
 * The end: Node runs our cleanup hook and waits. From then on nothing is
 * called in JS; every live object is closed; when the last uv handle is gone
 * the hook is given back and Node may end the loop. Without that Node would
 * abort at exit. */
#include <string.h>

#include "core/mem.h"
#include "core/parcel.h"

#include "napi/classes.h"
#include "ssh/engine_info.h"

static const wrap_class_t *const classes[] = {
  &stream_class, &listener_class, &session_class, &socks_class,
  &door_class,   &relay_class,    &key_class,     &krl_class,
  &duplex_class, &netwatch_class, &proxy_class,   &tls_class,
  &gate_class,
};

static void on_idle(void *data)
{
  wrap_env_t *e = data;
  (void) napi_remove_async_cleanup_hook(e->hook);
  /* e stays: collected objects may still name it, and finalizers run when the
   * environment itself goes. free_env is the last of them. */
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void *data)
{
  wrap_env_t *e = data;
  e->hook = hook;
  e->exiting = true;
  alk_parcel_drop_all(e->loop);
  alk_loop_close(e->loop, on_idle, e);
}

static void free_env(napi_env env, void *data, void *hint)
{
  (void) env;
  (void) hint;
  alk_free(data);
}

/* register(class name, [function, ...]): the functions for its events. */
static napi_value register_(napi_env env, napi_callback_info info)
{
  napi_value argv[2], f;
  char name[32];
  wrap_args(env, info, 2, argv);
  if (!wrap_str(env, argv[0], name, sizeof name)) return NULL;
  wrap_env_t *e = wrap_env(env);
  for (size_t i = 0; i < WRAP_CLASSES; i++) {
    if (strcmp(classes[i]->name, name) != 0) continue;
    for (uint32_t j = 0; j < WRAP_EVENTS_MAX; j++)
      if (classes[i]->events[j] != NULL && e->event[i][j] == NULL &&
          napi_get_element(env, argv[1], j, &f) == napi_ok)
        (void) napi_create_reference(env, f, 1, &e->event[i][j]);
  }
  return NULL;
}

static napi_value set_error_factory(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  wrap_args(env, info, 1, argv);
  wrap_env_t *e = wrap_env(env);
  if (e->make_error == NULL)
    (void) napi_create_reference(env, argv[0], 1, &e->make_error);
  return NULL;
}

static napi_value live(napi_env env, napi_callback_info info)
{
  (void) info;
  return wrap_number(env, (double) alk_loop_live(wrap_env(env)->loop));
}

/* dropParcel(number): of a send() of this thread or another; it may have been
 * taken. */
static napi_value drop_parcel(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  uint64_t number;
  wrap_args(env, info, 1, argv);
  if (wrap_u53(env, argv[0], &number)) alk_parcel_drop(number);
  return NULL;
}

static napi_value event_names(napi_env env)
{
  napi_value all, list;
  if (napi_create_object(env, &all) != napi_ok) return NULL;
  for (size_t i = 0; i < WRAP_CLASSES; i++) {
    if (napi_create_array(env, &list) != napi_ok) return NULL;
    for (uint32_t j = 0; j < WRAP_EVENTS_MAX; j++)
      if (classes[i]->events[j] != NULL)
        (void) napi_set_element(env, list, j,
                                wrap_text(env, classes[i]->events[j]));
    wrap_set(env, all, classes[i]->name, list);
  }
  return all;
}

static napi_value error_table(napi_env env)
{
  napi_value all, row;
  if (napi_create_array(env, &all) != napi_ok) return NULL;
  for (uint32_t i = 1; i < ALK_E_COUNT; i++) {
    if (napi_create_object(env, &row) != napi_ok) return NULL;
    alk_code_t code = (alk_code_t) i;
    wrap_set(env, row, "code", wrap_text(env, alk_code_name(code)));
    wrap_set(env, row, "stage", wrap_text(env, alk_code_stage(code)));
    wrap_set(env, row, "text", wrap_text(env, alk_code_text(code)));
    wrap_set(env, row, "advice", wrap_text(env, alk_code_advice(code)));
    (void) napi_set_element(env, all, i - 1, row);
  }
  return all;
}

static void add_engines(napi_env env, napi_value exports)
{
  napi_value names, versions;
  if (napi_create_array(env, &names) != napi_ok ||
      napi_create_object(env, &versions) != napi_ok)
    return;
  const char *name, *version;
  for (uint32_t i = 0; alk_engine_info(i, &name, &version); i++) {
    (void) napi_set_element(env, names, i, wrap_text(env, name));
    if (version != NULL) wrap_set(env, versions, name, wrap_text(env, version));
  }
  wrap_set(env, versions, "openssl", wrap_text(env, alk_crypto_version()));
  wrap_set(env, versions, "uv", wrap_text(env, uv_version_string()));
  wrap_set(env, exports, "engines", names);
  wrap_set(env, exports, "versions", versions);
}

static const wrap_method_t functions[] = {
  {"register", register_},
  {"setErrorFactory", set_error_factory},
  {"live", live},
  {"takeStream", stream_take_parcel},
  {"takeKey", key_take_parcel},
  {"takeTlsContext", tls_take_parcel},
  {"dropParcel", drop_parcel},
  {"connectTcp", stream_connect_tcp},
  {"connectUnix", stream_connect_unix},
  {"listenTcp", listener_listen_tcp},
  {"listenUnix", listener_listen_unix},
  {"adoptTcp", listener_adopt_tcp},
  {"listenSocks", listener_listen_socks},
  {"notify", notify_send},
  {"socksDoor", door_open},
  {"sshClient", session_client},
  {"sshServer", session_server},
  {"relay", relay_join},
  {"watchNetwork", netwatch_open},
  {"openDuplex", duplex_open},
  {"proxySocks5", proxy_socks5},
  {"proxyHttp", proxy_http},
  {"tlsClientContext", tls_client_context},
  {"tlsServerContext", tls_server_context},
  {"tlsClient", tls_client},
  {"tlsServer", tls_server},
  {"tlsInfo", tls_info},
  {"tlsProve", tls_prove},
  {"tlsPad", tls_pad},
  {"openGate", gate_open},
  {"stealthGreeting", gate_greeting},
  {"readPrivateKey", key_read_private},
  {"readPublicBlob", key_read_blob},
  {"generateKey", key_generate},
  {"keyFormat", key_format},
  {"fingerprint", key_fingerprint},
  {"readCertificate", cert_read},
  {"checkCertificate", cert_check},
  {"isCertificate", cert_is},
  {"signCertificate", cert_sign},
  {"readKrl", krl_read},
  {"hostsMatch", hosts_match},
  {"hostsAuthority", hosts_authority},
  {"hostsLine", hosts_line},
};

static bool add_functions(napi_env env, napi_value exports)
{
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value f;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH,
                             functions[i].call, NULL, &f) != napi_ok)
      return false;
    wrap_set(env, exports, functions[i].name, f);
  }
  return true;
}

NAPI_MODULE_INIT()
{
  uv_loop_t *uv;
  wrap_env_t *e = alk_alloc(sizeof *e);
  e->env = env;
  if (napi_get_uv_event_loop(env, &uv) != napi_ok ||
      napi_set_instance_data(env, e, free_env, NULL) != napi_ok) {
    alk_free(e);
    return NULL;
  }
  e->loop = alk_loop_new(uv);
  if (napi_add_async_cleanup_hook(env, on_cleanup, e, &e->hook) != napi_ok)
    return NULL;
  for (size_t i = 0; i < WRAP_CLASSES; i++)
    if (!wrap_define(e, classes[i])) return NULL;
  if (!add_functions(env, exports)) return NULL;
  wrap_set(env, exports, "events", event_names(env));
  wrap_set(env, exports, "errors", error_table(env));
  add_engines(env, exports);
  return exports;
}
