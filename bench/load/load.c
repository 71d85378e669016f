/* load.c - what the bench pushes through a tunnel: fast enough not to be the
 * bottleneck itself, and nothing but libc.
 *
 *   load serve [ADDRESS]              prints its port, serves for ever
 *   load up|down WAY PORT BYTES       one connection, prints seconds
 *   load timed-up|timed-down WAY PORT STREAMS FIRST SECOND
 *                                     so many connections until SECOND ms have
 *                                     passed; prints the bytes a second of
 *                                     each: of all the time, and from FIRST on
 *   load trips WAY PORT COUNT BYTES SECONDS
 *                                     round trips, prints the microseconds of
 *                                     each
 *   load open WAY PORT COUNT AT_ONCE  many connections, prints seconds and the
 *                                     microseconds of each one
 *   load idle WAY PORT COUNT TRIPS    round trips beside nothing, then COUNT
 *                                     connections that stay, then round trips
 *                                     and new connections beside them; prints
 *                                     a line after each, and waits for a line
 *                                     before it goes on
 *
 * WAY and what a connection says to the target: load.h. Any failure ends the
 * program with a sentence and exit code 1: a measurement with errors in it is
 * none. */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *word, const char *command)
{
  return strcmp(word, command) == 0;
}

/* argc: how many stand behind WAY and PORT. */
static int command(const char *name, int argc, char **argv)
{
  way_t way = parse_way(argv[0]);
  int port = atoi(argv[1]);
  argv += 2;
  if (argc == 1 && (is(name, "up") || is(name, "down")))
    return bulk(name[0], &way, port, strtoull(argv[0], NULL, 10));
  if (argc == 3 && (is(name, "timed-up") || is(name, "timed-down"))) {
    const int ms[2] = {atoi(argv[1]), atoi(argv[2])};
    char mode = is(name, "timed-up") ? 'U' : 'd';
    return timed(mode, &way, port, atoi(argv[0]), ms);
  }
  if (argc == 3 && is(name, "trips"))
    return trips(&way, port, atol(argv[0]), (size_t) atol(argv[1]),
                 atof(argv[2]));
  if (argc == 2 && is(name, "open"))
    return open_many(&way, port, atol(argv[0]), atol(argv[1]));
  if (argc == 2 && is(name, "idle"))
    return idle(&way, port, atol(argv[0]), atol(argv[1]));
  fputs("load: see the comment at the top of bench/load/load.c\n", stderr);
  return 2;
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  if (argc >= 2 && is(argv[1], "serve"))
    serve(argc > 2 ? argv[2] : "127.0.0.1");
  if (argc >= 4) return command(argv[1], argc - 4, argv + 2);
  fputs("load: see the comment at the top of bench/load/load.c\n", stderr);
  return 2;
}
