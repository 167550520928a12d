/*
 * The schema as a list of numbered steps. A step that has been released is
 * never changed; a new one is added behind it. Each runs in a transaction of
 * its own together with its row in schema_migrations, so a crash leaves the
 * schema at one step or the next.
 */
#include "common/clock.h"
#include "common/log.h"
#include "controlplane/store/db_private.h"

static const char *const migrations[] = {
    /* 1: the beginning */
    "CREATE TABLE meta ("
    "  name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('config_version', 0);"
    "CREATE TABLE caches ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  description TEXT NOT NULL, host TEXT NOT NULL,"
    "  port INTEGER NOT NULL, type TEXT NOT NULL,"
    "  caching_enabled INTEGER NOT NULL, behaviour TEXT NOT NULL,"
    "  enabled INTEGER NOT NULL, write_ack TEXT NOT NULL,"
    "  tls_mode TEXT NOT NULL, tls_ca TEXT NOT NULL,"
    "  ttl_min_ms INTEGER NOT NULL, ttl_max_ms INTEGER NOT NULL,"
    "  pool_max INTEGER NOT NULL, pool_queue_max INTEGER NOT NULL,"
    "  pool_queue_timeout_ms INTEGER NOT NULL,"
    "  pool_idle_timeout_ms INTEGER NOT NULL,"
    "  connect_timeout_ms INTEGER NOT NULL,"
    "  query_timeout_ms INTEGER NOT NULL,"
    "  max_entry_bytes INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL) STRICT;"
    "CREATE TABLE regions ("
    "  name TEXT PRIMARY KEY, description TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE agents ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL,"
    "  region TEXT NOT NULL REFERENCES regions (name),"
    "  endpoint TEXT NOT NULL, hostname TEXT NOT NULL,"
    "  version TEXT NOT NULL, secret_hash BLOB NOT NULL,"
    "  enrolled_ms INTEGER NOT NULL,"
    "  certificate_expires_ms INTEGER NOT NULL,"
    "  last_seen_ms INTEGER, revoked_ms INTEGER,"
    "  open INTEGER NOT NULL) STRICT;"
    "CREATE INDEX agents_by_region ON agents (region);"
    "CREATE TABLE join_tokens ("
    "  id TEXT PRIMARY KEY,"
    "  region TEXT NOT NULL REFERENCES regions (name) ON DELETE CASCADE,"
    "  name TEXT NOT NULL, secret_hash BLOB NOT NULL UNIQUE,"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  used_ms INTEGER,"
    "  agent_id TEXT REFERENCES agents (id) ON DELETE SET NULL) STRICT;"
    "CREATE INDEX join_tokens_by_region ON join_tokens (region);"
    "CREATE INDEX join_tokens_by_agent ON join_tokens (agent_id);"
    "CREATE TABLE tokens ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  hash BLOB NOT NULL UNIQUE, created_ms INTEGER NOT NULL,"
    "  last_used_ms INTEGER) STRICT;"
    "CREATE TABLE runs ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    "  cache_id TEXT NOT NULL REFERENCES caches (id) ON DELETE CASCADE,"
    "  started_ms INTEGER NOT NULL, finished_ms INTEGER) STRICT;"
    "CREATE INDEX runs_by_cache ON runs (cache_id, seq);"
    "CREATE TABLE run_results ("
    "  run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,"
    "  agent_id TEXT NOT NULL, agent_name TEXT NOT NULL,"
    "  region TEXT NOT NULL, done INTEGER NOT NULL, ok INTEGER NOT NULL,"
    "  code TEXT NOT NULL, source_address TEXT NOT NULL,"
    "  target_address TEXT NOT NULL, server_version TEXT NOT NULL,"
    "  advice TEXT NOT NULL, stages TEXT NOT NULL,"
    "  PRIMARY KEY (run_id, agent_id)) STRICT, WITHOUT ROWID;",
    /* 2: rules */
    "ALTER TABLE caches ADD COLUMN invalidation INTEGER NOT NULL DEFAULT 1;"
    "CREATE TABLE rules ("
    "  id TEXT PRIMARY KEY,"
    "  cache_id TEXT NOT NULL REFERENCES caches (id) ON DELETE CASCADE,"
    "  type TEXT NOT NULL, key TEXT NOT NULL, mode TEXT NOT NULL,"
    "  ttl_ms INTEGER NOT NULL, stale_if_error_ms INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    "  UNIQUE (cache_id, type, key)) STRICT;",
    /* 3: limits of pools and requests */
    "ALTER TABLE caches ADD COLUMN pool_cache_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE caches ADD COLUMN pool_min_idle INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE caches ADD COLUMN"
    "  pool_max_age_ms INTEGER NOT NULL DEFAULT 3600000;"
    "ALTER TABLE caches ADD COLUMN"
    "  pool_check_after_ms INTEGER NOT NULL DEFAULT 30000;"
    "ALTER TABLE caches ADD COLUMN"
    "  breaker_failures INTEGER NOT NULL DEFAULT 10;"
    "ALTER TABLE caches ADD COLUMN"
    "  breaker_open_ms INTEGER NOT NULL DEFAULT 1000;"
    "ALTER TABLE caches ADD COLUMN slow_start_ms INTEGER NOT NULL DEFAULT 3000;"
    "ALTER TABLE caches ADD COLUMN concurrency_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE caches ADD COLUMN rate_limit INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE caches ADD COLUMN rate_burst INTEGER NOT NULL DEFAULT 0;",
    /* 4: stale-while-revalidate */
    "ALTER TABLE rules ADD COLUMN stale_while_revalidate_ms INTEGER NOT NULL "
    "DEFAULT 0;",
    /* 5: what an agent that died may have left behind */
    "ALTER TABLE agents ADD COLUMN instance TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE agents ADD COLUMN unsettled_ms INTEGER NOT NULL DEFAULT 0;",
    /* 6: roles of tokens; caches: ids by comma, empty: all */
    "ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';"
    "ALTER TABLE tokens ADD COLUMN caches TEXT NOT NULL DEFAULT '';",
    /* 7: the audit log; status NULL: under way, or cut off */
    "CREATE TABLE audit ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,"
    "  token_id TEXT NOT NULL, token_name TEXT NOT NULL,"
    "  method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER,"
    "  before TEXT NOT NULL, after TEXT NOT NULL DEFAULT '') STRICT;",
    /* 8: versions and names of rules; answers that may be asked for again */
    "ALTER TABLE rules ADD COLUMN name TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE rules ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;"
    "CREATE TABLE replays ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  token_id TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,"
    "  key_hash BLOB NOT NULL, request_hash BLOB NOT NULL,"
    "  status INTEGER NOT NULL, location TEXT NOT NULL, etag TEXT NOT NULL,"
    "  sealed BLOB NOT NULL, created_ms INTEGER NOT NULL,"
    "  UNIQUE (token_id, key_hash)) STRICT;",
    /* 9: the database of clients that name none */
    "ALTER TABLE caches ADD COLUMN default_database TEXT NOT NULL DEFAULT '';",
    /* 10: agents that are taken out of service */
    "ALTER TABLE agents ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;",
    /* 11: how much of an agent's memory a cache may take */
    "ALTER TABLE caches ADD COLUMN memory_share_percent INTEGER NOT NULL "
    "DEFAULT 100;",
    /* 12: what happened in the fleet */
    "CREATE TABLE events ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,"
    "  type TEXT NOT NULL, agent_id TEXT NOT NULL, agent_name TEXT NOT NULL,"
    "  region TEXT NOT NULL, cache_id TEXT NOT NULL,"
    "  cache_name TEXT NOT NULL, message TEXT NOT NULL) STRICT;"
    "CREATE INDEX events_by_time ON events (at_ms);",
};

/* Once per start, so not among the prepared statements. */
static enum ps_rc
read_version(struct ps_db *db, int *version, struct ps_err *err)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(
            db->handle,
            "SELECT coalesce(max(version), 0) FROM schema_migrations", -1,
            &stmt, NULL) != SQLITE_OK)
        return db_failed(db, err);
    enum ps_rc rc = PS_OK;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *version = sqlite3_column_int(stmt, 0);
    else
        rc = db_failed(db, err);
    sqlite3_finalize(stmt);
    return rc;
}

static enum ps_rc
write_version(struct ps_db *db, int version, struct ps_err *err)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db->handle,
                           "INSERT INTO schema_migrations VALUES (?, ?)", -1,
                           &stmt, NULL) != SQLITE_OK)
        return db_failed(db, err);
    sqlite3_bind_int(stmt, 1, version);
    sqlite3_bind_int64(stmt, 2, ps_wall_ms());
    enum ps_rc rc = PS_OK;
    if (sqlite3_step(stmt) != SQLITE_DONE)
        rc = db_failed(db, err);
    sqlite3_finalize(stmt);
    return rc;
}

static enum ps_rc
apply(struct ps_db *db, int version, struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    rc = db_exec(db, migrations[version - 1], err);
    if (rc == PS_OK)
        rc = write_version(db, version, err);
    rc = db_end(db, rc, err);
    if (rc == PS_OK)
        ps_info("store", "schema is now at version %d", version);
    return rc;
}

enum ps_rc
db_migrate(struct ps_db *db, struct ps_err *err)
{
    const int newest = (int)PS_ARRAY_LEN(migrations);
    int version = 0;
    enum ps_rc rc = db_exec(db,
                            "CREATE TABLE IF NOT EXISTS schema_migrations ("
                            "  version INTEGER PRIMARY KEY,"
                            "  applied_ms INTEGER NOT NULL) STRICT",
                            err);
    if (rc == PS_OK)
        rc = read_version(db, &version, err);
    if (rc == PS_OK && version > newest)
        return ps_err_set(err, PS_CONFIG,
                          "the data directory was written by a newer version "
                          "(schema %d, this program knows %d); install that "
                          "version or restore a backup made before it",
                          version, newest);
    while (rc == PS_OK && version < newest)
        rc = apply(db, ++version, err);
    return rc;
}
