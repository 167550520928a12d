/*
 * Heads that were read before. A client that keeps its connection sends the
 * same head with every request, but for the number in Content-Length; a head
 * that is byte for byte one of the last few, that number aside, means what it
 * meant then and is not parsed again.
 *
 *   bytes -> memo: known? --yes--> head
 *              |                    ^
 *              +--no--> head.c -----+--> kept for the next
 *
 * One memo per front, on its loop's thread. It holds a fixed number of bytes.
 */
#ifndef PS_AGENT_FRONT_HEAD_MEMO_H
#define PS_AGENT_FRONT_HEAD_MEMO_H

#include "agent/front/head.h"

enum {
    PS_HEAD_MEMO_PLACES = 8,
    PS_HEAD_MEMO_BYTES = 1024 /* longer heads are not kept */
};

struct ps_head_memo {
    struct {
        size_t len; /* 0: free */
        struct ps_head_span number;
        struct ps_head head;
        char bytes[PS_HEAD_MEMO_BYTES];
    } places[PS_HEAD_MEMO_PLACES];
    unsigned next;   /* the place to be filled next */
    unsigned misses; /* heads parsed since the last one that was found */
    uint64_t found;  /* for tests */
};

/*
 * Is there a whole known head at the beginning of text? Then head's result
 * members are set, and *end is the offset behind the empty line. *place: where
 * this connection's last head was found; is kept up to date.
 */
PS_MUST_USE bool ps_head_memo_find(struct ps_head_memo *memo, unsigned *place,
                                   struct ps_str text, struct ps_head *head,
                                   size_t *end);
/* head is what ps_head_feed made of text, all of it and nothing more. */
void ps_head_memo_keep(struct ps_head_memo *memo, unsigned *place,
                       struct ps_str text, const struct ps_head *head);

#endif
