/*
 * Columns that reads pin rows by, and the buckets of their values.
 *
 * A column takes part from the first read that pins by it; writes look up
 * which columns of their table do. What must not happen is that a write which
 * is under way does not know of a column while a read already relies on its
 * stamps. Hence the handshake:
 *
 *   write:  table.committing++            read:  owner = column  (lock)
 *           columns of the table (lock)          table.committing == 0 ?
 *
 * Whoever comes second sees the other: either the write finds the column, or
 * the read sees it committing, and then the column is not `ready` and the read
 * depends on the whole table. Once ready it stays so: every later write finds
 * the column.
 *
 * A column that nobody asked for in a long time makes room for another one.
 * Its `any` is moved first, which ends every answer that relied on it; a
 * snapshot being taken at this moment looks at the owner once more after it
 * has its sum. When no read relies on any column, all of them go with their
 * rows (rows.c).
 *
 * Locks: the space's columns_lock, a leaf, for a few hundred nanoseconds.
 */
#include "agent/cache/spaces_private.h"

enum {
    /* A column is given up when it was not used for so many pins. */
    PATIENCE = 100000
};

static uint16_t
digest(const void *bytes, size_t n, uint64_t kind)
{
    return (uint16_t)ps_hash64(bytes, n, kind);
}

uint16_t
ps_row_digest_int(int64_t value)
{
    return digest(&value, sizeof(value), 11);
}

uint16_t
ps_row_digest_uuid(const unsigned char bytes[16])
{
    return digest(bytes, 16, 12);
}

uint16_t
ps_row_digest_bool(bool value)
{
    unsigned char byte = value;
    return digest(&byte, 1, 13);
}

static uint64_t
column_owner(uint64_t table, struct ps_str name)
{
    uint64_t hash = ps_hash64(name.ptr, name.len, table);
    return hash != 0 ? hash : 1;
}

static uint64_t
owner_of(const struct column *column)
{
    return atomic_load_explicit(&column->owner, memory_order_acquire);
}

static uint16_t
row_slot(uint64_t owner, uint16_t value)
{
    uint64_t hash = ps_hash64(&value, sizeof(value), owner);
    return (uint16_t)(FIRST_ROW + (hash & (N_ROWS - 1)));
}

/* ---- reads ---- */

static struct column *
find_column(struct ps_space *space, uint64_t owner)
{
    for (size_t i = 0; i < space->n_columns; i++) {
        if (owner_of(&space->columns[i]) == owner)
            return &space->columns[i];
    }
    return NULL;
}

static struct column *
oldest_column(struct ps_space *space)
{
    struct column *oldest = &space->columns[0];
    for (size_t i = 1; i < N_COLUMNS; i++) {
        if (space->columns[i].used < oldest->used)
            oldest = &space->columns[i];
    }
    return space->pins - oldest->used > PATIENCE ? oldest : NULL;
}

/* A place for one more column, or NULL. */
static struct column *
take_place(struct ps_space *space)
{
    if (!rows_appear(space))
        return NULL;
    if (space->n_columns < N_COLUMNS)
        return &space->columns[space->n_columns++];
    struct column *column = oldest_column(space);
    if (column) {
        atomic_store(&column->owner, 0);
        stamp_bump(&space->slots[FIRST_COLUMN + (column - space->columns)]);
    }
    return column;
}

static struct column *
make_column(struct ps_space *space, uint64_t table, uint64_t owner)
{
    struct column *column = take_place(space);
    if (!column)
        return NULL;
    column->table = table;
    column->ready = false;
    atomic_store(&column->owner, owner);
    return column;
}

/* The handshake's other half. */
static bool
column_ready(struct ps_space *space, struct column *column)
{
    if (!column->ready)
        column->ready =
            atomic_load(&space->slots[table_slot(column->table)].committing) ==
            0;
    return column->ready;
}

static bool
pin_column(struct ps_space *space, uint64_t table, uint64_t owner,
           struct pin *pin)
{
    struct column *column = find_column(space, owner);
    if (!column)
        column = make_column(space, table, owner);
    if (!column)
        return false;
    column->used = ++space->pins;
    pin->index = (uint16_t)(column - space->columns);
    pin->owner = owner;
    pin->life = atomic_load_explicit(&space->rows_life, memory_order_relaxed);
    return column_ready(space, column);
}

/* How often what it stands for has moved so far: what moved seldom will not
 * move soon. */
static uint64_t
moves_of(const struct ps_space *space, const struct pin *pin,
         const struct ps_row_column *column)
{
    uint64_t sum = stamp_gen(&space->slots[FIRST_COLUMN + pin->index]);
    for (size_t i = 0; i < column->n_values; i++)
        sum += stamp_gen(
            space_stamp(space, row_slot(pin->owner, column->values[i])));
    return sum;
}

/* Any of the columns will do; all take part, so that the next read may choose
 * better. NULL: none can be relied on now. */
static const struct ps_row_column *
choose_column(struct ps_space *space, uint64_t table,
              const struct ps_row_set *rows, size_t room, struct pin *pin)
{
    const struct ps_row_column *best = NULL;
    uint64_t least = 0;
    for (size_t i = 0; i < rows->n_columns; i++) {
        const struct ps_row_column *column = &rows->columns[i];
        struct pin other;
        if (column->n_values > MAX_VALUES || column->n_values + 1 > room ||
            !pin_column(space, table, column_owner(table, column->name),
                        &other))
            continue;
        uint64_t moves = moves_of(space, &other, column);
        if (best && moves >= least)
            continue;
        best = column;
        least = moves;
        *pin = other;
    }
    return best;
}

size_t
columns_pin(struct ps_space *space, const struct ps_table_name *table,
            const struct ps_row_set *rows, uint16_t *slots, size_t room,
            struct pin *pin)
{
    uint64_t hash = table_hash(table);
    pthread_mutex_lock(&space->columns_lock);
    const struct ps_row_column *column =
        choose_column(space, hash, rows, room, pin);
    pthread_mutex_unlock(&space->columns_lock);
    if (!column)
        return 0;
    size_t n = 0;
    slots[n++] = (uint16_t)(FIRST_COLUMN + pin->index);
    for (size_t i = 0; i < column->n_values; i++)
        slots[n++] = row_slot(pin->owner, column->values[i]);
    return n;
}

bool
column_is(const struct ps_space *space, const struct pin *pin)
{
    return owner_of(&space->columns[pin->index]) == pin->owner &&
           atomic_load_explicit(&space->rows_life, memory_order_acquire) ==
               pin->life;
}

/* ---- writes ---- */

static const struct ps_row_column *
known_values(const struct ps_row_set *rows, uint64_t table, uint64_t owner)
{
    for (size_t i = 0; rows && i < rows->n_columns; i++) {
        if (rows->columns[i].n_values <= MAX_VALUES &&
            column_owner(table, rows->columns[i].name) == owner)
            return &rows->columns[i];
    }
    return NULL;
}

/* What one column adds; false: no room. */
static bool
touch_column(const struct ps_space *space, size_t index,
             const struct ps_row_set *rows, struct touched *touched)
{
    const struct column *column = &space->columns[index];
    uint64_t owner = owner_of(column);
    const struct ps_row_column *known =
        known_values(rows, column->table, owner);
    size_t more = known ? known->n_values : 1;
    if (more > touched->room - touched->n)
        return false;
    if (!known)
        touched->slots[touched->n++] = (uint16_t)(FIRST_COLUMN + index);
    for (size_t i = 0; known && i < known->n_values; i++)
        touched->slots[touched->n++] = row_slot(owner, known->values[i]);
    touched->holds = touched->holds || (known && known->n_values > 0);
    return true;
}

bool
columns_touched(struct ps_space *space, const struct ps_table_name *table,
                const struct ps_row_set *rows, struct touched *touched)
{
    uint64_t hash = table_hash(table);
    bool complete = true, held = touched->holds;
    pthread_mutex_lock(&space->columns_lock);
    for (size_t i = 0; i < space->n_columns && complete; i++) {
        if (space->columns[i].table == hash &&
            owner_of(&space->columns[i]) != 0)
            complete = touch_column(space, i, rows, touched);
    }
    if (touched->holds && !held)
        rows_hold(space);
    pthread_mutex_unlock(&space->columns_lock);
    return complete;
}
