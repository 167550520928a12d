/*
 * What the statements of one transaction have changed so far: told as one
 * change when it ends. Grows by copies in an arena of its own; beyond its
 * bounds, or when the structure moved between two statements, it is the whole
 * database.
 */
#ifndef PS_AGENT_CACHE_CHANGE_SET_H
#define PS_AGENT_CACHE_CHANGE_SET_H

#include "agent/cache/change.h"
#include "common/arena.h"

struct ps_change_set {
    struct ps_arena *arena; /* NULL: none yet */
    struct ps_change change;
    struct ps_table_name *tables; /* change's arrays */
    struct ps_row_set *rows;
    size_t cap;
    uint64_t catalog_gen; /* for ps_write_begin */
    bool any;             /* something was added */
    bool whole;
};

void ps_change_set_init(struct ps_change_set *set);
void ps_change_set_done(struct ps_change_set *set);
/* catalog_gen: as for ps_write_begin. change may go away afterwards. Never
 * fails: what cannot be kept is said more widely. */
void ps_change_set_add(struct ps_change_set *set,
                       const struct ps_change *change, uint64_t catalog_gen);
/* The transaction ended and another one began. */
void ps_change_set_clear(struct ps_change_set *set);

#endif
