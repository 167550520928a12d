/*
 * What would be done with a statement here, and why: the same questions as a
 * run asks (step_plan.c, rules.c, policy), without a run, a connection or a
 * trace of it: nothing is counted, learned or kept.
 *
 * The catalogue is that which requests have loaded with their credentials; an
 * operator has none. Written as JSON at once, because nobody here reads it.
 */
#include "agent/req/req_private.h"

#include <stdlib.h>

struct explain {
    struct ps_engine *engine;
    const struct ps_explain *ask;
    struct ps_cache_conf *conf;
    struct ps_space *space; /* NULL: none of that name, or it is not clear */
    struct ps_catalog *catalog;
    struct ps_sql_analysis *analysis;
    struct ps_catalog_tables set; /* with cacheable */
    struct ps_rule_choice rule;   /* likewise */
    bool cacheable;
    const char *why; /* code */
    struct ps_buf *out;
};

/* ---- JSON ---- */

static void
key(struct ps_buf *out, const char *name)
{
    char last = out->len ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[')
        ps_buf_append_char(out, ',');
    ps_buf_append_json(out, ps_str_of(name));
    ps_buf_append_char(out, ':');
}

/* The next item of an array. */
static void
item(struct ps_buf *out)
{
    if (out->len && out->data[out->len - 1] != '[')
        ps_buf_append_char(out, ',');
}

static void
text(struct ps_buf *out, const char *name, struct ps_str value)
{
    key(out, name);
    if (value.ptr)
        ps_buf_append_json(out, value);
    else
        ps_buf_append_c(out, "null");
}

static void
number(struct ps_buf *out, const char *name, uint64_t value)
{
    key(out, name);
    ps_buf_append_u64(out, PS_MIN(value, (uint64_t)INT64_MAX));
}

static void
boolean(struct ps_buf *out, const char *name, bool value)
{
    key(out, name);
    ps_buf_append_c(out, value ? "true" : "false");
}

static void
id(struct ps_buf *out, const char *name, uint64_t value)
{
    key(out, name);
    ps_buf_printf(out, "\"%016llx\"", (unsigned long long)value);
}

/* ---- the database ---- */

static struct ps_catalog *
catalog_of(struct explain *e, struct ps_space *space)
{
    return ps_catalog_find(e->engine->catalogs, space,
                           ps_clock_now_us(e->engine->conf.clock), NULL);
}

/* The space that is meant, and the names of those with a catalogue, which are
 * written out. */
static void
find_database(struct explain *e)
{
    /* As a client that names none gets it. */
    struct ps_str wanted = e->ask->database.ptr
                               ? e->ask->database
                               : ps_str_of(e->conf->default_database);
    size_t n = 0, known = 0;
    struct ps_space **spaces =
        ps_spaces_of_cache(e->engine->spaces, e->ask->cache_id, &n);
    key(e->out, "databases");
    ps_buf_append_char(e->out, '[');
    for (size_t i = 0; i < n; i++) {
        struct ps_catalog *catalog = catalog_of(e, spaces[i]);
        struct ps_str name = ps_space_database(spaces[i]);
        bool meant = wanted.ptr ? ps_str_eq(name, wanted) : catalog != NULL;
        if (catalog) {
            item(e->out);
            ps_buf_append_json(e->out, name);
            known++;
        }
        if (meant && !e->space) {
            e->space = spaces[i];
            e->catalog = catalog;
        } else {
            ps_catalog_unref(&catalog);
            ps_space_unref(&spaces[i]);
        }
    }
    free(spaces);
    ps_buf_append_char(e->out, ']');
    if (!wanted.ptr && known > 1) { /* which one? */
        ps_catalog_unref(&e->catalog);
        ps_space_unref(&e->space);
    }
    text(e->out, "database", e->space ? ps_space_database(e->space) : wanted);
    boolean(e->out, "catalog", e->catalog != NULL);
}

/* ---- what it is ---- */

static void
put_relations(struct explain *e)
{
    static const struct {
        unsigned use;
        const char *text;
    } uses[] = {
        {PS_SQL_REL_READ,  "read" },
        {PS_SQL_REL_WRITE, "write"},
        {PS_SQL_REL_DDL,   "ddl"  },
    };
    const struct ps_sql_analysis *a = e->analysis;
    key(e->out, "relations");
    ps_buf_append_char(e->out, '[');
    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *r = &a->relations[i];
        item(e->out);
        ps_buf_append_char(e->out, '{');
        text(e->out, "schema", r->schema);
        text(e->out, "name", r->name);
        key(e->out, "use");
        ps_buf_append_char(e->out, '[');
        for (size_t u = 0; u < PS_ARRAY_LEN(uses); u++) {
            if (!(r->use & uses[u].use))
                continue;
            item(e->out);
            ps_buf_append_json(e->out, ps_str_of(uses[u].text));
        }
        ps_buf_append_c(e->out, "]}");
    }
    ps_buf_append_char(e->out, ']');
}

static void
put_analysis(struct explain *e)
{
    const struct ps_sql_analysis *a = e->analysis;
    struct ps_buf *out = e->out;
    const char *reason = ps_sql_reason_code(a->reason);
    text(out, "class", ps_str_of(ps_sql_class_text(a->cls)));
    text(out, "statement", e->ask->statement->sql);
    key(out, "text");
    ps_buf_append_char(out, '{');
    text(out, "reason", ps_str_of(reason));
    text(out, "sentence", ps_str_of(ps_reason_sentence(reason)));
    number(out, "offset", a->reason_offset);
    number(out, "length", a->reason_len);
    ps_buf_append_char(out, '}');
    text(out, "template", a->template_text);
    id(out, "templateId", a->fingerprint);
    id(out, "queryId", ps_query_id(e->ask->key_sql));
    put_relations(e);
}

/* ---- may it be kept, and what does it depend on? ---- */

static bool
find_tables(struct explain *e, const struct ps_catalog_text *what)
{
    if (!ps_catalog_read_set(e->catalog, what, e->ask->arena, &e->set, &e->why))
        return false;
    if (ps_stays_home(e->conf->provider, ps_space_database(e->space),
                      e->set.tables, e->set.n))
        return true;
    e->why = ps_reason_code(PS_REASON_OTHER_DATABASE);
    return false;
}

static void
find_rule(struct explain *e)
{
    const struct ps_rule_ask ask = {.conf = e->conf,
                                    .key_sql = e->ask->key_sql,
                                    .fingerprint = e->analysis->fingerprint,
                                    .tables = e->set.tables,
                                    .n_tables = e->set.n,
                                    .arena = e->ask->arena};
    e->rule = ps_rule_find(&ask);
    if (e->rule.found && e->rule.mode == PS_RULE_NEVER)
        e->why = ps_reason_code(PS_REASON_RULE_NEVER);
    else if (!e->conf->auto_cached && !e->rule.found)
        e->why = ps_reason_code(PS_REASON_CACHING_OFF);
}

/* As ps_step_decide() does. */
static void
decide(struct explain *e, struct ps_change *change, bool *changes)
{
    const struct ps_catalog_text what = {
        .analysis = e->analysis,
        .bindings = e->ask->bound
                        ? ps_bindings_of(e->ask->statement, e->ask->arena)
                        : NULL,
        .database = e->space ? ps_space_database(e->space) : PS_STR_NONE};
    *changes = ps_catalog_write_set(e->catalog, &what, e->ask->arena, change);
    if (*changes && (e->catalog || e->analysis->cls != PS_SQL_READ))
        e->why = ps_sql_reason_code(e->analysis->reason == PS_SQL_REASON_NONE ||
                                            e->analysis->reason ==
                                                PS_SQL_REASON_UNKNOWN_FUNCTION
                                        ? PS_SQL_REASON_WRITES
                                        : e->analysis->reason);
    else if (find_tables(e, &what))
        e->cacheable = true;
    if (!e->conf->caching_enabled && e->analysis->cls == PS_SQL_READ)
        e->why = ps_reason_code(PS_REASON_CACHING_OFF);
    else if (e->cacheable)
        find_rule(e);
}

static bool
is_named(const struct explain *e, const struct ps_table_name *table)
{
    for (size_t i = 0; i < e->analysis->n_relations; i++)
        if (ps_str_eq_nocase(e->analysis->relations[i].name, table->name))
            return true;
    return false;
}

static void
put_columns(struct ps_buf *out, const struct ps_row_set *rows)
{
    key(out, "rows");
    ps_buf_append_char(out, '[');
    for (size_t i = 0; rows && i < rows->n_columns; i++) {
        item(out);
        ps_buf_append_char(out, '{');
        text(out, "column", rows->columns[i].name);
        number(out, "values", rows->columns[i].n_values);
        ps_buf_append_char(out, '}');
    }
    ps_buf_append_char(out, ']');
}

static void
put_tables(struct explain *e, const char *name,
           const struct ps_catalog_tables *set)
{
    key(e->out, name);
    ps_buf_append_char(e->out, '[');
    for (size_t i = 0; i < set->n; i++) {
        item(e->out);
        ps_buf_append_char(e->out, '{');
        text(e->out, "schema", set->tables[i].schema);
        text(e->out, "name", set->tables[i].name);
        boolean(e->out, "named", is_named(e, &set->tables[i]));
        put_columns(e->out, set->rows ? &set->rows[i] : NULL);
        ps_buf_append_char(e->out, '}');
    }
    ps_buf_append_char(e->out, ']');
}

/* null: it changes nothing; no tables: the whole database. */
static void
put_change(struct explain *e, const struct ps_change *change, bool changes)
{
    const struct ps_catalog_tables set = {
        .tables = change->tables, .rows = change->rows, .n = change->n_tables};
    key(e->out, "writes");
    if (!changes || (!e->catalog && e->analysis->cls == PS_SQL_READ)) {
        ps_buf_append_c(e->out, "null");
        return;
    }
    ps_buf_append_char(e->out, '{');
    put_tables(e, "tables", &set);
    boolean(e->out, "catalog", e->analysis->changes_catalog);
    ps_buf_append_char(e->out, '}');
}

/* ---- for how long ---- */

static void
put_rule(struct explain *e)
{
    static const char *const types[] = {[PS_RULE_QUERY] = "query",
                                        [PS_RULE_TEMPLATE] = "template",
                                        [PS_RULE_TABLE] = "table"};
    static const char *const modes[] = {[PS_RULE_AUTO] = "auto",
                                        [PS_RULE_TTL] = "ttl",
                                        [PS_RULE_NEVER] = "never"};
    const struct ps_rule_choice *c = &e->rule;
    key(e->out, "rule");
    if (!e->cacheable || !c->found || !c->rule) {
        ps_buf_append_c(e->out, "null");
        return;
    }
    ps_buf_append_char(e->out, '{');
    text(e->out, "type", ps_str_of(types[c->rule->type]));
    text(e->out, "key", ps_str_of(c->rule->key));
    text(e->out, "mode", ps_str_of(modes[c->mode]));
    number(e->out, "ttlMs", c->ttl_ms == UINT64_MAX ? 0 : c->ttl_ms);
    ps_buf_append_char(e->out, '}');
}

/* As ps_run_policy_ask() says it. */
static uint64_t
learned_ms(const struct explain *e)
{
    const struct ps_cache_conf *conf = e->conf;
    bool by_rule = e->rule.found && e->rule.mode == PS_RULE_AUTO;
    uint64_t cap = by_rule ? e->rule.ttl_ms : UINT64_MAX;
    const struct ps_policy_ask ask = {
        .space_id = ps_space_id(e->space),
        .fingerprint = e->analysis->fingerprint,
        .ttl_min_ms = PS_MIN(conf->ttl_min_ms, cap),
        .ttl_max_ms = PS_MIN(conf->ttl_max_ms, cap)};
    return ps_policy_peek(e->engine->policy, &ask);
}

static void
put_ttl(struct explain *e)
{
    bool fixed = e->rule.found && e->rule.mode == PS_RULE_TTL;
    uint64_t ms = 0;
    const char *from = "none"; /* not kept, or nothing is learned yet */
    if (e->cacheable && !e->why) {
        ms = fixed ? e->rule.ttl_ms : learned_ms(e);
        if (ms)
            from = fixed ? "rule" : "learned";
    }
    key(e->out, "ttl");
    ps_buf_append_char(e->out, '{');
    number(e->out, "ms", ms);
    text(e->out, "from", ps_str_of(from));
    ps_buf_append_char(e->out, '}');
}

/* "any write to public.items" */
static void
put_ending_write(struct explain *e, size_t i)
{
    const struct ps_table_name *t = &e->set.tables[i];
    bool rows = e->set.rows && e->set.rows[i].n_columns > 0;
    char *line = ps_arena_printf(
        e->ask->arena, "%s to %.*s.%.*s%s", rows ? "a write" : "any write",
        PS_STR_ARG(t->schema), PS_STR_ARG(t->name),
        rows ? " that touches these rows, or does not say which" : "");
    item(e->out);
    ps_buf_append_json(e->out, ps_str_of(line ? line : ""));
}

static void
put_invalidation(struct explain *e)
{
    key(e->out, "invalidatedBy");
    ps_buf_append_char(e->out, '[');
    for (size_t i = 0;
         e->cacheable && !e->conf->invalidation_off && i < e->set.n; i++)
        put_ending_write(e, i);
    if (e->cacheable) {
        item(e->out);
        ps_buf_append_c(e->out, "\"a change of the database's structure or "
                                "rights\",\"the end of its time to live\"");
    }
    ps_buf_append_char(e->out, ']');
}

/* ---- memory ---- */

static void
put_memory(struct explain *e)
{
    uint64_t now_us = ps_clock_now_us(e->engine->conf.clock);
    struct ps_store_look look = {
        .cache_id = e->ask->cache_id,
        .database = e->space ? ps_space_database(e->space) : e->ask->database,
        .sql = ps_query_text(e->ask->key_sql),
        .bindings = e->ask->key_bindings,
        .now_us = now_us,
        .revision = e->conf->revision};
    ps_store_look(e->engine->store, &look);
    key(e->out, "memory");
    ps_buf_append_char(e->out, '{');
    boolean(e->out, "lease", ps_lease_held(e->engine->conf.lease, now_us));
    number(e->out, "entries", look.entries);
    number(e->out, "fresh", look.fresh);
    if (e->ask->bound)
        number(e->out, "bound", look.bound);
    number(e->out, "ageMs",
           look.fresh ? (now_us - PS_MIN(look.born_us, now_us)) / 1000 : 0);
    number(e->out, "ttlMs",
           look.fresh
               ? (look.expires_us - PS_MIN(now_us, look.expires_us)) / 1000
               : 0);
    ps_buf_append_char(e->out, '}');
}

static void
put_all(struct explain *e)
{
    struct ps_change change = {.cache_id = e->ask->cache_id};
    bool changes;
    ps_buf_append_char(e->out, '{');
    find_database(e);
    put_analysis(e);
    decide(e, &change, &changes);
    boolean(e->out, "cacheable", e->cacheable && !e->why);
    const char *why = e->why ? e->why : ps_sql_reason_code(PS_SQL_REASON_NONE);
    text(e->out, "reason", ps_str_of(why));
    text(e->out, "sentence", ps_str_of(ps_reason_sentence(why)));
    put_tables(e, "tables", &e->set);
    put_change(e, &change, changes);
    put_rule(e);
    put_ttl(e);
    put_invalidation(e);
    put_memory(e);
    ps_buf_append_char(e->out, '}');
}

enum ps_rc
ps_engine_explain(struct ps_engine *engine, const struct ps_explain *ask,
                  struct ps_buf *out)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    struct explain e = {.engine = engine, .ask = ask, .out = out};
    e.conf = ps_config_find(engine->conf.config, ask->cache_id);
    if (!e.conf)
        return PS_CACHE_NOT_FOUND;
    enum ps_rc rc =
        ps_sql_analyse(ps_dialect_of(e.conf->provider), 0, ask->statement->sql,
                       ask->arena, &e.analysis);
    if (rc == PS_OK)
        put_all(&e);
    ps_catalog_unref(&e.catalog);
    ps_space_unref(&e.space);
    ps_cache_conf_unref(&e.conf);
    if (rc == PS_OK && ps_arena_failed(ask->arena))
        rc = PS_TOO_BIG;
    return rc == PS_OK ? ps_buf_rc(out) : rc;
}
