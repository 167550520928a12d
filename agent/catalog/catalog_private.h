/*
 * A catalogue from the inside; private to agent/catalog/.
 *
 *   pg_load.c, ts_load.c   the query, its rows   rows (PS_CATALOG_CELLS each)
 *   build.c     rows -> struct ps_catalog          |
 *   names.c     which functions a text can call    v
 *   sets.c      read and write sets            struct ps_catalog
 *   rows.c      which rows of a table
 *   catalogs.c  the process-wide table: who loads, who waits
 */
#ifndef PS_AGENT_CATALOG_CATALOG_PRIVATE_H
#define PS_AGENT_CATALOG_CATALOG_PRIVATE_H

#include "agent/catalog/catalog.h"
#include "agent/result/result.h"

enum {
    PS_CATALOG_MAGIC = 0x63617467,
    PS_CATALOG_MAX_BYTES = 64 << 20,
    PS_CATALOG_MAX_ROWS = 500000
};

/* Worst last. */
enum ps_volatility {
    PS_IMMUTABLE,
    PS_STABLE,  /* not cacheable, writes nothing */
    PS_VOLATILE /* may write anything */
};

/* Of a relation, whatever way it is used. */
enum {
    PS_REL_RLS = 1,             /* policies decide which rows are seen */
    PS_REL_FOREIGN = 2,         /* its rows are somewhere else */
    PS_REL_SYSTEM = 4,          /* changes without a visible write */
    PS_REL_SEQUENCE = 8,        /* likewise */
    PS_REL_WRITES_UNKNOWN = 16, /* a write fires triggers, rules, ... */
    PS_REL_READ_STABLE = 32,    /* a view or policy asks the clock, ... */
    PS_REL_READ_VOLATILE = 64,  /* reading it may write anything */
    PS_REL_VIEW = 128,          /* has no rows of its own */
    PS_REL_TABLE = 256,         /* has, and no other table is a part of it */
    PS_REL_HIDDEN = 512,        /* its foreign keys may not all be seen */
    PS_REL_SESSION_READ = 1024, /* reading it may change the session */
    PS_REL_SESSION_WRITE = 2048 /* likewise writing; WRITES_UNKNOWN may, too */
};

enum ps_edge_kind {
    PS_EDGE_BASE,   /* view -> what it reads; a write goes there, too */
    PS_EDGE_CHILD,  /* parent -> partition or heir */
    PS_EDGE_PARENT, /* the same backwards */
    PS_EDGE_CASCADE /* referenced table -> table whose rows it changes */
};

/* A column that rows can be told apart by. */
struct ps_catalog_column {
    uint64_t oid; /* of its table */
    struct ps_str name;
    enum ps_sql_column_type type;
    bool bends;       /* a value that does not fit is changed, not refused */
    bool counts;      /* ... and 0 and NULL mean the next number */
    int64_t min, max; /* what fits */
};

struct ps_catalog_relation {
    uint64_t oid;
    struct ps_str schema, name;
    struct ps_str key; /* the name as it is looked up */
    unsigned flags;
    uint32_t first_edge, n_edges;
    uint32_t first_column, n_columns;
};
struct ps_catalog_edge {
    uint64_t from, to; /* oids, then indexes */
    enum ps_edge_kind kind;
};
struct ps_catalog_function {
    struct ps_str folded; /* ASCII lower case, the key */
    struct ps_str schema, name;
    enum ps_volatility volatility;
    bool of_row; /* t.f may call it */
};
struct ps_catalog_operator {
    struct ps_str name;
    enum ps_volatility volatility;
};

struct ps_catalog {
    unsigned magic;
    _Atomic unsigned refs;
    enum ps_dialect dialect;
    /* Names may mean the same in other letters: they stand for every relation
     * whose name differs in ASCII case only. */
    bool fold_names;
    struct ps_arena *arena; /* owns all below */
    uint64_t gen;
    uint64_t hash;   /* of the rows, in whatever order they came */
    uint64_t viewer; /* who saw them; catalogues of two compare to nothing */
    struct ps_catalog_relation *relations; /* by oid */
    size_t n_relations;
    uint32_t *by_name;             /* indexes, by key */
    struct ps_catalog_edge *edges; /* by from */
    size_t n_edges;
    struct ps_catalog_column *columns; /* by oid */
    size_t n_columns;
    struct ps_catalog_function *functions; /* by folded */
    size_t n_functions;
    struct ps_catalog_operator *operators; /* that are not immutable */
    size_t n_operators;
    /* Of any statement, for casts, operators and checks that run without
     * being named. */
    enum ps_volatility any_read, any_write;
    bool quiet; /* no relation runs a function, fires a trigger, ... */
};

/* ---- build.c ---- */

/* clang-format off */
/*
 * A row of the query, cells absent where NULL. The first is its kind:
 *
 *   r oid digest schema name flags     a relation; flags: its relkind, XX
 *   a oid -      -      name type     a column of a table with rows of its
 *                                      own: i integer, u uuid, b boolean;
 *                                      neither generated nor a domain. The
 *                                      name as the analysis folds it. i1, i4,
 *                                      ...: of so many bytes, and a value that
 *                                      does not fit is made to; then u for
 *                                      unsigned, a where 0 and NULL mean the
 *                                      next number
 *   e from to    -      -    kind      an edge between oids: v view -> base,
 *                                      i parent -> child, k referenced ->
 *                                      referencing
 *   f oid -      -      -    vd        a function of volatility v (i s v) that
 *                                      runs on a read (d = r) or a write (w)
 *   d oid -      text   -    -         a view's definition
 *   p -   digest schema name vr        a function; r: its one argument may be
 *                                      a row (else -)
 *   o -   -      -      name v         an operator
 *   c -   -      -      -    vd        something that runs unasked on any read
 *                                      (d = r) or write (w)
 *   h ...                              counts for the hash only
 *   w -   -      -      name -         who sees these rows, where not all see
 *                                      the same
 *
 * oid: a number, or for MySQL a text that stands for one (ps_catalog_my_id).
 */
/* clang-format on */
enum {
    PS_CATALOG_CELLS = 6
};
struct ps_catalog_builder;
struct ps_catalog_builder *ps_catalog_builder_new(enum ps_dialect dialect);
void ps_catalog_builder_free(struct ps_catalog_builder **builder);
/* PS_TOO_BIG, PS_NO_MEMORY or PS_ORIGIN_PROTOCOL (not such a row). */
PS_MUST_USE enum ps_rc
ps_catalog_builder_row(struct ps_catalog_builder *builder,
                       const struct ps_cell cells[PS_CATALOG_CELLS]);
/* The catalogue of these rows with refs 1. The builder is used up. */
PS_MUST_USE enum ps_rc
ps_catalog_builder_finish(struct ps_catalog_builder *builder, uint64_t gen,
                          struct ps_catalog **out);

/* The number that a text for one stands for. */
uint64_t ps_catalog_id(struct ps_cell cell);

/* ---- names.c ---- */

struct ps_vouch {
    enum ps_volatility worst;
    bool unknown; /* a function the catalogue does not have */
};
/* The functions and operators that a statement can call besides the
 * built-ins its analysis knows. */
struct ps_vouch ps_catalog_vouch(const struct ps_catalog *catalog,
                                 const struct ps_sql_analysis *analysis);
/* ASCII letters to lower case, in place. */
void ps_catalog_fold(char *text, size_t len);
int ps_catalog_str_cmp(struct ps_str a, struct ps_str b);

/* ---- rows.c ---- */

/* The rows that this use of the relation sees. False: any. */
PS_MUST_USE bool ps_catalog_pinned_rows(const struct ps_catalog *catalog,
                                        const struct ps_catalog_relation *r,
                                        const struct ps_sql_relation *read,
                                        const struct ps_sql_bindings *bindings,
                                        struct ps_arena *arena,
                                        struct ps_row_set *out);
/* The rows that this use of the relation changes. False: any. */
PS_MUST_USE bool ps_catalog_changed_rows(const struct ps_catalog *catalog,
                                         const struct ps_catalog_relation *r,
                                         const struct ps_sql_relation *write,
                                         const struct ps_sql_bindings *bindings,
                                         struct ps_arena *arena,
                                         struct ps_row_set *out);

/* ---- pg_load.c ---- */

/* Reads the rows of the query into a builder. */
struct ps_catalog_reader {
    struct ps_sink sink;
    struct ps_catalog_builder *builder;
};
void ps_catalog_reader_init(struct ps_catalog_reader *reader,
                            struct ps_catalog_builder *builder);
struct ps_str ps_catalog_pg_query(void);

/* ---- origins.c ---- */

struct ps_catalog_origin {
    enum ps_dialect dialect;
    struct ps_str (*query)(void);
};
/* NULL: its catalogue is not read. */
const struct ps_catalog_origin *
ps_catalog_origin_find(enum ps_provider provider);

/* ---- my_load.c ---- */

struct ps_str ps_catalog_my_query(void);
/* The oid of a relation of this name. */
uint64_t ps_catalog_my_id(struct ps_str schema, struct ps_str name);

/* ---- ts_load.c ---- */

struct ps_str ps_catalog_ts_query(void);
/* The query of a view's definition: "CREATE VIEW v AS select" -> "select". */
struct ps_str ps_catalog_ts_view(struct ps_str definition);

#endif
