/* Inside rollup/: statements, and the names that rows have as numbers. */
#ifndef PS_CONTROLPLANE_ROLLUP_ROLLUP_PRIVATE_H
#define PS_CONTROLPLANE_ROLLUP_ROLLUP_PRIVATE_H

#include "common/buf.h"
#include "common/check.h"
#include "common/map.h"
#include "controlplane/rollup/rollup.h"

#include <sqlite3.h>

enum {
    ROLLUP_MAGIC = 0x70726f6c,
    ROLLUP_USAGE_MAX = 64 << 10 /* bytes of a packed usage */
};

#define ROLLUP_STMT_TABLE(X)                                                   \
    X(STREAM_GET, "SELECT stream, number FROM streams WHERE agent = ?")        \
    X(STREAM_PUT, "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)")        \
    X(STREAM_PRUNE, "DELETE FROM streams WHERE seen_ms < ?")                   \
    X(CACHE_PUT, "INSERT INTO caches (id) VALUES (?)")                         \
    X(CACHE_DROP, "UPDATE caches SET id = NULL WHERE key = ?")                 \
    X(CACHE_DELETE, "DELETE FROM caches WHERE key = ?")                        \
    X(REGION_PUT, "INSERT INTO regions (name) VALUES (?)")                     \
    X(TEMPLATE_PUT, "INSERT INTO templates (cache, fingerprint, text, "        \
                    "seen_day) VALUES (?, ?, ?, ?)")                           \
    X(TEMPLATE_SEEN, "UPDATE templates SET seen_day = ? WHERE key = ?")        \
    X(TEMPLATE_TEXT, "UPDATE templates SET text = ? WHERE key = ?")            \
    X(TEMPLATE_GET, "SELECT fingerprint, text FROM templates WHERE key = ?")   \
    X(TEMPLATE_OF, "DELETE FROM templates WHERE cache = ?")                    \
    X(TEMPLATE_DELETE, "DELETE FROM templates WHERE key = ?")                  \
    X(USAGE_GET, "SELECT usage FROM usage WHERE period = ? AND cache = ? AND " \
                 "start = ? AND template = ? AND region = ?")                  \
    X(USAGE_PUT, "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?)")     \
    X(USAGE_SCAN, "SELECT template, region, usage FROM usage WHERE "           \
                  "period = ? AND cache = ? AND start >= ? AND start < ?")     \
    X(USAGE_OF, "SELECT region, usage FROM usage WHERE period = ? AND "        \
                "cache = ? AND start = ? AND template = ?")                    \
    X(USAGE_OLDEST, "SELECT start FROM usage WHERE period = ? AND cache = ? "  \
                    "ORDER BY start LIMIT 1")                                  \
    X(USAGE_DELETE, "DELETE FROM usage WHERE period = ? AND cache = ? AND "    \
                    "start = ?")                                               \
    X(TOTAL_GET, "SELECT usage FROM total WHERE period = ? AND cache = ? AND " \
                 "start = ? AND region = ?")                                   \
    X(TOTAL_PUT, "INSERT OR REPLACE INTO total VALUES (?, ?, ?, ?, ?)")        \
    X(TOTAL_SCAN, "SELECT start, region, usage FROM total WHERE period = ? "   \
                  "AND cache = ? AND start >= ? AND start < ?")                \
    X(TOTAL_DELETE, "DELETE FROM total WHERE period = ? AND cache = ? AND "    \
                    "start < ?")

enum rollup_stmt {
#define X(name, sql) STMT_##name,
    ROLLUP_STMT_TABLE(X)
#undef X
    STMT_COUNT
};

/* A name and its number; ids and names of rows are numbers in the tables. */
struct rollup_name {
    int64_t key;
    char text[40];      /* "": dropped */
    size_t n_templates; /* of a cache */
};
struct rollup_template {
    int64_t key, cache, seen_day;
    uint64_t fingerprint;
    bool told; /* its text is there */
};

struct ps_rollup {
    unsigned magic;
    sqlite3 *handle;
    sqlite3_stmt *stmts[STMT_COUNT];
    int64_t max_bytes;
    struct ps_map *caches, *regions; /* text -> struct rollup_name */
    struct ps_map *templates;        /* cache key + fingerprint -> ... */
    struct ps_map *dropped;          /* key as text -> struct rollup_name */
    struct ps_rollup_stats stats;
};

enum ps_rc rollup_failed(struct ps_rollup *r, struct ps_err *err);
PS_MUST_USE enum ps_rc rollup_exec(struct ps_rollup *r, const char *sql,
                                   struct ps_err *err);
/* With its numbers bound, in order; NULL when it cannot be prepared. */
sqlite3_stmt *rollup_stmt(struct ps_rollup *r, enum rollup_stmt id,
                          const int64_t *args, size_t n);
#define ROLLUP_STMT(r, id, ...)                            \
    rollup_stmt((r), (id), (const int64_t[]){__VA_ARGS__}, \
                sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
/* Steps one that returns no rows, and resets it. */
PS_MUST_USE enum ps_rc rollup_run(struct ps_rollup *r, sqlite3_stmt *stmt,
                                  struct ps_err *err);
struct ps_str rollup_blob(sqlite3_stmt *stmt, int column);
/* By number; NULL: dropped or never there. */
const struct rollup_name *rollup_region(struct ps_rollup *r, int64_t key);
PS_MUST_USE enum ps_rc rollup_drop_row(struct ps_rollup *r,
                                       const struct rollup_name *cache,
                                       struct ps_err *err);
int64_t rollup_bytes(struct ps_rollup *r);

#endif
