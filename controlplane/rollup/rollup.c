/*
 * The file, its schema, and the way in. Names are kept in memory by their
 * numbers, so that adding a row reads one and writes one.
 */
#include "common/log.h"
#include "common/tls.h"
#include "common/utf8.h"
#include "controlplane/rollup/rollup_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Steps of the schema; a step that was released is never changed. */
static const char *const migrations[] = {
    "CREATE TABLE streams (agent TEXT PRIMARY KEY, stream TEXT NOT NULL,"
    "  number INTEGER NOT NULL, seen_ms INTEGER NOT NULL)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE TABLE caches (key INTEGER PRIMARY KEY, id TEXT UNIQUE) STRICT;"
    "CREATE TABLE regions (key INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;"
    "CREATE TABLE templates (key INTEGER PRIMARY KEY,"
    "  cache INTEGER NOT NULL, fingerprint INTEGER NOT NULL,"
    "  text TEXT NOT NULL, seen_day INTEGER NOT NULL,"
    "  UNIQUE (cache, fingerprint)) STRICT;"
    "CREATE TABLE usage (period INTEGER NOT NULL, cache INTEGER NOT NULL,"
    "  start INTEGER NOT NULL, template INTEGER NOT NULL,"
    "  region INTEGER NOT NULL, usage BLOB NOT NULL,"
    "  PRIMARY KEY (period, cache, start, template, region))"
    "  STRICT, WITHOUT ROWID;"
    "CREATE TABLE total (period INTEGER NOT NULL, cache INTEGER NOT NULL,"
    "  start INTEGER NOT NULL, region INTEGER NOT NULL, usage BLOB NOT NULL,"
    "  PRIMARY KEY (period, cache, start, region)) STRICT, WITHOUT ROWID;",
};

static const char *const sql_of[STMT_COUNT] = {
#define X(name, sql) sql,
    ROLLUP_STMT_TABLE(X)
#undef X
};

static const int64_t period_ms[PS_ROLLUP_PERIODS] = {
#define X(NAME, text, ms, kept, least) ms,
    PS_ROLLUP_PERIOD_TABLE(X)
#undef X
};

int64_t
ps_rollup_period_ms(enum ps_rollup_period period)
{
    PS_CHECK((unsigned)period < PS_ROLLUP_PERIODS);
    return period_ms[period];
}

/* ---------------------------------------------------------- statements */

enum ps_rc
rollup_failed(struct ps_rollup *r, struct ps_err *err)
{
    int code = sqlite3_extended_errcode(r->handle);
    if (code == SQLITE_NOMEM)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    ps_error("rollup", "sqlite: %s (%d)", sqlite3_errmsg(r->handle), code);
    return ps_err_set(err, PS_DATABASE, "the statistics' file failed (%s)",
                      sqlite3_errstr(code));
}

enum ps_rc
rollup_exec(struct ps_rollup *r, const char *sql, struct ps_err *err)
{
    if (sqlite3_exec(r->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return rollup_failed(r, err);
    return PS_OK;
}

sqlite3_stmt *
rollup_stmt(struct ps_rollup *r, enum rollup_stmt id, const int64_t *args,
            size_t n)
{
    sqlite3_stmt **stmt = &r->stmts[id];
    if (!*stmt &&
        sqlite3_prepare_v3(r->handle, sql_of[id], -1, SQLITE_PREPARE_PERSISTENT,
                           stmt, NULL) != SQLITE_OK) {
        *stmt = NULL;
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_int64(*stmt, (int)i + 1, args[i]);
    return *stmt;
}

enum ps_rc
rollup_run(struct ps_rollup *r, sqlite3_stmt *stmt, struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    if (!stmt)
        return rollup_failed(r, err);
    if (sqlite3_step(stmt) != SQLITE_DONE)
        rc = rollup_failed(r, err);
    sqlite3_reset(stmt);
    return rc;
}

struct ps_str
rollup_blob(sqlite3_stmt *stmt, int column)
{
    const void *bytes = sqlite3_column_blob(stmt, column);
    int len = sqlite3_column_bytes(stmt, column);
    return (struct ps_str){bytes, bytes ? (size_t)len : 0};
}

static void
bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    if (stmt)
        sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

int64_t
rollup_bytes(struct ps_rollup *r)
{
    static const char sql[] =
        "SELECT (page_count - freelist_count) * page_size FROM "
        "pragma_page_count, pragma_freelist_count, pragma_page_size";
    sqlite3_stmt *stmt;
    int64_t bytes = 0;
    if (sqlite3_prepare_v2(r->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
        return 0;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        bytes = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return bytes;
}

/* --------------------------------------------------------------- names */

static enum ps_rc
add_name(struct ps_map *map, const char *text, int64_t key,
         struct rollup_name **out)
{
    struct rollup_name *name = calloc(1, sizeof(*name));
    if (!name)
        return PS_NO_MEMORY;
    name->key = key;
    snprintf(name->text, sizeof(name->text), "%s", text);
    if (ps_map_put(map, ps_str_of(text), name, NULL) != PS_OK) {
        free(name);
        return PS_NO_MEMORY;
    }
    if (out)
        *out = name;
    return PS_OK;
}

/* The number of a name, a new one if need be. */
static enum ps_rc
name_of(struct ps_rollup *r, struct ps_map *map, enum rollup_stmt put,
        const char *text, struct rollup_name **out, struct ps_err *err)
{
    *out = ps_map_find(map, ps_str_of(text));
    if (*out)
        return PS_OK;
    sqlite3_stmt *stmt = rollup_stmt(r, put, NULL, 0);
    bind_text(stmt, 1, text);
    enum ps_rc rc = rollup_run(r, stmt, err);
    if (rc == PS_OK &&
        add_name(map, text, sqlite3_last_insert_rowid(r->handle), out) != PS_OK)
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    return rc;
}

const struct rollup_name *
rollup_region(struct ps_rollup *r, int64_t key)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    while (ps_map_next(r->regions, &at, &text, &value))
        if (((struct rollup_name *)value)->key == key)
            return value;
    return NULL;
}

struct template_key {
    int64_t cache;
    uint64_t fingerprint;
};

static struct ps_str
key_str(const struct template_key *key)
{
    return (struct ps_str){(const char *)key, sizeof(*key)};
}

static enum ps_rc
keep_template(struct ps_rollup *r, const struct rollup_template *t)
{
    const struct template_key key = {t->cache, t->fingerprint};
    struct rollup_template *copy = malloc(sizeof(*copy));
    if (!copy)
        return PS_NO_MEMORY;
    *copy = *t;
    if (ps_map_put(r->templates, key_str(&key), copy, NULL) != PS_OK) {
        free(copy);
        return PS_NO_MEMORY;
    }
    return PS_OK;
}

/* Valid UTF-8, and not too long. */
static char *
clean_text(const char *text)
{
    struct ps_str s = ps_str_of(text);
    s.len = PS_MIN(s.len, (size_t)PS_ROLLUP_TEXT_MAX);
    s.len = ps_utf8_check(s);
    return ps_str_dup(s);
}

static enum ps_rc
new_template(struct ps_rollup *r, struct rollup_name *cache,
             const struct ps_rollup_item *item, int64_t day, struct ps_err *err)
{
    struct rollup_template t = {.cache = cache->key,
                                .fingerprint = item->fingerprint,
                                .seen_day = day,
                                .told = item->text[0] != '\0'};
    char *text = clean_text(item->text);
    sqlite3_stmt *stmt = ROLLUP_STMT(r, STMT_TEMPLATE_PUT, t.cache,
                                     (int64_t)t.fingerprint, 0, day);
    if (!text)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    bind_text(stmt, 3, text);
    free(text);
    enum ps_rc rc = rollup_run(r, stmt, err);
    t.key = sqlite3_last_insert_rowid(r->handle);
    if (rc == PS_OK && keep_template(r, &t) != PS_OK)
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        cache->n_templates++;
    return rc;
}

/* The day and the text of one that was there. */
static enum ps_rc
refresh_template(struct ps_rollup *r, struct rollup_template *t,
                 const struct ps_rollup_item *item, int64_t day,
                 struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    if (day > t->seen_day) {
        t->seen_day = day;
        rc =
            rollup_run(r, ROLLUP_STMT(r, STMT_TEMPLATE_SEEN, day, t->key), err);
    }
    if (rc == PS_OK && !t->told && item->text[0]) {
        char *text = clean_text(item->text);
        sqlite3_stmt *stmt = ROLLUP_STMT(r, STMT_TEMPLATE_TEXT, 0, t->key);
        bind_text(stmt, 1, text ? text : "");
        free(text);
        rc = rollup_run(r, stmt, err);
        t->told = true;
    }
    return rc;
}

/* Beyond the bound it is the cache's "other", which has fingerprint 0. */
static enum ps_rc
template_of(struct ps_rollup *r, struct rollup_name *cache,
            struct ps_rollup_item *item, int64_t day, int64_t *out,
            struct ps_err *err)
{
    struct template_key key = {cache->key, item->fingerprint};
    struct rollup_template *t = ps_map_find(r->templates, key_str(&key));
    enum ps_rc rc = PS_OK;
    if (!t && cache->n_templates >= PS_ROLLUP_TEMPLATES_MAX) {
        key.fingerprint = item->fingerprint = 0;
        t = ps_map_find(r->templates, key_str(&key));
    }
    if (t)
        rc = refresh_template(r, t, item, day, err);
    else
        rc = new_template(r, cache, item, day, err);
    if (rc != PS_OK)
        return rc;
    t = ps_map_find(r->templates, key_str(&key));
    PS_CHECK(t);
    item->unknown = !t->told && item->fingerprint != 0;
    *out = t->key;
    return PS_OK;
}

/* ------------------------------------------------------------------ in */

/* stmt: a reader of one packed usage. Adds to what is there, writes it back. */
static enum ps_rc
add_to(struct ps_rollup *r, sqlite3_stmt *get, sqlite3_stmt *put,
       const struct ps_usage *usage, struct ps_err *err)
{
    struct ps_usage sum = {.n = {0}};
    struct ps_buf packed;
    if (!get || !put)
        return rollup_failed(r, err);
    int step = sqlite3_step(get);
    /* What cannot be read is begun anew. */
    if (step == SQLITE_ROW && !ps_usage_unpack(&sum, rollup_blob(get, 0)))
        sum = (struct ps_usage){.n = {0}};
    sqlite3_reset(get);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        return rollup_failed(r, err);
    ps_usage_merge(&sum, usage);
    ps_buf_init(&packed, ROLLUP_USAGE_MAX);
    ps_usage_pack(&sum, &packed);
    enum ps_rc rc = ps_buf_rc(&packed);
    if (rc == PS_OK) {
        sqlite3_bind_blob(put, sqlite3_bind_parameter_count(put), packed.data,
                          (int)packed.len, SQLITE_STATIC);
        rc = rollup_run(r, put, err);
        sqlite3_clear_bindings(put);
    } else {
        rc = ps_err_set(err, rc, NULL);
    }
    ps_buf_done(&packed);
    return rc;
}

static enum ps_rc
add_usage(struct ps_rollup *r, int64_t cache, int64_t template, int64_t region,
          int64_t wall_ms, const struct ps_usage *usage, struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK; p++) {
        int64_t start = wall_ms / period_ms[p];
        rc = add_to(
            r,
            ROLLUP_STMT(r, STMT_USAGE_GET, p, cache, start, template, region),
            ROLLUP_STMT(r, STMT_USAGE_PUT, p, cache, start, template, region),
            usage, err);
    }
    return rc;
}

static enum ps_rc
add_total(struct ps_rollup *r, int64_t cache, int64_t region, int64_t wall_ms,
          const struct ps_usage *usage, struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK; p++) {
        int64_t start = wall_ms / period_ms[p];
        rc = add_to(r, ROLLUP_STMT(r, STMT_TOTAL_GET, p, cache, start, region),
                    ROLLUP_STMT(r, STMT_TOTAL_PUT, p, cache, start, region),
                    usage, err);
    }
    return rc;
}

/* Items of one cache come one after the other, or their total is added in
 * pieces. */
static enum ps_rc
add_items(struct ps_rollup *r, struct ps_rollup_batch *b,
          const struct rollup_name *region, struct ps_err *err)
{
    struct ps_usage total = {.n = {0}};
    struct rollup_name *cache = NULL;
    int64_t day = b->wall_ms / period_ms[PS_ROLLUP_DAY], template;
    enum ps_rc rc = PS_OK;
    for (size_t i = 0; i < b->n && rc == PS_OK; i++) {
        struct ps_rollup_item *item = &b->items[i];
        struct ps_usage usage = {.n = {0}};
        if (!ps_uuid_valid(ps_str_of(item->cache_id)) ||
            item->usage.len > ROLLUP_USAGE_MAX ||
            !ps_usage_unpack(&usage, item->usage))
            return ps_err_set(err, PS_BAD_FIELD, "a usage cannot be read");
        if (cache && strcmp(cache->text, item->cache_id) != 0) {
            rc = add_total(r, cache->key, region->key, b->wall_ms, &total, err);
            total = (struct ps_usage){.n = {0}};
        }
        if (rc == PS_OK)
            rc = name_of(r, r->caches, STMT_CACHE_PUT, item->cache_id, &cache,
                         err);
        if (rc == PS_OK)
            rc = template_of(r, cache, item, day, &template, err);
        if (rc == PS_OK)
            rc = add_usage(r, cache->key, template, region->key, b->wall_ms,
                           &usage, err);
        ps_usage_merge(&total, &usage);
    }
    if (rc == PS_OK && cache)
        rc = add_total(r, cache->key, region->key, b->wall_ms, &total, err);
    return rc;
}

/* Has this number been added already? */
static enum ps_rc
seen_before(struct ps_rollup *r, const struct ps_rollup_batch *b, bool *again,
            struct ps_err *err)
{
    sqlite3_stmt *stmt = rollup_stmt(r, STMT_STREAM_GET, NULL, 0);
    *again = false;
    if (!stmt)
        return rollup_failed(r, err);
    bind_text(stmt, 1, b->agent_id);
    int step = sqlite3_step(stmt);
    if (step == SQLITE_ROW) {
        const char *stream = (const char *)sqlite3_column_text(stmt, 0);
        *again = stream && strcmp(stream, b->stream) == 0 &&
                 (uint64_t)sqlite3_column_int64(stmt, 1) >= b->number;
    }
    sqlite3_reset(stmt);
    return step == SQLITE_ROW || step == SQLITE_DONE ? PS_OK
                                                     : rollup_failed(r, err);
}

static enum ps_rc
note_number(struct ps_rollup *r, const struct ps_rollup_batch *b,
            struct ps_err *err)
{
    sqlite3_stmt *stmt =
        ROLLUP_STMT(r, STMT_STREAM_PUT, 0, 0, (int64_t)b->number, b->wall_ms);
    bind_text(stmt, 1, b->agent_id);
    bind_text(stmt, 2, b->stream);
    return rollup_run(r, stmt, err);
}

static enum ps_rc load_names(struct ps_rollup *r, struct ps_err *err);

static enum ps_rc
add_batch(struct ps_rollup *r, struct ps_rollup_batch *b, bool *again,
          struct ps_err *err)
{
    struct rollup_name *region;
    enum ps_rc rc = seen_before(r, b, again, err);
    if (rc != PS_OK || *again)
        return rc;
    rc = name_of(r, r->regions, STMT_REGION_PUT, b->region, &region, err);
    if (rc == PS_OK)
        rc = add_items(r, b, region, err);
    if (rc == PS_OK)
        rc = note_number(r, b, err);
    return rc;
}

enum ps_rc
ps_rollup_add(struct ps_rollup *r, struct ps_rollup_batch *b, bool *again,
              struct ps_err *err)
{
    PS_CHECK_OBJ(r, ROLLUP_MAGIC);
    if (b->n > PS_ROLLUP_ITEMS_MAX || b->number > INT64_MAX ||
        strlen(b->stream) > 64)
        return ps_err_set(err, PS_BAD_FIELD, "this batch is too large");
    enum ps_rc rc = rollup_exec(r, "BEGIN IMMEDIATE", err);
    if (rc != PS_OK)
        return rc;
    rc = add_batch(r, b, again, err);
    if (rc == PS_OK)
        rc = rollup_exec(r, "COMMIT", err);
    if (rc != PS_OK) {
        struct ps_err second;
        if (!sqlite3_get_autocommit(r->handle) &&
            rollup_exec(r, "ROLLBACK", &second) != PS_OK)
            return rc;
        /* Names that were made with it are gone. */
        return load_names(r, &second) == PS_OK ? rc : PS_DATABASE;
    }
    r->stats.batches++;
    r->stats.again += *again;
    r->stats.items += *again ? 0 : b->n;
    return PS_OK;
}

/* ---------------------------------------------------------- life cycle */

static enum ps_rc
forget_names(struct ps_rollup *r)
{
    ps_map_free(&r->caches, free);
    ps_map_free(&r->regions, free);
    ps_map_free(&r->templates, free);
    ps_map_free(&r->dropped, free);
    r->caches = ps_map_new();
    r->regions = ps_map_new();
    r->templates = ps_map_new();
    r->dropped = ps_map_new();
    return r->caches && r->regions && r->templates && r->dropped ? PS_OK
                                                                 : PS_NO_MEMORY;
}

static enum ps_rc
load_name(struct ps_rollup *r, sqlite3_stmt *stmt, struct ps_map *map)
{
    int64_t key = sqlite3_column_int64(stmt, 0);
    const char *text = (const char *)sqlite3_column_text(stmt, 1);
    char number[24];
    if (text)
        return add_name(map, text, key, NULL);
    snprintf(number, sizeof(number), "%" PRId64, key);
    return add_name(r->dropped, number, key, NULL);
}

static struct rollup_name *
cache_by_key(struct ps_rollup *r, int64_t key)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    while (ps_map_next(r->caches, &at, &text, &value))
        if (((struct rollup_name *)value)->key == key)
            return value;
    return NULL;
}

static enum ps_rc
load_template(struct ps_rollup *r, sqlite3_stmt *stmt,
              PS_UNUSED struct ps_map *map)
{
    const struct rollup_template t = {
        .key = sqlite3_column_int64(stmt, 0),
        .cache = sqlite3_column_int64(stmt, 1),
        .fingerprint = (uint64_t)sqlite3_column_int64(stmt, 2),
        .told = sqlite3_column_int(stmt, 3) != 0,
        .seen_day = sqlite3_column_int64(stmt, 4)};
    struct rollup_name *cache = cache_by_key(r, t.cache);
    if (cache)
        cache->n_templates++;
    return keep_template(r, &t);
}

static enum ps_rc
load(struct ps_rollup *r, const char *sql, struct ps_map *map,
     enum ps_rc (*fn)(struct ps_rollup *, sqlite3_stmt *, struct ps_map *),
     struct ps_err *err)
{
    sqlite3_stmt *stmt;
    enum ps_rc rc = PS_OK;
    int step;
    if (sqlite3_prepare_v2(r->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
        return rollup_failed(r, err);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW && rc == PS_OK)
        rc = fn(r, stmt, map);
    if (rc != PS_OK)
        rc = ps_err_set(err, rc, NULL);
    else if (step != SQLITE_DONE)
        rc = rollup_failed(r, err);
    sqlite3_finalize(stmt);
    return rc;
}

static enum ps_rc
load_names(struct ps_rollup *r, struct ps_err *err)
{
    if (forget_names(r) != PS_OK)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc =
        load(r, "SELECT key, id FROM caches", r->caches, load_name, err);
    if (rc == PS_OK)
        rc = load(r, "SELECT key, name FROM regions", r->regions, load_name,
                  err);
    if (rc == PS_OK)
        rc = load(r,
                  "SELECT key, cache, fingerprint, text <> '', seen_day FROM "
                  "templates",
                  NULL, load_template, err);
    return rc;
}

static enum ps_rc
read_version(struct ps_rollup *r, int *version, struct ps_err *err)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(r->handle, "PRAGMA user_version", -1, &stmt, NULL) !=
        SQLITE_OK)
        return rollup_failed(r, err);
    bool row = sqlite3_step(stmt) == SQLITE_ROW;
    if (row)
        *version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return row ? PS_OK : rollup_failed(r, err);
}

static enum ps_rc
migrate(struct ps_rollup *r, const char *path, struct ps_err *err)
{
    const int newest = (int)PS_ARRAY_LEN(migrations);
    int version = 0;
    enum ps_rc rc = read_version(r, &version, err);
    if (rc == PS_OK && version > newest)
        return ps_err_set(err, PS_CONFIG,
                          "%s was written by a newer version (schema %d, this "
                          "program knows %d); install that version, or move "
                          "the file away: only statistics are in it",
                          path, version, newest);
    while (rc == PS_OK && version < newest) {
        char sql[64];
        snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; COMMIT",
                 version + 1);
        rc = rollup_exec(r, "BEGIN IMMEDIATE", err);
        if (rc == PS_OK)
            rc = rollup_exec(r, migrations[version], err);
        if (rc == PS_OK)
            rc = rollup_exec(r, sql, err);
        version++;
    }
    return rc;
}

/* Not synchronous=FULL: what a power cut takes away are a few seconds of
 * statistics. */
static const char settings_sql[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = NORMAL;"
                                   "PRAGMA cache_size = -32768;"
                                   "PRAGMA wal_autocheckpoint = 12000;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA busy_timeout = 2000;";

enum ps_rc
ps_rollup_open(struct ps_rollup **out, const char *path, int64_t max_bytes,
               struct ps_err *err)
{
    struct ps_rollup *r = calloc(1, sizeof(*r));
    if (!r)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    r->magic = ROLLUP_MAGIC;
    r->max_bytes = max_bytes;
    enum ps_rc rc = PS_OK;
    if (sqlite3_open_v2(path, &r->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        rc = ps_err_set(err, PS_DATABASE, "cannot open %s: %s", path,
                        r->handle ? sqlite3_errmsg(r->handle)
                                  : "not enough memory");
    if (rc == PS_OK)
        rc = rollup_exec(r, settings_sql, err);
    if (rc == PS_OK)
        rc = migrate(r, path, err);
    if (rc == PS_OK)
        rc = load_names(r, err);
    if (rc != PS_OK) {
        ps_rollup_close(&r);
        return rc;
    }
    *out = r;
    return PS_OK;
}

void
ps_rollup_close(struct ps_rollup **rollup)
{
    struct ps_rollup *r = *rollup;
    if (!r)
        return;
    PS_CHECK_OBJ(r, ROLLUP_MAGIC);
    *rollup = NULL;
    for (size_t i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(r->stmts[i]);
    if (sqlite3_close(r->handle) != SQLITE_OK)
        ps_error("rollup", "sqlite: cannot close: %s",
                 sqlite3_errmsg(r->handle));
    ps_map_free(&r->caches, free);
    ps_map_free(&r->regions, free);
    ps_map_free(&r->templates, free);
    ps_map_free(&r->dropped, free);
    r->magic = 0;
    free(r);
}

enum ps_rc
ps_rollup_drop_cache(struct ps_rollup *r, const char *cache_id,
                     struct ps_err *err)
{
    char number[24];
    const struct rollup_name *cache =
        ps_map_find(r->caches, ps_str_of(cache_id));
    if (!cache)
        return PS_OK;
    int64_t key = cache->key;
    enum ps_rc rc = rollup_run(r, ROLLUP_STMT(r, STMT_CACHE_DROP, key), err);
    if (rc != PS_OK)
        return rc;
    free(ps_map_remove(r->caches, ps_str_of(cache_id)));
    snprintf(number, sizeof(number), "%" PRId64, key);
    if (add_name(r->dropped, number, key, NULL) != PS_OK)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    return PS_OK;
}

enum ps_rc
rollup_drop_row(struct ps_rollup *r, const struct rollup_name *cache,
                struct ps_err *err)
{
    char number[24];
    int64_t key = cache->key;
    enum ps_rc rc = rollup_run(r, ROLLUP_STMT(r, STMT_TEMPLATE_OF, key), err);
    if (rc == PS_OK)
        rc = rollup_run(r, ROLLUP_STMT(r, STMT_CACHE_DELETE, key), err);
    if (rc != PS_OK)
        return rc;
    snprintf(number, sizeof(number), "%" PRId64, key);
    free(ps_map_remove(r->dropped, ps_str_of(number)));
    return load_names(r, err);
}

void
ps_rollup_stats(struct ps_rollup *r, struct ps_rollup_stats *out)
{
    *out = r->stats;
    out->bytes = rollup_bytes(r);
    out->max_bytes = r->max_bytes;
    out->templates = ps_map_count(r->templates);
}
