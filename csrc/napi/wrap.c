/* wrap.c - JS objects around C structs. Every napi status is looked at; a
 * pending exception and an environment that is going are normal, not faults. */
#include "napi/wrap.h"

#include <assert.h>
#include <string.h>

#include <uv.h>

#include "core/mem.h"

static const napi_type_tag tags[WRAP_CLASSES] = {
#define TAG(id) [id] = {0x616c6b6e65740000u + (id), 0x9d1f6c3b8a5e4720u}
  TAG(WRAP_STREAM), TAG(WRAP_LISTENER), TAG(WRAP_SESSION), TAG(WRAP_SOCKS),
  TAG(WRAP_DOOR),   TAG(WRAP_RELAY),    TAG(WRAP_KEY),     TAG(WRAP_KRL),
  TAG(WRAP_DUPLEX), TAG(WRAP_NETWATCH), TAG(WRAP_PROXY),   TAG(WRAP_TLS),
  TAG(WRAP_GATE),
#undef TAG
};
static_assert(WRAP_GATE == WRAP_CLASSES - 1, "a class without a tag");

wrap_env_t *wrap_env(napi_env env)
{
  void *data = NULL;
  CHECK(napi_get_instance_data(env, &data) == napi_ok && data != NULL);
  return data;
}

static napi_value construct(napi_env env, napi_callback_info info)
{
  napi_value self = NULL;
  (void) napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  return self;
}

bool wrap_define(wrap_env_t *e, const wrap_class_t *cls)
{
  napi_property_descriptor props[24];
  size_t n = 0;
  for (const wrap_method_t *m = cls->methods; m->name != NULL; m++)
    props[n++] = (napi_property_descriptor){
      .utf8name = m->name, .method = m->call, .attributes = napi_default};
  for (const wrap_method_t *g = cls->getters; g != NULL && g->name != NULL; g++)
    props[n++] = (napi_property_descriptor){
      .utf8name = g->name, .getter = g->call, .attributes = napi_default};
  CHECK(n <= sizeof props / sizeof *props);
  napi_value ctor;
  return napi_define_class(e->env, cls->name, NAPI_AUTO_LENGTH, construct, NULL,
                           n, props, &ctor) == napi_ok &&
         napi_create_reference(e->env, ctor, 1, &e->ctor[cls->id]) == napi_ok;
}

static void finalize(napi_env env, void *data, void *hint)
{
  (void) hint;
  wrap_t *w = data;
  (void) napi_delete_reference(env, w->self);
  w->cls->free(w);
}

napi_value wrap_new(wrap_env_t *e, const wrap_class_t *cls, wrap_t *w)
{
  napi_value ctor, object;
  w->e = e;
  w->cls = cls;
  if (napi_get_reference_value(e->env, e->ctor[cls->id], &ctor) == napi_ok &&
      napi_new_instance(e->env, ctor, 0, NULL, &object) == napi_ok &&
      napi_type_tag_object(e->env, object, &tags[cls->id]) == napi_ok &&
      napi_wrap(e->env, object, w, finalize, NULL, &w->self) == napi_ok) {
    /* From here on the collector frees w: as soon as it may. */
    w->is_attached = napi_reference_ref(e->env, w->self, NULL) == napi_ok;
    return w->is_attached ? object : NULL;
  }
  cls->free(w);
  return NULL;
}

void wrap_detach(wrap_t *w)
{
  bool was_attached = w->is_attached;
  w->is_attached = false;
  /* At the end the environment lets go of everything itself. */
  if (was_attached && !w->e->exiting)
    (void) napi_reference_unref(w->e->env, w->self, NULL);
}

void *wrap_arg(napi_env env, napi_value v, const wrap_class_t *cls)
{
  bool ok = false;
  void *data = NULL;
  napi_valuetype type;
  if (napi_typeof(env, v, &type) == napi_ok && type == napi_object &&
      napi_check_object_type_tag(env, v, &tags[cls->id], &ok) == napi_ok &&
      ok && napi_unwrap(env, v, &data) == napi_ok)
    return data;
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "not a native %s", cls->name);
  return wrap_throw(env, &err);
}

void wrap_args(napi_env env, napi_callback_info info, size_t argc,
               napi_value *argv)
{
  (void) napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
}

void *wrap_this(napi_env env, napi_callback_info info, const wrap_class_t *cls,
                size_t argc, napi_value *argv)
{
  napi_value self;
  if (napi_get_cb_info(env, info, &argc, argv, &self, NULL) != napi_ok)
    return NULL;
  return wrap_arg(env, self, cls);
}

bool wrap_begin(wrap_t *w, napi_handle_scope *scope)
{
  return !w->e->exiting && w->is_attached &&
         napi_open_handle_scope(w->e->env, scope) == napi_ok;
}

static void report(napi_env env)
{
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    (void) napi_fatal_exception(env, error);
}

void wrap_emit(wrap_t *w, int event, size_t argc, const napi_value *argv)
{
  napi_env env = w->e->env;
  napi_ref ref = w->e->event[w->cls->id][event];
  napi_value self, function, result;
  if (ref == NULL) return; /* nobody registered yet */
  if (napi_get_reference_value(env, w->self, &self) == napi_ok &&
      napi_get_reference_value(env, ref, &function) == napi_ok &&
      napi_make_callback(env, NULL, self, function, argc, argv, &result) ==
        napi_ok)
    return;
  report(env);
}

void wrap_end(wrap_t *w, napi_handle_scope scope)
{
  (void) napi_close_handle_scope(w->e->env, scope);
}

void wrap_tell(wrap_t *w, int event)
{
  napi_handle_scope scope;
  if (!wrap_begin(w, &scope)) return;
  wrap_emit(w, event, 0, NULL);
  wrap_end(w, scope);
}

void wrap_tell_error(wrap_t *w, int event, const alk_err_t *err)
{
  napi_handle_scope scope;
  if (!wrap_begin(w, &scope)) return;
  napi_value error = wrap_error(w->e, err);
  wrap_emit(w, event, 1, &error);
  wrap_end(w, scope);
}

bool wrap_is_null(napi_env env, napi_value v)
{
  napi_valuetype type;
  return napi_typeof(env, v, &type) != napi_ok || type == napi_undefined ||
         type == napi_null;
}

bool wrap_bool(napi_env env, napi_value v)
{
  bool yes = false;
  return napi_get_value_bool(env, v, &yes) == napi_ok && yes;
}

static bool wrong(napi_env env, const char *wanted)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_OPTION, 0, "expected %s", wanted);
  wrap_throw(env, &err);
  return false;
}

bool wrap_str(napi_env env, napi_value v, char *out, size_t cap)
{
  size_t len = 0;
  if (napi_get_value_string_utf8(env, v, NULL, 0, &len) != napi_ok ||
      len >= cap)
    return wrong(env, "a string that is not too long");
  if (napi_get_value_string_utf8(env, v, out, cap, &len) != napi_ok ||
      strlen(out) != len)
    return wrong(env, "a string without NUL");
  return true;
}

bool wrap_u32(napi_env env, napi_value v, uint32_t max, uint32_t *out)
{
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok || !(d >= 0 && d <= max))
    return wrong(env, "a number in range");
  *out = (uint32_t) d;
  return true;
}

bool wrap_u53(napi_env env, napi_value v, uint64_t *out)
{
  double d;
  if (napi_get_value_double(env, v, &d) != napi_ok ||
      !(d >= 0 && d <= 9007199254740991.0))
    return wrong(env, "a number in range");
  *out = (uint64_t) d;
  return true;
}

bool wrap_bytes(napi_env env, napi_value v, const char **buf, size_t *len)
{
  bool is = false;
  void *data = NULL;
  napi_typedarray_type type;
  *len = 0;
  if (napi_is_typedarray(env, v, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, v, &type, len, &data, NULL, NULL) !=
        napi_ok ||
      type != napi_uint8_array)
    return wrong(env, "a Uint8Array");
  *buf = *len == 0 ? "" : data;
  return true;
}

napi_value wrap_text(napi_env env, const char *s)
{
  napi_value v = NULL;
  (void) napi_create_string_utf8(env, s, NAPI_AUTO_LENGTH, &v);
  return v;
}

napi_value wrap_number(napi_env env, double d)
{
  napi_value v = NULL;
  (void) napi_create_double(env, d, &v);
  return v;
}

napi_value wrap_buffer(napi_env env, const void *p, size_t len)
{
  napi_value v = NULL;
  (void) napi_create_buffer_copy(env, len, p, NULL, &v);
  return v;
}

napi_value wrap_null(napi_env env)
{
  napi_value v = NULL;
  (void) napi_get_null(env, &v);
  return v;
}

void wrap_set(napi_env env, napi_value object, const char *key, napi_value v)
{
  if (v != NULL) (void) napi_set_named_property(env, object, key, v);
}

/* makeError(code, stage, errno name or null, errno, reason, message) */
napi_value wrap_error(wrap_env_t *e, const alk_err_t *err)
{
  napi_env env = e->env;
  napi_value factory, undefined, result;
  if (err == NULL) return wrap_null(env);
  if (e->make_error == NULL ||
      napi_get_reference_value(env, e->make_error, &factory) != napi_ok ||
      napi_get_undefined(env, &undefined) != napi_ok)
    return wrap_null(env);
  napi_value argv[] = {
    wrap_text(env, alk_code_name(err->code)),
    wrap_text(env, alk_code_stage(err->code)),
    err->sys != 0 ? wrap_text(env, uv_err_name(err->sys)) : wrap_null(env),
    wrap_number(env, err->sys),
    wrap_number(env, err->reason),
    wrap_text(env, err->msg),
  };
  if (napi_call_function(env, undefined, factory, 6, argv, &result) != napi_ok)
    return wrap_null(env);
  return result;
}

napi_value wrap_throw(napi_env env, const alk_err_t *err)
{
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending)
    (void) napi_throw(env, wrap_error(wrap_env(env), err));
  return NULL;
}

napi_value wrap_throw_closed(napi_env env)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_CLOSED, 0, "it is closed, or was given away");
  return wrap_throw(env, &err);
}
