/*
 * Unsigned numbers of 7 bits a byte, the low ones first, as protobuf has
 * them: small numbers, of which counters are full, take one byte.
 */
#ifndef PS_COMMON_VARINT_H
#define PS_COMMON_VARINT_H

#include "common/buf.h"

static inline void
ps_varint_put(struct ps_buf *out, uint64_t value)
{
    while (value >= 0x80) {
        ps_buf_append_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    ps_buf_append_char(out, (char)value);
}

/* Takes one off the front of in; false: it is cut or does not fit 64 bits. */
PS_MUST_USE static inline bool
ps_varint_get(struct ps_str *in, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && in->len > 0; shift += 7) {
        unsigned char c = (unsigned char)in->ptr[0];
        if (shift == 63 && c > 1)
            return false;
        in->ptr++;
        in->len--;
        v |= (uint64_t)(c & 0x7F) << shift;
        if (c < 0x80) {
            *value = v;
            return true;
        }
    }
    return false;
}

#endif
