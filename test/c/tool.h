/* tool.h - for tests against real programs: a directory of their own, files in
 * it, and a run of a program with its output. */
#ifndef TOOL_H
#define TOOL_H

/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"

/* In a new directory, which becomes the working one. */
static inline int tool_setup(void **state)
{
  static char dir[64];
  snprintf(dir, sizeof dir, "%s", "/tmp/alknet-tool-XXXXXX");
  *state = dir;
  return mkdtemp(dir) == NULL || chdir(dir) != 0 ? -1 : 0;
}

/* Runs argv with its standard input from a file (NULL: none), and adds what it
 * prints to out, which may be NULL. The exit code; 127: there is no such
 * program. */
static inline int tool_run(const char *const argv[], const char *input,
                           alk_buf_t *out)
{
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    int in = open(input == NULL ? "/dev/null" : input, O_RDONLY);
    if (in < 0 || dup2(in, 0) < 0 || dup2(ends[1], 1) < 0 ||
        dup2(ends[1], 2) < 0)
      _exit(126);
    close(ends[0]);
    close(ends[1]);
    setenv("LC_ALL", "C", 1);
    setenv("SSH_ASKPASS_REQUIRE", "never", 1);
    execvp(argv[0], (char *const *) (uintptr_t) argv);
    _exit(127);
  }
  close(ends[1]);
  char buf[4096];
  ssize_t n;
  while ((n = read(ends[0], buf, sizeof buf)) > 0)
    if (out != NULL) alk_buf_add(out, buf, (size_t) n);
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define TOOL(out, ...) \
  tool_run((const char *const[]){__VA_ARGS__, NULL}, NULL, out)

static inline int tool_teardown(void **state)
{
  if (chdir("/") != 0) return -1;
  return TOOL(NULL, "rm", "-rf", (const char *) *state);
}

/* Ends the test when there is no such program. */
static inline void tool_need(const char *name)
{
  if (TOOL(NULL, name, "-?") != 127) return;
  print_message("skipped: %s is not installed\n", name);
  skip();
}

static inline void file_write(const char *path, const void *p, size_t len)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, p, len), len);
  close(fd);
}

/* With a NUL behind, which does not count. */
static inline void file_read(const char *path, alk_buf_t *out)
{
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  ssize_t n;
  while ((n = read(fd, alk_buf_reserve(out, 4096), 4096)) > 0)
    alk_buf_commit(out, (size_t) n);
  close(fd);
  *alk_buf_reserve(out, 1) = '\0';
}

static inline const char *buf_text(alk_buf_t *b)
{
  *alk_buf_reserve(b, 1) = '\0';
  return (const char *) alk_buf_head(b);
}

#endif
