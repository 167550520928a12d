/*
 * Inside store/: the connection, its prepared statements, transactions.
 *
 * A query is begun, gets its arguments in order, is stepped, and is ended;
 * the first failure sticks in q->rc and makes the rest do nothing, so that
 * callers check once at the end:
 *
 *   struct query q;
 *   query_begin(&q, db, STMT_X, err);
 *   query_text(&q, id);
 *   while (query_row(&q)) ... column_*() ...
 *   return query_end(&q);
 */
#ifndef PS_CONTROLPLANE_STORE_DB_PRIVATE_H
#define PS_CONTROLPLANE_STORE_DB_PRIVATE_H

#include "common/check.h"
#include "controlplane/store/db.h"

#include <sqlite3.h>

enum {
    PS_DB_MAGIC = 0x70734442
};

/* X(name, sql); the three statements of caches are made from the field table
 * and have no text here. */
#define STMT_TABLE(X)                                                          \
    X(CACHE_INSERT, NULL)                                                      \
    X(CACHE_UPDATE, NULL)                                                      \
    X(CACHE_GET, NULL)                                                         \
    X(CACHE_EACH, NULL)                                                        \
    X(CACHE_DELETE, "DELETE FROM caches WHERE id = ?")                         \
    X(CACHE_COUNT, "SELECT count(*) FROM caches")                              \
    X(CACHE_BYTES,                                                             \
      "SELECT (SELECT coalesce(sum(length(tls_ca) + length(host) + "           \
      "length(name) + 256), 0) FROM caches) + (SELECT coalesce(sum(length("    \
      "CAST(key AS BLOB)) + 32), 0) FROM rules)")                              \
    X(CACHE_TOUCH, "UPDATE caches SET revision = revision + 1, "               \
                   "updated_ms = max(updated_ms, ?) WHERE id = ?")             \
    X(RULE_FIND, "SELECT " RULE_COLUMNS " FROM rules "                         \
                 "WHERE cache_id = ? AND type = ? AND key = ?")                \
    X(RULE_GET, "SELECT " RULE_COLUMNS " FROM rules WHERE id = ?")             \
    /* PS_DB_RULE_SORT characters of the key */                                \
    X(RULE_EACH, "SELECT " RULE_COLUMNS " FROM rules WHERE cache_id = ?1 "     \
                 "AND (?2 = 0 OR (type, substr(key, 1, 200), id) > "           \
                 "(?3, ?4, ?5)) ORDER BY type, substr(key, 1, 200), id "       \
                 "LIMIT ?6")                                                   \
    X(RULE_COUNT, "SELECT count(*) FROM rules WHERE cache_id = ?")             \
    X(RULE_PUT, "INSERT OR REPLACE INTO rules (" RULE_COLUMNS ") "             \
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                 \
    X(RULE_KEYED, "SELECT " RULE_COLUMNS " FROM rules "                        \
                  "WHERE cache_id = ? AND key = ? ORDER BY type")              \
    X(RULE_DELETE, "DELETE FROM rules WHERE id = ?")                           \
    X(RULE_CLEAR, "DELETE FROM rules WHERE cache_id = ?")                      \
    X(CONFIG_BUMP, "UPDATE meta SET value = value + 1 "                        \
                   "WHERE name = 'config_version'")                            \
    X(CONFIG_GET, "SELECT value FROM meta WHERE name = 'config_version'")      \
    X(REGION_INSERT, "INSERT INTO regions (name, description, created_ms) "    \
                     "VALUES (?, ?, ?)")                                       \
    X(REGION_MAKE, "INSERT INTO regions (name, description, created_ms) "      \
                   "VALUES (?, '', ?) ON CONFLICT (name) DO NOTHING")          \
    X(REGION_EACH,                                                             \
      "SELECT name, description, created_ms, (SELECT count(*) FROM agents "    \
      "WHERE region = regions.name AND revoked_ms IS NULL) "                   \
      "FROM regions WHERE (?1 = 0 OR name > ?2) ORDER BY name LIMIT ?3")       \
    X(REGION_DELETE, "DELETE FROM regions WHERE name = ?")                     \
    X(AGENT_INSERT,                                                            \
      "INSERT INTO agents (id, name, region, endpoint, hostname, version, "    \
      "secret_hash, enrolled_ms, certificate_expires_ms, open) "               \
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)")                                 \
    X(AGENT_EACH,                                                              \
      "SELECT " AGENT_COLUMNS " FROM agents WHERE (?1 = 0 OR "                 \
      "(region, name, id) > (?2, ?3, ?4)) ORDER BY region, name, id "          \
      "LIMIT ?5")                                                              \
    X(AGENT_GET, "SELECT " AGENT_COLUMNS " FROM agents WHERE id = ?")          \
    X(AGENT_NAMED, "SELECT 1 FROM agents WHERE name = ? "                      \
                   "AND revoked_ms IS NULL LIMIT 1")                           \
    X(AGENT_UPDATE,                                                            \
      "UPDATE agents SET endpoint = ?, hostname = ?, version = ?, "            \
      "last_seen_ms = ?, open = ?, certificate_expires_ms = ?, "               \
      "instance = ?, unsettled_ms = ? WHERE id = ?")                           \
    X(AGENT_REVOKE, "UPDATE agents SET revoked_ms = coalesce(revoked_ms, ?), " \
                    "open = 0 WHERE id = ?")                                   \
    X(AGENT_DRAIN, "UPDATE agents SET draining = ? WHERE id = ?")              \
    X(AGENT_DELETE, "DELETE FROM agents WHERE id = ?")                         \
    X(JOIN_INSERT,                                                             \
      "INSERT INTO join_tokens (id, region, name, secret_hash, created_ms, "   \
      "expires_ms) VALUES (?, ?, ?, ?, ?, ?)")                                 \
    X(JOIN_EACH, "SELECT " JOIN_COLUMNS " FROM join_tokens WHERE "             \
                 "(?1 = 0 OR rowid < ?2) ORDER BY rowid DESC LIMIT ?3")        \
    X(JOIN_GET, "SELECT " JOIN_COLUMNS " FROM join_tokens WHERE id = ?")       \
    X(JOIN_FIND, "SELECT " JOIN_COLUMNS " FROM join_tokens "                   \
                 "WHERE secret_hash = ? AND used_ms IS NULL "                  \
                 "AND expires_ms > ?")                                         \
    X(JOIN_USE, "UPDATE join_tokens SET used_ms = ?, agent_id = ? "            \
                "WHERE id = ? AND used_ms IS NULL")                            \
    X(JOIN_DELETE, "DELETE FROM join_tokens WHERE id = ?")                     \
    X(TOKEN_INSERT,                                                            \
      "INSERT INTO tokens (id, name, hash, created_ms, role, caches) "         \
      "VALUES (?, ?, ?, ?, ?, ?)")                                             \
    X(TOKEN_EACH,                                                              \
      "SELECT " TOKEN_COLUMNS " FROM tokens WHERE (?1 = 0 OR rowid > ?2) "     \
      "ORDER BY rowid LIMIT ?3")                                               \
    X(TOKEN_GET, "SELECT " TOKEN_COLUMNS " FROM tokens WHERE id = ?")          \
    X(TOKEN_FIND, "SELECT " TOKEN_COLUMNS " FROM tokens WHERE hash = ?")       \
    X(TOKEN_USED, "UPDATE tokens SET last_used_ms = ? WHERE id = ?")           \
    X(TOKEN_DELETE, "DELETE FROM tokens WHERE id = ?")                         \
    X(TOKEN_COUNT, "SELECT count(*) FROM tokens")                              \
    X(TOKEN_ADMINS, "SELECT count(*) FROM tokens WHERE role = 'admin'")        \
    X(RUN_INSERT, "INSERT INTO runs (id, cache_id, started_ms, finished_ms) "  \
                  "VALUES (?, ?, ?, ?)")                                       \
    X(RUN_PRUNE,                                                               \
      "DELETE FROM runs WHERE cache_id = ?1 AND seq NOT IN (SELECT seq "       \
      "FROM runs WHERE cache_id = ?1 ORDER BY seq DESC LIMIT ?2)")             \
    X(RUN_RESULT_PUT,                                                          \
      "INSERT OR REPLACE INTO run_results (run_id, agent_id, agent_name, "     \
      "region, done, ok, code, source_address, target_address, "               \
      "server_version, advice, stages) "                                       \
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                           \
    X(RUN_FINISH, "UPDATE runs SET finished_ms = ? "                           \
                  "WHERE id = ? AND finished_ms IS NULL")                      \
    X(RUN_FINISH_RESULTS, "UPDATE run_results SET done = 1, ok = 0, "          \
                          "code = ?, advice = ? WHERE run_id = ? "             \
                          "AND done = 0")                                      \
    X(RUN_FINISH_ALL, "UPDATE runs SET finished_ms = ? "                       \
                      "WHERE finished_ms IS NULL")                             \
    X(RUN_FINISH_ALL_RESULTS, "UPDATE run_results SET done = 1, ok = 0, "      \
                              "code = ?, advice = ? WHERE done = 0")           \
    X(RUN_GET, "SELECT id, cache_id, started_ms, finished_ms FROM runs "       \
               "WHERE cache_id = ? AND id = ?")                                \
    X(RUN_NEWEST, "SELECT id, cache_id, started_ms, finished_ms FROM runs "    \
                  "WHERE cache_id = ? ORDER BY seq DESC LIMIT 1")              \
    X(RUN_RESULT_EACH,                                                         \
      "SELECT agent_id, agent_name, region, done, ok, code, "                  \
      "source_address, target_address, server_version, advice, stages "        \
      "FROM run_results WHERE run_id = ? ORDER BY region, agent_name, "        \
      "agent_id")                                                              \
    X(EVENT_INSERT,                                                            \
      "INSERT INTO events (at_ms, type, agent_id, agent_name, region, "        \
      "cache_id, cache_name, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "        \
      "RETURNING seq")                                                         \
    X(EVENT_PRUNE, "DELETE FROM events WHERE seq <= ? OR at_ms < ?")           \
    X(EVENT_AFTER, "SELECT " EVENT_COLUMNS " FROM events " EVENT_WHERE         \
                   "ORDER BY seq LIMIT ?")                                     \
    X(EVENT_NEWEST,                                                            \
      "SELECT * FROM (SELECT " EVENT_COLUMNS " FROM events " EVENT_WHERE       \
      "ORDER BY seq DESC LIMIT ?) ORDER BY seq")                               \
    X(EVENT_LAST, "SELECT max(seq) FROM events")                               \
    X(RUN_LAST_RESULT,                                                         \
      "SELECT ok, code FROM run_results JOIN runs ON runs.id = run_id "        \
      "WHERE cache_id = ? AND agent_id = ? AND run_id <> ? AND done = 1 "      \
      "ORDER BY seq DESC LIMIT 1")                                             \
    X(AUDIT_INSERT,                                                            \
      "INSERT INTO audit (at_ms, token_id, token_name, method, path, before) " \
      "VALUES (?, ?, ?, ?, ?, ?) RETURNING seq")                               \
    X(AUDIT_PRUNE, "DELETE FROM audit WHERE seq <= ?")                         \
    X(AUDIT_END, "UPDATE audit SET status = ?, after = ? WHERE seq = ?")       \
    X(AUDIT_EACH, "SELECT seq, at_ms, token_id, token_name, method, path, "    \
                  "status, before, "                                           \
                  "after FROM audit WHERE (?1 = 0 OR seq < ?2) "               \
                  "ORDER BY seq DESC LIMIT ?3")                                \
    X(REGION_GET,                                                              \
      "SELECT name, description, created_ms, (SELECT count(*) FROM agents "    \
      "WHERE region = regions.name AND revoked_ms IS NULL) "                   \
      "FROM regions WHERE name = ?")                                           \
    X(REPLAY_FIND,                                                             \
      "SELECT request_hash, status, location, etag, sealed FROM replays "      \
      "WHERE token_id = ? AND key_hash = ? AND created_ms > ?")                \
    X(REPLAY_PUT,                                                              \
      "INSERT OR REPLACE INTO replays (token_id, key_hash, request_hash, "     \
      "status, location, etag, sealed, created_ms) "                           \
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")                                       \
    X(REPLAY_PRUNE,                                                            \
      "DELETE FROM replays WHERE created_ms <= ?1 OR seq IN (SELECT seq FROM " \
      "(SELECT seq, row_number() OVER newest AS n, sum(length(sealed)) OVER "  \
      "newest AS bytes FROM replays WINDOW newest AS (ORDER BY seq DESC)) "    \
      "WHERE n > ?2 OR bytes > ?3)")

#define RULE_COLUMNS                                                         \
    "id, cache_id, type, key, mode, ttl_ms, "                                \
    "stale_if_error_ms, stale_while_revalidate_ms, created_ms, updated_ms, " \
    "name, revision"
#define EVENT_COLUMNS                                                        \
    "seq, at_ms, type, agent_id, agent_name, region, cache_id, cache_name, " \
    "message"
#define EVENT_WHERE                                          \
    "WHERE seq > ? AND at_ms >= ? AND (? = '' OR type = ?) " \
    "AND (? = '' OR cache_id = '' OR instr(?, cache_id) > 0) "
#define AGENT_COLUMNS                                                       \
    "id, name, region, endpoint, hostname, version, secret_hash, "          \
    "enrolled_ms, certificate_expires_ms, last_seen_ms, revoked_ms, open, " \
    "instance, unsettled_ms, draining"
#define JOIN_COLUMNS                                                    \
    "id, region, name, agent_id, secret_hash, created_ms, expires_ms, " \
    "used_ms, "                                                         \
    "rowid"
#define TOKEN_COLUMNS \
    "id, name, hash, created_ms, last_used_ms, role, caches, rowid"

enum stmt_id {
#define X(name, sql) STMT_##name,
    STMT_TABLE(X)
#undef X
    STMT_COUNT
};

struct ps_db {
    unsigned magic;
    sqlite3 *handle;
    sqlite3_stmt *stmts[STMT_COUNT]; /* prepared at first use */
    int depth;                       /* transactions begun, one in the other */
    uint64_t config_version;
};

struct query {
    struct ps_db *db;
    sqlite3_stmt *stmt;
    int argument; /* number of the last one bound */
    int column;   /* next to be read */
    enum ps_rc rc;
    struct ps_err *err;
};

void query_begin(struct query *q, struct ps_db *db, enum stmt_id id,
                 struct ps_err *err);
/* text lives until query_end(). */
void query_text(struct query *q, const char *text);
void query_int(struct query *q, int64_t value);
/* 0 is written as NULL. */
void query_time(struct query *q, int64_t wall_ms);
void query_hash(struct query *q, const unsigned char hash[PS_DB_HASH_LEN]);
/* bytes live until query_end(). */
void query_blob(struct query *q, struct ps_str bytes);
/* `behind`, so many of its texts or else the number, and the limit. */
void query_page(struct query *q, const struct ps_page *page, size_t texts);
/* True while there is a row to read. */
bool query_row(struct query *q);
/* Columns in order; out is cut to size, absent values are "" and 0. */
void column_text(struct query *q, char *out, size_t size);
int64_t column_int(struct query *q);
void column_hash(struct query *q, unsigned char hash[PS_DB_HASH_LEN]);
/* Frees the statement for its next use. */
PS_MUST_USE enum ps_rc query_end(struct query *q);
/* Steps a statement that returns no rows and ends it; *changes (may be NULL)
 * gets the number of rows it changed. */
PS_MUST_USE enum ps_rc query_run(struct query *q, int *changes);

/* PS_DATABASE, PS_NO_MEMORY or PS_CONFLICT for what SQLite just said. */
enum ps_rc db_failed(struct ps_db *db, struct ps_err *err);
/* SQL without arguments or rows. */
PS_MUST_USE enum ps_rc db_exec(struct ps_db *db, const char *sql,
                               struct ps_err *err);
/* Within another transaction: a part of it, which fails alone. */
PS_MUST_USE enum ps_rc db_begin(struct ps_db *db, struct ps_err *err);
/* Commits when rc is PS_OK, else (and when that fails) rolls back. Returns
 * rc or why it could not commit. */
PS_MUST_USE enum ps_rc db_end(struct ps_db *db, enum ps_rc rc,
                              struct ps_err *err);
/* The statement's SQL made from the field table, or NULL; to be freed. */
char *db_cache_sql(enum stmt_id id);
/* Ends the transaction of a change of definitions: checks their size, raises
 * the version of the configuration. */
PS_MUST_USE enum ps_rc db_end_definitions(struct ps_db *db, enum ps_rc rc,
                                          struct ps_err *err);
/* Inside a transaction of definitions: the cache's row, added or replaced. */
PS_MUST_USE enum ps_rc db_write_cache(struct ps_db *db,
                                      const struct ps_cache_def *def,
                                      bool fresh, struct ps_err *err);
PS_MUST_USE enum ps_rc db_migrate(struct ps_db *db, struct ps_err *err);

#endif
