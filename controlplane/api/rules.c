/*
 * Rules of a cache: which answers are kept, and for how long. A POST with the
 * type and key of a rule that is there replaces it.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

enum {
    TTL_MAX_DAYS = 365,
    REVALIDATE_MAX_DAYS = 30 /* an answer has 32 bits for it */
};
#define DURATION_MAX_MS   (TTL_MAX_DAYS * INT64_C(86400000))
#define REVALIDATE_MAX_MS (REVALIDATE_MAX_DAYS * INT64_C(86400000))

static void
put_rule(struct ps_buf *out, const struct ps_rule_def *rule)
{
    api_open(out, NULL, '{');
    api_put_text(out, "id", rule->id);
    api_put_text(out, "cacheId", rule->cache_id);
    api_put_text(out, "type", ps_def_choice_text(ps_rule_types, rule->type));
    api_put_text(out, "key", rule->key);
    api_put_text(out, "name", rule->name);
    api_put_text(out, "mode", ps_def_choice_text(ps_rule_modes, rule->mode));
    api_put_int(out, "ttlMs", rule->ttl_ms);
    api_put_int(out, "staleIfErrorMs", rule->stale_if_error_ms);
    api_put_int(out, "staleWhileRevalidateMs", rule->stale_while_revalidate_ms);
    api_put_time(out, "createdAt", rule->created_ms);
    api_put_time(out, "updatedAt", rule->updated_ms);
    api_put_int(out, "revision", rule->revision);
    api_close(out, '}');
}

/* The start of the key by which rules are sorted. */
static void
sort_key(const struct ps_rule_def *rule, char out[PS_DB_RULE_SORT * 4 + 1])
{
    const char *end = rule->key;
    for (size_t n = 0; *end; end++)
        if (((unsigned char)*end & 0xC0) != 0x80 && n++ == PS_DB_RULE_SORT)
            break;
    snprintf(out, PS_DB_RULE_SORT * 4 + 1, "%.*s", (int)(end - rule->key),
             rule->key);
}

bool
api_list_row_rule(struct api_list *list, const struct ps_rule_def *rule)
{
    char start[PS_DB_RULE_SORT * 4 + 1];
    sort_key(rule, start);
    const char *const keys[] = {ps_def_choice_text(ps_rule_types, rule->type),
                                start, rule->id};
    return api_list_row(list, keys);
}

static enum ps_rc
list_rule(void *arg, const struct ps_rule_def *rule)
{
    struct api_list *list = arg;
    if (api_list_row_rule(list, rule))
        put_rule(&list->request->out, rule);
    return PS_OK;
}

static enum ps_rc
write_rule(void *arg, const struct ps_rule_def *rule)
{
    put_rule(arg, rule);
    return PS_OK;
}

enum ps_rc
api_put_rules(struct api_request *request, const char *key,
              const char *cache_id, struct ps_err *err)
{
    struct ps_buf *out = &request->out;
    api_open(out, key, '[');
    enum ps_rc rc = ps_db_rule_each(request->api->conf.db, cache_id, NULL,
                                    write_rule, out, err);
    api_close(out, ']');
    return rc;
}

enum ps_rc
api_list_rules(struct api_request *request, struct ps_err *err)
{
    struct ps_db *db = request->api->conf.db;
    struct api_list list = {.name = "rules", .keys = 3};
    struct ps_cache_def def;
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc == PS_OK)
        rc = ps_db_cache_get(db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    api_list_open(&list);
    rc = ps_db_rule_each(db, def.id, &list.page, list_rule, &list, err);
    api_list_close(&list);
    ps_def_done(&def);
    return rc;
}

static enum ps_rc
read_choice(const json_t *body, const char *name,
            const struct ps_def_choice *choices, int64_t *out,
            struct ps_err *err)
{
    const char *text;
    enum ps_rc rc = api_text(body, name, 1, 16, &text, err);
    if (rc == PS_OK && !ps_def_choice_find(choices, ps_str_of(text), out))
        return ps_err_set(err, PS_BAD_FIELD, "%s must be one of: %s, %s, %s",
                          name, choices[0].text, choices[1].text,
                          choices[2].text);
    return rc;
}

enum ps_rc
api_read_rule(const json_t *body, struct ps_rule_def *rule, struct ps_err *err)
{
    static const char *const fields[] = {
        "type",           "key",
        "mode",           "ttlMs",
        "staleIfErrorMs", "staleWhileRevalidateMs",
        "name",           NULL};
    const char *key, *name;
    enum ps_rc rc = api_only_fields(body, fields, err);
    if (rc == PS_OK)
        rc = read_choice(body, "type", ps_rule_types, &rule->type, err);
    if (rc == PS_OK)
        rc = api_text(body, "key", 1, PS_DB_RULE_KEY_MAX, &key, err);
    if (rc == PS_OK)
        rc = read_choice(body, "mode", ps_rule_modes, &rule->mode, err);
    if (rc == PS_OK)
        rc = api_int(body, "ttlMs", 0, DURATION_MAX_MS, &rule->ttl_ms, err);
    if (rc == PS_OK)
        rc = api_int(body, "staleIfErrorMs", 0, DURATION_MAX_MS,
                     &rule->stale_if_error_ms, err);
    if (rc == PS_OK)
        rc = api_int(body, "staleWhileRevalidateMs", 0, REVALIDATE_MAX_MS,
                     &rule->stale_while_revalidate_ms, err);
    if (rc == PS_OK)
        rc = api_text(body, "name", 0, sizeof(rule->name) - 1, &name, err);
    if (rc != PS_OK)
        return rc;
    bool timed =
        strcmp(ps_def_choice_text(ps_rule_modes, rule->mode), "ttl") == 0;
    if (timed && rule->ttl_ms == 0)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "ttlMs is missing; mode never keeps nothing");
    snprintf(rule->key, sizeof(rule->key), "%s", key);
    snprintf(rule->name, sizeof(rule->name), "%s", name);
    return PS_OK;
}

struct place {
    int64_t type;
    bool taken;
    char etag[32];
};

static enum ps_rc
see_place(void *arg, const struct ps_rule_def *rule)
{
    struct place *place = arg;
    if (rule->type == place->type) {
        place->taken = true;
        snprintf(place->etag, sizeof(place->etag), "\"%lld\"",
                 (long long)rule->revision);
    }
    return PS_OK;
}

/* Against the rule of the same type and key. */
static enum ps_rc
check_place(struct api_request *request, const struct ps_rule_def *rule,
            struct ps_err *err)
{
    struct place place = {.type = rule->type};
    bool listed;
    if (!request->if_match && !request->if_none_match)
        return PS_OK;
    enum ps_rc rc = ps_db_rule_keyed(request->api->conf.db, rule->cache_id,
                                     rule->key, see_place, &place, err);
    if (rc == PS_OK && request->if_match && !place.taken)
        rc = ps_err_set(err, PS_PRECONDITION,
                        "there is no rule of this type and key any more; leave "
                        "If-Match out to add one");
    if (rc == PS_OK)
        rc = api_check_match(request, place.etag, err);
    if (rc == PS_OK)
        rc = api_check_none_match(request, place.etag, &listed, err);
    if (rc == PS_OK && listed && place.taken)
        rc = ps_err_set(err, PS_PRECONDITION,
                        "there is a rule of this type and key; read it, and "
                        "send its ETag as If-Match to replace it");
    if (rc == PS_PRECONDITION)
        snprintf(request->etag, sizeof(request->etag), "%s", place.etag);
    return rc;
}

enum ps_rc
api_put_rule(struct api_request *request, struct ps_rule_def *rule,
             struct ps_err *err)
{
    struct ps_db *db = request->api->conf.db;
    bool created = false;
    enum ps_rc rc = check_place(request, rule, err);
    if (rc == PS_OK)
        rc = ps_db_rule_put(db, rule, &created, err);
    if (rc != PS_OK)
        return rc;
    ps_info("api", "%s rule %s of cache %s", created ? "created" : "changed",
            rule->id, rule->cache_id);
    api_rule_changed(request, rule->cache_id);
    request->status = created ? 201 : 200;
    api_tag_revision(request, rule->revision);
    return PS_OK;
}

struct ps_rule_def
api_new_rule(const struct api_request *request)
{
    struct ps_rule_def rule = {.created_ms = ps_wall_ms()};
    rule.updated_ms = rule.created_ms;
    ps_uuid_make(rule.id);
    snprintf(rule.cache_id, sizeof(rule.cache_id), "%.36s", request->param);
    return rule;
}

enum ps_rc
api_set_rule(struct api_request *request, struct ps_err *err)
{
    struct ps_rule_def rule = api_new_rule(request);
    enum ps_rc rc = api_read_rule(request->body, &rule, err);
    if (rc == PS_OK)
        rc = api_put_rule(request, &rule, err);
    if (rc == PS_OK)
        put_rule(&request->out, &rule);
    return rc;
}

/* PS_NOT_FOUND also when the token does not see the rule's cache. */
static enum ps_rc
find_rule(struct api_request *request, struct ps_rule_def *rule,
          struct ps_err *err)
{
    enum ps_rc rc =
        ps_db_rule_get(request->api->conf.db, request->param, rule, err);
    if (rc == PS_OK && !api_sees_cache(request, rule->cache_id))
        rc = ps_err_set(err, PS_NOT_FOUND, "no rule has this id");
    return rc;
}

enum ps_rc
api_get_rule(struct api_request *request, struct ps_err *err)
{
    struct ps_rule_def rule;
    enum ps_rc rc = find_rule(request, &rule, err);
    if (rc == PS_OK) {
        put_rule(&request->out, &rule);
        api_tag_revision(request, rule.revision);
    }
    return rc;
}

enum ps_rc
api_delete_rule(struct api_request *request, struct ps_err *err)
{
    struct ps_api *api = request->api;
    struct ps_rule_def rule;
    enum ps_rc rc = find_rule(request, &rule, err);
    if (rc != PS_OK)
        return rc;
    rc = ps_db_rule_delete(api->conf.db, request->param, ps_wall_ms(), err);
    if (rc != PS_OK)
        return rc;
    ps_info("api", "deleted rule %s", request->param);
    api_rule_changed(request, rule.cache_id);
    request->status = 204;
    return PS_OK;
}
