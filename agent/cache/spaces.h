/*
 * Stamps: what tells whether a kept answer may still be right (design section
 * 4, contract C1 and C2). One space per (cache, database), with a fixed array
 * of counters; a table's counter is found by a hash of "schema"."name".
 *
 *   root     [all]                               every cache
 *   cache    [all]                               every database of a cache
 *            [template 0 .. 511] [query 0 .. 511]   what a purge may name
 *   space    [all] [any] [slot 0 .. slot 4095]   the tables of a database
 *            [any of column 0 .. 127]            columns that reads pin rows by
 *            [bucket 0 .. 16383]                 values in these columns
 *
 * A stamp is { gen, committing }. A snapshot is the sum of the gens an answer
 * depends on: root, cache and space `all`, and each table's slot (or `any`,
 * which every write of the space moves, when there are too many tables). Gens
 * only grow, so equal sums mean that every single gen is equal. Two tables
 * in one slot only invalidate each other's answers more.
 *
 *   reader:  take snapshot (refused while anything is committing), send the
 *            query, keep the answer; serve it while the sum is the same
 *   writer:  begin { committing++, gen++ } send, learn the outcome,
 *            end   { gen++, committing-- } reply
 *
 * Why it holds (orders in spaces.c): a snapshot reads gens first and
 * `committing` after. If it saw the gen of a begun write it also sees that
 * write committing, unless that write has ended, and then its second gen++
 * makes the snapshot worthless at once. So a valid sum alone proves that no
 * write has begun since the query was sent, and a hit reads gens only.
 *
 * Structure: catalog_gen changes with every change of the database's structure
 * or rights. Dependencies worked out from a catalogue are taken or written
 * under that catalogue's catalog_gen; when it moved meanwhile, a snapshot is
 * refused and a write counts as one of the whole database.
 *
 * Rows: a read that pins its rows (`WHERE id = 7`) depends on the bucket of
 * that value and on the column's `any` instead of on the table's slot. A write
 * moves the table's slot and, for each column that some read pins by, the
 * buckets of the values its rows have before and after, or the column's `any`
 * where they are not known. Buckets are shared by hash: a collision only
 * invalidates more.
 *
 * Any thread; reads of stamps take no lock.
 */
#ifndef PS_AGENT_CACHE_SPACES_H
#define PS_AGENT_CACHE_SPACES_H

#include "agent/cache/change.h"
#include "common/base.h"

enum {
    PS_SPACE_SLOTS = 4096,
    /* More slots than this: the answer depends on every table, the write
     * changes every table. */
    PS_SPACE_MAX_TABLES = 512,
    PS_SPACE_STATEMENT_SLOTS = 2
};

struct ps_spaces; /* all of the process */
struct ps_space;  /* of one (cache, database) */
struct ps_cache_stamps;

/* max_spaces: idle ones beyond it are forgotten. max_row_bytes: of buckets,
 * 256 KiB for each database whose rows are told apart; beyond it reads depend
 * on whole tables. NULL without memory. */
struct ps_spaces *ps_spaces_new(size_t max_spaces, uint64_t max_row_bytes);
/* What one space takes at most, its buckets aside. */
size_t ps_space_bytes(void);
/* Every reference must have been given back. */
void ps_spaces_free(struct ps_spaces **spaces);

/* Finds or makes it: a reference. NULL: max_spaces are in use, or no memory;
 * then nothing of that database can be kept (writes still work). */
struct ps_space *ps_space_get(struct ps_spaces *spaces, struct ps_str cache_id,
                              struct ps_str database);
struct ps_space *ps_space_ref(struct ps_space *space);
void ps_space_unref(struct ps_space **space);
/* Unique in this process, never used again; not 0. */
uint64_t ps_space_id(const struct ps_space *space);
/* One and the same for all spaces of a cache while one of them is held. */
const struct ps_cache_stamps *ps_space_cache(const struct ps_space *space);
struct ps_str ps_space_cache_id(const struct ps_space *space);
struct ps_str ps_space_database(const struct ps_space *space);
/* Never 0, never the same value again for this (cache, database). */
uint64_t ps_space_catalog_gen(const struct ps_space *space);

/* ---- reading ---- */

/* Lives in the request; the space is borrowed. */
struct ps_snapshot {
    struct ps_space *space;
    uint64_t sum;
    uint16_t n_slots;
    bool every_table; /* depends on `any`; slots hold no tables */
    uint16_t slots[PS_SPACE_MAX_TABLES + PS_SPACE_STATEMENT_SLOTS];
};
enum ps_snapshot_rc {
    PS_SNAPSHOT_OK,
    PS_SNAPSHOT_COMMITTING,   /* a write to one of the tables is under way */
    PS_SNAPSHOT_CATALOG_MOVED /* the tables may be the wrong ones: find them
                                 again or do not keep the answer */
};
/*
 * Call right before the query is sent. catalog_gen: of the catalogue that gave
 * the tables (ps_catalog_gen). rows: one for each table, or NULL (all of
 * them). Unless PS_SNAPSHOT_OK *out is not valid and the answer must not be
 * kept.
 */
PS_MUST_USE enum ps_snapshot_rc
ps_snapshot_take(struct ps_space *space, uint64_t catalog_gen,
                 const struct ps_table_name *tables, size_t n,
                 const struct ps_row_set *rows, struct ps_snapshot *out);
/* It depends on this template and this query (ps_query_id), too, so that a
 * purge may name them. After it was taken, once, before the query is sent. */
void ps_snapshot_add_statement(struct ps_snapshot *snapshot, uint64_t template,
                               uint64_t query);
/* No write it depends on has begun since it was taken. */
bool ps_snapshot_valid(const struct ps_snapshot *snapshot);

/* The same check for what an entry keeps of a snapshot. */
uint64_t ps_space_sum(struct ps_space *space, bool every_table,
                      const uint16_t *slots, size_t n_slots);
/* Is a write to one of these under way? For the reason of a miss only. */
bool ps_space_committing(const struct ps_space *space, bool every_table,
                         const uint16_t *slots, size_t n_slots);

/* ---- writing ---- */

/* The commit window of one write; embed in the request. */
struct ps_write {
    struct ps_spaces *spaces;
    struct ps_space *space;        /* reference; NULL: wider than one space */
    struct ps_cache_stamps *cache; /* reference or NULL */
    uint64_t catalog_gen;          /* when it began */
    uint16_t n_slots;
    bool all;        /* the whole of what it names */
    bool listed;     /* slots are begun */
    bool holds_rows; /* some are buckets of rows */
    bool catalog;    /* structure or rights */
    bool open;
    uint16_t slots[PS_SPACE_MAX_TABLES];
};
/*
 * Before the write (or COMMIT) is sent. Never fails: what cannot be said
 * precisely is said more widely. change->cache_id present and database present
 * is the usual case; change may go away afterwards.
 * catalog_gen: of the catalogue that gave the tables; 0 when there was none
 * (change->tables is empty then).
 */
void ps_write_begin(struct ps_spaces *spaces, const struct ps_change *change,
                    uint64_t catalog_gen, struct ps_write *write);
/*
 * After the outcome is known or given up (unknown counts as committed), before
 * the reply leaves; also after a statement that certainly was not sent.
 * Exactly once for each begin. True: it was taken for a change of the
 * whole database (of all that `change` names), because the structure
 * moved under it: other agents must be told the same, without tables.
 */
PS_MUST_USE bool ps_write_end(struct ps_write *write);

/* The window, still open, is to's from now on. */
void ps_write_move(struct ps_write *from, struct ps_write *to);

/* A change that another agent (or an operator) told: already committed. */
void ps_spaces_apply(struct ps_spaces *spaces, const struct ps_change *change);
/* An operator's purge of all answers to a template or to a query, in every
 * database of the cache. Those whose ids share a slot with it go, too. */
void ps_spaces_purge_template(struct ps_spaces *spaces, struct ps_str cache_id,
                              uint64_t template);
void ps_spaces_purge_query(struct ps_spaces *spaces, struct ps_str cache_id,
                           uint64_t query);
/* The spaces of a cache that there are now: *n references in an array for
 * free(). NULL without memory. */
struct ps_space **ps_spaces_of_cache(struct ps_spaces *spaces,
                                     struct ps_str cache_id, size_t *n);
/* The database's structure turned out to be another one than was believed:
 * as a change of the whole database with catalog = true. */
void ps_space_structure_changed(struct ps_space *space);

/* Every minute or so, by one thread at a time: the buckets of rows that no read
 * has relied on in the last ten calls give their memory back. */
void ps_spaces_sweep(struct ps_spaces *spaces);
/* Memory of all of them, buckets included. */
uint64_t ps_spaces_bytes(const struct ps_spaces *spaces);

struct ps_spaces_stats {
    uint64_t spaces, caches;
    uint64_t row_bytes; /* of buckets that take memory now */
    uint64_t changes;   /* writes ended and changes applied */
    uint64_t whole;     /* of these: a whole database or more */
};
void ps_spaces_stats(struct ps_spaces *spaces, struct ps_spaces_stats *out);

#endif
