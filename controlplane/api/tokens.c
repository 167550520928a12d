/*
 * Secrets: join tokens and the enrolment they allow, and API tokens. A secret
 * is 32 random bytes; it leaves in one reply and stays as its SHA-256 only.
 * (No slow hash is needed: there is nothing to guess in 256 random bits.)
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SECRET_CHARS = 44, /* base64url of 32 bytes, and NUL */
    TTL_MAX_S = 30 * 86400,
    JOIN_TEXT_MAX = 4096
};

static void
make_secret(char text[SECRET_CHARS])
{
    unsigned char random[32];
    ps_random_bytes(random, sizeof(random));
    api_base64url(random, sizeof(random), text);
    explicit_bzero(random, sizeof(random));
}

/* --------------------------------------------------------- join tokens */

static void
put_join_token(struct ps_buf *out, const struct ps_join_token *join)
{
    api_open(out, NULL, '{');
    api_put_text(out, "id", join->id);
    api_put_text(out, "region", join->region);
    api_put_text(out, "name", join->name);
    api_put_time(out, "createdAt", join->created_ms);
    api_put_time(out, "expiresAt", join->expires_ms);
    api_put_time(out, "usedAt", join->used_ms);
    api_put_text_or_null(out, "agentId", join->agent_id);
    api_close(out, '}');
}

static enum ps_rc
list_join_token(void *arg, const struct ps_join_token *join)
{
    struct api_list *list = arg;
    if (api_list_row_number(list, join->seq))
        put_join_token(&list->request->out, join);
    return PS_OK;
}

enum ps_rc
api_list_join_tokens(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "join-tokens", .by_number = true};
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc != PS_OK)
        return rc;
    api_list_open(&list);
    rc = ps_db_join_each(request->api->conf.db, &list.page, list_join_token,
                         &list, err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_join_token(struct api_request *request, struct ps_err *err)
{
    struct ps_join_token join;
    enum ps_rc rc =
        ps_db_join_get(request->api->conf.db, request->param, &join, err);
    if (rc == PS_OK) {
        put_join_token(&request->out, &join);
        api_tag_reply(request);
    }
    return rc;
}

static bool
name_ok(const char *name)
{
    return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789 ._-")] ==
           '\0';
}

static enum ps_rc
agent_name(const json_t *body, const char **name, struct ps_err *err)
{
    enum ps_rc rc = api_text(body, "name", 0, 64, name, err);
    if (rc == PS_OK && !name_ok(*name))
        return ps_err_set(err, PS_BAD_FIELD,
                          "name may hold letters, digits, space and \"._-\" "
                          "only");
    return rc;
}

/* "psj1." and the base64url of what an agent needs to enrol. */
static void
put_join_text(struct api_request *request, const char *secret,
              const char *region)
{
    struct ps_buf json;
    char text[JOIN_TEXT_MAX] = "psj1.";
    ps_buf_init(&json, JOIN_TEXT_MAX / 2);
    api_open(&json, NULL, '{');
    api_put_text(&json, "u", request->api->url);
    api_put_text(&json, "f", ps_ca_fingerprint(request->api->conf.ca));
    api_put_text(&json, "t", secret);
    api_put_text(&json, "r", region);
    api_close(&json, '}');
    if (ps_buf_rc(&json) == PS_OK)
        api_base64url((const unsigned char *)json.data, json.len,
                      text + strlen(text));
    else
        request->out.rc = ps_buf_rc(&json);
    api_put_text(&request->out, "token", text);
    ps_buf_done(&json);
    explicit_bzero(text, sizeof(text));
}

enum ps_rc
api_create_join_token(struct api_request *request, struct ps_err *err)
{
    static const char *const fields[] = {"region", "name", "ttlSeconds", NULL};
    const char *region, *name;
    int64_t ttl_s = 3600;
    char secret[SECRET_CHARS];
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = api_region_name(request->body, "region", &region, err);
    if (rc == PS_OK)
        rc = agent_name(request->body, &name, err);
    if (rc == PS_OK)
        rc = api_int(request->body, "ttlSeconds", 1, TTL_MAX_S, &ttl_s, err);
    if (rc != PS_OK)
        return rc;
    struct ps_join_token join = {.created_ms = ps_wall_ms()};
    join.expires_ms = join.created_ms + ttl_s * 1000;
    ps_uuid_make(join.id);
    snprintf(join.region, sizeof(join.region), "%s", region);
    snprintf(join.name, sizeof(join.name), "%s", name);
    make_secret(secret);
    ps_sha256(ps_str_of(secret), join.secret_hash);
    rc = ps_db_join_insert(request->api->conf.db, &join, err);
    if (rc != PS_OK)
        return rc;
    struct ps_buf *out = &request->out;
    request->status = 201;
    api_open(out, NULL, '{');
    api_put_text(out, "id", join.id);
    put_join_text(request, secret, region);
    api_put_text(out, "region", region);
    api_put_time(out, "expiresAt", join.expires_ms);
    api_close(out, '}');
    explicit_bzero(secret, sizeof(secret));
    return PS_OK;
}

enum ps_rc
api_delete_join_token(struct api_request *request, struct ps_err *err)
{
    request->status = 204;
    return ps_db_join_delete(request->api->conf.db, request->param, err);
}

/* ----------------------------------------------------------- enrolment */

struct enrolment {
    const char *token, *csr, *name, *hostname;
    struct ps_join_token join;
    struct ps_agent agent;
    char secret[SECRET_CHARS];
    char *cert;
};

/* The name it asks for, or that of its token, or its host's; made unique. */
static enum ps_rc
choose_name(struct api_request *request, struct enrolment *e,
            struct ps_err *err)
{
    const char *name = e->name;
    bool taken = false;
    if (!name[0])
        name = e->join.name;
    if (!name[0] && name_ok(e->hostname))
        name = e->hostname;
    if (!name[0])
        name = "agent";
    snprintf(e->agent.name, sizeof(e->agent.name), "%.64s", name);
    enum ps_rc rc = ps_db_agent_name_taken(request->api->conf.db, e->agent.name,
                                           &taken, err);
    if (rc == PS_OK && taken)
        snprintf(e->agent.name, sizeof(e->agent.name), "%.55s-%.8s", name,
                 e->agent.id);
    return rc;
}

static enum ps_rc
read_enrolment(struct api_request *request, struct enrolment *e,
               struct ps_err *err)
{
    static const char *const fields[] = {"token", "csr", "name", "hostname",
                                         NULL};
    unsigned char hash[PS_DB_HASH_LEN];
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "token", 1, 256, &e->token, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "csr", 1, 16384, &e->csr, err);
    if (rc == PS_OK)
        rc = agent_name(request->body, &e->name, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "hostname", 0, 255, &e->hostname, err);
    if (rc != PS_OK)
        return rc;
    ps_sha256(ps_str_of(e->token), hash);
    return ps_db_join_find(request->api->conf.db, hash, ps_wall_ms(), &e->join,
                           err);
}

static enum ps_rc
make_agent(struct api_request *request, struct enrolment *e, struct ps_err *err)
{
    struct ps_agent *agent = &e->agent;
    agent->enrolled_ms = ps_wall_ms();
    ps_uuid_make(agent->id);
    snprintf(agent->region, sizeof(agent->region), "%s", e->join.region);
    snprintf(agent->hostname, sizeof(agent->hostname), "%s", e->hostname);
    make_secret(e->secret);
    ps_sha256(ps_str_of(e->secret), agent->secret_hash);
    enum ps_rc rc = choose_name(request, e, err);
    if (rc == PS_OK)
        rc = ps_ca_issue_agent(request->api->conf.ca, e->csr, agent->id,
                               &e->cert, &agent->certificate_expires_ms, err);
    if (rc == PS_OK)
        rc = ps_db_enroll(request->api->conf.db, e->join.id, agent, err);
    if (rc == PS_OK)
        rc = ps_fleet_agent_added(request->api->conf.fleet, agent, err);
    return rc;
}

static void
put_enrolment(struct api_request *request, const struct enrolment *e)
{
    const struct ps_api_conf *conf = &request->api->conf;
    struct ps_buf *out = &request->out;
    api_open(out, NULL, '{');
    api_put_text(out, "agentId", e->agent.id);
    api_put_text(out, "agentName", e->agent.name);
    api_put_text(out, "agentSecret", e->secret);
    api_put_text(out, "region", e->agent.region);
    api_put_text(out, "certificate", e->cert);
    api_put_text(out, "ca", ps_ca_certificate(conf->ca));
    api_put_text(out, "callAddress", conf->call_address);
    api_put_text(out, "eventAddress", conf->event_address);
    api_close(out, '}');
}

enum ps_rc
api_enroll(struct api_request *request, struct ps_err *err)
{
    struct enrolment e = {.cert = NULL};
    enum ps_rc rc = read_enrolment(request, &e, err);
    if (rc == PS_OK)
        rc = make_agent(request, &e, err);
    if (rc == PS_OK) {
        ps_info("api", "enrolled agent %s (%s, region %s)", e.agent.id,
                e.agent.name, e.agent.region);
        request->status = 201;
        put_enrolment(request, &e);
    }
    explicit_bzero(e.secret, sizeof(e.secret));
    free(e.cert);
    return rc;
}

/* ---------------------------------------------------------- API tokens */

void
ps_api_make_token(const char *name, struct ps_api_token *token,
                  char text[PS_API_TOKEN_TEXT])
{
    char secret[SECRET_CHARS];
    make_secret(secret);
    snprintf(text, PS_API_TOKEN_TEXT, "psk_%s", secret);
    explicit_bzero(secret, sizeof(secret));
    *token = (struct ps_api_token){.created_ms = ps_wall_ms(),
                                   .role = PS_ROLE_ADMIN};
    ps_uuid_make(token->id);
    snprintf(token->name, sizeof(token->name), "%s", name);
    ps_sha256(ps_str_of(text), token->hash);
}

/* null: all. */
static void
put_caches(struct ps_buf *out, const char *caches)
{
    char id[37];
    if (!caches[0]) {
        api_put_raw(out, "caches", "null");
        return;
    }
    api_open(out, "caches", '[');
    for (; strlen(caches) >= 36; caches += 36 + (caches[36] == ',')) {
        snprintf(id, sizeof(id), "%.36s", caches);
        api_put_text(out, NULL, id);
    }
    api_close(out, ']');
}

static void
put_token(struct ps_buf *out, const struct ps_api_token *token)
{
    api_open(out, NULL, '{');
    api_put_text(out, "id", token->id);
    api_put_text(out, "name", token->name);
    api_put_text(out, "role", ps_role_text(token->role));
    put_caches(out, token->caches);
    api_put_time(out, "createdAt", token->created_ms);
    api_put_time(out, "lastUsedAt", token->last_used_ms);
    api_close(out, '}');
}

static enum ps_rc
list_token(void *arg, const struct ps_api_token *token)
{
    struct api_list *list = arg;
    if (api_list_row_number(list, token->seq))
        put_token(&list->request->out, token);
    return PS_OK;
}

enum ps_rc
api_list_tokens(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "tokens", .by_number = true};
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc != PS_OK)
        return rc;
    api_list_open(&list);
    rc = ps_db_token_each(request->api->conf.db, &list.page, list_token, &list,
                          err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_token(struct api_request *request, struct ps_err *err)
{
    struct ps_api_token token;
    enum ps_rc rc =
        ps_db_token_get(request->api->conf.db, request->param, &token, err);
    if (rc == PS_OK) {
        put_token(&request->out, &token);
        api_tag_reply(request);
    }
    return rc;
}

/* "caches": ids of caches that exist; absent: all. */
static enum ps_rc
read_caches(struct api_request *request, struct ps_api_token *token,
            struct ps_err *err)
{
    const json_t *list = json_object_get(request->body, "caches");
    size_t used = 0, n = json_array_size(list);
    if (!list)
        return PS_OK;
    if (!json_is_array(list) || n == 0 || n > PS_TOKEN_CACHES_MAX)
        return ps_err_set(err, PS_BAD_FIELD,
                          "caches must be a list of 1 to %d ids of caches",
                          PS_TOKEN_CACHES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct ps_cache_def def;
        const char *id = json_string_value(json_array_get(list, i));
        enum ps_rc rc =
            ps_db_cache_get(request->api->conf.db, id ? id : "", &def, err);
        if (rc != PS_OK)
            return ps_err_set(err, PS_BAD_FIELD,
                              "caches[%zu] is not the id of a cache", i);
        used +=
            (size_t)snprintf(token->caches + used, sizeof(token->caches) - used,
                             "%s%s", i ? "," : "", def.id);
        ps_def_done(&def);
    }
    return PS_OK;
}

static enum ps_rc
read_role(struct api_request *request, struct ps_api_token *token,
          struct ps_err *err)
{
    const char *role;
    enum ps_rc rc = api_text(request->body, "role", 0, 16, &role, err);
    if (rc == PS_OK && role[0] && !ps_role_find(role, &token->role))
        rc = ps_err_set(err, PS_BAD_FIELD,
                        "role must be one of: admin, operator, viewer");
    if (rc == PS_OK)
        rc = read_caches(request, token, err);
    if (rc == PS_OK && token->caches[0] && token->role == PS_ROLE_ADMIN)
        rc = ps_err_set(err, PS_BAD_FIELD,
                        "a token for some caches only is an operator's or a "
                        "viewer's; give its role");
    return rc;
}

enum ps_rc
api_create_token(struct api_request *request, struct ps_err *err)
{
    static const char *const fields[] = {"name", "role", "caches", NULL};
    const char *name;
    struct ps_api_token token;
    char text[PS_API_TOKEN_TEXT];
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "name", 1, 64, &name, err);
    if (rc != PS_OK)
        return rc;
    ps_api_make_token(name, &token, text);
    rc = read_role(request, &token, err);
    if (rc == PS_OK)
        rc = ps_db_token_insert(request->api->conf.db, &token, err);
    if (rc == PS_OK) {
        request->status = 201;
        api_open(&request->out, NULL, '{');
        api_put_text(&request->out, "id", token.id);
        api_put_text(&request->out, "token", text);
        api_close(&request->out, '}');
    }
    explicit_bzero(text, sizeof(text));
    return rc;
}

enum ps_rc
api_delete_token(struct api_request *request, struct ps_err *err)
{
    request->status = 204;
    return ps_db_token_delete(request->api->conf.db, request->param, err);
}
