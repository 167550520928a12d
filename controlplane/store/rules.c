/*
 * Rules of caches. To the agents they are part of the definition: a change
 * raises the cache's revision, at which agents drop the answers that were
 * kept under the old rules, and the version of the configuration.
 */
#include "controlplane/store/db_private.h"

#include <stdio.h>

const struct ps_def_choice ps_rule_types[] = {
    {"query",    0},
    {"template", 1},
    {"table",    2},
    {NULL,       0},
};
const struct ps_def_choice ps_rule_modes[] = {
    {"auto",  0},
    {"ttl",   1},
    {"never", 2},
    {NULL,    0},
};

static int64_t
read_choice(struct query *q, const struct ps_def_choice *choices)
{
    char text[16];
    int64_t value = 0;
    column_text(q, text, sizeof(text));
    if (!ps_def_choice_find(choices, ps_str_of(text), &value) && q->rc == PS_OK)
        q->rc = ps_err_set(q->err, PS_DATABASE,
                           "a stored rule has the unknown word %s", text);
    return value;
}

static void
read_rule(struct query *q, struct ps_rule_def *rule)
{
    column_text(q, rule->id, sizeof(rule->id));
    column_text(q, rule->cache_id, sizeof(rule->cache_id));
    rule->type = read_choice(q, ps_rule_types);
    column_text(q, rule->key, sizeof(rule->key));
    rule->mode = read_choice(q, ps_rule_modes);
    rule->ttl_ms = column_int(q);
    rule->stale_if_error_ms = column_int(q);
    rule->stale_while_revalidate_ms = column_int(q);
    rule->created_ms = column_int(q);
    rule->updated_ms = column_int(q);
    column_text(q, rule->name, sizeof(rule->name));
    rule->revision = column_int(q);
}

static enum ps_rc
touch_cache(struct ps_db *db, const char *cache_id, int64_t now_ms,
            struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_CACHE_TOUCH, err);
    query_int(&q, now_ms);
    query_text(&q, cache_id);
    enum ps_rc rc = query_run(&q, &changes);
    if (rc == PS_OK && !changes)
        rc = ps_err_set(err, PS_CACHE_NOT_FOUND, NULL);
    return rc;
}

static bool
says_the_same(const struct ps_rule_def *a, const struct ps_rule_def *b)
{
    return a->mode == b->mode && a->ttl_ms == b->ttl_ms &&
           a->stale_if_error_ms == b->stale_if_error_ms &&
           a->stale_while_revalidate_ms == b->stale_while_revalidate_ms &&
           strcmp(a->name, b->name) == 0;
}

/* Takes over what stays of the one in whose place it goes. */
static enum ps_rc
find_old(struct ps_db *db, struct ps_rule_def *rule, bool *found,
         struct ps_err *err)
{
    struct query q;
    struct ps_rule_def old;
    *found = false;
    rule->revision = 1;
    query_begin(&q, db, STMT_RULE_FIND, err);
    query_text(&q, rule->cache_id);
    query_text(&q, ps_def_choice_text(ps_rule_types, rule->type));
    query_text(&q, rule->key);
    if (query_row(&q)) {
        read_rule(&q, &old);
        memcpy(rule->id, old.id, sizeof(rule->id));
        rule->created_ms = old.created_ms;
        *found = true;
        rule->revision = old.revision + 1;
        if (says_the_same(rule, &old)) {
            rule->updated_ms = old.updated_ms;
            rule->revision = old.revision;
        }
    }
    return query_end(&q);
}

static enum ps_rc
too_many(struct ps_err *err)
{
    return ps_err_set(err, PS_TOO_BIG, "a cache has at most %d rules",
                      PS_DB_RULES_MAX);
}

/* The rule in whose place it goes, or that there is room for one more. */
static enum ps_rc
find_place(struct ps_db *db, struct ps_rule_def *rule, bool *created,
           struct ps_err *err)
{
    struct query q;
    int64_t count = 0, now_ms = rule->updated_ms;
    bool found;
    enum ps_rc rc = find_old(db, rule, &found, err);
    if (rule->updated_ms != now_ms)
        rule->revision++;
    rule->updated_ms = now_ms;
    *created = !found;
    if (rc != PS_OK || found)
        return rc;
    query_begin(&q, db, STMT_RULE_COUNT, err);
    query_text(&q, rule->cache_id);
    if (query_row(&q))
        count = column_int(&q);
    rc = query_end(&q);
    return rc == PS_OK && count >= PS_DB_RULES_MAX ? too_many(err) : rc;
}

static enum ps_rc
write_rule(struct ps_db *db, const struct ps_rule_def *rule, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_RULE_PUT, err);
    query_text(&q, rule->id);
    query_text(&q, rule->cache_id);
    query_text(&q, ps_def_choice_text(ps_rule_types, rule->type));
    query_text(&q, rule->key);
    query_text(&q, ps_def_choice_text(ps_rule_modes, rule->mode));
    query_int(&q, rule->ttl_ms);
    query_int(&q, rule->stale_if_error_ms);
    query_int(&q, rule->stale_while_revalidate_ms);
    query_int(&q, rule->created_ms);
    query_int(&q, rule->updated_ms);
    query_text(&q, rule->name);
    query_int(&q, rule->revision);
    return query_run(&q, NULL);
}

enum ps_rc
ps_db_rule_put(struct ps_db *db, struct ps_rule_def *rule, bool *created,
               struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    rc = touch_cache(db, rule->cache_id, rule->updated_ms, err);
    if (rc == PS_OK)
        rc = find_place(db, rule, created, err);
    if (rc == PS_OK)
        rc = write_rule(db, rule, err);
    return db_end_definitions(db, rc, err);
}

/* Ends the query. */
static enum ps_rc
rules_of(struct query *q,
         enum ps_rc (*fn)(void *arg, const struct ps_rule_def *rule), void *arg)
{
    enum ps_rc rc = PS_OK;
    while (rc == PS_OK && query_row(q)) {
        struct ps_rule_def rule;
        read_rule(q, &rule);
        rc = q->rc == PS_OK ? fn(arg, &rule) : q->rc;
        if (rc != PS_OK && q->rc == PS_OK)
            ps_err_set(q->err, rc, NULL);
    }
    enum ps_rc ended = query_end(q);
    return rc != PS_OK ? rc : ended;
}

enum ps_rc
ps_db_definition_put(struct ps_db *db, const struct ps_cache_def *def,
                     bool fresh, struct ps_rule_def *rules, size_t n_rules,
                     struct ps_err *err)
{
    struct query q;
    bool found;
    if (n_rules > PS_DB_RULES_MAX)
        return too_many(err);
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    rc = db_write_cache(db, def, fresh, err);
    for (size_t i = 0; i < n_rules && rc == PS_OK; i++)
        rc = find_old(db, &rules[i], &found, err);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_RULE_CLEAR, err);
        query_text(&q, def->id);
        rc = query_run(&q, NULL);
    }
    for (size_t i = 0; i < n_rules && rc == PS_OK; i++)
        rc = write_rule(db, &rules[i], err);
    return db_end_definitions(db, rc, err);
}

enum ps_rc
ps_db_rule_each(struct ps_db *db, const char *cache_id,
                const struct ps_page *page,
                enum ps_rc (*fn)(void *arg, const struct ps_rule_def *rule),
                void *arg, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_RULE_EACH, err);
    query_text(&q, cache_id);
    query_page(&q, page, 3);
    return rules_of(&q, fn, arg);
}

enum ps_rc
ps_db_rule_keyed(struct ps_db *db, const char *cache_id, const char *key,
                 enum ps_rc (*fn)(void *arg, const struct ps_rule_def *rule),
                 void *arg, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_RULE_KEYED, err);
    query_text(&q, cache_id);
    query_text(&q, key);
    return rules_of(&q, fn, arg);
}

enum ps_rc
ps_db_rule_get(struct ps_db *db, const char *id, struct ps_rule_def *rule,
               struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_RULE_GET, err);
    query_text(&q, id);
    if (query_row(&q)) {
        read_rule(&q, rule);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK && !found)
        rc = ps_err_set(err, PS_NOT_FOUND, "no rule has this id");
    return rc;
}

enum ps_rc
ps_db_rule_delete(struct ps_db *db, const char *id, int64_t now_ms,
                  struct ps_err *err)
{
    struct query q;
    struct ps_rule_def rule;
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    rc = ps_db_rule_get(db, id, &rule, err);
    if (rc == PS_OK)
        rc = touch_cache(db, rule.cache_id, now_ms, err);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_RULE_DELETE, err);
        query_text(&q, id);
        rc = query_run(&q, NULL);
    }
    return db_end_definitions(db, rc, err);
}
