/*
 * The store on a file of its own: what the schema promises (WAL, foreign keys,
 * numbered migrations), and the rules that the tables keep by themselves.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/store/db_private.h"
#include "tests/unit.h"

#include <stdio.h>
#include <unistd.h>

struct world {
    char dir[64], path[80];
    struct ps_db *db;
};

static void
reopen(struct world *w)
{
    ps_db_close(&w->db);
    assert_int_equal(ps_db_open(&w->db, w->path, NULL), PS_OK);
}

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    snprintf(w->dir, sizeof(w->dir), "/tmp/portside-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/p.db", w->dir);
    assert_int_equal(ps_db_open(&w->db, w->path, NULL), PS_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct world *w = *state;
    ps_db_close(&w->db);
    for (size_t i = 0; i < PS_ARRAY_LEN(suffixes); i++) {
        char path[96];
        snprintf(path, sizeof(path), "%s%s", w->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* The first column of the first row, as text. */
static void
ask(struct world *w, const char *sql, char out[64])
{
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(w->db->handle, sql, -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    snprintf(out, 64, "%s", text ? text : "(null)");
    sqlite3_finalize(stmt);
}

static void
run(struct world *w, const char *sql)
{
    assert_int_equal(sqlite3_exec(w->db->handle, sql, NULL, NULL, NULL),
                     SQLITE_OK);
}

static void
make_cache(struct ps_cache_def *def, const char *name)
{
    ps_def_init(def);
    ps_uuid_make(def->id);
    snprintf(def->name, sizeof(def->name), "%s", name);
    snprintf(def->host, sizeof(def->host), "db.example.com");
    def->type = PS_DEF_POSTGRES;
    def->port = 5432;
}

/* -------------------------------------------------------------- schema */

static void
the_connection_is_durable_and_strict(void **state)
{
    struct world *w = *state;
    char text[64];
    ask(w, "PRAGMA journal_mode", text);
    assert_string_equal(text, "wal");
    ask(w, "PRAGMA foreign_keys", text);
    assert_string_equal(text, "1");
    ask(w, "PRAGMA synchronous", text);
    assert_string_equal(text, "2"); /* FULL */
    ask(w, "PRAGMA integrity_check", text);
    assert_string_equal(text, "ok");
}

static void
migrations_are_numbered_and_run_once(void **state)
{
    struct world *w = *state;
    char newest[64], count[64], stamp[64], again[64];
    ask(w, "SELECT max(version) FROM schema_migrations", newest);
    ask(w, "SELECT count(*) FROM schema_migrations", count);
    assert_string_equal(newest, count);
    assert_string_not_equal(newest, "0");
    run(w, "UPDATE schema_migrations SET applied_ms = 7");
    ask(w, "SELECT sum(applied_ms) FROM schema_migrations", stamp);
    reopen(w);
    ask(w, "SELECT sum(applied_ms) FROM schema_migrations", again);
    assert_string_equal(stamp, again);
}

static void
a_newer_schema_is_refused_and_left_alone(void **state)
{
    struct world *w = *state;
    struct ps_db *other = NULL;
    struct ps_err err;
    char before[64], after[64];
    run(w, "INSERT INTO schema_migrations VALUES (1000, 0)");
    ask(w, "SELECT count(*) FROM sqlite_schema", before);
    assert_int_equal(ps_db_open(&other, w->path, &err), PS_CONFIG);
    assert_null(other);
    assert_non_null(strstr(err.message, "newer version"));
    ask(w, "SELECT count(*) FROM sqlite_schema", after);
    assert_string_equal(before, after);
}

/* A store as a program of that time left it: testdata/v<version>.sql. */
static void
load_old(struct world *w, int version, char path[96])
{
    const char *source = getenv("PS_SOURCE_DIR");
    char name[512];
    sqlite3 *old = NULL;
    assert_non_null(source);
    snprintf(name, sizeof(name), "%s/controlplane/store/testdata/v%d.sql",
             source, version);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    static char text[64 << 10];
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    assert_true(feof(file));
    fclose(file);
    text[n] = '\0';
    snprintf(path, 96, "%s/old.db", w->dir);
    assert_int_equal(sqlite3_open(path, &old), SQLITE_OK);
    assert_int_equal(sqlite3_exec(old, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(old);
}

/* Everything that the schema says, in one text. */
static char *
schema_of(struct ps_db *db)
{
    sqlite3_stmt *stmt;
    assert_int_equal(
        sqlite3_prepare_v2(db->handle,
                           "SELECT group_concat(name || ':' || sql, x'0a') "
                           "FROM (SELECT * FROM sqlite_schema WHERE sql IS "
                           "NOT NULL ORDER BY name)",
                           -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return text;
}

/* Released steps have not been changed, and what was stored is there. */
static void
goes_forward(struct world *w, int version)
{
    static const char id[] = "d09ef256-2ddd-4de3-9050-e820e6db7b93";
    struct world old = {.db = NULL};
    struct ps_cache_def def;
    char path[96], text[64];
    load_old(w, version, path);
    assert_int_equal(ps_db_open(&old.db, path, NULL), PS_OK);
    char *is = schema_of(old.db), *wanted = schema_of(w->db);
    assert_string_equal(is, wanted);
    free(is);
    free(wanted);
    ask(&old, "PRAGMA integrity_check", text);
    assert_string_equal(text, "ok");
    ask(&old, "SELECT count(*) FROM pragma_foreign_key_check", text);
    assert_string_equal(text, "0");

    assert_int_equal(ps_db_cache_get(old.db, id, &def, NULL), PS_OK);
    assert_string_equal(def.name, "shop");
    assert_string_equal(def.host, "db.example.com");
    assert_int_equal(def.port, 5433);
    assert_int_equal(def.ttl_max_ms, 60000);
    assert_true(def.invalidation);
    assert_int_equal(def.pool_check_after_ms, 30000);
    snprintf(def.description, sizeof(def.description), "changed");
    assert_int_equal(ps_db_cache_update(old.db, &def, NULL), PS_OK);
    ps_def_done(&def);
    ask(&old, "SELECT name || ' ' || region FROM agents", text);
    assert_string_equal(text, "eu-west-1 eu-west");
    /* Tokens from before there were roles may do what they could do. */
    ask(&old, "SELECT role FROM tokens WHERE name = 'ci'", text);
    assert_string_equal(text, version < 6 ? "admin" : "viewer");
    ask(&old, "SELECT group_concat(ttl_ms) FROM rules", text);
    assert_string_equal(text, version < 2 ? "(null)" : "17000");
    ps_db_close(&old.db);
    unlink(path);
}

static void
an_older_store_goes_forward(void **state)
{
    goes_forward(*state, 1);
    goes_forward(*state, 7);
}

static void
a_file_that_is_no_database_is_refused(void **state)
{
    struct world *w = *state;
    struct ps_db *other = NULL;
    char path[96];
    snprintf(path, sizeof(path), "%s/x.db", w->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(ps_db_open(&other, path, NULL), PS_DATABASE);
    assert_null(other);
    unlink(path);
}

/* -------------------------------------------------------------- caches */

static enum ps_rc
count_one(void *arg, PS_UNUSED const struct ps_cache_def *def)
{
    ++*(int *)arg;
    return PS_OK;
}

static void
a_cache_comes_back_as_it_was_stored(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def, back;
    size_t n;
    int seen = 0;
    const struct ps_def_field *fields = ps_def_fields(&n);
    make_cache(&def, "shop");
    def.tls_ca = strdup("some text\n");
    for (size_t i = 0; i < n; i++) /* every number another one */
        if (fields[i].kind == PS_DEF_INT)
            *ps_def_number(&fields[i], &def) = fields[i].min + (int64_t)i;
    def.write_ack = 1;
    def.tls_mode = 5;
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    reopen(w);
    assert_int_equal(ps_db_cache_get(w->db, def.id, &back, NULL), PS_OK);
    for (size_t i = 0; i < n; i++) {
        if (fields[i].kind == PS_DEF_TEXT || fields[i].kind == PS_DEF_LONG_TEXT)
            assert_string_equal(ps_def_text(&fields[i], &def),
                                ps_def_text(&fields[i], &back));
        else
            assert_int_equal(*ps_def_number(&fields[i], &def),
                             *ps_def_number(&fields[i], &back));
    }
    assert_int_equal(ps_db_cache_each(w->db, NULL, "", count_one, &seen, NULL),
                     PS_OK);
    assert_int_equal(seen, 1);
    ps_def_done(&def);
    ps_def_done(&back);
}

static void
each_change_raises_the_version_and_a_refused_one_does_not(void **state)
{
    struct world *w = *state;
    struct ps_cache_def a, b;
    make_cache(&a, "a");
    make_cache(&b, "a");
    assert_int_equal(ps_db_config_version(w->db), 0);
    assert_int_equal(ps_db_cache_insert(w->db, &a, NULL), PS_OK);
    assert_int_equal(ps_db_config_version(w->db), 1);
    assert_int_equal(ps_db_cache_insert(w->db, &b, NULL), PS_CONFLICT);
    assert_int_equal(ps_db_cache_update(w->db, &b, NULL), PS_CACHE_NOT_FOUND);
    assert_int_equal(ps_db_cache_delete(w->db, b.id, NULL), PS_CACHE_NOT_FOUND);
    assert_int_equal(ps_db_config_version(w->db), 1);
    assert_int_equal(ps_db_cache_update(w->db, &a, NULL), PS_OK);
    assert_int_equal(ps_db_cache_delete(w->db, a.id, NULL), PS_OK);
    reopen(w);
    assert_int_equal(ps_db_config_version(w->db), 3);
    ps_def_done(&a);
    ps_def_done(&b);
}

/* ---------------------------------------------------------- references */

static void
a_cache_takes_its_runs_along_and_ten_are_kept(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def;
    struct ps_run one = {.started_ms = 1};
    char text[64];
    make_cache(&def, "a");
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    snprintf(one.cache_id, sizeof(one.cache_id), "%s", def.id);
    struct ps_run_result result = {.stages = "[]", .agent_id = "x"};
    for (int i = 0; i < PS_DB_RUNS_KEPT + 3; i++) {
        ps_uuid_make(one.id);
        assert_int_equal(ps_db_run_insert(w->db, &one, NULL), PS_OK);
        assert_int_equal(ps_db_run_result_put(w->db, one.id, &result, NULL),
                         PS_OK);
    }
    ask(w, "SELECT count(*) FROM runs", text);
    assert_string_equal(text, "10");
    ask(w, "SELECT count(*) FROM run_results", text);
    assert_string_equal(text, "10");
    assert_int_equal(ps_db_cache_delete(w->db, def.id, NULL), PS_OK);
    ask(w, "SELECT count(*) FROM runs", text);
    assert_string_equal(text, "0");
    ask(w, "SELECT count(*) FROM run_results", text);
    assert_string_equal(text, "0");
    /* Without its cache a run cannot be. */
    assert_int_equal(ps_db_run_insert(w->db, &one, NULL), PS_CACHE_NOT_FOUND);
    ps_def_done(&def);
}

static void
join_tokens_work_once_and_only_in_time(void **state)
{
    struct world *w = *state;
    struct ps_join_token join = {
        .region = "eu", .created_ms = 1000, .expires_ms = 2000};
    struct ps_join_token found;
    struct ps_agent agent = {.name = "n", .region = "eu"};
    unsigned char other[PS_DB_HASH_LEN] = {1};
    ps_uuid_make(join.id);
    ps_uuid_make(agent.id);
    memset(join.secret_hash, 9, sizeof(join.secret_hash));
    assert_int_equal(ps_db_join_insert(w->db, &join, NULL), PS_OK);
    assert_int_equal(ps_db_join_find(w->db, other, 1500, &found, NULL),
                     PS_UNAUTHORIZED);
    assert_int_equal(
        ps_db_join_find(w->db, join.secret_hash, 2000, &found, NULL),
        PS_UNAUTHORIZED);
    assert_int_equal(
        ps_db_join_find(w->db, join.secret_hash, 1999, &found, NULL), PS_OK);
    assert_string_equal(found.id, join.id);
    assert_int_equal(ps_db_enroll(w->db, join.id, &agent, NULL), PS_OK);
    assert_int_equal(
        ps_db_join_find(w->db, join.secret_hash, 1999, &found, NULL),
        PS_UNAUTHORIZED);
    /* The second use of a token adds no agent either. */
    ps_uuid_make(agent.id);
    assert_int_not_equal(ps_db_enroll(w->db, join.id, &agent, NULL), PS_OK);
    assert_int_equal(ps_db_agent_get(w->db, agent.id, &agent, NULL),
                     PS_NOT_FOUND);
    assert_int_equal(ps_db_region_delete(w->db, "eu", NULL), PS_CONFLICT);
}

static enum ps_rc
count_keys(void *arg, PS_UNUSED const struct ps_rule_def *rule)
{
    *(size_t *)arg += 1;
    return PS_OK;
}

/* What is in the store of the cache: how many rules, and its poolMax. */
static void
expect_definition(struct world *w, const char *id, int64_t pool_max, size_t n)
{
    struct ps_cache_def def;
    size_t found = 0;
    assert_int_equal(ps_db_cache_get(w->db, id, &def, NULL), PS_OK);
    assert_int_equal(def.pool_max, pool_max);
    ps_def_done(&def);
    assert_int_equal(ps_db_rule_each(w->db, id, NULL, count_keys, &found, NULL),
                     PS_OK);
    assert_int_equal(found, n);
}

/* Wherever it fails, the cache and its rules are as they were. */
static void
a_definition_is_whole_or_not_at_all(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def, other;
    const size_t many = PS_DB_RULES_MAX;
    struct ps_rule_def *rules = calloc(many, sizeof(*rules));
    assert_non_null(rules);
    make_cache(&def, "a");
    make_cache(&other, "b");
    assert_int_equal(ps_db_cache_insert(w->db, &other, NULL), PS_OK);
    for (size_t i = 0; i < many; i++) {
        rules[i].type = 2;
        rules[i].created_ms = rules[i].updated_ms = 1;
        ps_uuid_make(rules[i].id);
        memcpy(rules[i].cache_id, def.id, sizeof(def.id));
        /* All of them are more than fits into one message. */
        memset(rules[i].key, 'k', PS_DB_RULE_KEY_MAX);
        snprintf(rules[i].key, 8, "%07zu", i);
        rules[i].key[7] = 'k';
    }
    assert_int_equal(ps_db_definition_put(w->db, &def, true, rules, many, NULL),
                     PS_TOO_BIG);
    assert_int_equal(ps_db_cache_get(w->db, def.id, &def, NULL),
                     PS_CACHE_NOT_FOUND);
    assert_int_equal(ps_db_definition_put(w->db, &def, true, rules, 3, NULL),
                     PS_OK);
    uint64_t version = ps_db_config_version(w->db);
    def.pool_max = 77;
    assert_int_equal(
        ps_db_definition_put(w->db, &def, false, rules, many, NULL),
        PS_TOO_BIG);
    expect_definition(w, def.id, 20, 3);
    /* The last of the rules is refused. */
    ps_uuid_make(rules[3].cache_id);
    assert_int_equal(ps_db_definition_put(w->db, &def, false, rules, 4, NULL),
                     PS_CONFLICT);
    expect_definition(w, def.id, 20, 3);
    /* The name is taken. */
    snprintf(def.name, sizeof(def.name), "b");
    assert_int_equal(ps_db_definition_put(w->db, &def, false, rules, 1, NULL),
                     PS_CONFLICT);
    expect_definition(w, def.id, 20, 3);
    assert_int_equal(ps_db_config_version(w->db), version);
    snprintf(def.name, sizeof(def.name), "a");
    assert_int_equal(ps_db_definition_put(w->db, &def, false, rules, 1, NULL),
                     PS_OK);
    expect_definition(w, def.id, 77, 1);
    assert_int_equal(ps_db_config_version(w->db), version + 1);
    free(rules);
}

static void
the_last_token_stays(void **state)
{
    struct world *w = *state;
    struct ps_api_token a = {.id = "a", .name = "a", .role = PS_ROLE_ADMIN};
    struct ps_api_token b = {.id = "b", .role = PS_ROLE_ADMIN}, found;
    memset(a.hash, 1, sizeof(a.hash));
    memset(b.hash, 2, sizeof(b.hash));
    snprintf(b.name, sizeof(b.name), "b");
    assert_int_equal(ps_db_token_insert(w->db, &a, NULL), PS_OK);
    assert_int_equal(ps_db_token_delete(w->db, "a", NULL), PS_CONFLICT);
    assert_int_equal(ps_db_token_insert(w->db, &b, NULL), PS_OK);
    assert_int_equal(ps_db_token_find(w->db, b.hash, &found, NULL), PS_OK);
    assert_string_equal(found.id, "b");
    assert_int_equal(ps_db_token_delete(w->db, "b", NULL), PS_OK);
    assert_int_equal(ps_db_token_find(w->db, b.hash, &found, NULL),
                     PS_UNAUTHORIZED);
    assert_int_equal(ps_db_token_delete(w->db, "b", NULL), PS_NOT_FOUND);
    assert_int_equal(ps_db_token_delete(w->db, "a", NULL), PS_CONFLICT);
}

static enum ps_rc
count_rule(void *arg, const struct ps_rule_def *rule)
{
    *(int *)arg += 1;
    assert_int_equal(rule->mode, 2);
    assert_int_equal(rule->ttl_ms, 0);
    assert_string_equal(rule->key, "items");
    return PS_OK;
}

static void
a_rule_replaces_its_equal_and_goes_with_its_cache(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def, now;
    struct ps_rule_def rule = {.type = 2, .mode = 1, .ttl_ms = 9};
    char first[37], count[64];
    bool created;
    int n = 0;
    make_cache(&def, "one");
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    uint64_t version = ps_db_config_version(w->db);
    ps_uuid_make(rule.id);
    ps_uuid_make(rule.cache_id);
    snprintf(rule.key, sizeof(rule.key), "items");
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL),
                     PS_CACHE_NOT_FOUND);
    assert_int_equal(ps_db_config_version(w->db), version);
    memcpy(rule.cache_id, def.id, sizeof(def.id));
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL), PS_OK);
    assert_true(created);
    memcpy(first, rule.id, sizeof(first));
    ps_uuid_make(rule.id);
    rule.mode = 2;
    rule.ttl_ms = 0;
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL), PS_OK);
    assert_false(created);
    assert_string_equal(rule.id, first);
    assert_int_equal(ps_db_rule_each(w->db, def.id, NULL, count_rule, &n, NULL),
                     PS_OK);
    assert_int_equal(n, 1);
    /* Agents are told, and drop what they kept under the old ones. */
    assert_int_equal(ps_db_config_version(w->db), version + 2);
    assert_int_equal(ps_db_cache_get(w->db, def.id, &now, NULL), PS_OK);
    assert_int_equal(now.revision, def.revision + 2);
    ps_def_done(&now);
    assert_int_equal(ps_db_rule_delete(w->db, def.id, 1, NULL), PS_NOT_FOUND);
    assert_int_equal(ps_db_rule_delete(w->db, first, 1, NULL), PS_OK);
    assert_int_equal(ps_db_config_version(w->db), version + 3);
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL), PS_OK);
    assert_true(created);
    assert_int_equal(ps_db_cache_delete(w->db, def.id, NULL), PS_OK);
    ask(w, "SELECT count(*) FROM rules", count);
    assert_string_equal(count, "0");
    ps_def_done(&def);
}

static void
a_cache_has_so_many_rules(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def;
    struct ps_rule_def rule = {.type = 0, .mode = 0};
    bool created;
    make_cache(&def, "one");
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    memcpy(rule.cache_id, def.id, sizeof(def.id));
    run(w, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
           "WHERE i < 1000) INSERT INTO rules SELECT 'r' || i, id, 'query', "
           "'select ' || i, 'never', 0, 0, 0, 0, 0, '', 1 FROM n, caches");
    ps_uuid_make(rule.id);
    snprintf(rule.key, sizeof(rule.key), "select 0");
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL), PS_TOO_BIG);
    snprintf(rule.key, sizeof(rule.key), "select 1");
    assert_int_equal(ps_db_rule_put(w->db, &rule, &created, NULL), PS_OK);
    ps_def_done(&def);
}

static void
parts_of_a_whole_are_kept_or_taken_back_together(void **state)
{
    struct world *w = *state;
    struct ps_cache_def one, two;
    char count[64];
    uint64_t version = ps_db_config_version(w->db);
    make_cache(&one, "one");
    make_cache(&two, "two");
    assert_int_equal(ps_db_begin(w->db, NULL), PS_OK);
    assert_int_equal(ps_db_cache_insert(w->db, &one, NULL), PS_OK);
    assert_int_equal(ps_db_end(w->db, PS_CONFLICT, NULL), PS_CONFLICT);
    ask(w, "SELECT count(*) FROM caches", count);
    assert_string_equal(count, "0");
    assert_int_equal(ps_db_config_version(w->db), version);
    /* A part that fails leaves what was before it. */
    assert_int_equal(ps_db_begin(w->db, NULL), PS_OK);
    assert_int_equal(ps_db_cache_insert(w->db, &one, NULL), PS_OK);
    assert_int_equal(ps_db_cache_insert(w->db, &one, NULL), PS_CONFLICT);
    assert_int_equal(ps_db_cache_insert(w->db, &two, NULL), PS_OK);
    assert_int_equal(ps_db_end(w->db, PS_OK, NULL), PS_OK);
    ask(w, "SELECT count(*) FROM caches", count);
    assert_string_equal(count, "2");
    assert_int_equal(ps_db_config_version(w->db), version + 2);
    ps_def_done(&one);
    ps_def_done(&two);
}

static void
put_replay(struct world *w, struct ps_replay *replay, unsigned key, size_t len)
{
    memset(replay->key_hash, 0, PS_DB_HASH_LEN);
    memcpy(replay->key_hash, &key, sizeof(key));
    ps_buf_clear(&replay->sealed);
    for (size_t i = 0; i < len; i++)
        ps_buf_append_char(&replay->sealed, (char)('a' + i % 26));
    assert_int_equal(ps_db_replay_put(w->db, replay, NULL), PS_OK);
}

static void
answers_are_kept_for_a_day_in_bounds_and_go_with_their_token(void **state)
{
    struct world *w = *state;
    struct ps_api_token admin = {.id = "a", .name = "a", .role = PS_ROLE_ADMIN};
    struct ps_api_token other = {.id = "b", .name = "b", .hash = {1}};
    struct ps_replay replay = {
        .token_id = "b", .status = 201, .created_ms = 1000, .etag = "\"1\""};
    struct ps_replay got = {.token_id = "b"};
    char text[64];
    bool found;
    assert_int_equal(ps_db_token_insert(w->db, &admin, NULL), PS_OK);
    assert_int_equal(ps_db_token_insert(w->db, &other, NULL), PS_OK);
    ps_buf_init(&replay.sealed, 1 << 20);
    put_replay(w, &replay, 7, 100);
    memcpy(got.key_hash, replay.key_hash, PS_DB_HASH_LEN);
    assert_int_equal(ps_db_replay_find(w->db, &got, 1000 + PS_DB_REPLAY_MS - 1,
                                       &found, NULL),
                     PS_OK);
    assert_true(found);
    assert_int_equal(got.status, 201);
    assert_string_equal(got.etag, "\"1\"");
    assert_int_equal(got.sealed.len, 100);
    assert_memory_equal(got.sealed.data, replay.sealed.data, 100);
    ps_buf_done(&got.sealed);
    assert_int_equal(
        ps_db_replay_find(w->db, &got, 1000 + PS_DB_REPLAY_MS, &found, NULL),
        PS_OK);
    assert_false(found);
    ps_buf_done(&got.sealed);
    /* Somebody else's key is another one. */
    snprintf(got.token_id, sizeof(got.token_id), "a");
    assert_int_equal(ps_db_replay_find(w->db, &got, 1000, &found, NULL), PS_OK);
    assert_false(found);
    ps_buf_done(&got.sealed);
    /* Old ones go, and those that are too many: oldest first. */
    replay.created_ms += PS_DB_REPLAY_MS;
    put_replay(w, &replay, 8, 1);
    ask(w, "SELECT count(*) FROM replays", text);
    assert_string_equal(text, "1");
    snprintf(text, sizeof(text), "%d", PS_DB_REPLAYS_KEPT);
    run(w, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
           "WHERE i < 5000) INSERT INTO replays (token_id, key_hash, "
           "request_hash, status, location, etag, sealed, created_ms) "
           "SELECT 'b', CAST(i AS BLOB), x'', 201, '', '', x'', "
           "900000000000 FROM n");
    put_replay(w, &replay, 9, 1);
    char count[64];
    ask(w, "SELECT count(*) FROM replays", count);
    assert_string_equal(count, text);
    ask(w, "SELECT max(seq) - min(seq) + 1 FROM replays", count);
    assert_string_equal(count, text);
    run(w, "UPDATE replays SET sealed = zeroblob(1048576) WHERE seq > "
           "(SELECT max(seq) FROM replays) - 70");
    put_replay(w, &replay, 10, 1);
    ask(w,
        "SELECT sum(length(sealed)) BETWEEN 66000000 AND 67108864 FROM "
        "replays",
        count);
    assert_string_equal(count, "1");
    assert_int_equal(ps_db_token_delete(w->db, "b", NULL), PS_OK);
    ask(w, "SELECT count(*) FROM replays", count);
    assert_string_equal(count, "0");
    ps_buf_done(&replay.sealed);
}

static enum ps_rc
add_number(void *arg, const struct ps_event *event)
{
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 64 - len, "%s%lld", len ? " " : "",
             (long long)event->seq);
    return PS_OK;
}

static void
note(struct world *w, int64_t at_ms, const char *type, const char *cache_id)
{
    struct ps_event event = {.at_ms = at_ms};
    snprintf(event.type, sizeof(event.type), "%s", type);
    snprintf(event.cache_id, sizeof(event.cache_id), "%s", cache_id);
    assert_int_equal(ps_db_event_insert(w->db, &event, NULL), PS_OK);
}

static void
assert_events(struct world *w, struct ps_event_ask ask, const char *wanted)
{
    char numbers[64] = "";
    ask.type = ask.type ? ask.type : "";
    ask.caches = ask.caches ? ask.caches : "";
    ask.limit = ask.limit ? ask.limit : 100;
    assert_int_equal(ps_db_event_each(w->db, &ask, add_number, numbers, NULL),
                     PS_OK);
    assert_string_equal(numbers, wanted);
}

static void
events_come_in_order_and_go_by_number_and_age(void **state)
{
    struct world *w = *state;
    static const char one[] = "c0a80101-0000-4000-8000-000000000001";
    static const char two[] = "c0a80101-0000-4000-8000-000000000002";
    int64_t newest = -1;
    assert_int_equal(ps_db_event_newest(w->db, &newest, NULL), PS_OK);
    assert_true(newest <= 0);
    note(w, 1000, "purge", one);
    note(w, 2000, "agent_lost", "");
    note(w, 3000, "purge", two);
    assert_events(w, (struct ps_event_ask){.after = 0}, "1 2 3");
    assert_events(w, (struct ps_event_ask){.after = 1, .limit = 1}, "2");
    assert_events(w, (struct ps_event_ask){.newest = true, .limit = 2}, "2 3");
    assert_events(w, (struct ps_event_ask){.since_ms = 2000}, "2 3");
    assert_events(w, (struct ps_event_ask){.type = "purge"}, "1 3");
    assert_events(w, (struct ps_event_ask){.caches = one}, "1 2");
    assert_int_equal(ps_db_event_newest(w->db, &newest, NULL), PS_OK);
    assert_int_equal(newest, 3);
    note(w, PS_DB_EVENTS_MS + 1500, "purge", one);
    assert_events(w, (struct ps_event_ask){.after = 0}, "2 3 4");
    run(w, "UPDATE sqlite_sequence SET seq = 10002 WHERE name = 'events'");
    note(w, 4000, "purge", one);
    assert_events(w, (struct ps_event_ask){.after = 0}, "4 10003");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_come_in_order_and_go_by_number_and_age),
        TEST(the_connection_is_durable_and_strict),
        TEST(migrations_are_numbered_and_run_once),
        TEST(a_newer_schema_is_refused_and_left_alone),
        TEST(an_older_store_goes_forward),
        TEST(a_file_that_is_no_database_is_refused),
        TEST(a_cache_comes_back_as_it_was_stored),
        TEST(each_change_raises_the_version_and_a_refused_one_does_not),
        TEST(a_cache_takes_its_runs_along_and_ten_are_kept),
        TEST(a_rule_replaces_its_equal_and_goes_with_its_cache),
        TEST(a_cache_has_so_many_rules),
        TEST(parts_of_a_whole_are_kept_or_taken_back_together),
        TEST(answers_are_kept_for_a_day_in_bounds_and_go_with_their_token),
        TEST(join_tokens_work_once_and_only_in_time),
        TEST(the_last_token_stays),
        TEST(a_definition_is_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
