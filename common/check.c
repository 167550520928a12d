/*
 * The end of a process whose state is not what its author believed. Writes
 * with plain stdio: the log's own state may be what is broken.
 */
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
ps_check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "portside: check failed at %s:%d: %s\n", file, line, what);
    fflush(stderr);
    abort();
}
