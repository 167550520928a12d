/*
 * Every path of the API in one table, and the way of a request: route, token,
 * body, handler. A path that is not in the table is 404 before anything is
 * asked for; everything in it that needs a token is 401 without one, 403 with
 * one whose role is not enough.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "common/utf8.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

enum need {
    OPEN,   /* no token */
    VIEWER, /* a bearer token whose role is at least this */
    OPERATOR,
    ADMIN
};
enum body {
    NO_BODY,   /* what is sent is ignored */
    MAY_BODY,  /* an object or nothing */
    MUST_BODY, /* an object */
};

enum what {
    SAME,    /* nothing special */
    CREATES, /* may be sent again with its Idempotency-Key */
    RULE     /* the same; its handler looks at If-Match itself */
};

/* clang-format off */
static const struct route {
    enum api_method method;
    const char *path; /* {} stands for one segment, {key} for a long one */
    api_handler *handler;
    enum need need;
    enum body body;
    enum what what;
} routes[] = {
    {API_GET, "/healthz", api_health, OPEN, NO_BODY, SAME},
    {API_GET, "/v1/ca", api_get_ca, OPEN, NO_BODY, SAME},
    {API_GET, "/v1/status", api_get_status, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/caches", api_list_caches, VIEWER, NO_BODY, SAME},
    {API_POST, "/v1/caches", api_create_cache, OPERATOR, MUST_BODY, CREATES},
    {API_GET, "/v1/caches/{}", api_get_cache, VIEWER, NO_BODY, SAME},
    {API_PATCH, "/v1/caches/{}", api_update_cache, OPERATOR, MUST_BODY, SAME},
    {API_DELETE, "/v1/caches/{}", api_delete_cache, OPERATOR, NO_BODY, SAME},
    {API_GET, "/v1/caches/{}/definition", api_get_definition, VIEWER, NO_BODY, SAME},
    {API_PATCH, "/v1/caches/{}/definition", api_update_definition, OPERATOR, MUST_BODY, SAME},
    {API_PUT, "/v1/caches/{}/purge", api_purge_cache, OPERATOR, MAY_BODY, SAME},
    {API_POST, "/v1/caches/{}/purge", api_purge_cache, OPERATOR, MAY_BODY, SAME},
    {API_POST, "/v1/caches/{}/explain", api_explain, VIEWER, MUST_BODY, SAME},
    {API_POST, "/v1/caches/{}/test", api_test_cache, OPERATOR, MAY_BODY, SAME},
    {API_GET, "/v1/caches/{}/reachability", api_get_reachability, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/caches/{}/stats", api_get_stats, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/stats", api_list_stats, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/caches/{}/rules", api_list_rules, VIEWER, NO_BODY, SAME},
    {API_POST, "/v1/caches/{}/rules", api_set_rule, OPERATOR, MUST_BODY, RULE},
    {API_GET, "/v1/caches/{}/cache-ttls", api_list_ttls, VIEWER, NO_BODY, SAME},
    {API_POST, "/v1/caches/{}/cache-ttls", api_create_ttl, OPERATOR, MUST_BODY, RULE},
    {API_GET, "/v1/caches/{}/cache-ttls/{key}", api_get_ttl, VIEWER, NO_BODY, SAME},
    {API_PATCH, "/v1/caches/{}/cache-ttls/{key}", api_update_ttl, OPERATOR, MUST_BODY, SAME},
    {API_DELETE, "/v1/caches/{}/cache-ttls/{word}/{key}", api_delete_ttl, OPERATOR, NO_BODY, SAME},
    {API_GET, "/v1/rules/{}", api_get_rule, VIEWER, NO_BODY, SAME},
    {API_DELETE, "/v1/rules/{}", api_delete_rule, OPERATOR, NO_BODY, SAME},
    {API_GET, "/v1/events", api_list_events, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/audit", api_list_audit, ADMIN, NO_BODY, SAME},
    {API_GET, "/v1/regions", api_list_regions, VIEWER, NO_BODY, SAME},
    {API_POST, "/v1/regions", api_create_region, ADMIN, MUST_BODY, CREATES},
    {API_GET, "/v1/regions/{}", api_get_region, VIEWER, NO_BODY, SAME},
    {API_DELETE, "/v1/regions/{}", api_delete_region, ADMIN, NO_BODY, SAME},
    {API_GET, "/v1/agents", api_list_agents, VIEWER, NO_BODY, SAME},
    {API_GET, "/v1/agents/{}", api_get_agent, VIEWER, NO_BODY, SAME},
    {API_DELETE, "/v1/agents/{}", api_delete_agent, ADMIN, NO_BODY, SAME},
    {API_POST, "/v1/agents/{}/drain", api_drain_agent, OPERATOR, MAY_BODY, SAME},
    {API_POST, "/v1/agents/{}/undrain", api_undrain_agent, OPERATOR, MAY_BODY, SAME},
    {API_POST, "/v1/agents/{}/revoke", api_revoke_agent, ADMIN, MAY_BODY, SAME},
    {API_GET, "/v1/join-tokens", api_list_join_tokens, ADMIN, NO_BODY, SAME},
    {API_POST, "/v1/join-tokens", api_create_join_token, ADMIN, MUST_BODY, CREATES},
    {API_GET, "/v1/join-tokens/{}", api_get_join_token, ADMIN, NO_BODY, SAME},
    {API_DELETE, "/v1/join-tokens/{}", api_delete_join_token, ADMIN, NO_BODY, SAME},
    {API_POST, "/v1/enroll", api_enroll, OPEN, MUST_BODY, SAME},
    {API_GET, "/v1/tokens", api_list_tokens, ADMIN, NO_BODY, SAME},
    {API_POST, "/v1/tokens", api_create_token, ADMIN, MUST_BODY, CREATES},
    {API_GET, "/v1/tokens/{}", api_get_token, ADMIN, NO_BODY, SAME},
    {API_DELETE, "/v1/tokens/{}", api_delete_token, ADMIN, NO_BODY, SAME},
};
/* clang-format on */

static const char *const method_names[] = {
    [API_GET] = "GET",     [API_POST] = "POST",     [API_PUT] = "PUT",
    [API_PATCH] = "PATCH", [API_DELETE] = "DELETE", [API_OTHER] = "?",
};

/* --------------------------------------------------------------- route */

struct segments {
    char param[API_PARAM_MAX], word[API_PARAM_MAX];
    struct ps_str key;
};

static bool
take(struct ps_str segment, char *out, size_t size)
{
    if (segment.len == 0 || segment.len >= size)
        return false;
    memcpy(out, segment.ptr, segment.len);
    out[segment.len] = '\0';
    return true;
}

static bool
matches(const char *pattern, const char *path, struct segments *s)
{
    while (*pattern) {
        if (pattern[0] != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        struct ps_str segment = {path, strcspn(path, "/")};
        bool fits = segment.len > 0;
        if (pattern[1] == '}')
            fits = take(segment, s->param, sizeof(s->param));
        else if (pattern[1] == 'w')
            fits = take(segment, s->word, sizeof(s->word));
        else
            s->key = segment;
        if (!fits)
            return false;
        path += segment.len;
        pattern += strcspn(pattern, "}") + 1;
    }
    return *path == '\0';
}

static enum ps_rc
find_route(struct api_request *request, const struct route **out,
           struct ps_err *err)
{
    struct segments segments = {.param = ""};
    size_t used = 0;
    request->allow[0] = '\0';
    for (size_t i = 0; i < PS_ARRAY_LEN(routes); i++) {
        const struct route *route = &routes[i];
        if (!matches(route->path, request->path, &segments))
            continue;
        if (route->method == request->method) {
            memcpy(request->param, segments.param, sizeof(segments.param));
            memcpy(request->word, segments.word, sizeof(segments.word));
            request->key = segments.key;
            *out = route;
            return PS_OK;
        }
        used += (size_t)snprintf(request->allow + used,
                                 sizeof(request->allow) - used, "%s%s",
                                 used ? ", " : "", method_names[route->method]);
        PS_CHECK(used < sizeof(request->allow));
    }
    if (request->allow[0])
        return ps_err_set(err, PS_METHOD, "this path takes %s only",
                          request->allow);
    return ps_err_set(err, PS_NOT_FOUND,
                      "no such path; the API is described in openapi.yaml");
}

/* --------------------------------------------------------------- token */

enum {
    USED_EVERY_MS = 60000 /* how exact "last used" is */
};

/* Whether the token's role is enough, and the path is no cache that it does
 * not see. */
static enum ps_rc
authorize(struct api_request *request, const struct route *route,
          struct ps_err *err)
{
    static const char prefix[] = "/v1/caches/{}";
    static const enum ps_role wanted[] = {[VIEWER] = PS_ROLE_VIEWER,
                                          [OPERATOR] = PS_ROLE_OPERATOR,
                                          [ADMIN] = PS_ROLE_ADMIN};
    const struct ps_api_token *token = &request->token;
    if (token->role < wanted[route->need])
        return ps_err_set(err, PS_FORBIDDEN,
                          "this takes a token of the role %s; this one is of "
                          "the role %s",
                          ps_role_text(wanted[route->need]),
                          ps_role_text(token->role));
    if (strncmp(route->path, prefix, sizeof(prefix) - 1) == 0 &&
        !api_sees_cache(request, request->param))
        return ps_err_set(err, PS_CACHE_NOT_FOUND, NULL);
    return PS_OK;
}

bool
api_sees_cache(const struct api_request *request, const char *id)
{
    const char *caches = request->token.caches;
    return !caches[0] || (strlen(id) == 36 && strstr(caches, id));
}

static enum ps_rc
authenticate(struct api_request *request, struct ps_err *err)
{
    static const char scheme[] = "Bearer ";
    const char *header = request->authorization;
    struct ps_api_token *token = &request->token;
    unsigned char hash[PS_DB_HASH_LEN];
    if (!header)
        return ps_err_set(err, PS_UNAUTHORIZED,
                          "no token; send \"Authorization: Bearer psk_...\"");
    if (strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
        return ps_err_set(err, PS_UNAUTHORIZED,
                          "the Authorization header must be \"Bearer "
                          "psk_...\"");
    header += sizeof(scheme) - 1;
    request->secret = ps_str_of(header + strspn(header, " "));
    ps_sha256(request->secret, hash);
    enum ps_rc rc = ps_db_token_find(request->api->conf.db, hash, token, err);
    if (rc != PS_OK)
        return rc;
    int64_t now = ps_wall_ms();
    if (now - token->last_used_ms >= USED_EVERY_MS &&
        ps_db_token_used(request->api->conf.db, token->id, now, NULL) != PS_OK)
        ps_warn("api", "cannot note the use of token %s", token->id);
    return PS_OK;
}

/* ---------------------------------------------------------------- body */

static enum ps_rc
parse_body(struct api_request *request, enum body want, struct ps_err *err)
{
    json_error_t error;
    if (want == NO_BODY)
        return PS_OK;
    if (request->text.len == 0 && want == MAY_BODY) {
        request->body = json_object();
        return request->body ? PS_OK : ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    if (ps_utf8_check(request->text) < request->text.len)
        return ps_err_set(err, PS_BAD_UTF8, NULL);
    request->body =
        json_loadb(request->text.ptr ? request->text.ptr : "",
                   request->text.len, JSON_REJECT_DUPLICATES, &error);
    if (!request->body)
        return ps_err_set(err, PS_BAD_JSON,
                          "the body is not JSON (line %d, column %d)",
                          error.line, error.column);
    if (!json_is_object(request->body))
        return ps_err_set(err, PS_BAD_JSON, "the body must be a JSON object");
    return PS_OK;
}

/* ----------------------------------------------------------------- run */

bool
api_look(struct api_request *request)
{
    const struct route *route = NULL;
    ps_buf_init(&request->out, API_REPLY_MAX);
    return find_route(request, &route, NULL) == PS_OK &&
           route->handler(request, NULL) == PS_OK &&
           ps_buf_rc(&request->out) == PS_OK;
}

/* If-Match against the ETag of GET on the same path, in the transaction of the
 * change. What cannot be checked is refused, not ignored: the caller relies on
 * it. */
static enum ps_rc
check_version(struct api_request *request, const struct route *route,
              struct ps_err *err)
{
    struct api_request look = {.api = request->api,
                               .method = API_GET,
                               .path = request->path,
                               .token = request->token};
    const struct route *get = NULL;
    if (route->what == RULE || (!request->if_match && !request->if_none_match))
        return PS_OK;
    ps_buf_init(&look.out, API_REPLY_MAX);
    bool read = find_route(&look, &get, NULL) == PS_OK;
    bool there = read && get->handler(&look, NULL) == PS_OK;
    enum ps_rc rc = PS_OK;
    if (request->if_none_match || !read || (there && !look.etag[0]))
        rc = ps_err_set(err, PS_BAD_REQUEST,
                        "this call takes no %s; leave the header out",
                        request->if_none_match ? "If-None-Match" : "If-Match");
    else if (there)
        rc = api_check_match(request, look.etag, err);
    if (rc == PS_PRECONDITION)
        memcpy(request->etag, look.etag, sizeof(request->etag));
    api_request_done(&look);
    return rc;
}

/* The change, and the answer for who asks again: both or neither. */
static enum ps_rc
change(struct api_request *request, const struct route *route,
       struct ps_err *err)
{
    struct ps_db *db = request->api->conf.db;
    enum ps_rc rc = ps_db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    rc = check_version(request, route, err);
    if (rc == PS_OK)
        rc = route->handler(request, err);
    if (rc == PS_OK)
        rc = ps_buf_rc(&request->out);
    if (rc == PS_OK && route->what != SAME)
        rc = api_replay_keep(request, err);
    rc = ps_db_end(db, rc, err);
    if (rc == PS_OK)
        api_follow(request);
    return rc;
}

/* The handler, what it changes written down before. */
static enum ps_rc
handle(struct api_request *request, const struct route *route,
       struct ps_err *err)
{
    /* What a viewer may do changes nothing. */
    if (route->need <= VIEWER || request->method == API_GET)
        return route->handler(request, err);
    enum ps_rc rc = route->what != SAME ? api_replay(request, err) : PS_OK;
    if (rc == PS_OK && request->replayed)
        return PS_OK;
    if (rc != PS_OK && ps_err_info(rc)->http_status >= 500)
        return rc;
    request->audit =
        api_audit_begin(request, method_names[request->method], err);
    if (!request->audit)
        return err->rc;
    return rc == PS_OK ? change(request, route, err) : rc;
}

/* What GET found is what the caller has already. */
static enum ps_rc
not_modified(struct api_request *request, struct ps_err *err)
{
    bool same = false;
    if (request->method != API_GET || !request->etag[0])
        return PS_OK;
    enum ps_rc rc = api_check_none_match(request, request->etag, &same, err);
    if (rc == PS_OK && same) {
        request->status = 304;
        ps_buf_clear(&request->out);
    }
    return rc;
}

void
api_complete(struct api_request *request, enum ps_rc rc, struct ps_err *err)
{
    int status = request->status;
    if (rc != PS_OK)
        request->status = ps_err_info(rc)->http_status;
    if (request->audit)
        api_audit_end(request, &request->audit);
    request->status = status;
    if (rc == PS_OK)
        rc = ps_buf_rc(&request->out);
    if (rc == PS_OK)
        rc = not_modified(request, err);
    if (rc == PS_OK)
        return;
    if (ps_err_info(rc)->http_status >= 500)
        ps_log((enum ps_log_level)ps_err_info(rc)->log_level, "api",
               "%s %s failed: %s", method_names[request->method], request->path,
               err->message);
    if (rc != PS_PRECONDITION)
        request->etag[0] = '\0';
    request->location[0] = '\0';
    request->status = api_put_error(&request->out, rc, err->message);
}

void
api_run(struct api_request *request)
{
    const struct route *route = NULL;
    struct ps_err err = {.rc = PS_OK};
    request->status = 200;
    ps_buf_init(&request->out, API_REPLY_MAX);
    enum ps_rc rc = find_route(request, &route, &err);
    if (route && route->need != OPEN)
        rc = authenticate(request, &err);
    if (route && route->need != OPEN && rc == PS_OK)
        rc = authorize(request, route, &err);
    if (route && rc == PS_OK)
        rc = parse_body(request, route->body, &err);
    if (route && rc == PS_OK && request->twice)
        rc = ps_err_set(&err, PS_BAD_REQUEST, "%s is there twice; send it once",
                        request->twice);
    if (route && rc == PS_OK)
        rc = handle(request, route, &err);
    if (rc == PS_OK && request->held)
        return;
    request->held = false;
    api_complete(request, rc, &err);
}

void
api_request_done(struct api_request *request)
{
    json_decref(request->body);
    request->body = NULL;
    ps_fleet_ask_cancel(&request->ask);
    ps_buf_done(&request->out);
}
