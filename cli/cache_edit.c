/* psctl cache create | update. */
#include "cli/cache_fields.h"
#include "cli/reach.h"
#include "cli/snippet.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    UPDATE_TRIES = 5
};

/* [{region, agent, endpoint, state}] of the agents that have an endpoint. */
static enum ps_exit
find_endpoints(struct ps_ctl *ctl, json_t **out)
{
    json_auto_t *agents = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/agents", &agents);
    if (rc != PS_EXIT_OK)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(agents); i++) {
        const json_t *a = json_array_get(agents, i);
        const char *state = ps_json_text(a, "state");
        if (strcmp(state, "revoked") == 0)
            continue;
        PS_CHECK(json_array_append_new(
                     list, json_pack("{s:s,s:s,s:s,s:s}", "region",
                                     ps_json_text(a, "region"), "agent",
                                     ps_json_text(a, "name"), "endpoint",
                                     ps_json_text(a, "endpoint"), "state",
                                     state)) == 0);
    }
    *out = list;
    return PS_EXIT_OK;
}

/* The first endpoint of a connected agent, else of any, else NULL. */
static const char *
best_endpoint(const json_t *endpoints)
{
    const char *any = NULL;
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);
        const char *url = ps_json_text(e, "endpoint");
        if (*url == '\0')
            continue;
        if (strcmp(ps_json_text(e, "state"), "connected") == 0)
            return url;
        any = any ? any : url;
    }
    return any;
}

static void
print_endpoints(const struct ps_ctl *ctl, const json_t *endpoints)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"), PS_LEFT("AGENT"), PS_LEFT("ENDPOINT"),
        PS_LEFT("STATE")};
    if (json_array_size(endpoints) == 0) {
        ps_ctl_note(ctl, "There is no agent yet; add one with `psctl agent "
                         "join-token --region REGION`.");
        return;
    }
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);
        const char *url = ps_json_text(e, "endpoint");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(e, "region"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(e, "agent"));
        ps_table_add(table, PS_TINT_NONE, *url ? url : NULL);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(e, "state"));
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static void
print_created(const struct ps_ctl *ctl, const json_t *cache,
              const json_t *endpoints)
{
    const char *id = ps_json_text(cache, "id");
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    struct ps_table *table = ps_table_new(NULL, 2);
    ps_table_add(table, PS_TINT_DIM, "cache id");
    ps_table_add(table, PS_TINT_HEAD, id);
    ps_table_add(table, PS_TINT_DIM, "application_name");
    ps_table_add(table, PS_TINT_HEAD, id);
    ps_table_render(table, ps_out_colour(), &out);
    ps_table_free(&table);
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    print_endpoints(ctl, endpoints);
    ps_snippet_render(id, ps_json_text(cache, "database"),
                      best_endpoint(endpoints), &out);
    ps_out_print(&out);
    ps_buf_done(&out);
}

static enum ps_exit
follow(struct ps_ctl *ctl, const json_t *cache, json_t **run)
{
    if (!ctl->quiet && !ctl->json)
        puts("\nCan every agent reach the database?\n");
    enum ps_exit rc =
        ps_reach_follow(ctl, ps_json_text(cache, "id"), NULL, run);
    if (*run && json_array_size(json_object_get(*run, "results")) == 0)
        ps_ctl_note(ctl, "No agent is connected, so nothing was tested.");
    return rc;
}

enum ps_exit
ps_cache_create(struct ps_ctl *ctl)
{
    json_auto_t *body = json_object(), *cache = NULL, *endpoints = NULL;
    json_auto_t *run = NULL;
    enum ps_exit rc = ps_cache_fields_read(ctl, body);
    if (rc != PS_EXIT_OK)
        return rc;
    bool no_wait = ps_ctl_value(ctl, "no-wait") != NULL;
    if (no_wait && ps_ctl_value(ctl, "wait"))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "--wait and --no-wait exclude each other");
    if (ps_ctl_value(ctl, "host") == NULL)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "--host HOST is missing: the name or address of "
                           "the database");
    rc = ps_cache_type_read(ctl, body);
    if (rc == PS_EXIT_OK)
        rc = ps_ctl_call(ctl, "POST", "/v1/caches", body, &cache);
    if (rc == PS_EXIT_OK)
        rc = find_endpoints(ctl, &endpoints);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->quiet)
        puts(ps_json_text(cache, "id"));
    else if (!ctl->json)
        print_created(ctl, cache, endpoints);
    if (!no_wait)
        rc = follow(ctl, cache, &run);
    if (ctl->json) {
        json_object_set_new(cache, "applicationName",
                            json_string(ps_json_text(cache, "id")));
        json_object_set(cache, "endpoints", endpoints);
        json_object_set_new(cache, "reachability",
                            run ? json_incref(run) : json_null());
        ps_ctl_print_json(ctl, cache);
    }
    return rc;
}

/* Which of the fields in body somebody else gave another value meanwhile. */
static const char *
changed_field(const json_t *body, const json_t *was, const json_t *is)
{
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, field, value)
    {
        if (!json_equal(json_object_get(was, field),
                        json_object_get(is, field)))
            return field;
    }
    return NULL;
}

/* Reads, and changes what was read. Somebody else's change in between of other
 * fields is kept: the new version is read and changed. One of the same fields
 * would be lost: that is said. */
static enum ps_exit
update(struct ps_ctl *ctl, const char *path, const json_t *body, json_t **out)
{
    char etag[PS_ETAG_MAX];
    json_auto_t *was = NULL;
    enum ps_exit rc = ps_ctl_read(ctl, path, &was, etag);
    for (int i = 0; rc == PS_EXIT_OK && i < UPDATE_TRIES; i++) {
        json_auto_t *is = NULL;
        rc = ps_ctl_change(ctl, "PATCH", path, body, etag, "the cache", out);
        if (rc != PS_EXIT_FAILED ||
            strcmp(ctl->fault.code, "precondition_failed") != 0)
            return rc;
        struct ps_fault fault = ctl->fault;
        rc = ps_ctl_read(ctl, path, &is, etag);
        if (rc != PS_EXIT_OK)
            return rc;
        const char *field = changed_field(body, was, is);
        if (field)
            return ps_ctl_fail(ctl, PS_EXIT_FAILED, "precondition_failed",
                               "somebody else changed %s meanwhile, so nothing "
                               "was changed now; look at the cache and try "
                               "again",
                               field);
        ctl->fault = fault;
    }
    return rc == PS_EXIT_OK ? PS_EXIT_FAILED : rc;
}

enum ps_exit
ps_cache_update(struct ps_ctl *ctl)
{
    json_auto_t *body = json_object(), *cache = NULL, *changed = NULL;
    enum ps_exit rc = ps_cache_fields_read(ctl, body);
    if (rc != PS_EXIT_OK)
        return rc;
    if (json_object_size(body) == 0)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "nothing to change was given; see `psctl cache "
                           "update --help`");
    rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    char *path = ps_ctl_path("/v1/caches/", ps_json_text(cache, "id"), "");
    rc = update(ctl, path, body, &changed);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json)
        ps_ctl_print_json(ctl, changed);
    ps_ctl_note(ctl, "Cache `%s` is changed.", ps_json_text(changed, "name"));
    return PS_EXIT_OK;
}
