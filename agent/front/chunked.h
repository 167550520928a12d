/*
 * The chunked transfer coding of RFC 9112 section 7.1, decoded in place: the
 * decoded bytes are never longer than the coded ones and start not after
 * them. Strict: CR LF everywhere, at most eight hexadecimal digits, bounded
 * extensions and trailers (both are ignored).
 */
#ifndef PS_AGENT_FRONT_CHUNKED_H
#define PS_AGENT_FRONT_CHUNKED_H

#include "common/base.h"

struct ps_chunked {
    unsigned state;
    unsigned digits;
    uint64_t left;   /* bytes of this chunk that are still to come */
    size_t overhead; /* bytes of extensions and trailers so far */
    size_t total;    /* decoded bytes so far */
};

enum ps_chunked_result {
    PS_CHUNKED_DONE,
    PS_CHUNKED_MORE,
    PS_CHUNKED_BAD,
    PS_CHUNKED_TOO_BIG /* a chunk would take total beyond max */
};

void ps_chunked_begin(struct ps_chunked *chunked);
/*
 * Decodes buf[*in..end), appends what comes out at buf[*out] (*out <= *in)
 * and moves both. MORE: all was read. DONE: *in is behind the last byte of
 * the coding.
 */
PS_MUST_USE enum ps_chunked_result ps_chunked_feed(struct ps_chunked *chunked,
                                                   char *buf, size_t *in,
                                                   size_t end, size_t *out,
                                                   size_t max);

#endif
