/* A free buffer's first bytes are the link to the next. */
#include "agent/front/buffers.h"

#include "common/check.h"

#include <stdlib.h>

enum {
    MAX_FREE = 256 /* more are returned to the allocator */
};

struct ps_slab {
    struct ps_slab *next;
};

void
ps_buffers_init(struct ps_buffers *buffers, size_t slab_bytes, size_t max_bytes)
{
    PS_CHECK(slab_bytes >= sizeof(struct ps_slab));
    *buffers =
        (struct ps_buffers){.slab_bytes = slab_bytes, .max_bytes = max_bytes};
}

void
ps_buffers_done(struct ps_buffers *buffers)
{
    PS_CHECK(buffers->used_bytes == 0);
    while (buffers->free) {
        struct ps_slab *slab = buffers->free;
        buffers->free = slab->next;
        free(slab);
    }
    buffers->n_free = 0;
}

bool
ps_buffers_charge(struct ps_buffers *buffers, size_t bytes)
{
    if (bytes > buffers->max_bytes - buffers->used_bytes)
        return false;
    buffers->used_bytes += bytes;
    return true;
}

void
ps_buffers_discharge(struct ps_buffers *buffers, size_t bytes)
{
    PS_CHECK(bytes <= buffers->used_bytes);
    buffers->used_bytes -= bytes;
}

/* A slab from the stack or a block from the allocator; already charged. */
static char *
allocate(struct ps_buffers *buffers, size_t cap)
{
    struct ps_slab *slab = buffers->free;
    if (cap != buffers->slab_bytes || !slab)
        return malloc(cap);
    buffers->free = slab->next;
    buffers->n_free--;
    return (char *)slab;
}

static char *
take(struct ps_buffers *buffers, size_t cap)
{
    if (!ps_buffers_charge(buffers, cap))
        return NULL;
    char *data = allocate(buffers, cap);
    if (!data)
        ps_buffers_discharge(buffers, cap);
    return data;
}

char *
ps_buffers_take(struct ps_buffers *buffers)
{
    return take(buffers, buffers->slab_bytes);
}

char *
ps_buffers_grow(struct ps_buffers *buffers, char *data, size_t cap, size_t len,
                size_t new_cap)
{
    PS_CHECK(len <= cap && cap < new_cap);
    char *grown = take(buffers, new_cap);
    if (!grown)
        return NULL;
    memcpy(grown, data, len);
    ps_buffers_give(buffers, data, cap);
    return grown;
}

void
ps_buffers_give(struct ps_buffers *buffers, char *data, size_t cap)
{
    ps_buffers_discharge(buffers, cap);
    if (cap != buffers->slab_bytes || buffers->n_free == MAX_FREE) {
        free(data);
        return;
    }
    struct ps_slab *slab = (struct ps_slab *)(void *)data;
    slab->next = buffers->free;
    buffers->free = slab;
    buffers->n_free++;
}
