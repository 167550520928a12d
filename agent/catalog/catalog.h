/*
 * What the origin's catalogue says about hidden dependencies: what a read of a
 * name really reads, and what a write to a name really changes (design
 * section 4, hazards 7, 10, 14, 15, 38).
 *
 *   request --ps_catalog_find--> snapshot, or NULL
 *              NULL: ps_catalog_load, on a pooled connection of the request's
 *                    own principal; one load at a time per (cache, database)
 *   analysis + snapshot --ps_catalog_read_set--> tables whose stamps count
 *                       --ps_catalog_write_set-> struct ps_change
 *
 * A snapshot is immutable and refcounted; it stands for one catalog_gen of its
 * space. After DDL that gen has moved and the snapshot is no longer
 * found. No catalogue: nothing is kept and a write changes the
 * whole database.
 *
 * Names are resolved without knowing the search_path: a qualified name is
 * that relation; an unqualified one stands for every relation of that name (in
 * MySQL: of that name in the session's database).
 * Too many dependencies only invalidate more.
 *
 * Threads: snapshots on any; loading on the home loop of the principal.
 */
#ifndef PS_AGENT_CATALOG_CATALOG_H
#define PS_AGENT_CATALOG_CATALOG_H

#include "agent/cache/change.h"
#include "agent/cache/spaces.h"
#include "agent/pool/pool.h"
#include "agent/sql/disjoint.h"
#include "common/arena.h"
#include "common/err.h"
#include "common/io/loop.h"

/* ---- one database's catalogue ---- */

struct ps_catalog;
struct ps_catalog *ps_catalog_ref(struct ps_catalog *catalog);
void ps_catalog_unref(struct ps_catalog **catalog);
/* For ps_snapshot_take and ps_write_begin. 0 for NULL. */
uint64_t ps_catalog_gen(const struct ps_catalog *catalog);

/* A statement, and what is bound to its parameters. */
struct ps_catalog_text {
    const struct ps_sql_analysis *analysis;
    const struct ps_sql_bindings *bindings; /* NULL: not known */
    /* MySQL: the session's database, where names without one are looked for.
     * Absent (and of other servers): in all. */
    struct ps_str database;
};

/* Tables, and of each the rows that matter; a table may be there more than
 * once. rows NULL: any row of any of them. */
struct ps_catalog_tables {
    const struct ps_table_name *tables;
    const struct ps_row_set *rows;
    size_t n;
};

/*
 * What a read depends on. True: cacheable, with these tables (in the arena;
 * n may be 0: `SELECT 1`). False: not, *reason is a code for
 * Portside-Reason (static): that of the analysis, "unknown_relation",
 * "row_security", "foreign_table", ... catalog NULL: "no_catalog".
 */
PS_MUST_USE bool ps_catalog_read_set(const struct ps_catalog *catalog,
                                     const struct ps_catalog_text *text,
                                     struct ps_arena *arena,
                                     struct ps_catalog_tables *set,
                                     const char **reason);

/*
 * The tables that a read of this name ("name" or "schema.name", in any letters)
 * depends on: behind a view, below a parent. False: there is none of that name,
 * or no memory in the arena (ps_arena_failed).
 */
PS_MUST_USE bool ps_catalog_named(const struct ps_catalog *catalog,
                                  struct ps_str key, struct ps_arena *arena,
                                  struct ps_catalog_tables *set);

/*
 * What a statement changes; ask for EVERY statement that goes to the origin,
 * reads included (a view or a function may write). True: it may change
 * something, *change says what (n_tables 0: the whole database); it needs a
 * commit window and must not be sent twice. False: it changes nothing
 * that could be cached (but see ps_catalog_has_effect). cache_id and database
 * of *change are the caller's, the rest is set here. catalog NULL: the whole
 * database, unless the text alone proves that nothing is changed.
 */
PS_MUST_USE bool ps_catalog_write_set(const struct ps_catalog *catalog,
                                      const struct ps_catalog_text *text,
                                      struct ps_arena *arena,
                                      struct ps_change *change);

/*
 * May the statement leave something behind in the session (hazard 31)? What
 * the text says, and what it does not: a view, a policy, a trigger, a default
 * may call a function that sets, locks or creates. False only when proven.
 */
PS_MUST_USE bool
ps_catalog_touches_session(const struct ps_catalog *catalog,
                           const struct ps_sql_analysis *analysis,
                           struct ps_arena *arena);

/* Of a statement of which ps_catalog_write_set was false: does it have another
 * effect (a setting, a lock, the next number of a sequence, a message), so
 * that it must not be sent twice? */
bool ps_catalog_has_effect(const struct ps_sql_analysis *analysis);

/* ---- the catalogues of the process ---- */

struct ps_catalogs;
struct ps_catalogs_conf {
    struct ps_spaces *spaces;
    uint64_t refresh_ms; /* older than this: read again; 0: 60000 */
    uint64_t timeout_ms; /* of a load as a whole; 0: 10000 */
    size_t max;          /* catalogues kept; 0: 256 */
};
struct ps_catalogs *ps_catalogs_new(const struct ps_catalogs_conf *conf);
/* After ps_catalogs_stop for every loop. */
void ps_catalogs_free(struct ps_catalogs **catalogs);
/* Ends what runs on this loop; waiters get PS_SHUTTING_DOWN before it
 * returns. On the loop's thread (or when it no longer runs), before its pool
 * is freed. */
void ps_catalogs_stop(struct ps_catalogs *catalogs, struct ps_loop *loop);

/*
 * A reference to the current catalogue, or NULL (none yet, or the structure
 * changed since). *due (may be NULL): it is old, call ps_catalog_refresh once
 * credentials are at hand. Any thread.
 */
struct ps_catalog *ps_catalog_find(struct ps_catalogs *catalogs,
                                   struct ps_space *space, uint64_t now_us,
                                   bool *due);

/* Whose connection reads it. Copied; the password is wiped after use. */
struct ps_catalog_source {
    struct ps_loop *loop; /* the current one: home of the principal */
    struct ps_pool *pool; /* of this loop */
    struct ps_principal *principal;
    struct ps_cache_conf *conf;
    struct ps_str password;
};

/* Embed in the request. */
struct ps_catalog_wait {
    /*
     * Later, exactly once, on source->loop. PS_OK: catalog is current
     * (borrowed; take a reference). Otherwise NULL and err says why: login
     * refused, no rights, time-out, ...: go on without a catalogue
     * (not kept, whole database), or fail where the request would fail
     * itself.
     */
    void (*fn)(struct ps_catalog_wait *wait, struct ps_catalog *catalog,
               enum ps_rc rc, const struct ps_err *err);
    /* the module's */
    struct ps_link link;
    struct ps_task task;
    struct ps_timer timer;
    struct ps_loop *loop;
    void *opaque;
};
/*
 * Loads it, or joins a load under way. Somebody else's failed login does not
 * count for this waiter: then its own credentials are tried. A load that
 * failed for other reasons is not tried again for some seconds: waiters
 * get that error at once.
 */
void ps_catalog_load(struct ps_catalogs *catalogs, struct ps_space *space,
                     const struct ps_catalog_source *source,
                     struct ps_catalog_wait *wait);
/* fn will not run any more (wait's loop). */
void ps_catalog_cancel(struct ps_catalogs *catalogs,
                       struct ps_catalog_wait *wait);
/* Starts a load in the background, unless one is under way or none is due. */
void ps_catalog_refresh(struct ps_catalogs *catalogs, struct ps_space *space,
                        const struct ps_catalog_source *source);

#endif
