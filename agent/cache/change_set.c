/* Tables are not looked for among those that are there: a table may stand in a
 * change more than once, each time with other rows. */
#include "agent/cache/change_set.h"

#include "agent/cache/spaces.h"

enum {
    ARENA_BYTES = 1 << 20,
    FIRST_CAP = 16
};

void
ps_change_set_init(struct ps_change_set *set)
{
    *set = (struct ps_change_set){.arena = NULL};
}

void
ps_change_set_done(struct ps_change_set *set)
{
    ps_arena_free(&set->arena);
    ps_change_set_init(set);
}

void
ps_change_set_clear(struct ps_change_set *set)
{
    struct ps_arena *arena = set->arena;
    if (arena)
        ps_arena_reset(arena);
    ps_change_set_init(set);
    set->arena = arena;
}

static void
make_whole(struct ps_change_set *set)
{
    set->whole = true;
    set->change.tables = NULL;
    set->change.rows = NULL;
    set->change.n_tables = 0;
}

static bool
copy_column(struct ps_arena *arena, const struct ps_row_column *from,
            struct ps_row_column *to)
{
    size_t bytes = from->n_values * sizeof(*from->values);
    uint16_t *values = ps_arena_alloc(arena, bytes);
    *to = (struct ps_row_column){.name = ps_arena_str(arena, from->name),
                                 .values = values,
                                 .n_values = from->n_values};
    if (values && bytes)
        memcpy(values, from->values, bytes);
    return values && to->name.ptr;
}

static bool
copy_rows(struct ps_arena *arena, const struct ps_row_set *from,
          struct ps_row_set *to)
{
    struct ps_row_column *columns =
        ps_arena_alloc(arena, from->n_columns * sizeof(*columns));
    bool good = columns != NULL;
    for (size_t i = 0; good && i < from->n_columns; i++)
        good = copy_column(arena, &from->columns[i], &columns[i]);
    *to = (struct ps_row_set){.columns = columns, .n_columns = from->n_columns};
    return good;
}

static bool
grow(struct ps_change_set *set, size_t n)
{
    if (n <= set->cap)
        return true;
    size_t cap = PS_MAX(PS_MAX(2 * set->cap, n), (size_t)FIRST_CAP);
    struct ps_table_name *tables =
        ps_arena_alloc(set->arena, cap * sizeof(*tables));
    struct ps_row_set *rows = ps_arena_alloc(set->arena, cap * sizeof(*rows));
    if (!tables || !rows)
        return false;
    if (set->change.n_tables > 0) {
        memcpy(tables, set->tables, set->change.n_tables * sizeof(*tables));
        memcpy(rows, set->rows, set->change.n_tables * sizeof(*rows));
    }
    set->tables = tables;
    set->rows = rows;
    set->cap = cap;
    return true;
}

static bool
add_tables(struct ps_change_set *set, const struct ps_change *change)
{
    static const struct ps_row_set any_row = {.n_columns = 0};
    size_t n = set->change.n_tables + change->n_tables;
    if (n > PS_SPACE_MAX_TABLES || !grow(set, n))
        return false;
    for (size_t i = 0; i < change->n_tables; i++) {
        size_t at = set->change.n_tables;
        const struct ps_row_set *rows =
            change->rows ? &change->rows[i] : &any_row;
        struct ps_table_name name = {
            .schema = ps_arena_str(set->arena, change->tables[i].schema),
            .name = ps_arena_str(set->arena, change->tables[i].name)};
        if (!name.schema.ptr || !name.name.ptr ||
            !copy_rows(set->arena, rows, &set->rows[at]))
            return false;
        set->tables[at] = name;
        set->change.n_tables++;
    }
    set->change.tables = set->tables;
    set->change.rows = set->rows;
    return true;
}

/* Whose change it is; the texts are the transaction's own from the first on. */
static bool
begin(struct ps_change_set *set, const struct ps_change *change,
      uint64_t catalog_gen)
{
    if (!set->arena)
        set->arena = ps_arena_new(ARENA_BYTES);
    set->catalog_gen = catalog_gen;
    if (!set->arena)
        return false;
    set->change.cache_id = ps_arena_str(set->arena, change->cache_id);
    set->change.database = change->database.ptr
                               ? ps_arena_str(set->arena, change->database)
                               : PS_STR_NONE;
    return set->change.cache_id.ptr &&
           (!change->database.ptr || set->change.database.ptr);
}

void
ps_change_set_add(struct ps_change_set *set, const struct ps_change *change,
                  uint64_t catalog_gen)
{
    bool good = true;
    if (!set->any && !begin(set, change, catalog_gen)) {
        /* Not even room for names: every cache. */
        set->change.cache_id = set->change.database = PS_STR_NONE;
        good = false;
    }
    set->any = true;
    set->change.catalog |= change->catalog;
    if (!change->database.ptr)
        set->change.database = PS_STR_NONE;
    if (set->catalog_gen != catalog_gen)
        good = false;
    if (set->whole)
        return;
    if (!good || change->n_tables == 0 || !add_tables(set, change))
        make_whole(set);
}
