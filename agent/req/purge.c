/*
 * An operator's purge: what it names becomes stamps that move, in the one
 * place where anything is made invalid (agent/cache/window.c); then the dead
 * answers' memory is given back, and counted.
 *
 *   cache      its stamp
 *   table      per database: the tables that its catalogue has for that name,
 *              as by a write of any row; without a catalogue the database
 *   template,  the stamp of that fingerprint or id
 *   query
 *
 * Answers that were dead before are swept out first, so that what is counted is
 * what the purge ended. On the link's thread.
 */
#include "agent/req/req_private.h"

#include <stdlib.h>

enum {
    PURGE_ARENA_BYTES = 64 << 20
};

struct purge {
    struct ps_engine *engine;
    const struct ps_purge *what;
    struct ps_cache_conf *conf; /* NULL: not defined here (any more) */
    struct ps_arena *arena;
    struct ps_purged *out;
};

static void
apply(struct purge *p, struct ps_str database,
      const struct ps_catalog_tables *set)
{
    const struct ps_change change = {.cache_id = p->what->cache_id,
                                     .database = database,
                                     .tables = set ? set->tables : NULL,
                                     .n_tables = set ? set->n : 0};
    ps_spaces_apply(p->engine->spaces, &change);
}

static void
purge_all(struct purge *p)
{
    p->out->wider = p->what->kind != PS_PURGE_CACHE;
    apply(p, PS_STR_NONE, NULL);
}

/* ---- a table ---- */

static void
purge_table_of(struct purge *p, struct ps_space *space)
{
    struct ps_catalog_tables set;
    struct ps_catalog *catalog =
        ps_catalog_find(p->engine->catalogs, space,
                        ps_clock_now_us(p->engine->conf.clock), NULL);
    ps_arena_reset(p->arena);
    if (catalog && ps_catalog_named(catalog, p->what->text, p->arena, &set)) {
        p->out->known = true;
        /* A view of nothing has no tables, and no answer depends on it. */
        if (set.n > 0)
            apply(p, ps_space_database(space), &set);
    } else if (!catalog || ps_arena_failed(p->arena)) {
        p->out->wider = true;
        apply(p, ps_space_database(space), NULL);
    }
    ps_catalog_unref(&catalog);
}

static void
purge_table(struct purge *p)
{
    size_t n;
    struct ps_space **spaces = NULL;
    p->out->known = false;
    /* Without invalidation no answer depends on a table. */
    if (p->conf && !p->conf->invalidation_off)
        spaces = ps_spaces_of_cache(p->engine->spaces, p->what->cache_id, &n);
    if (!spaces) {
        purge_all(p);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        purge_table_of(p, spaces[i]);
        ps_space_unref(&spaces[i]);
    }
    free(spaces);
}

/* ---- a template or a query ---- */

static enum ps_rc
find_id(struct purge *p, uint64_t *id)
{
    const struct ps_purge *what = p->what;
    struct ps_str text;
    enum ps_dialect dialect = ps_dialect_of(p->conf->provider);
    *id = what->id;
    if (!what->text.ptr)
        return PS_OK;
    if (what->kind == PS_PURGE_TEMPLATE)
        return ps_sql_template(dialect, 0, what->text, p->arena, &text, id);
    enum ps_rc rc = ps_sql_key_text(dialect, 0, what->text, p->arena, &text);
    if (rc == PS_OK)
        *id = ps_query_id(text);
    return rc;
}

static void
purge_statement(struct purge *p)
{
    struct ps_spaces *spaces = p->engine->spaces;
    uint64_t id;
    if (!p->conf || find_id(p, &id) != PS_OK) {
        purge_all(p);
        return;
    }
    p->out->id = id;
    if (p->what->kind == PS_PURGE_TEMPLATE)
        ps_spaces_purge_template(spaces, p->what->cache_id, id);
    else
        ps_spaces_purge_query(spaces, p->what->cache_id, id);
}

void
ps_engine_purge(struct ps_engine *engine, const struct ps_purge *purge,
                struct ps_purged *out)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    struct purge p = {.engine = engine, .what = purge, .out = out};
    *out = (struct ps_purged){.known = true};
    p.conf = ps_config_find(engine->conf.config, purge->cache_id);
    p.arena = ps_arena_new(PURGE_ARENA_BYTES);
    (void)ps_store_sweep(engine->store, purge->cache_id);
    if (purge->kind == PS_PURGE_CACHE || !p.arena)
        purge_all(&p);
    else if (purge->kind == PS_PURGE_TABLE)
        purge_table(&p);
    else
        purge_statement(&p);
    out->entries = ps_store_sweep(engine->store, purge->cache_id);
    atomic_fetch_add_explicit(&engine->applied, 1, memory_order_relaxed);
    ps_arena_free(&p.arena);
    ps_cache_conf_unref(&p.conf);
}
