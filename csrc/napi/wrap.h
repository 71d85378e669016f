/* wrap.h - the whole vocabulary between JS objects and C structs.
 *
 * A class is a row in a table: its methods, and the names of its events. An
 * object is a C struct that embeds wrap_t first. While it is attached the C
 * side holds the JS object (an open handle is never collected); detached, the
 * garbage collector may have it. Events are calls of functions that
 * lib/binding.js registered once per class.
 *
 * The laws of stream.h hold here: an event is emitted from the loop only,
 * never from inside a call that JS made.
 *
 * A worker thread is told to end by another thread, at any moment: from then on
 * N-API says no, also to what it has just said yes to, in the middle of a call.
 * So no answer is taken for granted, and nothing is asked for twice. */
#ifndef ALK_WRAP_H
#define ALK_WRAP_H

#include <stdbool.h>
#include <stdint.h>

#include <node_api.h>

#include "core/err.h"
#include "core/loop.h"

enum { WRAP_EVENTS_MAX = 11 };

typedef struct {
  const char *name;
  napi_callback call;
} wrap_method_t;

typedef enum {
  WRAP_STREAM,
  WRAP_LISTENER,
  WRAP_SESSION,
  WRAP_SOCKS,
  WRAP_DOOR,
  WRAP_RELAY,
  WRAP_KEY,
  WRAP_KRL,
  WRAP_DUPLEX,
  WRAP_NETWATCH,
  WRAP_PROXY,
  WRAP_TLS,
  WRAP_GATE,
  WRAP_CLASSES
} wrap_id_t;

typedef struct {
  wrap_id_t id;
  const char *name;
  const wrap_method_t *methods;        /* ends with a NULL name */
  const wrap_method_t *getters;        /* the same, or NULL */
  const char *events[WRAP_EVENTS_MAX]; /* in the order of the C enum */
  void (*free)(void *wrap);            /* when the object is collected */
} wrap_class_t;

typedef struct { /* one per napi_env */
  napi_env env;
  alk_loop_t *loop;
  napi_async_cleanup_hook_handle hook;
  napi_ref make_error;
  napi_ref ctor[WRAP_CLASSES];
  napi_ref event[WRAP_CLASSES][WRAP_EVENTS_MAX];
  bool exiting; /* from here on, C never calls JS */
} wrap_env_t;

typedef struct { /* embed as the first member */
  wrap_env_t *e;
  const wrap_class_t *cls;
  napi_ref self;    /* strong from wrap_new to wrap_detach, then weak */
  bool is_attached; /* between those two */
} wrap_t;

wrap_env_t *wrap_env(napi_env env);
bool wrap_define(wrap_env_t *e, const wrap_class_t *cls);

/* A new attached object around w (zeroed, allocated by the caller, freed by
 * cls->free). NULL: thrown, or the environment is going; w is freed. */
napi_value wrap_new(wrap_env_t *e, const wrap_class_t *cls, wrap_t *w);
void wrap_detach(wrap_t *w);

/* `this` of a call, checked, and its arguments (missing ones: undefined).
 * NULL: thrown. */
void *wrap_this(napi_env env, napi_callback_info info, const wrap_class_t *cls,
                size_t argc, napi_value *argv);
void *wrap_arg(napi_env env, napi_value v, const wrap_class_t *cls);
void wrap_args(napi_env env, napi_callback_info info, size_t argc,
               napi_value *argv);

/* An event: open a scope, make the arguments, emit, close. begin is false when
 * the environment is going. An exception becomes uncaughtException. */
bool wrap_begin(wrap_t *w, napi_handle_scope *scope);
void wrap_emit(wrap_t *w, int event, size_t argc, const napi_value *argv);
void wrap_end(wrap_t *w, napi_handle_scope scope);
/* All of that, for an event without arguments, or with an error, or null. */
void wrap_tell(wrap_t *w, int event);
void wrap_tell_error(wrap_t *w, int event, const alk_err_t *err);

bool wrap_is_null(napi_env env, napi_value v); /* null or undefined */
bool wrap_bool(napi_env env, napi_value v);
/* These throw ERR_ALKNET_OPTION when v is not what is asked for. */
bool wrap_str(napi_env env, napi_value v, char *out, size_t cap);
bool wrap_u32(napi_env env, napi_value v, uint32_t max, uint32_t *out);
bool wrap_u53(napi_env env, napi_value v,
              uint64_t *out); /* all that is exact */
bool wrap_bytes(napi_env env, napi_value v, const char **buf, size_t *len);

napi_value wrap_text(napi_env env, const char *s);
napi_value wrap_number(napi_env env, double d);
napi_value wrap_buffer(napi_env env, const void *p, size_t len);
napi_value wrap_null(napi_env env);
napi_value wrap_error(wrap_env_t *e, const alk_err_t *err); /* NULL: null */
napi_value wrap_throw(napi_env env, const alk_err_t *err);  /* NULL */
napi_value wrap_throw_closed(napi_env env);                 /* NULL */
void wrap_set(napi_env env, napi_value object, const char *key, napi_value v);

#endif
