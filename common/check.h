/*
 * Checks of what cannot happen. They stay on in production: a process whose
 * memory is not what its author believed must stop before it answers wrongly.
 * Never for input; input gets an error (common/err.h).
 *
 * Objects that live behind pointers carry a magic word as their first
 * member; PS_CHECK_OBJ(p, FOO_MAGIC) on entry of the functions that take
 * them, and 0 is written to it before they are freed.
 */
#ifndef PS_COMMON_CHECK_H
#define PS_COMMON_CHECK_H

#include "common/base.h"

/* Prints file, line and the condition to standard error and aborts. */
_Noreturn void ps_check_failed(const char *file, int line, const char *what);

#define PS_CHECK(cond)                                  \
    do {                                                \
        if (PS_UNLIKELY(!(cond)))                       \
            ps_check_failed(__FILE__, __LINE__, #cond); \
    } while (0)

#define PS_CHECK_OBJ(p, value) PS_CHECK((p) != NULL && (p)->magic == (value))

#endif
