/* in_node.c - runs a test_*.c inside of a Node, with the OpenSSL that it has.
 *
 * Linked with such a test (-Dmain=test_main) it is an addon, which never comes
 * back from being loaded: test/interop/node-versions.test.js. So the vectors of
 * ML-KEM meet an OpenSSL that knows it, where the system's does not. */
#include <stdio.h>
#include <unistd.h>

int test_main(void);
void *napi_register_module_v1(void *env, void *exports);

__attribute__((visibility("default"))) void *
napi_register_module_v1(void *env, void *exports)
{
  (void) env;
  (void) exports;
  int rc = test_main();
  fflush(NULL);
  _exit(rc == 0 ? 0 : 1); /* Node's own end is none of the test's */
}
