/* The parts of base.h that are too long to be inline. */
#include "common/base.h"

#include <stdlib.h>

static unsigned char
fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool
ps_str_eq_nocase(struct ps_str a, struct ps_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold((unsigned char)a.ptr[i]) != fold((unsigned char)b.ptr[i]))
            return false;
    }
    return true;
}

char *
ps_str_dup(struct ps_str s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
