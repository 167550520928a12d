/*
 * The input buffers of one loop, and the bound on all bytes its connections
 * hold. Buffers of the usual size are kept in a stack: the one that was used
 * last, still in the processor's cache, is used next. A connection without
 * unread bytes holds none.
 */
#ifndef PS_AGENT_FRONT_BUFFERS_H
#define PS_AGENT_FRONT_BUFFERS_H

#include "common/base.h"

struct ps_buffers {
    size_t slab_bytes; /* the usual size */
    size_t max_bytes, used_bytes;
    size_t n_free;
    struct ps_slab *free; /* stack */
};

void ps_buffers_init(struct ps_buffers *buffers, size_t slab_bytes,
                     size_t max_bytes);
/* All buffers must have been given back. */
void ps_buffers_done(struct ps_buffers *buffers);
/* A buffer of slab_bytes; NULL at the bound or without memory. */
char *ps_buffers_take(struct ps_buffers *buffers);
/* Moves len bytes into a larger buffer; the old one is given back. NULL,
 * nothing changed, at the bound or without memory. */
char *ps_buffers_grow(struct ps_buffers *buffers, char *data, size_t cap,
                      size_t len, size_t new_cap);
void ps_buffers_give(struct ps_buffers *buffers, char *data, size_t cap);
/* Counts bytes that live elsewhere (arenas); false at the bound. */
PS_MUST_USE bool ps_buffers_charge(struct ps_buffers *buffers, size_t bytes);
void ps_buffers_discharge(struct ps_buffers *buffers, size_t bytes);

#endif
