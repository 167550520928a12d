/*
 * A cache and its rules as one object: read together, and changed in one
 * transaction, so that nobody ever sees new rules with old settings.
 */
#include "common/clock.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

/* --------------------------------------------------------------- rules */

/* The place of the earlier one with its type and key; i when there is none. */
static size_t
earlier(const struct api_rules *rules, size_t i)
{
    const struct ps_rule_def *rule = &rules->list[i];
    size_t at = 0;
    while (at < i && (rules->list[at].type != rule->type ||
                      strcmp(rules->list[at].key, rule->key) != 0))
        at++;
    return at;
}

static enum ps_rc
read_rule(const json_t *item, size_t i, struct api_rules *rules,
          const char *cache_id, struct ps_err *err)
{
    struct ps_err why = {.rc = PS_OK};
    struct ps_rule_def *rule = &rules->list[i];
    rule->created_ms = rule->updated_ms = ps_wall_ms();
    ps_uuid_make(rule->id);
    snprintf(rule->cache_id, sizeof(rule->cache_id), "%.36s", cache_id);
    if (!json_is_object(item))
        return ps_err_set(err, PS_BAD_FIELD, "rules[%zu] must be an object", i);
    if (api_read_rule(item, rule, &why) != PS_OK)
        return ps_err_set(err, why.rc, "rules[%zu]: %s", i, why.message);
    size_t twin = earlier(rules, i);
    if (twin < i)
        return ps_err_set(err, PS_BAD_FIELD,
                          "rules[%zu] has the type and key of rules[%zu]", i,
                          twin);
    return PS_OK;
}

static enum ps_rc
read_rules(const json_t *array, const char *cache_id, struct api_rules *rules,
           struct ps_err *err)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array))
        return ps_err_set(err, PS_BAD_FIELD, "rules must be an array");
    if (count > PS_DB_RULES_MAX)
        return ps_err_set(err, PS_BAD_FIELD, "a cache has at most %d rules",
                          PS_DB_RULES_MAX);
    rules->list = calloc(count + 1, sizeof(*rules->list));
    if (!rules->list)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    rules->count = count;
    enum ps_rc rc = PS_OK;
    for (size_t i = 0; i < count && rc == PS_OK; i++)
        rc = read_rule(json_array_get(array, i), i, rules, cache_id, err);
    return rc;
}

enum ps_rc
api_rules_take(struct api_request *request, const char *cache_id,
               struct api_rules *rules, struct ps_err *err)
{
    *rules = (struct api_rules){.list = NULL};
    json_t *array = json_incref(json_object_get(request->body, "rules"));
    if (!array)
        return PS_OK;
    json_object_del(request->body, "rules");
    enum ps_rc rc = read_rules(array, cache_id, rules, err);
    json_decref(array);
    return rc;
}

void
api_rules_done(struct api_rules *rules)
{
    free(rules->list);
    rules->list = NULL;
}

/* ---------------------------------------------------------- definition */

static enum ps_rc
put_definition(struct api_request *request, const struct ps_cache_def *def,
               struct ps_err *err)
{
    api_open(&request->out, NULL, '{');
    api_put_cache(&request->out, def);
    enum ps_rc rc = api_put_rules(request, "rules", def->id, err);
    api_close(&request->out, '}');
    return rc;
}

enum ps_rc
api_get_definition(struct api_request *request, struct ps_err *err)
{
    struct ps_cache_def def;
    enum ps_rc rc =
        ps_db_cache_get(request->api->conf.db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    rc = put_definition(request, &def, err);
    api_tag_revision(request, def.revision);
    ps_def_done(&def);
    return rc;
}

static enum ps_rc
store(struct ps_db *db, const struct ps_cache_def *def, struct api_rules *rules,
      struct ps_err *err)
{
    return rules->list ? ps_db_definition_put(db, def, false, rules->list,
                                              rules->count, err)
                       : ps_db_cache_update(db, def, err);
}

static enum ps_rc
update(struct api_request *request, const struct ps_cache_def *old,
       struct ps_cache_def *def, struct ps_err *err)
{
    struct api_rules rules;
    enum ps_rc rc = api_rules_take(request, def->id, &rules, err);
    if (rc == PS_OK)
        rc = api_read_change(request, def, err);
    if (rc == PS_OK)
        rc = store(request->api->conf.db, def, &rules, err);
    api_rules_done(&rules);
    if (rc != PS_OK)
        return rc;
    api_cache_changed(request, old, def);
    return put_definition(request, def, err);
}

enum ps_rc
api_update_definition(struct api_request *request, struct ps_err *err)
{
    return api_change_cache(request, update, err);
}
