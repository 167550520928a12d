/*
 * Which rule of the cache's definition counts for a read? Asked on a miss
 * only: an entry carries the time that the rule gave it, and the revision of
 * the definition, which a changed rule raises.
 *
 *   its text has a rule       that one
 *   its template has one      that one
 *   every table has one       the strictest of them: never before a time to
 *                             live, the shorter one before the longer
 *   otherwise                 the cache's default
 *
 * Tables are those the catalogue found behind views. A rule decides how long
 * an answer is kept, never whether it may be: that is proven before.
 */
#include "agent/req/req_private.h"

static const struct ps_rule *
find_query(const struct ps_rule_ask *ask)
{
    struct ps_str sql = ps_query_text(ask->key_sql);
    for (size_t i = 0; i < ask->conf->n_rules; i++) {
        const struct ps_rule *rule = &ask->conf->rules[i];
        if (rule->type == PS_RULE_QUERY &&
            ps_str_eq(ps_query_text(ps_str_of(rule->key)), sql))
            return rule;
    }
    return NULL;
}

/* A template is known by a statement of it; 0: that is none. */
static uint64_t
fingerprint_of(const struct ps_rule_ask *ask, struct ps_rule *rule)
{
    uint64_t known =
        atomic_load_explicit(&rule->fingerprint, memory_order_relaxed);
    struct ps_str text;
    if (known)
        return known;
    if (ps_sql_template(ps_dialect_of(ask->conf->provider), 0,
                        ps_str_of(rule->key), ask->arena, &text,
                        &known) != PS_OK)
        return 0;
    atomic_store_explicit(&rule->fingerprint, known, memory_order_relaxed);
    return known;
}

static const struct ps_rule *
find_template(const struct ps_rule_ask *ask)
{
    for (size_t i = 0; i < ask->conf->n_rules; i++) {
        struct ps_rule *rule = &ask->conf->rules[i];
        if (rule->type == PS_RULE_TEMPLATE &&
            fingerprint_of(ask, rule) == ask->fingerprint)
            return rule;
    }
    return NULL;
}

/* The one that names the schema too goes first. */
static const struct ps_rule *
find_table(const struct ps_rule_ask *ask, const struct ps_table_name *table)
{
    const struct ps_rule *found = NULL;
    for (size_t i = 0; i < ask->conf->n_rules; i++) {
        const struct ps_rule *rule = &ask->conf->rules[i];
        if (rule->type != PS_RULE_TABLE)
            continue;
        struct ps_str key = ps_str_of(rule->key);
        if (ps_table_named(table, key) && !ps_str_eq_nocase(key, table->name))
            return rule;
        if (ps_str_eq_nocase(key, table->name))
            found = rule;
    }
    return found;
}

static struct ps_rule_choice
alone(const struct ps_rule *rule)
{
    return (struct ps_rule_choice){
        .found = true,
        .rule = rule,
        .mode = rule->mode,
        .ttl_ms = rule->mode == PS_RULE_AUTO && rule->ttl_ms == 0
                      ? UINT64_MAX
                      : rule->ttl_ms,
        .stale_if_error_ms = rule->stale_if_error_ms,
        .stale_while_revalidate_ms = rule->stale_while_revalidate_ms};
}

/* NEVER > AUTO > TTL: automatic mode may find that even less is right. */
static struct ps_rule_choice
both(struct ps_rule_choice a, struct ps_rule_choice b)
{
    bool stricter = b.mode == PS_RULE_NEVER ||
                    (a.mode != PS_RULE_NEVER && b.ttl_ms < a.ttl_ms);
    if (stricter)
        a.rule = b.rule;
    if (a.mode == PS_RULE_NEVER || b.mode == PS_RULE_NEVER)
        a.mode = PS_RULE_NEVER;
    else if (b.mode == PS_RULE_AUTO)
        a.mode = PS_RULE_AUTO;
    a.ttl_ms = PS_MIN(a.ttl_ms, b.ttl_ms);
    a.stale_if_error_ms = PS_MIN(a.stale_if_error_ms, b.stale_if_error_ms);
    a.stale_while_revalidate_ms =
        PS_MIN(a.stale_while_revalidate_ms, b.stale_while_revalidate_ms);
    return a;
}

struct ps_rule_choice
ps_rule_find(const struct ps_rule_ask *ask)
{
    const struct ps_rule_choice none = {.found = false};
    struct ps_rule_choice choice = none;
    if (ask->conf->n_rules == 0)
        return none;
    const struct ps_rule *rule = find_query(ask);
    if (!rule)
        rule = find_template(ask);
    if (rule)
        return alone(rule);
    for (size_t i = 0; i < ask->n_tables; i++) {
        rule = find_table(ask, &ask->tables[i]);
        if (!rule)
            return none;
        choice = i ? both(choice, alone(rule)) : alone(rule);
    }
    return choice;
}

struct ps_rule_choice
ps_run_rule(const struct ps_run *run)
{
    const struct ps_rule_ask ask = {.conf = run->conf,
                                    .key_sql = run->req->key_sql,
                                    .fingerprint = run->analysis->fingerprint,
                                    .tables = run->tables,
                                    .n_tables = run->n_tables,
                                    .arena = run->req->arena};
    return ps_rule_find(&ask);
}
