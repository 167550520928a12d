/* UTF-8 as RFC 3629 defines it: no overlong forms, surrogates, > U+10FFFF. */
#ifndef PS_COMMON_UTF8_H
#define PS_COMMON_UTF8_H

#include "common/base.h"

/* Offset of the first byte that is not part of valid UTF-8, or len. */
size_t ps_utf8_check(struct ps_str text);
/* The 1 to 4 bytes of a character up to U+10FFFF; how many. Surrogates come
 * out as what ps_utf8_check refuses. */
size_t ps_utf8_put(char out[4], uint32_t c);

#endif
