/*
 * The catalogue of the scripts, behind the agent's own header
 * (agent/catalog/catalog.h) in place of the real one: it knows the tables and
 * views that the script names, all in schema public, and loads them without
 * asking the origin, so that a script's count of connections and
 * statements is the request path's alone. How the real one reads and
 * resolves is tested beside it.
 *
 * Like the real one it stands for one generation of its space's structure, and
 * is loaded again after that has moved.
 */
#include "agent/catalog/catalog.h"
#include "common/check.h"
#include "common/list.h"
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RELATIONS_MAX = 16,
    SPACES_MAX = 16
};

struct relation {
    char name[32];
    char of[32];   /* a view's table, "" for a table */
    char rows[32]; /* column of integers that reads pin rows by, or "" */
    bool row_security;
};

static struct relation relations[RELATIONS_MAX];
static size_t n_relations;
static enum ps_rc load_rc;
static uint64_t load_delay_ms;

struct ps_catalog {
    unsigned refs;
    uint64_t gen;
};

struct ps_catalogs {
    struct ps_catalog *known[SPACES_MAX];
    uint64_t space_ids[SPACES_MAX];
    size_t n;
    struct ps_list waiting;
};

/* ------------------------------------------------------------- commands */

/* A new one, or another one in its place. */
static struct relation *
add(struct scn_line *line, const char *name)
{
    size_t at = 0;
    while (at < n_relations && strcmp(relations[at].name, name) != 0)
        at++;
    if (at == RELATIONS_MAX)
        scn_fail(line, "too many relations");
    n_relations = PS_MAX(n_relations, at + 1);
    struct relation *relation = &relations[at];
    memset(relation, 0, sizeof(*relation));
    snprintf(relation->name, sizeof(relation->name), "%s", name);
    return relation;
}

/* table NAME rows=COLUMN [row_security] */
void
scn_table(struct scn_world *world, struct scn_line *line)
{
    (void)world;
    struct relation *table = add(line, scn_operand(line, 1));
    table->row_security = scn_flag(line, "row_security");
    snprintf(table->rows, sizeof(table->rows), "%s",
             scn_option(line, "rows", ""));
}

/* view NAME of=TABLE */
void
scn_view(struct scn_world *world, struct scn_line *line)
{
    (void)world;
    struct relation *view = add(line, scn_operand(line, 1));
    snprintf(view->of, sizeof(view->of), "%s", scn_option(line, "of", ""));
}

/* catalog [delay=] [error=]: how loads end from now on. */
void
scn_catalog(struct scn_world *world, struct scn_line *line)
{
    (void)world;
    load_rc = scn_rc(line, scn_option(line, "error", "ok"));
    load_delay_ms = scn_duration_ms(line, "delay", 0);
}

void
scn_tables_done(void)
{
    n_relations = 0;
}

/* ------------------------------------------------------------- answers */

struct ps_catalog *
ps_catalog_ref(struct ps_catalog *catalog)
{
    catalog->refs++;
    return catalog;
}

void
ps_catalog_unref(struct ps_catalog **catalog)
{
    struct ps_catalog *old = *catalog;
    *catalog = NULL;
    if (old && --old->refs == 0)
        free(old);
}

uint64_t
ps_catalog_gen(const struct ps_catalog *catalog)
{
    return catalog ? catalog->gen : 0;
}

static const struct relation *
resolve(struct ps_str name)
{
    for (size_t i = 0; i < n_relations; i++)
        if (ps_str_eq(name, ps_str_of(relations[i].name)))
            return &relations[i];
    return NULL;
}

/* The table behind a name: its own or the view's. */
static struct ps_table_name
table_of(const struct relation *relation)
{
    const char *name = relation->of[0] ? relation->of : relation->name;
    return (struct ps_table_name){PS_STR("public"), ps_str_of(name)};
}

/* Nothing but `WHERE column = n` tells rows apart. */
static struct ps_row_set
rows_of(const struct relation *relation, const struct ps_sql_relation *read,
        const struct ps_catalog_text *text, struct ps_arena *arena)
{
    struct ps_sql_row_values values;
    struct ps_row_set none = {0};
    for (size_t i = 0; relation->rows[0] && i < read->n_predicates; i++) {
        const struct ps_sql_predicate *p = &read->predicates[i];
        if (!ps_str_eq(p->column, ps_str_of(relation->rows)) ||
            !ps_sql_read_values(p, PS_SQL_COLUMN_INT, text->bindings,
                                &values) ||
            values.n != 1)
            continue;
        uint16_t *digest = ps_arena_alloc(arena, sizeof(*digest));
        struct ps_row_column *column = ps_arena_alloc(arena, sizeof(*column));
        *digest = ps_row_digest_int(values.at[0].integer);
        *column = (struct ps_row_column){p->column, digest, 1};
        return (struct ps_row_set){column, 1};
    }
    return none;
}

bool
ps_catalog_read_set(const struct ps_catalog *catalog,
                    const struct ps_catalog_text *text, struct ps_arena *arena,
                    struct ps_catalog_tables *set, const char **reason)
{
    const struct ps_sql_analysis *a = text->analysis;
    *reason =
        a->reason == PS_SQL_REASON_NONE ? NULL : ps_sql_reason_code(a->reason);
    if (!*reason && !catalog)
        *reason = "no_catalog";
    struct ps_table_name *out =
        ps_arena_alloc(arena, (a->n_relations + 1) * sizeof(*out));
    struct ps_row_set *rows =
        ps_arena_alloc(arena, (a->n_relations + 1) * sizeof(*rows));
    for (size_t i = 0; !*reason && i < a->n_relations; i++) {
        const struct relation *found = resolve(a->relations[i].name);
        if (!found)
            *reason = "unknown_relation";
        else if (found->row_security)
            *reason = "row_security";
        else {
            out[i] = table_of(found);
            rows[i] = rows_of(found, &a->relations[i], text, arena);
        }
    }
    *set = (struct ps_catalog_tables){
        .tables = out, .rows = rows, .n = a->n_relations};
    return !*reason;
}

bool
ps_catalog_write_set(const struct ps_catalog *catalog,
                     const struct ps_catalog_text *text, struct ps_arena *arena,
                     struct ps_change *change)
{
    const struct ps_sql_analysis *a = text->analysis;
    struct ps_table_name *out =
        ps_arena_alloc(arena, (a->n_relations + 1) * sizeof(*out));
    change->tables = NULL;
    change->n_tables = 0;
    change->rows = NULL;
    change->catalog = false;
    if (!a->may_write)
        return false;
    bool all = a->writes_all || a->n_functions > 0 || !catalog;
    size_t n = 0;
    for (size_t i = 0; !all && i < a->n_relations; i++) {
        const struct relation *found = resolve(a->relations[i].name);
        if (!(a->relations[i].use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)))
            continue;
        all = !found;
        bool again =
            found && n && ps_str_eq(out[n - 1].name, table_of(found).name);
        if (found && !again)
            out[n++] = table_of(found);
    }
    if (!all) {
        change->tables = out;
        change->n_tables = n;
    }
    return true;
}

bool
ps_catalog_has_effect(const struct ps_sql_analysis *analysis)
{
    return analysis->may_write;
}

bool
ps_catalog_touches_session(const struct ps_catalog *catalog,
                           const struct ps_sql_analysis *analysis,
                           struct ps_arena *arena)
{
    (void)arena;
    return analysis->touches_session || (!catalog && analysis->n_relations > 0);
}

/* ---------------------------------------------------------------- loads */

struct ps_catalogs *
ps_catalogs_new(const struct ps_catalogs_conf *conf)
{
    (void)conf;
    struct ps_catalogs *catalogs = calloc(1, sizeof(*catalogs));
    PS_CHECK(catalogs);
    ps_list_init(&catalogs->waiting);
    return catalogs;
}

void
ps_catalogs_free(struct ps_catalogs **catalogs)
{
    struct ps_catalogs *old = *catalogs;
    *catalogs = NULL;
    if (!old)
        return;
    PS_CHECK(old->waiting.count == 0);
    for (size_t i = 0; i < old->n; i++)
        ps_catalog_unref(&old->known[i]);
    free(old);
}

void
ps_catalogs_stop(struct ps_catalogs *catalogs, struct ps_loop *loop)
{
    (void)loop; /* a script ends with nothing under way */
    PS_CHECK(catalogs->waiting.count == 0);
}

static size_t
place_of(struct ps_catalogs *catalogs, struct ps_space *space)
{
    uint64_t id = ps_space_id(space);
    for (size_t i = 0; i < catalogs->n; i++)
        if (catalogs->space_ids[i] == id)
            return i;
    PS_CHECK(catalogs->n < SPACES_MAX);
    catalogs->space_ids[catalogs->n] = id;
    return catalogs->n++;
}

struct ps_catalog *
ps_catalog_find(struct ps_catalogs *catalogs, struct ps_space *space,
                uint64_t now_us, bool *due)
{
    (void)now_us;
    struct ps_catalog *known = catalogs->known[place_of(catalogs, space)];
    if (due)
        *due = false;
    if (!known || known->gen != ps_space_catalog_gen(space))
        return NULL;
    return ps_catalog_ref(known);
}

struct load {
    struct ps_catalogs *catalogs;
    struct ps_space *space; /* a reference */
    uint64_t gen;
};

static struct load *
end_load(struct ps_catalog_wait *wait)
{
    struct load *load = wait->opaque;
    ps_list_remove(&load->catalogs->waiting, &wait->link);
    ps_timer_stop(&wait->timer);
    wait->opaque = NULL;
    return load;
}

static void
free_load(struct load *load)
{
    ps_space_unref(&load->space);
    free(load);
}

static void
on_loaded(void *arg)
{
    struct ps_catalog_wait *wait = arg;
    struct load *load = end_load(wait);
    struct ps_err err = {.rc = PS_OK};
    struct ps_catalog **place = NULL;
    if (load_rc == PS_OK) {
        place = &load->catalogs->known[place_of(load->catalogs, load->space)];
        ps_catalog_unref(place);
        *place = calloc(1, sizeof(**place));
        PS_CHECK(*place);
        (*place)->refs = 1;
        (*place)->gen = load->gen;
    } else {
        ps_err_set(&err, load_rc, NULL);
    }
    free_load(load);
    wait->fn(wait, place ? *place : NULL, load_rc, &err);
}

void
ps_catalog_load(struct ps_catalogs *catalogs, struct ps_space *space,
                const struct ps_catalog_source *source,
                struct ps_catalog_wait *wait)
{
    struct load *load = calloc(1, sizeof(*load));
    PS_CHECK(load);
    load->catalogs = catalogs;
    load->space = ps_space_ref(space);
    load->gen = ps_space_catalog_gen(space);
    wait->opaque = load;
    ps_link_init(&wait->link);
    ps_list_push_back(&catalogs->waiting, &wait->link);
    ps_timer_init(&wait->timer, source->loop, on_loaded, wait);
    ps_timer_start_ms(&wait->timer, load_delay_ms);
}

void
ps_catalog_cancel(struct ps_catalogs *catalogs, struct ps_catalog_wait *wait)
{
    (void)catalogs;
    if (wait->opaque)
        free_load(end_load(wait));
}

void
ps_catalog_refresh(struct ps_catalogs *catalogs, struct ps_space *space,
                   const struct ps_catalog_source *source)
{
    (void)catalogs;
    (void)space;
    (void)source;
}
