/*
 * The buckets of a database's rows: 16384 stamps, 256 KiB. They take memory
 * from the first read that pins by a column until no read has relied on them
 * for ROWS_IDLE_SWEEPS sweeps.
 *
 * Reads of stamps take no lock, so a thread may look at a bucket long after the
 * decision that it goes. Hence only the memory goes: the range of addresses is
 * mapped once and stays while the space is there, and a bucket without memory
 * reads as 0 (MADV_DONTNEED). That never makes an old answer right again:
 *
 *   go (columns_lock):  life++   any += VALUES * largest bucket + 1   buckets 0
 *   snapshot:           life     sum of any and buckets               life
 * again
 *
 * All sums later on are larger than any from before: of one column a read
 * depends on MAX_VALUES buckets at most, and none was above the largest. Nor
 * can a sum that is taken meanwhile be one from before: whoever finds a bucket
 * empty loads the column's `any` afterwards, and that one has moved. (The other
 * way round it would be the sum of an answer whose bucket had been 0, although
 * a write had moved it since.) A snapshot that got the new `any` sees the new
 * life as well, and does not rely on rows (column_is).
 *
 * Writes that will still move buckets hold them: while one does, they stay.
 * It says so under columns_lock, where it also learns which ones there are.
 *
 * Any thread.
 */
#include "agent/cache/spaces_private.h"

#include <sys/mman.h>

/* ---- memory ---- */

static bool
map_rows(struct ps_space *space)
{
    if (atomic_load_explicit(&space->rows, memory_order_relaxed))
        return true;
    void *rows = mmap(NULL, ROWS_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rows == MAP_FAILED)
        return false;
    atomic_store_explicit(&space->rows, rows, memory_order_release);
    return true;
}

/* Of the budget that all spaces share. */
static bool
take_room(struct ps_spaces *spaces)
{
    uint64_t before = atomic_fetch_add(&spaces->row_bytes, ROWS_BYTES);
    if (before + ROWS_BYTES <= spaces->max_row_bytes)
        return true;
    atomic_fetch_sub(&spaces->row_bytes, ROWS_BYTES);
    return false;
}

bool
rows_appear(struct ps_space *space)
{
    if (space->rows_live)
        return true;
    if (!map_rows(space) || !take_room(space->spaces))
        return false;
    space->rows_live = true;
    space->rows_idle = 0;
    rows_use(space);
    return true;
}

void
rows_free(struct ps_space *space)
{
    void *rows = atomic_load(&space->rows);
    if (space->rows_live)
        atomic_fetch_sub(&space->spaces->row_bytes, ROWS_BYTES);
    if (rows)
        munmap(rows, ROWS_BYTES);
}

/* ---- writes ---- */

void
rows_hold(struct ps_space *space)
{
    atomic_fetch_add(&space->rows_held, 1);
}

void
rows_let_go(struct ps_space *space)
{
    uint32_t before = atomic_fetch_sub(&space->rows_held, 1);
    PS_CHECK(before > 0);
}

/* ---- going ---- */

static uint64_t
largest_gen(const struct ps_space *space)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < N_ROWS; i++)
        largest = PS_MAX(
            largest, stamp_gen(space_stamp(space, (uint16_t)(FIRST_ROW + i))));
    return largest;
}

/* Under columns_lock. */
static bool
go(struct ps_space *space)
{
    if (!space->rows_live || atomic_load(&space->rows_held) > 0)
        return false;
    uint64_t step = MAX_VALUES * largest_gen(space) + 1;
    atomic_fetch_add(&space->rows_life, 1);
    for (size_t i = 0; i < space->n_columns; i++) {
        atomic_store(&space->columns[i].owner, 0);
        atomic_fetch_add(&space->slots[FIRST_COLUMN + i].gen, step);
    }
    space->n_columns = 0;
    /* Where the system keeps the memory, it goes on being counted. */
    if (madvise(atomic_load(&space->rows), ROWS_BYTES, MADV_DONTNEED) != 0)
        return false;
    space->rows_live = false;
    atomic_fetch_sub(&space->spaces->row_bytes, ROWS_BYTES);
    return true;
}

bool
rows_go(struct ps_space *space)
{
    pthread_mutex_lock(&space->columns_lock);
    bool gone = go(space);
    pthread_mutex_unlock(&space->columns_lock);
    return gone;
}

static void
sweep_space(struct ps_space *space)
{
    pthread_mutex_lock(&space->columns_lock);
    if (atomic_exchange(&space->rows_used, false))
        space->rows_idle = 0;
    else if (++space->rows_idle >= ROWS_IDLE_SWEEPS)
        (void)go(space);
    pthread_mutex_unlock(&space->columns_lock);
}

/* The first one in the bucket that came after that id: a reference. */
static struct ps_space *
next_space(struct ps_spaces *spaces, size_t bucket, uint64_t id)
{
    struct ps_space *found = NULL;
    pthread_mutex_lock(&spaces->mutex);
    PS_LIST_FOREACH_SAFE(&spaces->buckets[bucket], it, next) {
        struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
        if (!found && space->id > id) {
            atomic_fetch_add(&space->refs, 1);
            found = space;
        }
    }
    pthread_mutex_unlock(&spaces->mutex);
    return found;
}

void
ps_spaces_sweep(struct ps_spaces *spaces)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    for (size_t i = 0; i < N_BUCKETS; i++) {
        uint64_t id = 0;
        struct ps_space *space;
        while ((space = next_space(spaces, i, id))) {
            id = space->id;
            sweep_space(space);
            ps_space_unref(&space);
        }
    }
}
