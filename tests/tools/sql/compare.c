/*
 * Statements that were not written for this, through our analysis and through
 * PostgreSQL's own parser (libpg_query), and what the two say compared.
 *
 *   sql-compare [-v] [-f NAMES] LABEL FILE...
 *
 * FILE: statements with a NUL behind each. NAMES: functions, one a line, all
 * of whose forms the server calls volatile.
 *
 * A statement that PostgreSQL's parser refuses is counted and left out. Of the
 * others these are errors, printed with the statement:
 *   - a write that is called a read;
 *   - a relation that libpg_query finds and we do not, in a read that we claim
 *     to understand (so wherever we call it cacheable, the catalogue's say
 *     included), or where the statement writes it and we do not say that
 *     everything may change;
 *   - a cacheable answer though the tree locks rows, takes a sample, asks for
 *     the clock or the session, calls one of NAMES, or holds several
 *     statements.
 * -v also prints what is not understood. One line of JSON ends the output; the
 * exit status is 1 when there were errors.
 */
#include "agent/sql/sql.h"
#include "common/file.h"

#include <jansson.h>

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_FILE = 256 << 20,
    MAX_TABLES = 4096
};

struct table {
    const char *schema, *name;
    bool written;
};

/* Names of common table expressions that are visible. */
struct cte {
    const struct cte *outer;
    const char *name;
};

/* What PostgreSQL's tree says. */
struct tree {
    struct table tables[MAX_TABLES];
    size_t n_tables;
    bool writes;       /* changes data, structure or what we cannot know */
    bool plain_select; /* one SELECT and nothing else */
    bool moving;       /* locks, samples, clock, session */
};

struct counts {
    unsigned long statements, refused, reads, cacheable, catalogue, understood;
    unsigned long selects, selects_understood, errors;
};

static bool verbose;
static json_t *volatile_functions; /* an object, its keys are the names */

/* ---- the tree ---- */

static void
add_table(struct tree *t, const json_t *range, bool written)
{
    if (t->n_tables == MAX_TABLES)
        return;
    t->tables[t->n_tables++] = (struct table){
        .schema = json_string_value(json_object_get(range, "schemaname")),
        .name = json_string_value(json_object_get(range, "relname")),
        .written = written};
}

static bool
is_cte(const struct cte *ctes, const json_t *range)
{
    const char *name = json_string_value(json_object_get(range, "relname"));
    if (json_object_get(range, "schemaname"))
        return false;
    for (; ctes; ctes = ctes->outer)
        if (strcmp(ctes->name, name) == 0)
            return true;
    return false;
}

static void walk(struct tree *t, const json_t *node, const struct cte *ctes);

/* The members of an object but this one. */
static void
walk_others(struct tree *t, const json_t *node, const char *but,
            const struct cte *ctes)
{
    const char *key;
    json_t *value;
    void *it = json_object_iter((json_t *)(uintptr_t)node);
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)node, it)) {
        key = json_object_iter_key(it);
        value = json_object_iter_value(it);
        if (strcmp(key, but) != 0 && strcmp(key, "lockingClause") != 0)
            walk(t, value, ctes);
    }
}

/* Each name is visible behind its definition, with RECURSIVE in all of them;
 * then the rest of the statement. */
static void
walk_with(struct tree *t, const json_t *node, const json_t *with, size_t at,
          const struct cte *ctes)
{
    const json_t *list = json_object_get(with, "ctes");
    bool recursive = json_is_true(json_object_get(with, "recursive"));
    if (at == json_array_size(list)) {
        for (size_t i = 0; recursive && i < at; i++)
            walk(t, json_array_get(list, i), ctes);
        walk_others(t, node, "withClause", ctes);
        return;
    }
    const json_t *cte =
        json_object_get(json_array_get(list, at), "CommonTableExpr");
    if (!recursive)
        walk(t, cte, ctes);
    struct cte more = {.outer = ctes,
                       .name =
                           json_string_value(json_object_get(cte, "ctename"))};
    walk_with(t, node, with, at + 1, &more);
}

static bool
is_one_of(const char *key, const char *list)
{
    char needle[64];
    snprintf(needle, sizeof(needle), " %s ", key);
    return strstr(list, needle) != NULL;
}

/* pg_catalog.name or name; what stands in another schema is not meant. */
static void
note_call(struct tree *t, const json_t *call)
{
    const json_t *parts = json_object_get(call, "funcname");
    size_t n = json_array_size(parts);
    const char *names[2] = {"pg_catalog", ""};

    for (size_t i = 0; n <= 2 && i < n; i++) {
        const json_t *part =
            json_object_get(json_array_get(parts, i), "String");
        const char *name = json_string_value(json_object_get(part, "sval"));
        names[i + 2 - n] = name ? name : "";
    }
    if (strcmp(names[0], "pg_catalog") == 0 &&
        json_object_get(volatile_functions, names[1]))
        t->moving = true;
}

/* A member whose name tells what is below it. */
static void
note_key(struct tree *t, const char *key, const json_t *value)
{
    if (is_one_of(key, " InsertStmt UpdateStmt DeleteStmt MergeStmt "))
        t->writes = true;
    if (strcmp(key, "intoClause") == 0)
        t->writes = true;
    if (is_one_of(key, " lockingClause RangeTableSample SQLValueFunction "))
        t->moving = true;
    if (is_one_of(key, " InsertStmt UpdateStmt DeleteStmt MergeStmt "))
        add_table(t, json_object_get(value, "relation"), true);
    if (strcmp(key, "FuncCall") == 0)
        note_call(t, value);
}

static void
walk(struct tree *t, const json_t *node, const struct cte *ctes)
{
    if (json_is_array(node)) {
        for (size_t i = 0; i < json_array_size(node); i++)
            walk(t, json_array_get(node, i), ctes);
        return;
    }
    if (!json_is_object(node))
        return;
    if (json_object_get(node, "relname") &&
        json_object_get(node, "relpersistence")) {
        if (!is_cte(ctes, node))
            add_table(t, node, false);
        return;
    }
    json_t *mutable = (json_t *)(uintptr_t)node;
    for (void *it = json_object_iter(mutable); it;
         it = json_object_iter_next(mutable, it))
        note_key(t, json_object_iter_key(it), json_object_iter_value(it));
    const json_t *with = json_object_get(node, "withClause");
    if (with)
        walk_with(t, node, with, 0, ctes);
    else
        walk_others(t, node, "", ctes);
}

static bool
explains_by_running(const json_t *explain)
{
    const json_t *options = json_object_get(explain, "options");
    for (size_t i = 0; i < json_array_size(options); i++) {
        const json_t *o =
            json_object_get(json_array_get(options, i), "DefElem");
        const char *name = json_string_value(json_object_get(o, "defname"));
        if (name && strcmp(name, "analyze") == 0)
            return true;
    }
    return false;
}

static void
walk_statement(struct tree *t, const json_t *stmt)
{
    json_t *mutable = (json_t *)(uintptr_t)stmt;
    void *it = json_object_iter(mutable);
    if (!it)
        return;
    const char *kind = json_object_iter_key(it);
    const json_t *body = json_object_iter_value(it);
    if (strcmp(kind, "ExplainStmt") == 0) {
        if (explains_by_running(body))
            walk_statement(t, json_object_get(body, "query"));
        return;
    }
    if (strcmp(kind, "PrepareStmt") == 0) {
        t->writes = true; /* it runs later, or never */
        return;
    }
    walk(t, stmt, NULL);
    if (strcmp(kind, "CopyStmt") == 0 &&
        !json_is_true(json_object_get(body, "is_from")))
        return;
    if (!is_one_of(kind, " SelectStmt VariableShowStmt "))
        t->writes = true;
}

/* False: PostgreSQL does not understand it. */
static bool
parse_tree(const char *sql, struct tree *t, size_t *n_statements)
{
    PgQueryParseResult r = pg_query_parse(sql);
    bool ok = !r.error;
    static json_t *root; /* tables point into it until the next call */

    json_decref(root);
    root = ok ? json_loads(r.parse_tree, 0, NULL) : NULL;
    pg_query_free_parse_result(r);
    if (!root)
        return false;
    const json_t *list = json_object_get(root, "stmts");
    *n_statements = json_array_size(list);
    t->n_tables = 0;
    t->writes = t->moving = false;
    for (size_t i = 0; i < *n_statements; i++)
        walk_statement(t, json_object_get(json_array_get(list, i), "stmt"));
    const json_t *first = json_object_get(json_array_get(list, 0), "stmt");
    t->plain_select = *n_statements == 1 && !t->writes &&
                      json_object_get(first, "SelectStmt") != NULL;
    return *n_statements > 0;
}

/* ---- the comparison ---- */

static bool
understood(const struct ps_sql_analysis *a)
{
    return !a->incomplete && a->cls != PS_SQL_UNKNOWN;
}

static bool
has_table(const struct ps_sql_analysis *a, const struct table *t)
{
    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *r = &a->relations[i];
        if (!ps_str_eq(r->name, ps_str_of(t->name)) ||
            (r->schema.ptr != NULL) != (t->schema != NULL) ||
            (t->schema && !ps_str_eq(r->schema, ps_str_of(t->schema))))
            continue;
        if (!t->written || (r->use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)))
            return true;
    }
    return false;
}

/* What is wrong, or NULL. */
static const char *
compare(const struct tree *t, size_t n, const struct ps_sql_analysis *a)
{
    bool cacheable = a->reason == PS_SQL_REASON_NONE ||
                     a->reason == PS_SQL_REASON_UNKNOWN_FUNCTION;
    if (t->writes && (a->cls == PS_SQL_READ || !a->may_write))
        return "a write called a read";
    if (cacheable && (t->moving || t->writes || n != 1))
        return "cacheable, but it must not be";
    if (n != a->n_statements)
        return "another number of statements";
    for (size_t i = 0; i < t->n_tables; i++) {
        const struct table *table = &t->tables[i];
        if (has_table(a, table))
            continue;
        if (cacheable || (a->cls == PS_SQL_READ && understood(a)) ||
            (table->written && !a->writes_all))
            return "a relation is missing";
    }
    return NULL;
}

static void
print_statement(const char *what, const char *sql,
                const struct ps_sql_analysis *a)
{
    printf("--- %s (%s, %s at \"%.*s\")\n%s\n", what, ps_sql_class_text(a->cls),
           ps_sql_reason_code(a->reason),
           (int)PS_MIN(a->reason_len, (size_t)40), sql + a->reason_offset, sql);
}

static void
try_statement(const char *sql, struct ps_arena *arena, struct counts *c)
{
    static struct tree tree;
    struct ps_sql_analysis *a;
    size_t n;

    if (!parse_tree(sql, &tree, &n)) {
        c->refused++;
        return;
    }
    c->statements++;
    if (ps_sql_analyse(PS_DIALECT_POSTGRES, 0, ps_str_of(sql), arena, &a) !=
        PS_OK) {
        fprintf(stderr, "sql-compare: no memory\n");
        exit(2);
    }
    const char *wrong = compare(&tree, n, a);
    if (wrong) {
        c->errors++;
        print_statement(wrong, sql, a);
    }
    c->reads += a->cls == PS_SQL_READ;
    c->cacheable += a->reason == PS_SQL_REASON_NONE;
    c->catalogue += a->reason == PS_SQL_REASON_UNKNOWN_FUNCTION;
    c->understood += understood(a);
    c->selects += tree.plain_select;
    c->selects_understood += tree.plain_select && understood(a);
    if (!understood(a) && verbose)
        print_statement("not understood", sql, a);
}

static void
try_file(const char *path, struct counts *c)
{
    struct ps_arena *arena = ps_arena_new(256u << 20);
    char *data;
    size_t len;

    if (!arena || ps_file_read(path, MAX_FILE, &data, &len, NULL) != PS_OK) {
        fprintf(stderr, "sql-compare: cannot read %s\n", path);
        exit(2);
    }
    for (const char *at = data; at < data + len; at += strlen(at) + 1) {
        try_statement(at, arena, c);
        ps_arena_reset(arena);
    }
    free(data);
    ps_arena_free(&arena);
}

static void
read_names(const char *path)
{
    char *data, *rest, *line;
    size_t len;

    if (!path || ps_file_read(path, MAX_FILE, &data, &len, NULL) != PS_OK) {
        fprintf(stderr, "sql-compare: cannot read the names\n");
        exit(2);
    }
    volatile_functions = json_object();
    for (rest = data; (line = strsep(&rest, "\n"));)
        if (*line)
            json_object_set_new(volatile_functions, line, json_true());
    free(data);
}

int
main(int argc, char **argv)
{
    struct counts c = {0};
    int at = 1;

    if (at < argc && strcmp(argv[at], "-v") == 0) {
        verbose = true;
        at++;
    }
    if (at < argc && strcmp(argv[at], "-f") == 0) {
        read_names(argv[at + 1]);
        at += 2;
    }
    if (argc - at < 2) {
        fprintf(stderr, "usage: sql-compare [-v] [-f NAMES] LABEL FILE...\n");
        return 2;
    }
    const char *label = argv[at++];
    for (; at < argc; at++)
        try_file(argv[at], &c);
    printf("{\"set\": \"%s\", \"statements\": %lu, \"refused\": %lu, "
           "\"understood\": %lu, \"reads\": %lu, \"cacheable\": %lu, "
           "\"cacheable_if_functions\": %lu, \"plain_selects\": %lu, "
           "\"plain_selects_understood\": %lu, \"errors\": %lu}\n",
           label, c.statements, c.refused, c.understood, c.reads, c.cacheable,
           c.catalogue, c.selects, c.selects_understood, c.errors);
    return c.errors ? 1 : 0;
}
