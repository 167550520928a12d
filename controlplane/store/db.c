/*
 * The connection and its statements. WAL keeps readers (an operator's sqlite3
 * shell) out of our way, synchronous=FULL makes a reply to the API mean that
 * the change survives a power cut.
 */
#include "common/log.h"
#include "controlplane/store/db_private.h"

#include <stdlib.h>

static const char *const stmt_sql[STMT_COUNT] = {
#define X(name, sql) sql,
    STMT_TABLE(X)
#undef X
};

enum ps_rc
db_failed(struct ps_db *db, struct ps_err *err)
{
    int extended = sqlite3_extended_errcode(db->handle);
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return ps_err_set(err, PS_CONFLICT,
                          "this name is taken; choose another one");
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return ps_err_set(err, PS_CONFLICT, "this is still in use");
    case SQLITE_NOMEM:
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    case SQLITE_FULL:
        return ps_err_set(err, PS_DATABASE,
                          "the control plane's disk is full; nothing was "
                          "changed; free some space and try again");
    default:
        ps_error("store", "sqlite: %s (%d)", sqlite3_errmsg(db->handle),
                 extended);
        return ps_err_set(err, PS_DATABASE,
                          "the control plane's store failed (%s); nothing "
                          "was changed",
                          sqlite3_errstr(extended));
    }
}

enum ps_rc
db_exec(struct ps_db *db, const char *sql, struct ps_err *err)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_failed(db, err);
    return PS_OK;
}

enum ps_rc
db_begin(struct ps_db *db, struct ps_err *err)
{
    enum ps_rc rc =
        db_exec(db, db->depth ? "SAVEPOINT part" : "BEGIN IMMEDIATE", err);
    if (rc == PS_OK)
        db->depth++;
    return rc;
}

static enum ps_rc
end_part(struct ps_db *db, enum ps_rc rc, struct ps_err *err)
{
    if (rc == PS_OK)
        return db_exec(db, "RELEASE part", err);
    if (!sqlite3_get_autocommit(db->handle) &&
        sqlite3_exec(db->handle, "ROLLBACK TO part; RELEASE part", NULL, NULL,
                     NULL))
        ps_error("store", "sqlite: cannot roll back: %s",
                 sqlite3_errmsg(db->handle));
    return rc;
}

enum ps_rc
db_end(struct ps_db *db, enum ps_rc rc, struct ps_err *err)
{
    PS_CHECK(db->depth > 0);
    if (--db->depth > 0)
        return end_part(db, rc, err);
    if (rc == PS_OK)
        rc = db_exec(db, "COMMIT", err);
    /* Some failures (disk full, I/O) have already rolled back. */
    if (rc != PS_OK && !sqlite3_get_autocommit(db->handle))
        if (sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL))
            ps_error("store", "sqlite: cannot roll back: %s",
                     sqlite3_errmsg(db->handle));
    return rc;
}

/* ------------------------------------------------------------- queries */

static sqlite3_stmt *
prepare(struct ps_db *db, enum stmt_id id, struct ps_err *err)
{
    if (db->stmts[id])
        return db->stmts[id];
    char *made = stmt_sql[id] ? NULL : db_cache_sql(id);
    const char *sql = stmt_sql[id] ? stmt_sql[id] : made;
    if (!sql) {
        ps_err_set(err, PS_NO_MEMORY, NULL);
        return NULL;
    }
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                           &db->stmts[id], NULL) != SQLITE_OK) {
        db->stmts[id] = NULL;
        db_failed(db, err);
    }
    free(made);
    return db->stmts[id];
}

void
query_begin(struct query *q, struct ps_db *db, enum stmt_id id,
            struct ps_err *err)
{
    PS_CHECK_OBJ(db, PS_DB_MAGIC);
    struct ps_err local = {.rc = PS_OK};
    *q = (struct query){.db = db, .err = err};
    q->stmt = prepare(db, id, err ? err : &local);
    if (!q->stmt) {
        q->rc = err ? err->rc : local.rc;
        return;
    }
    PS_CHECK(!sqlite3_stmt_busy(q->stmt));
}

static void
bound(struct query *q, int result)
{
    if (result != SQLITE_OK)
        q->rc = db_failed(q->db, q->err);
}

void
query_text(struct query *q, const char *text)
{
    if (q->rc == PS_OK)
        bound(q, sqlite3_bind_text(q->stmt, ++q->argument, text, -1,
                                   SQLITE_STATIC));
}

void
query_int(struct query *q, int64_t value)
{
    if (q->rc == PS_OK)
        bound(q, sqlite3_bind_int64(q->stmt, ++q->argument, value));
}

void
query_time(struct query *q, int64_t wall_ms)
{
    if (wall_ms)
        query_int(q, wall_ms);
    else if (q->rc == PS_OK)
        bound(q, sqlite3_bind_null(q->stmt, ++q->argument));
}

void
query_hash(struct query *q, const unsigned char hash[PS_DB_HASH_LEN])
{
    if (q->rc == PS_OK)
        bound(q, sqlite3_bind_blob(q->stmt, ++q->argument, hash, PS_DB_HASH_LEN,
                                   SQLITE_STATIC));
}

void
query_blob(struct query *q, struct ps_str bytes)
{
    if (q->rc == PS_OK)
        bound(q, sqlite3_bind_blob64(q->stmt, ++q->argument,
                                     bytes.len ? bytes.ptr : "", bytes.len,
                                     SQLITE_STATIC));
}

void
query_page(struct query *q, const struct ps_page *page, size_t texts)
{
    static const struct ps_page all = {
        .text = {"", "", ""},
          .limit = -1
    };
    if (!page)
        page = &all;
    query_int(q, page->behind);
    for (size_t i = 0; i < texts; i++)
        query_text(q, page->behind ? page->text[i] : "");
    if (texts == 0)
        query_int(q, page->number);
    query_int(q, page->limit);
}

bool
query_row(struct query *q)
{
    if (q->rc != PS_OK)
        return false;
    q->column = 0;
    int result = sqlite3_step(q->stmt);
    if (result == SQLITE_ROW)
        return true;
    if (result != SQLITE_DONE)
        q->rc = db_failed(q->db, q->err);
    return false;
}

void
column_text(struct query *q, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(q->stmt, q->column);
    size_t len = (size_t)sqlite3_column_bytes(q->stmt, q->column++);
    len = text ? PS_MIN(len, size - 1) : 0;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

int64_t
column_int(struct query *q)
{
    return sqlite3_column_int64(q->stmt, q->column++);
}

void
column_hash(struct query *q, unsigned char hash[PS_DB_HASH_LEN])
{
    const void *bytes = sqlite3_column_blob(q->stmt, q->column);
    int len = sqlite3_column_bytes(q->stmt, q->column++);
    memset(hash, 0, PS_DB_HASH_LEN);
    if (bytes && len == PS_DB_HASH_LEN)
        memcpy(hash, bytes, PS_DB_HASH_LEN);
}

enum ps_rc
query_end(struct query *q)
{
    if (q->stmt) {
        /* The result repeats what the last step said. */
        sqlite3_reset(q->stmt);
        sqlite3_clear_bindings(q->stmt);
    }
    return q->rc;
}

enum ps_rc
query_run(struct query *q, int *changes)
{
    while (query_row(q))
        continue;
    if (q->rc == PS_OK && changes)
        *changes = sqlite3_changes(q->db->handle);
    return query_end(q);
}

/* ---------------------------------------------------------- life cycle */

static const char settings_sql[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA foreign_keys = ON;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA busy_timeout = 2000;";

static enum ps_rc
load_version(struct ps_db *db, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_CONFIG_GET, err);
    if (query_row(&q))
        db->config_version = (uint64_t)column_int(&q);
    return query_end(&q);
}

enum ps_rc
ps_db_begin(struct ps_db *db, struct ps_err *err)
{
    PS_CHECK_OBJ(db, PS_DB_MAGIC);
    return db_begin(db, err);
}

enum ps_rc
ps_db_end(struct ps_db *db, enum ps_rc rc, struct ps_err *err)
{
    PS_CHECK_OBJ(db, PS_DB_MAGIC);
    rc = db_end(db, rc, err);
    /* A part may have raised it before the whole was taken back. */
    if (rc != PS_OK && load_version(db, NULL) != PS_OK)
        ps_error("store", "cannot read the version of the configuration");
    return rc;
}

enum ps_rc
ps_db_open(struct ps_db **out, const char *path, struct ps_err *err)
{
    struct ps_db *db = calloc(1, sizeof(*db));
    if (!db)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    db->magic = PS_DB_MAGIC;
    enum ps_rc rc = PS_OK;
    if (sqlite3_open_v2(path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        rc = ps_err_set(err, PS_DATABASE, "cannot open %s: %s", path,
                        db->handle ? sqlite3_errmsg(db->handle)
                                   : "not enough memory");
    if (rc == PS_OK)
        rc = db_exec(db, settings_sql, err);
    if (rc == PS_OK)
        rc = db_migrate(db, err);
    if (rc == PS_OK)
        rc = load_version(db, err);
    if (rc != PS_OK) {
        ps_db_close(&db);
        return rc;
    }
    *out = db;
    return PS_OK;
}

void
ps_db_close(struct ps_db **dbp)
{
    struct ps_db *db = *dbp;
    if (!db)
        return;
    PS_CHECK_OBJ(db, PS_DB_MAGIC);
    for (size_t i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(db->stmts[i]);
    if (sqlite3_close(db->handle) != SQLITE_OK)
        ps_error("store", "sqlite: cannot close: %s",
                 sqlite3_errmsg(db->handle));
    db->magic = 0;
    free(db);
    *dbp = NULL;
}
