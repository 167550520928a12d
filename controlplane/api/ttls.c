/*
 * Rules by the names of PolyScale's management client: /cache-ttls. They are
 * the same rules, seen otherwise:
 *
 *   type QUERY, TEMPLATE, TABLE and a value > 0  mode ttl, value in seconds
 *   the same and a value of 0, or MANUAL         mode never; shown as MANUAL
 *   AUTO                                         mode auto
 *
 * AUTO and MANUAL say nothing of what the key is: it is what a rule with this
 * key says, else a table where it looks like the name of one, else a
 * template. A path with a key and no type means the rule that wins: that for
 * the query before that for the template before that for the table.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    VALUE_MAX_S = 365 * 86400,
    AUTO = -1,
    MANUAL = -2
};

static const struct {
    const char *text;
    int type; /* of the rule, or one of the above */
} types[] = {
    {"QUERY",    0     },
    {"TEMPLATE", 1     },
    {"TABLE",    2     },
    {"AUTO",     AUTO  },
    {"MANUAL",   MANUAL},
};

static bool
find_type(const char *text, int *type)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(types); i++) {
        if (strcmp(types[i].text, text) == 0) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

static int64_t
mode_of(const char *text)
{
    int64_t mode = 0;
    PS_CHECK(ps_def_choice_find(ps_rule_modes, ps_str_of(text), &mode));
    return mode;
}

/* As PolyScale sees it. */
static int
shown_type(const struct ps_rule_def *rule)
{
    if (rule->mode == mode_of("auto"))
        return AUTO;
    return rule->mode == mode_of("never") ? MANUAL : (int)rule->type;
}

static const char *
type_text(int type)
{
    size_t i = 0;
    while (types[i].type != type)
        i++;
    return types[i].text;
}

static void
put_ttl(struct ps_buf *out, const struct ps_rule_def *rule)
{
    char value[32] = "null";
    int type = shown_type(rule);
    if (type >= 0 && rule->ttl_ms % 1000 == 0)
        snprintf(value, sizeof(value), "%lld", (long long)rule->ttl_ms / 1000);
    else if (type >= 0)
        snprintf(value, sizeof(value), "%lld.%03d",
                 (long long)rule->ttl_ms / 1000, (int)(rule->ttl_ms % 1000));
    api_open(out, NULL, '{');
    api_put_text(out, "type", type_text(type));
    api_put_text(out, "key", rule->key);
    api_put_raw(out, "value", value);
    api_put_text(out, "name", rule->name);
    api_put_text(out, "ruleId", rule->id);
    api_put_text(out, "ruleType", type_text((int)rule->type));
    api_put_time(out, "createdAt", rule->created_ms);
    api_put_time(out, "updatedAt", rule->updated_ms);
    api_close(out, '}');
}

/* -------------------------------------------------------------- finding */

struct search {
    int type; /* ANY, or as PolyScale sees it */
    bool found;
    struct ps_rule_def rule;
};
enum {
    ANY = -3
};

static enum ps_rc
see(void *arg, const struct ps_rule_def *rule)
{
    struct search *s = arg;
    bool fits = s->type == ANY || s->type == shown_type(rule) ||
                (s->type >= 0 && s->type == rule->type);
    if (fits && (!s->found || rule->type < s->rule.type)) {
        s->rule = *rule;
        s->found = true;
    }
    return PS_OK;
}

/* The rule for the key in the path; to be freed. */
static enum ps_rc
find_ttl(struct api_request *request, int type, struct search **out,
         struct ps_err *err)
{
    char key[PS_DB_RULE_KEY_MAX + 1];
    struct search *s = calloc(1, sizeof(*s));
    if (!s)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    s->type = type;
    enum ps_rc rc = PS_OK;
    if (api_decode(request->key, false, key, sizeof(key)))
        rc = ps_db_rule_keyed(request->api->conf.db, request->param, key, see,
                              s, err);
    if (rc == PS_OK && !s->found)
        rc = ps_err_set(err, PS_NOT_FOUND,
                        "this cache has no such rule; keys are "
                        "percent-encoded in the path");
    if (rc == PS_OK)
        *out = s;
    else
        free(s);
    return rc;
}

/* ------------------------------------------------------------- handlers */

static enum ps_rc
list_bare(void *arg, const struct ps_rule_def *rule)
{
    put_ttl(arg, rule);
    return PS_OK;
}

static enum ps_rc
list_ttl(void *arg, const struct ps_rule_def *rule)
{
    struct api_list *list = arg;
    if (api_list_row_rule(list, rule))
        put_ttl(&list->request->out, rule);
    return PS_OK;
}

/* A bare array of all of them, at most PS_DB_RULES_MAX, when nobody asks for
 * pages. */
enum ps_rc
api_list_ttls(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "cache-ttls", .keys = 3};
    struct ps_db *db = request->api->conf.db;
    struct ps_buf *out = &request->out;
    struct ps_cache_def def;
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc == PS_OK)
        rc = ps_db_cache_get(db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    ps_def_done(&def);
    if (!request->query || !request->query[0]) {
        api_open(out, NULL, '[');
        rc = ps_db_rule_each(db, request->param, NULL, list_bare, out, err);
        api_close(out, ']');
        return rc;
    }
    api_list_open(&list);
    rc = ps_db_rule_each(db, request->param, &list.page, list_ttl, &list, err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_ttl(struct api_request *request, struct ps_err *err)
{
    struct search *s;
    enum ps_rc rc = find_ttl(request, ANY, &s, err);
    if (rc != PS_OK)
        return rc;
    put_ttl(&request->out, &s->rule);
    api_tag_revision(request, s->rule.revision);
    free(s);
    return PS_OK;
}

/* "items" or "shop.items". */
static bool
like_a_table(const char *key)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$";
    size_t len = strspn(key, letters);
    if (len > 0 && key[len] == '.') {
        size_t more = strspn(key + len + 1, letters);
        len = more ? len + 1 + more : 0;
    }
    return len > 0 && key[len] == '\0';
}

/* The type of rule that AUTO or MANUAL means. */
static enum ps_rc
choose_type(struct api_request *request, struct ps_rule_def *rule,
            struct ps_err *err)
{
    struct search *s = calloc(1, sizeof(*s));
    if (!s)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    s->type = ANY;
    enum ps_rc rc = ps_db_rule_keyed(request->api->conf.db, rule->cache_id,
                                     rule->key, see, s, err);
    if (rc == PS_OK && s->found)
        rule->type = s->rule.type;
    else
        rule->type = like_a_table(rule->key) ? 2 : 1;
    free(s);
    return rc;
}

static enum ps_rc
read_type(const json_t *body, int *type, struct ps_err *err)
{
    const char *text;
    enum ps_rc rc = api_text(body, "type", 1, 16, &text, err);
    if (rc == PS_OK && !find_type(text, type))
        return ps_err_set(err, PS_BAD_FIELD,
                          "type must be one of: QUERY, TEMPLATE, TABLE, AUTO, "
                          "MANUAL");
    return rc;
}

static enum ps_rc
read_ttl(struct api_request *request, struct ps_rule_def *rule,
         struct ps_err *err)
{
    static const char *const fields[] = {"type", "key", "value", "name", NULL};
    const json_t *body = request->body;
    const char *key, *name;
    int64_t value = -1;
    int type = 0;
    enum ps_rc rc = api_only_fields(body, fields, err);
    if (rc == PS_OK)
        rc = read_type(body, &type, err);
    if (rc == PS_OK)
        rc = api_text(body, "key", 1, PS_DB_RULE_KEY_MAX, &key, err);
    if (rc == PS_OK)
        rc = api_int(body, "value", 0, VALUE_MAX_S, &value, err);
    if (rc == PS_OK)
        rc = api_text(body, "name", 0, sizeof(rule->name) - 1, &name, err);
    if (rc == PS_OK && type >= 0 && value < 0)
        rc = ps_err_set(err, PS_MISSING_FIELD,
                        "value is missing: the seconds for which answers are "
                        "kept, 0 to keep none");
    if (rc == PS_OK && type < 0 && value >= 0)
        rc = ps_err_set(err, PS_BAD_FIELD,
                        "AUTO and MANUAL take no value; use QUERY, TEMPLATE or "
                        "TABLE");
    if (rc != PS_OK)
        return rc;
    snprintf(rule->key, sizeof(rule->key), "%s", key);
    snprintf(rule->name, sizeof(rule->name), "%s", name);
    if (type < 0) {
        rule->mode = mode_of(type == AUTO ? "auto" : "never");
        return choose_type(request, rule, err);
    }
    rule->type = type;
    rule->mode = mode_of(value ? "ttl" : "never");
    rule->ttl_ms = value * 1000;
    return PS_OK;
}

enum ps_rc
api_create_ttl(struct api_request *request, struct ps_err *err)
{
    struct ps_rule_def rule = api_new_rule(request);
    enum ps_rc rc = read_ttl(request, &rule, err);
    if (rc == PS_OK)
        rc = api_put_rule(request, &rule, err);
    if (rc == PS_OK)
        put_ttl(&request->out, &rule);
    return rc;
}

static enum ps_rc
read_changes(const json_t *body, struct ps_rule_def *rule, struct ps_err *err)
{
    static const char *const fields[] = {"value", "name", NULL};
    const char *name;
    int64_t value = -1;
    enum ps_rc rc = api_only_fields(body, fields, err);
    if (rc == PS_OK)
        rc = api_int(body, "value", 0, VALUE_MAX_S, &value, err);
    if (rc == PS_OK)
        rc = api_text(body, "name", 0, sizeof(rule->name) - 1, &name, err);
    if (rc == PS_OK && json_object_size(body) == 0)
        rc = ps_err_set(err, PS_MISSING_FIELD,
                        "the body has no field; send value or name");
    if (rc != PS_OK)
        return rc;
    if (json_object_get(body, "name"))
        snprintf(rule->name, sizeof(rule->name), "%s", name);
    if (value >= 0) {
        rule->mode = mode_of(value ? "ttl" : "never");
        rule->ttl_ms = value * 1000;
    }
    return PS_OK;
}

enum ps_rc
api_update_ttl(struct api_request *request, struct ps_err *err)
{
    struct search *s;
    bool created;
    enum ps_rc rc = find_ttl(request, ANY, &s, err);
    if (rc != PS_OK)
        return rc;
    rc = read_changes(request->body, &s->rule, err);
    if (rc == PS_OK) {
        s->rule.updated_ms = PS_MAX(ps_wall_ms(), s->rule.updated_ms);
        rc = ps_db_rule_put(request->api->conf.db, &s->rule, &created, err);
    }
    if (rc == PS_OK) {
        ps_info("api", "changed rule %s of cache %s", s->rule.id,
                s->rule.cache_id);
        api_rule_changed(request, s->rule.cache_id);
        put_ttl(&request->out, &s->rule);
        api_tag_revision(request, s->rule.revision);
    }
    free(s);
    return rc;
}

enum ps_rc
api_delete_ttl(struct api_request *request, struct ps_err *err)
{
    struct search *s;
    int type;
    if (!find_type(request->word, &type))
        return ps_err_set(err, PS_NOT_FOUND,
                          "the type in the path must be one of: QUERY, "
                          "TEMPLATE, TABLE, AUTO, MANUAL");
    enum ps_rc rc = find_ttl(request, type, &s, err);
    if (rc != PS_OK)
        return rc;
    rc =
        ps_db_rule_delete(request->api->conf.db, s->rule.id, ps_wall_ms(), err);
    if (rc == PS_OK) {
        ps_info("api", "deleted rule %s", s->rule.id);
        api_rule_changed(request, s->rule.cache_id);
        request->status = 204;
    }
    free(s);
    return rc;
}
