/*
 * Reading stamps: sums and snapshots.
 *
 * Orders. A writer changes stamps by read-modify-writes that are sequentially
 * consistent: `committing` before `gen` on begin, `gen` before `committing` on
 * end. A reader loads gens with acquire, then `committing` with acquire. So:
 *
 *   1. The reader saw the gen of a begin: that begin's committing++ happened
 *      before the reader's load of `committing`, which therefore is not 0
 *      unless the write has ended too; then its end's gen++ happened before,
 *      and the sum just taken can never be valid again (if it misses that
 *      gen++) or is younger than the write (if it has it).
 *   2. The reader did not see it: the sum is too small as soon as anybody
 *      compares it after the begin.
 *
 * In both cases an answer whose query was sent before a write's begin or
 * during its window is worthless once begin, or end, is visible. The end
 * happens before the writer's reply is sent; whoever acts on that reply and
 * asks any thread of this process does so through system calls that order the
 * loads of that thread after it (C2).
 *
 * A pinned read (rows told apart by a column) depends on the column's `any`
 * and on buckets instead of on the table; see columns.c.
 */
#include "agent/cache/spaces_private.h"

uint64_t
ps_space_sum(struct ps_space *space, bool every_table, const uint16_t *slots,
             size_t n_slots)
{
    uint64_t sum = stamp_gen(&space->spaces->root) +
                   stamp_gen(&space->cache->all) + stamp_gen(&space->all);
    if (every_table)
        sum += stamp_gen(&space->any);
    bool rows = false;
    /* A column's `any` after its buckets: rows.c says why. */
    for (size_t i = n_slots; i-- > 0;) {
        sum += stamp_gen(space_stamp(space, slots[i]));
        rows |= is_row(slots[i]);
    }
    if (rows)
        rows_use(space);
    return sum;
}

bool
ps_space_committing(const struct ps_space *space, bool every_table,
                    const uint16_t *slots, size_t n_slots)
{
    if (stamp_committing(&space->spaces->root) ||
        stamp_committing(&space->cache->all) || stamp_committing(&space->all))
        return true;
    if (every_table)
        return stamp_committing(&space->any);
    for (size_t i = 0; i < n_slots; i++) {
        if (stamp_committing(space_stamp(space, slots[i])))
            return true;
    }
    return false;
}

/* ---- snapshots ---- */

enum {
    /* Tables of one statement whose rows are told apart. */
    MAX_PINS = 16
};

struct pins {
    struct pin pin[MAX_PINS];
    size_t n;
};

/* rows NULL: all of every table. */
static void
collect_slots(struct ps_snapshot *out, const struct ps_table_name *tables,
              size_t n, const struct ps_row_set *rows, struct pins *pins)
{
    size_t used = 0;
    pins->n = 0;
    out->every_table = n > PS_SPACE_MAX_TABLES;
    for (size_t i = 0; i < n && !out->every_table; i++) {
        /* Room is left for those that follow. */
        size_t room = PS_SPACE_MAX_TABLES - used - (n - i - 1), pinned = 0;
        if (rows && rows[i].n_columns > 0 && pins->n < MAX_PINS)
            pinned = columns_pin(out->space, &tables[i], &rows[i],
                                 out->slots + used, room, &pins->pin[pins->n]);
        if (pinned > 0) {
            pins->n++;
            used += pinned;
        } else {
            out->slots[used++] = table_slot(table_hash(&tables[i]));
        }
    }
    out->n_slots = (uint16_t)used;
}

static bool
pins_hold(const struct ps_space *space, const struct pins *pins)
{
    for (size_t i = 0; i < pins->n; i++) {
        if (!column_is(space, &pins->pin[i]))
            return false;
    }
    return true;
}

enum ps_snapshot_rc
ps_snapshot_take(struct ps_space *space, uint64_t catalog_gen,
                 const struct ps_table_name *tables, size_t n,
                 const struct ps_row_set *rows, struct ps_snapshot *out)
{
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    struct pins pins;
    out->space = space;
    collect_slots(out, tables, n, rows, &pins);
    out->sum = ps_space_sum(space, out->every_table, out->slots, out->n_slots);
    if (ps_space_committing(space, out->every_table, out->slots, out->n_slots))
        return PS_SNAPSHOT_COMMITTING;
    /* Last: a change of structure sets catalog_gen before it moves gens, so
     * a sum that includes the change is refused here. */
    if (ps_space_catalog_gen(space) != catalog_gen)
        return PS_SNAPSHOT_CATALOG_MOVED;
    if (!pins_hold(space, &pins))
        return ps_snapshot_take(space, catalog_gen, tables, n, NULL, out);
    return PS_SNAPSHOT_OK;
}

/*
 * Apart from the tables: nobody writes to a statement, so `committing` is no
 * question, and both gens are read before the query is sent as the others were.
 * A purge moves the gen once, after the operator has asked.
 */
void
ps_snapshot_add_statement(struct ps_snapshot *snapshot, uint64_t template,
                          uint64_t query)
{
    const uint16_t slots[] = {template_slot(template), query_slot(query)};
    PS_CHECK(snapshot->n_slots + PS_ARRAY_LEN(slots) <=
             PS_ARRAY_LEN(snapshot->slots));
    for (size_t i = 0; i < PS_ARRAY_LEN(slots); i++) {
        snapshot->sum += stamp_gen(space_stamp(snapshot->space, slots[i]));
        snapshot->slots[snapshot->n_slots++] = slots[i];
    }
}

bool
ps_snapshot_valid(const struct ps_snapshot *snapshot)
{
    return ps_space_sum(snapshot->space, snapshot->every_table, snapshot->slots,
                        snapshot->n_slots) == snapshot->sum;
}
