/*
 * From the rows of the query to a catalogue. Rows come in any order, so they
 * are collected first; what refers to other rows is resolved at the end:
 *
 *   relations sorted by oid <- edges, functions that they run
 *   functions sorted by name <- definitions of views, analysed like any
 *                               other statement (a built-in such as now()
 * leaves no trace in pg_depend)
 *
 * What refers to a relation that did not come makes the one that refers
 * unknown, never harmless.
 */
#include "agent/catalog/catalog_private.h"
#include "common/check.h"
#include "common/hash.h"

#include <stdlib.h>

enum {
    VIEW_ARENA_BYTES = 16 << 20
};

struct vector {
    void *items;
    size_t n, cap, item;
};

/* A fact about a relation, to be applied when all of them are known. */
struct fact {
    uint64_t oid;
    unsigned flags;
};
struct definition {
    uint64_t oid;
    struct ps_str text;
};

struct ps_catalog_builder {
    struct ps_catalog *catalog;
    struct vector relations, edges, columns, functions, operators, facts,
        definitions;
    size_t n_rows;
};

/* ---- growing lists ---- */

static void *
push(struct vector *v)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 64;
        void *grown = realloc(v->items, cap * v->item);
        if (!grown)
            return NULL;
        v->items = grown;
        v->cap = cap;
    }
    void *item = (char *)v->items + v->n++ * v->item;
    memset(item, 0, v->item);
    return item;
}

/* Into the catalogue's arena, for good. */
static void *
settle(struct ps_catalog *catalog, const struct vector *v)
{
    void *items = ps_arena_alloc(catalog->arena, v->n * v->item);
    if (items && v->n)
        memcpy(items, v->items, v->n * v->item);
    return items;
}

/* ---- life ---- */

static void
catalog_free(struct ps_catalog *catalog)
{
    ps_arena_free(&catalog->arena);
    catalog->magic = 0;
    free(catalog);
}

struct ps_catalog *
ps_catalog_ref(struct ps_catalog *catalog)
{
    PS_CHECK_OBJ(catalog, PS_CATALOG_MAGIC);
    catalog->refs++;
    return catalog;
}

void
ps_catalog_unref(struct ps_catalog **catalog)
{
    struct ps_catalog *old = *catalog;
    *catalog = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, PS_CATALOG_MAGIC);
    if (--old->refs == 0)
        catalog_free(old);
}

uint64_t
ps_catalog_gen(const struct ps_catalog *catalog)
{
    return catalog ? catalog->gen : 0;
}

struct ps_catalog_builder *
ps_catalog_builder_new(enum ps_dialect dialect)
{
    struct ps_catalog_builder *b = calloc(1, sizeof(*b));
    struct ps_catalog *catalog = calloc(1, sizeof(*catalog));
    struct ps_arena *arena = ps_arena_new(PS_CATALOG_MAX_BYTES);
    if (!b || !catalog || !arena) {
        free(b);
        free(catalog);
        ps_arena_free(&arena);
        return NULL;
    }
    catalog->magic = PS_CATALOG_MAGIC;
    catalog->refs = 1;
    catalog->arena = arena;
    catalog->dialect = dialect;
    catalog->fold_names = dialect != PS_DIALECT_POSTGRES;
    b->catalog = catalog;
    b->relations.item = sizeof(struct ps_catalog_relation);
    b->edges.item = sizeof(struct ps_catalog_edge);
    b->columns.item = sizeof(struct ps_catalog_column);
    b->functions.item = sizeof(struct ps_catalog_function);
    b->operators.item = sizeof(struct ps_catalog_operator);
    b->facts.item = sizeof(struct fact);
    b->definitions.item = sizeof(struct definition);
    return b;
}

void
ps_catalog_builder_free(struct ps_catalog_builder **builder)
{
    struct ps_catalog_builder *b = *builder;
    *builder = NULL;
    if (!b)
        return;
    ps_catalog_unref(&b->catalog);
    free(b->relations.items);
    free(b->edges.items);
    free(b->columns.items);
    free(b->functions.items);
    free(b->operators.items);
    free(b->facts.items);
    free(b->definitions.items);
    free(b);
}

/* ---- rows ---- */

struct row {
    struct ps_catalog *catalog;
    char kind;
    uint64_t id, ref;
    struct ps_cell x, y;
    char z[16];
};

static struct ps_str
keep(const struct row *row, struct ps_cell cell)
{
    return ps_arena_str(row->catalog->arena,
                        (struct ps_str){cell.ptr ? cell.ptr : "", cell.len});
}

static enum ps_volatility
volatility_of(char letter)
{
    return letter == 'i'   ? PS_IMMUTABLE
           : letter == 's' ? PS_STABLE
                           : PS_VOLATILE;
}

/* A copy in lower case; absent without memory. */
static struct ps_str
keep_folded(const struct row *row, struct ps_str name)
{
    char *folded = ps_arena_alloc(row->catalog->arena, name.len + 1);
    if (!folded)
        return PS_STR_NONE;
    memcpy(folded, name.ptr, name.len);
    ps_catalog_fold(folded, name.len);
    return (struct ps_str){folded, name.len};
}

static bool
add_relation(struct ps_catalog_builder *b, const struct row *row)
{
    struct ps_catalog_relation *r = push(&b->relations);
    if (!r)
        return false;
    r->oid = row->id;
    r->schema = keep(row, row->x);
    r->name = keep(row, row->y);
    r->key = b->catalog->fold_names ? keep_folded(row, r->name) : r->name;
    switch (row->z[0]) {
    case 'r':
        r->flags |= PS_REL_TABLE;
        break;
    case 'p':
    case 'm': /* changes at REFRESH only: a table like others */
        break;
    case 'v':
        r->flags |= PS_REL_VIEW;
        break;
    case 'S':
        r->flags |= PS_REL_SEQUENCE;
        break;
    default: /* foreign, or a kind to come */
        r->flags |= PS_REL_FOREIGN | PS_REL_WRITES_UNKNOWN;
        break;
    }
    if (strchr(row->z, 'R'))
        r->flags |= PS_REL_RLS;
    if (strchr(row->z, 'W'))
        r->flags |= PS_REL_WRITES_UNKNOWN;
    if (strchr(row->z, 'H'))
        r->flags |= PS_REL_HIDDEN;
    if (strchr(row->z, 'Y'))
        r->flags |= PS_REL_SYSTEM | PS_REL_WRITES_UNKNOWN;
    return true;
}

/* size: bytes, then letters. */
static void
limit_column(struct ps_catalog_column *column, const char *size)
{
    unsigned bits = 8 * (unsigned)(*size - '0');
    bool positive = strchr(size, 'u') != NULL;
    column->bends = true;
    column->counts = strchr(size, 'a') != NULL;
    column->min = positive ? 0 : -(int64_t)(UINT64_C(1) << (bits - 2)) * 2;
    column->max = (int64_t)((UINT64_C(1) << (bits - 1)) - 1);
    if (positive && bits < 64)
        column->max = (int64_t)((UINT64_C(1) << bits) - 1);
}

static bool
add_column(struct ps_catalog_builder *b, const struct row *row)
{
    struct ps_catalog_column *column = push(&b->columns);
    if (!column)
        return false;
    column->oid = row->id;
    column->name = keep(row, row->y);
    column->type = row->z[0] == 'i'   ? PS_SQL_COLUMN_INT
                   : row->z[0] == 'u' ? PS_SQL_COLUMN_UUID
                   : row->z[0] == 'b' ? PS_SQL_COLUMN_BOOL
                                      : PS_SQL_COLUMN_OTHER;
    if (row->z[0] == 'i' && row->z[1])
        limit_column(column, row->z + 1);
    return true;
}

static bool
add_edge(struct ps_catalog_builder *b, uint64_t from, uint64_t to,
         enum ps_edge_kind kind)
{
    struct ps_catalog_edge *e = push(&b->edges);
    if (e)
        *e = (struct ps_catalog_edge){.from = from, .to = to, .kind = kind};
    return e != NULL;
}

static bool
add_edges(struct ps_catalog_builder *b, const struct row *row)
{
    switch (row->z[0]) {
    case 'v':
        return add_edge(b, row->id, row->ref, PS_EDGE_BASE);
    case 'i':
        return add_edge(b, row->id, row->ref, PS_EDGE_CHILD) &&
               add_edge(b, row->ref, row->id, PS_EDGE_PARENT);
    default:
        return add_edge(b, row->id, row->ref, PS_EDGE_CASCADE);
    }
}

static bool
add_fact(struct ps_catalog_builder *b, uint64_t oid, unsigned flags)
{
    struct fact *fact = push(&b->facts);
    if (fact)
        *fact = (struct fact){.oid = oid, .flags = flags};
    return fact != NULL;
}

static bool
add_runs(struct ps_catalog_builder *b, const struct row *row)
{
    enum ps_volatility v = volatility_of(row->z[0]);
    unsigned flags = 0;
    if (v == PS_VOLATILE)
        flags |= PS_REL_WRITES_UNKNOWN;
    if (row->z[1] != 'w' && v == PS_VOLATILE)
        flags |= PS_REL_READ_VOLATILE;
    if (row->z[1] != 'w' && v == PS_STABLE)
        flags |= PS_REL_READ_STABLE;
    if (v != PS_IMMUTABLE)
        flags |= row->z[1] == 'w' ? PS_REL_SESSION_WRITE
                                  : PS_REL_SESSION_READ | PS_REL_SESSION_WRITE;
    return add_fact(b, row->id, flags);
}

static bool
add_function(struct ps_catalog_builder *b, const struct row *row)
{
    struct ps_catalog_function *f = push(&b->functions);
    if (!f)
        return false;
    f->schema = keep(row, row->x);
    f->name = keep(row, row->y);
    f->volatility = volatility_of(row->z[0]);
    f->of_row = row->z[1] == 'r';
    f->folded = keep_folded(row, f->name);
    return f->folded.ptr != NULL;
}

static bool
add_operator(struct ps_catalog_builder *b, const struct row *row)
{
    enum ps_volatility v = volatility_of(row->z[0]);
    if (v == PS_IMMUTABLE || row->y.len == 0)
        return true;
    struct ps_catalog_operator *o = push(&b->operators);
    if (!o)
        return false;
    o->name = keep(row, row->y);
    o->volatility = v;
    return true;
}

static bool
add_unasked(struct ps_catalog_builder *b, const struct row *row)
{
    enum ps_volatility v = volatility_of(row->z[0]);
    struct ps_catalog *catalog = b->catalog;
    catalog->any_write = PS_MAX(catalog->any_write, v);
    if (row->z[1] != 'w')
        catalog->any_read = PS_MAX(catalog->any_read, v);
    return true;
}

static bool
add_definition(struct ps_catalog_builder *b, const struct row *row)
{
    struct definition *d = push(&b->definitions);
    if (!d)
        return false;
    d->oid = row->id;
    d->text = keep(row, row->x);
    return true;
}

uint64_t
ps_catalog_id(struct ps_cell cell)
{
    return ps_hash64(cell.ptr, cell.len, 31);
}

static bool
parse_oid(const struct ps_catalog *catalog, struct ps_cell cell, uint64_t *out)
{
    uint64_t value = 0;
    if (catalog->dialect == PS_DIALECT_MYSQL) {
        *out = cell.len ? ps_catalog_id(cell) : 0;
        return cell.len > 0;
    }
    for (size_t i = 0; i < cell.len; i++) {
        if (cell.ptr[i] < '0' || cell.ptr[i] > '9' || value > UINT32_MAX)
            return false;
        value = value * 10 + (uint64_t)(cell.ptr[i] - '0');
    }
    *out = value;
    return cell.len > 0 && value <= UINT32_MAX;
}

static bool
parse_row(struct ps_catalog *catalog, const struct ps_cell *cells,
          struct row *row)
{
    *row = (struct row){.catalog = catalog, .x = cells[3], .y = cells[4]};
    if (cells[0].len != 1 || cells[5].len >= sizeof(row->z))
        return false;
    row->kind = cells[0].ptr[0];
    if (cells[5].len)
        memcpy(row->z, cells[5].ptr, cells[5].len);
    bool with_oid = strchr("refda", row->kind) != NULL;
    if (with_oid && !parse_oid(catalog, cells[1], &row->id))
        return false;
    return row->kind != 'e' || parse_oid(catalog, cells[2], &row->ref);
}

/* Sums are equal whatever the order. */
static uint64_t
row_hash(const struct ps_cell *cells)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < PS_CATALOG_CELLS; i++)
        hash = ps_hash64(cells[i].ptr ? cells[i].ptr : "", cells[i].len,
                         hash + (cells[i].ptr ? 1 : 2));
    return hash;
}

enum ps_rc
ps_catalog_builder_row(struct ps_catalog_builder *b,
                       const struct ps_cell cells[PS_CATALOG_CELLS])
{
    struct row row;
    bool added = true;
    if (++b->n_rows > PS_CATALOG_MAX_ROWS)
        return PS_TOO_BIG;
    if (!parse_row(b->catalog, cells, &row))
        return PS_ORIGIN_PROTOCOL;
    b->catalog->hash += row_hash(cells);
    switch (row.kind) {
    case 'r':
        added = add_relation(b, &row);
        break;
    case 'a':
        added = add_column(b, &row);
        break;
    case 'e':
        added = add_edges(b, &row);
        break;
    case 'f':
        added = add_runs(b, &row);
        break;
    case 'd':
        added = add_definition(b, &row);
        break;
    case 'p':
        added = add_function(b, &row);
        break;
    case 'o':
        added = add_operator(b, &row);
        break;
    case 'c':
        added = add_unasked(b, &row);
        break;
    case 'w':
        b->catalog->viewer = row_hash(cells);
        break;
    case 'h':
        break;
    default:
        return PS_ORIGIN_PROTOCOL;
    }
    if (!added)
        return PS_NO_MEMORY;
    return ps_arena_failed(b->catalog->arena) ? PS_TOO_BIG : PS_OK;
}

/* ---- putting it together ---- */

static int
by_oid(const void *a, const void *b)
{
    const struct ps_catalog_relation *x = a, *y = b;
    return (x->oid > y->oid) - (x->oid < y->oid);
}

static int
by_table(const void *a, const void *b)
{
    const struct ps_catalog_column *x = a, *y = b;
    return (x->oid > y->oid) - (x->oid < y->oid);
}

static int
by_folded(const void *a, const void *b)
{
    const struct ps_catalog_function *x = a, *y = b;
    return ps_catalog_str_cmp(x->folded, y->folded);
}

static int
by_from(const void *a, const void *b)
{
    const struct ps_catalog_edge *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static int
by_name(const void *a, const void *b, void *arg)
{
    const struct ps_catalog *catalog = arg;
    const uint32_t *x = a, *y = b;
    return ps_catalog_str_cmp(catalog->relations[*x].key,
                              catalog->relations[*y].key);
}

static struct ps_catalog_relation *
relation_of(struct ps_catalog *catalog, uint64_t oid)
{
    const struct ps_catalog_relation key = {.oid = oid};
    return catalog->n_relations
               ? bsearch(&key, catalog->relations, catalog->n_relations,
                         sizeof(key), by_oid)
               : NULL;
}

/* An edge from nowhere says nothing; one to nowhere says that something is
 * missing. */
static void
resolve_edges(struct ps_catalog *catalog)
{
    size_t n = 0;
    for (size_t i = 0; i < catalog->n_edges; i++) {
        struct ps_catalog_edge *e = &catalog->edges[i];
        struct ps_catalog_relation *from = relation_of(catalog, e->from);
        struct ps_catalog_relation *to = relation_of(catalog, e->to);
        if (from && !to)
            from->flags |= PS_REL_FOREIGN | PS_REL_WRITES_UNKNOWN;
        if (!from || !to)
            continue;
        catalog->edges[n++] = (struct ps_catalog_edge){
            .from = (uint64_t)(from - catalog->relations),
            .to = (uint64_t)(to - catalog->relations),
            .kind = e->kind};
    }
    catalog->n_edges = n;
    if (n)
        qsort(catalog->edges, n, sizeof(*catalog->edges), by_from);
    for (size_t i = 0; i < n; i++) {
        struct ps_catalog_relation *r =
            &catalog->relations[catalog->edges[i].from];
        if (r->n_edges++ == 0)
            r->first_edge = (uint32_t)i;
    }
}

static void
resolve_columns(struct ps_catalog *catalog)
{
    if (catalog->n_columns)
        qsort(catalog->columns, catalog->n_columns, sizeof(*catalog->columns),
              by_table);
    for (size_t i = 0; i < catalog->n_columns; i++) {
        struct ps_catalog_relation *r =
            relation_of(catalog, catalog->columns[i].oid);
        if (r && r->n_columns++ == 0)
            r->first_column = (uint32_t)i;
    }
}

/* A table that has heirs or is one shows and changes rows of others. */
static void
mark_families(struct ps_catalog *catalog)
{
    for (size_t i = 0; i < catalog->n_edges; i++) {
        const struct ps_catalog_edge *e = &catalog->edges[i];
        if (e->kind == PS_EDGE_CHILD || e->kind == PS_EDGE_PARENT)
            catalog->relations[e->from].flags &= ~(unsigned)PS_REL_TABLE;
    }
}

/* What the text of a view says of its functions, built-ins included. */
static unsigned
view_flags(const struct ps_catalog *catalog, struct ps_str text)
{
    const unsigned session = PS_REL_SESSION_READ | PS_REL_SESSION_WRITE;
    const unsigned unknown = PS_REL_READ_STABLE | PS_REL_READ_VOLATILE |
                             PS_REL_WRITES_UNKNOWN | session;
    struct ps_arena *arena = ps_arena_new(VIEW_ARENA_BYTES);
    struct ps_sql_analysis *a = NULL;
    unsigned flags = 0;
    if (catalog->dialect == PS_DIALECT_TSQL)
        text = ps_catalog_ts_view(text);
    if (!arena ||
        ps_sql_analyse(catalog->dialect, 0, text, arena, &a) != PS_OK) {
        ps_arena_free(&arena);
        return unknown;
    }
    struct ps_vouch vouch = ps_catalog_vouch(catalog, a);
    if (a->cls != PS_SQL_READ || vouch.unknown || vouch.worst == PS_VOLATILE)
        flags = unknown;
    else if (a->writes_all)
        /* Not understood: yet a definition is only a query, and every
         * function of it that could write is known by name. */
        flags = PS_REL_READ_STABLE;
    if (vouch.worst == PS_STABLE ||
        (a->reason != PS_SQL_REASON_NONE &&
         a->reason != PS_SQL_REASON_UNKNOWN_FUNCTION))
        flags |= PS_REL_READ_STABLE;
    if (a->may_write && a->n_functions == 0 && !a->writes_all)
        flags |= unknown; /* nextval() and the like */
    if (a->touches_session || vouch.worst != PS_IMMUTABLE)
        flags |= session;
    ps_arena_free(&arena);
    return flags;
}

/* MySQL tells what a view reads by its text alone, which has every table with
 * its database. False without memory. */
static bool
add_view_edges(struct ps_catalog_builder *b, const struct definition *view)
{
    struct ps_arena *arena = ps_arena_new(VIEW_ARENA_BYTES);
    struct ps_sql_analysis *a = NULL;
    bool ok = arena && ps_sql_analyse(PS_DIALECT_MYSQL, 0, view->text, arena,
                                      &a) == PS_OK;
    /* To nowhere, which spoils it: not all is known. */
    bool spoilt = !ok || a->incomplete || a->cls != PS_SQL_READ ||
                  a->reason == PS_SQL_REASON_EMPTY;
    if (spoilt)
        ok = add_edge(b, view->oid, 0, PS_EDGE_BASE);
    for (size_t i = 0; ok && !spoilt && i < a->n_relations; i++) {
        const struct ps_sql_relation *rel = &a->relations[i];
        uint64_t to =
            rel->schema.ptr ? ps_catalog_my_id(rel->schema, rel->name) : 0;
        ok = add_edge(b, view->oid, to, PS_EDGE_BASE);
    }
    ps_arena_free(&arena);
    return ok;
}

static bool
find_view_edges(struct ps_catalog_builder *b)
{
    const struct definition *views = b->definitions.items;
    for (size_t i = 0; i < b->definitions.n; i++) {
        if (!add_view_edges(b, &views[i]))
            return false;
    }
    return true;
}

/* Nothing runs unasked: no view with a function, no trigger. */
static bool
is_quiet(const struct ps_catalog *catalog)
{
    const unsigned code =
        PS_REL_SESSION_READ | PS_REL_SESSION_WRITE | PS_REL_WRITES_UNKNOWN;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        unsigned flags = catalog->relations[i].flags;
        if (!(flags & PS_REL_SYSTEM) && (flags & code))
            return false;
    }
    return true;
}

static bool
finish(struct ps_catalog_builder *b)
{
    struct ps_catalog *c = b->catalog;
    if (c->dialect == PS_DIALECT_MYSQL && !find_view_edges(b))
        return false;
    c->relations = settle(c, &b->relations);
    c->n_relations = b->relations.n;
    c->edges = settle(c, &b->edges);
    c->n_edges = b->edges.n;
    c->columns = settle(c, &b->columns);
    c->n_columns = b->columns.n;
    c->functions = settle(c, &b->functions);
    c->n_functions = b->functions.n;
    c->operators = settle(c, &b->operators);
    c->n_operators = b->operators.n;
    c->by_name = ps_arena_alloc(c->arena, c->n_relations * sizeof(*c->by_name));
    if (ps_arena_failed(c->arena))
        return false;
    if (c->n_relations)
        qsort(c->relations, c->n_relations, sizeof(*c->relations), by_oid);
    if (c->n_functions)
        qsort(c->functions, c->n_functions, sizeof(*c->functions), by_folded);
    for (size_t i = 0; i < c->n_relations; i++)
        c->by_name[i] = (uint32_t)i;
    if (c->n_relations)
        qsort_r(c->by_name, c->n_relations, sizeof(*c->by_name), by_name, c);
    resolve_edges(c);
    mark_families(c);
    resolve_columns(c);
    const struct definition *views = b->definitions.items;
    for (size_t i = 0; i < b->definitions.n; i++) {
        struct ps_catalog_relation *r = relation_of(c, views[i].oid);
        if (r)
            r->flags |= view_flags(c, views[i].text);
    }
    const struct fact *facts = b->facts.items;
    for (size_t i = 0; i < b->facts.n; i++) {
        struct ps_catalog_relation *r = relation_of(c, facts[i].oid);
        if (r)
            r->flags |= facts[i].flags;
    }
    c->quiet = is_quiet(c);
    return true;
}

enum ps_rc
ps_catalog_builder_finish(struct ps_catalog_builder *b, uint64_t gen,
                          struct ps_catalog **out)
{
    PS_CHECK(b->catalog);
    b->catalog->gen = gen;
    if (!finish(b))
        return PS_TOO_BIG;
    *out = b->catalog;
    b->catalog = NULL;
    return PS_OK;
}
