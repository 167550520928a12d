/*
 * Read and write sets: the relations a statement names, and all that hangs on
 * them, by a walk over the catalogue's edges.
 *
 *   read    view -> what it reads, parent -> children. Every table met is one
 *           whose stamp counts; one relation that cannot be trusted spoils it.
 *   write   the same and child -> parent, referenced -> cascading. A relation
 *           with a trigger, a rule, ... of its own: the whole database.
 *
 * A table that the text itself names comes with the rows the text tells
 * (rows.c); one that was met on the way comes as a whole.
 *
 * An unqualified name stands for every relation of that name; in MySQL, where
 * there is no search path, for that of the session's database.
 */
#include "agent/catalog/catalog_private.h"
#include "common/check.h"

struct walk {
    const struct ps_catalog *catalog;
    struct ps_arena *arena;
    bool *seen;
    uint32_t *todo; /* a stack; each relation comes at most once */
    size_t n_todo;
    struct ps_table_name *tables;
    struct ps_row_set *rows;
    size_t n_tables, cap;
    unsigned flags; /* of all relations met */
    bool missing;   /* a name that no relation has */
};

static bool
walk_begin(struct walk *w, const struct ps_catalog *catalog,
           struct ps_arena *arena)
{
    size_t n = catalog->n_relations;
    *w = (struct walk){.catalog = catalog, .arena = arena};
    w->seen = ps_arena_zalloc(arena, n * sizeof(*w->seen));
    w->todo = ps_arena_alloc(arena, n * sizeof(*w->todo));
    return w->seen && w->todo;
}

static void
walk_push(struct walk *w, uint32_t index)
{
    if (w->seen[index])
        return;
    w->seen[index] = true;
    w->todo[w->n_todo++] = index;
}

/* The first in by_name that has this name, or the end. */
static size_t
first_named(const struct ps_catalog *c, struct ps_str key)
{
    size_t low = 0, high = c->n_relations;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ps_catalog_str_cmp(c->relations[c->by_name[middle]].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one more; false without memory, which the arena remembers. */
static bool
walk_grow(struct walk *w)
{
    size_t cap = w->cap ? 2 * w->cap : 8;
    if (w->n_tables < w->cap)
        return true;
    struct ps_table_name *tables =
        ps_arena_alloc(w->arena, cap * sizeof(*tables));
    struct ps_row_set *rows = ps_arena_alloc(w->arena, cap * sizeof(*rows));
    if (!tables || !rows)
        return false;
    if (w->n_tables) {
        memcpy(tables, w->tables, w->n_tables * sizeof(*tables));
        memcpy(rows, w->rows, w->n_tables * sizeof(*rows));
    }
    w->tables = tables;
    w->rows = rows;
    w->cap = cap;
    return true;
}

static void
walk_add(struct walk *w, const struct ps_catalog_relation *r,
         struct ps_row_set rows)
{
    w->flags |= r->flags;
    if ((r->flags & PS_REL_VIEW) || !walk_grow(w))
        return;
    w->rows[w->n_tables] = rows;
    w->tables[w->n_tables++] =
        (struct ps_table_name){.schema = ps_arena_str(w->arena, r->schema),
                               .name = ps_arena_str(w->arena, r->name)};
}

static void
walk_edges(struct walk *w, const struct ps_catalog_relation *r, unsigned follow)
{
    const struct ps_catalog_edge *edges = w->catalog->edges;
    for (size_t i = r->first_edge; i < r->first_edge + r->n_edges; i++) {
        if (follow & (1U << edges[i].kind))
            walk_push(w, edges[i].to);
    }
}

/* Gives the rows of a relation that the text names; false: any. */
typedef bool (*rows_fn)(const struct ps_catalog *catalog,
                        const struct ps_catalog_relation *r,
                        const struct ps_sql_relation *use,
                        const struct ps_sql_bindings *bindings,
                        struct ps_arena *arena, struct ps_row_set *out);

struct manner {
    unsigned follow; /* which kinds of edges, as bits */
    rows_fn rows;    /* NULL: rows do not matter */
    const struct ps_sql_bindings *bindings;
    struct ps_str home; /* the schema of unqualified names; absent: any */
};

static struct ps_str
home_of(const struct ps_catalog *c, const struct ps_catalog_text *text)
{
    /* Of several statements one may be USE. */
    return c->dialect == PS_DIALECT_MYSQL && text->analysis->n_statements == 1
               ? text->database
               : PS_STR_NONE;
}

static bool
schema_fits(const struct ps_catalog *c, struct ps_str schema,
            const struct ps_catalog_relation *r)
{
    if (!schema.ptr)
        return true;
    return c->fold_names ? ps_str_eq_nocase(r->schema, schema)
                         : ps_str_eq(r->schema, schema);
}

static void
walk_name(struct walk *w, const struct ps_sql_relation *rel,
          const struct manner *how)
{
    const struct ps_catalog *c = w->catalog;
    struct ps_str schema = rel->schema.ptr ? rel->schema : how->home;
    struct ps_row_set rows;
    bool found = false;
    struct ps_str key = rel->name;
    if (c->fold_names) {
        char *folded = ps_arena_alloc(w->arena, key.len + 1);
        if (!folded)
            return; /* the arena remembers */
        memcpy(folded, key.ptr, key.len);
        ps_catalog_fold(folded, key.len);
        key.ptr = folded;
    }
    /* Of another database this catalogue knows nothing. */
    size_t first = rel->database.ptr ? c->n_relations : first_named(c, key);
    for (size_t i = first; i < c->n_relations; i++) {
        const struct ps_catalog_relation *r = &c->relations[c->by_name[i]];
        if (!ps_str_eq(r->key, key))
            break;
        if (!schema_fits(c, schema, r))
            continue;
        found = true;
        if (how->rows && how->rows(c, r, rel, how->bindings, w->arena, &rows)) {
            /* An edge may lead back here: then to all of it. */
            walk_add(w, r, rows);
            walk_edges(w, r, how->follow);
        } else {
            walk_push(w, c->by_name[i]);
        }
    }
    w->missing |= !found;
}

static void
walk_run(struct walk *w, const struct manner *how)
{
    while (w->n_todo > 0) {
        const struct ps_catalog_relation *r =
            &w->catalog->relations[w->todo[--w->n_todo]];
        walk_add(w, r, (struct ps_row_set){0});
        walk_edges(w, r, how->follow);
    }
}

/* NULL when no table has any. */
static const struct ps_row_set *
walk_rows(const struct walk *w)
{
    for (size_t i = 0; i < w->n_tables; i++) {
        if (w->rows[i].n_columns)
            return w->rows;
    }
    return NULL;
}

enum {
    FOLLOW_READ = 1U << PS_EDGE_BASE | 1U << PS_EDGE_CHILD,
    FOLLOW_INSERT = FOLLOW_READ | 1U << PS_EDGE_PARENT,
    FOLLOW_WRITE = FOLLOW_INSERT | 1U << PS_EDGE_CASCADE
};

/* ---- reads ---- */

static const char *
reason_of(const struct walk *w)
{
    if (w->missing)
        return "unknown_relation";
    if (w->flags & PS_REL_SYSTEM)
        return ps_sql_reason_code(PS_SQL_REASON_SYSTEM_CATALOG);
    if (w->flags & PS_REL_RLS)
        return "row_security";
    if (w->flags & PS_REL_HIDDEN)
        return "hidden_structure";
    if (w->flags & PS_REL_FOREIGN)
        return "foreign_table";
    if (w->flags & PS_REL_SEQUENCE)
        return "sequence";
    if (w->flags & (PS_REL_READ_STABLE | PS_REL_READ_VOLATILE))
        return ps_sql_reason_code(PS_SQL_REASON_VOLATILE_FUNCTION);
    return NULL;
}

static const char *
reason_of_functions(const struct ps_catalog *catalog,
                    const struct ps_sql_analysis *a)
{
    struct ps_vouch vouch = ps_catalog_vouch(catalog, a);
    if (vouch.unknown)
        return ps_sql_reason_code(PS_SQL_REASON_UNKNOWN_FUNCTION);
    if (PS_MAX(vouch.worst, catalog->any_read) != PS_IMMUTABLE)
        return ps_sql_reason_code(PS_SQL_REASON_VOLATILE_FUNCTION);
    return NULL;
}

bool
ps_catalog_read_set(const struct ps_catalog *catalog,
                    const struct ps_catalog_text *text, struct ps_arena *arena,
                    struct ps_catalog_tables *set, const char **reason)
{
    const struct ps_sql_analysis *a = text->analysis;
    struct manner how = {.follow = FOLLOW_READ,
                         .rows = ps_catalog_pinned_rows,
                         .bindings = text->bindings};
    struct walk w;
    if (a->cls != PS_SQL_READ || (a->reason != PS_SQL_REASON_NONE &&
                                  a->reason != PS_SQL_REASON_UNKNOWN_FUNCTION))
        *reason = ps_sql_reason_code(a->reason == PS_SQL_REASON_NONE
                                         ? PS_SQL_REASON_NOT_A_READ
                                         : a->reason);
    else if (!catalog)
        *reason = "no_catalog";
    else
        *reason = reason_of_functions(catalog, a);
    if (*reason)
        return false;
    PS_CHECK_OBJ(catalog, PS_CATALOG_MAGIC);
    how.home = home_of(catalog, text);
    if (!walk_begin(&w, catalog, arena)) {
        *reason = "no_memory";
        return false;
    }
    for (size_t i = 0; i < a->n_relations; i++)
        walk_name(&w, &a->relations[i], &how);
    walk_run(&w, &how);
    *reason = reason_of(&w);
    if (!*reason && ps_arena_failed(arena))
        *reason = "no_memory";
    if (*reason)
        return false;
    *set = (struct ps_catalog_tables){
        .tables = w.tables, .rows = walk_rows(&w), .n = w.n_tables};
    return true;
}

bool
ps_catalog_named(const struct ps_catalog *catalog, struct ps_str key,
                 struct ps_arena *arena, struct ps_catalog_tables *set)
{
    const struct manner how = {.follow = FOLLOW_READ};
    struct walk w;
    PS_CHECK_OBJ(catalog, PS_CATALOG_MAGIC);
    if (!walk_begin(&w, catalog, arena))
        return false;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        const struct ps_catalog_relation *r = &catalog->relations[i];
        const struct ps_table_name name = {r->schema, r->name};
        if (ps_table_named(&name, key))
            walk_push(&w, (uint32_t)i);
    }
    bool found = w.n_todo > 0;
    walk_run(&w, &how);
    *set = (struct ps_catalog_tables){.tables = w.tables, .n = w.n_tables};
    return found && !ps_arena_failed(arena);
}

/* ---- writes ---- */

/* Reading it may write anything. */
static bool
reads_write(const struct ps_catalog *catalog,
            const struct ps_catalog_text *text, struct ps_arena *arena)
{
    const struct ps_sql_analysis *a = text->analysis;
    const struct manner how = {.follow = FOLLOW_READ,
                               .home = home_of(catalog, text)};
    struct walk w;
    if (!walk_begin(&w, catalog, arena))
        return true;
    for (size_t i = 0; i < a->n_relations; i++)
        walk_name(&w, &a->relations[i], &how);
    walk_run(&w, &how);
    return ps_arena_failed(arena) || (w.flags & PS_REL_READ_VOLATILE) != 0;
}

static bool
functions_write(const struct ps_catalog *catalog,
                const struct ps_sql_analysis *a)
{
    struct ps_vouch vouch = ps_catalog_vouch(catalog, a);
    return vouch.unknown || vouch.worst == PS_VOLATILE ||
           catalog->any_read == PS_VOLATILE;
}

/* SQL Server: a table of one session (hazard 13). No read of it is ever kept.
 */
static bool
is_temporary(const struct ps_catalog *catalog,
             const struct ps_sql_relation *relation)
{
    return catalog->dialect == PS_DIALECT_TSQL && relation->name.len > 0 &&
           relation->name.ptr[0] == '#';
}

static bool
is_written(const struct ps_sql_relation *relation)
{
    return (relation->use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)) != 0;
}

/* Inserts cascade to nothing; what another write reaches besides is walked
 * again from its own start. */
static void
walk_writes(struct walk *w, const struct ps_catalog_text *text, bool inserts)
{
    const struct ps_sql_analysis *a = text->analysis;
    const struct manner how = {.follow = inserts ? FOLLOW_INSERT : FOLLOW_WRITE,
                               .rows = ps_catalog_changed_rows,
                               .bindings = text->bindings,
                               .home = home_of(w->catalog, text)};
    memset(w->seen, 0, w->catalog->n_relations * sizeof(*w->seen));
    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *rel = &a->relations[i];
        if (is_written(rel) && rel->insert_only == inserts &&
            !is_temporary(w->catalog, rel))
            walk_name(w, rel, &how);
    }
    walk_run(w, &how);
}

/* False: not known, the whole database. */
static bool
written_tables(const struct ps_catalog *catalog,
               const struct ps_catalog_text *text, struct ps_arena *arena,
               struct ps_change *change)
{
    struct walk w;
    if (!walk_begin(&w, catalog, arena))
        return false;
    walk_writes(&w, text, true);
    walk_writes(&w, text, false);
    if (w.missing || (w.flags & PS_REL_WRITES_UNKNOWN) ||
        ps_arena_failed(arena))
        return false;
    if (w.n_tables > 0 && catalog->any_write == PS_VOLATILE)
        return false;
    change->tables = w.tables;
    change->n_tables = w.n_tables;
    change->rows = walk_rows(&w);
    return true;
}

/* A read whose functions, which the catalogue has vouched for, are all that it
 * might have done. */
static bool
by_functions_alone(const struct ps_sql_analysis *a)
{
    return a->cls == PS_SQL_READ && a->n_functions > 0 &&
           (a->reason == PS_SQL_REASON_NONE ||
            a->reason == PS_SQL_REASON_UNKNOWN_FUNCTION);
}

bool
ps_catalog_has_effect(const struct ps_sql_analysis *a)
{
    return a->may_write && !by_functions_alone(a);
}

/*
 * A statement whose write set is known to hold no table: does it then change
 * none, or can it only not be told which? What reads, sets, locks, calls a
 * built-in function or draws a number of a sequence leaves the tables alone
 * (reads of sequences are never kept). Not so COPY TO PROGRAM, a COMMIT of what
 * another text has done, and DDL, whose effects are not all tables.
 */
static bool
leaves_tables_alone(const struct ps_sql_analysis *a)
{
    if (a->incomplete)
        return false;
    switch (a->cls) {
    case PS_SQL_READ:
        return a->reason != PS_SQL_REASON_SELECT_INTO;
    case PS_SQL_SESSION:
        return true;
    case PS_SQL_TRANSACTION:
        return a->opens_transaction || !a->ends_transaction;
    case PS_SQL_WRITE: /* nextval(), setval() */
        return a->reason == PS_SQL_REASON_VOLATILE_FUNCTION;
    default:
        return false;
    }
}

/* Temporary tables are all that it makes, fills and drops. With a function
 * there may be more: an inline one can stand where a table is written. */
static bool
writes_temporary_only(const struct ps_catalog *catalog,
                      const struct ps_sql_analysis *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_relations; i++) {
        if (is_written(&a->relations[i]) &&
            !is_temporary(catalog, &a->relations[i]))
            return false;
        n += is_written(&a->relations[i]);
    }
    return n > 0 && a->n_functions == 0 && !a->incomplete &&
           !a->changes_catalog &&
           (a->cls == PS_SQL_WRITE || a->cls == PS_SQL_DDL) &&
           (a->opens_transaction || !a->ends_transaction);
}

bool
ps_catalog_write_set(const struct ps_catalog *catalog,
                     const struct ps_catalog_text *text, struct ps_arena *arena,
                     struct ps_change *change)
{
    const struct ps_sql_analysis *a = text->analysis;
    *change = (struct ps_change){.cache_id = change->cache_id,
                                 .database = change->database};
    if (a->writes_all)
        return true;
    /* A read on its face: only a view could make it write. Without a
     * catalogue nothing is kept here that it could spoil. */
    if (!catalog && a->n_relations == 0 && a->n_functions == 0 &&
        leaves_tables_alone(a))
        return false;
    if (!catalog)
        return a->cls != PS_SQL_READ || a->may_write;
    PS_CHECK_OBJ(catalog, PS_CATALOG_MAGIC);
    if (functions_write(catalog, a) || reads_write(catalog, text, arena) ||
        !written_tables(catalog, text, arena, change))
        return true;
    if (change->n_tables > 0)
        return true;
    return ps_catalog_has_effect(a) && !leaves_tables_alone(a) &&
           !writes_temporary_only(catalog, a);
}

/* ---- the session ---- */

bool
ps_catalog_touches_session(const struct ps_catalog *catalog,
                           const struct ps_sql_analysis *a,
                           struct ps_arena *arena)
{
    const struct manner how = {.follow = FOLLOW_WRITE};
    struct walk w;
    bool writes = false;
    if (a->touches_session)
        return true;
    if (!catalog)
        return a->n_relations > 0;
    PS_CHECK_OBJ(catalog, PS_CATALOG_MAGIC);
    for (size_t i = 0; i < a->n_relations; i++)
        writes = writes || (a->relations[i].use & ~PS_SQL_REL_READ);
    /* A function that is not IMMUTABLE may set what it likes; STABLE ones
     * only promise to leave the tables alone. */
    if (ps_catalog_vouch(catalog, a).worst != PS_IMMUTABLE ||
        catalog->any_read != PS_IMMUTABLE ||
        (writes && catalog->any_write != PS_IMMUTABLE))
        return true;
    if (catalog->quiet || a->n_relations == 0)
        return false;
    if (!walk_begin(&w, catalog, arena))
        return true;
    for (size_t i = 0; i < a->n_relations; i++)
        walk_name(&w, &a->relations[i], &how);
    walk_run(&w, &how);
    unsigned code = PS_REL_SESSION_READ;
    if (writes)
        code |= PS_REL_SESSION_WRITE | PS_REL_WRITES_UNKNOWN;
    return w.missing || ps_arena_failed(arena) || (w.flags & code) != 0;
}
