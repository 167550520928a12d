#include "agent/cache/ghost.h"

#include <malloc.h>
#include <stdlib.h>

enum {
    WAYS = 4,
    /* The clock ticks so often while every place is filled once. It comes round
     * after 16 times that, when nothing so old is left. */
    TICKS = 4096
};

struct ps_ghost_slot {
    uint16_t tag; /* 0: free */
    uint16_t when;
};

bool
ps_ghost_init(struct ps_ghost *ghost, size_t max)
{
    size_t sets = 1;
    while (sets * WAYS < max)
        sets *= 2;
    *ghost = (struct ps_ghost){.mask = sets - 1};
    while (((sets * WAYS) >> ghost->shift) > TICKS)
        ghost->shift++;
    ghost->slots = calloc(sets * WAYS, sizeof(*ghost->slots));
    return ghost->slots != NULL;
}

void
ps_ghost_done(struct ps_ghost *ghost)
{
    free(ghost->slots);
    ghost->slots = NULL;
}

size_t
ps_ghost_bytes(const struct ps_ghost *ghost)
{
    return malloc_usable_size(ghost->slots) + sizeof(size_t);
}

static uint16_t
tag_of(uint64_t hash)
{
    uint16_t tag = (uint16_t)(hash >> 32);
    return tag ? tag : 1;
}

static struct ps_ghost_slot *
set_of(const struct ps_ghost *ghost, uint64_t hash)
{
    return &ghost->slots[(hash & ghost->mask) * WAYS];
}

static uint16_t
now_of(const struct ps_ghost *ghost)
{
    return (uint16_t)(ghost->adds >> ghost->shift);
}

static uint16_t
age_of(const struct ps_ghost *ghost, const struct ps_ghost_slot *slot)
{
    return (uint16_t)(now_of(ghost) - slot->when);
}

bool
ps_ghost_has(const struct ps_ghost *ghost, uint64_t hash, uint64_t window)
{
    const struct ps_ghost_slot *set = set_of(ghost, hash);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag_of(hash))
            return age_of(ghost, &set[i]) <= window >> ghost->shift;
    }
    return false;
}

void
ps_ghost_add(struct ps_ghost *ghost, uint64_t hash)
{
    struct ps_ghost_slot *set = set_of(ghost, hash);
    struct ps_ghost_slot *slot = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag_of(hash)) {
            slot = &set[i];
            break;
        }
        if (slot->tag == 0)
            continue; /* a free one is taken, unless the key is further on */
        if (set[i].tag == 0 || age_of(ghost, &set[i]) > age_of(ghost, slot))
            slot = &set[i];
    }
    ghost->adds++;
    *slot = (struct ps_ghost_slot){tag_of(hash), now_of(ghost)};
}
