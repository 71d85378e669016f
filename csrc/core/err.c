/* err.c - the one table of errors. */
#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
  const char *name, *stage, *text, *advice;
} table[ALK_E_COUNT] = {[ALK_OK] = {"OK", "", "", ""},
#define X(name, stage, text, advice) \
  [ALK_E_##name] = {"ERR_ALKNET_" #name, stage, text, advice},
                        ALK_ERR_MAP(X)
#undef X
};

alk_code_t alk_fail(alk_err_t *err, alk_code_t code, int sys, const char *fmt,
                    ...)
{
  if (err == NULL) return code;
  err->code = code;
  err->sys = sys;
  err->reason = 0;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(err->msg, sizeof err->msg, fmt, ap);
  va_end(ap);
  return code;
}

const char *alk_code_name(alk_code_t code)
{
  return table[code].name;
}

const char *alk_code_stage(alk_code_t code)
{
  return table[code].stage;
}

const char *alk_code_text(alk_code_t code)
{
  return table[code].text;
}

const char *alk_code_advice(alk_code_t code)
{
  return table[code].advice;
}
