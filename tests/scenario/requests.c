/*
 * Requests of a script and what it expects of them. A request owns everything
 * it points to; the reply is copied in done, so that the engine's memory is
 * let go at once, as a front does after the last byte.
 */
#include "common/check.h"
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

struct request {
    struct ps_req req; /* first */
    struct ps_link link;
    struct ps_arena *arena;
    char *name;
    char *texts[8]; /* owned */
    size_t n_texts;
    enum ps_rc prepare_rc;
    bool done;
    bool looked_at;
    char *body;
    size_t body_len;
};

static const char *const verdicts[] = {
    [PS_VERDICT_HIT] = "hit",        [PS_VERDICT_MISS] = "miss",
    [PS_VERDICT_STALE] = "stale",    [PS_VERDICT_BYPASS] = "bypass",
    [PS_VERDICT_NONE] = "undecided",
};

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out, struct ps_err *err)
{
    struct request *request = PS_CONTAINER_OF(req, struct request, req);
    *out = (struct ps_statement){.sql = req->sql};
    return ps_err_set(err, request->prepare_rc, NULL);
}

static const struct ps_req_protocol protocol = {.format = PS_FORMAT_POLYSCALE,
                                                .prepare = prepare};

static void
on_done(struct ps_req *req)
{
    struct request *request = PS_CONTAINER_OF(req, struct request, req);
    PS_CHECK(!request->done);
    request->body_len = req->reply.body.len;
    request->body = malloc(request->body_len + 1);
    PS_CHECK(request->body);
    if (request->body_len)
        memcpy(request->body, req->reply.body.ptr, request->body_len);
    request->body[request->body_len] = '\0';
    request->done = true;
    ps_req_done(req);
}

static struct ps_str
keep(struct request *request, const char *text)
{
    char *copy = strdup(text);
    PS_CHECK(copy && request->n_texts < PS_ARRAY_LEN(request->texts));
    request->texts[request->n_texts++] = copy;
    return ps_str_of(copy);
}

static void
request_free(struct scn_world *world, struct request *request)
{
    ps_list_remove(&world->requests, &request->link);
    for (size_t i = 0; i < request->n_texts; i++)
        free(request->texts[i]);
    ps_arena_free(&request->arena);
    free(request->name);
    free(request->body);
    free(request);
}

static struct request *
find(struct scn_world *world, const char *name)
{
    PS_LIST_FOREACH_SAFE(&world->requests, it, next) {
        struct request *request = PS_CONTAINER_OF(it, struct request, link);
        if (strcmp(request->name, name) == 0)
            return request;
    }
    return NULL;
}

static struct request *
get(struct scn_world *world, struct scn_line *line)
{
    struct request *request = find(world, scn_operand(line, 1));
    if (!request)
        scn_fail(line, "no such request");
    return request;
}

/* The last two commands of a script may leave nobody without an answer, and
 * no answer without an expectation. */
void
scn_requests_done(struct scn_world *world, struct scn_line *line)
{
    struct ps_link *link;
    while ((link = ps_list_first(&world->requests))) {
        struct request *request = PS_CONTAINER_OF(link, struct request, link);
        if (!request->done)
            scn_fail(line, "request %s is not done", request->name);
        if (!request->looked_at)
            scn_fail(line, "nothing is expected of request %s", request->name);
        request_free(world, request);
    }
}

/* session=open, session=batch, or the name of a request in whose transaction
 * this one belongs. */
static void
use_session(struct scn_world *world, struct scn_line *line, struct ps_req *req)
{
    const char *session = scn_option(line, "session", NULL);
    if (!session)
        return;
    if (strcmp(session, "open") == 0) {
        req->session = PS_SESSION_OPEN;
    } else if (strcmp(session, "batch") == 0) {
        req->session = PS_SESSION_BATCH;
    } else {
        struct request *other = find(world, session);
        if (!other)
            scn_fail(line, "no such request: %s", session);
        req->session = PS_SESSION_IN;
        memcpy(req->session_id, other->req.reply.session_id,
               sizeof(req->session_id));
    }
}

static struct request *
make(struct scn_world *world, struct scn_line *line, const char *name,
     const char *sql)
{
    struct request *old = find(world, name);
    if (old && !old->looked_at)
        scn_fail(line, "nothing was expected of the former %s", name);
    if (old)
        request_free(world, old);
    struct request *request = calloc(1, sizeof(*request));
    PS_CHECK(request);
    request->name = strdup(name);
    request->arena = ps_arena_new(scn_number(line, "arena", 1 << 20));
    PS_CHECK(request->name && request->arena);
    ps_list_push_back(&world->requests, &request->link);
    struct ps_engine *engine = scn_engine(world);
    unsigned loop = (unsigned)scn_number(line, "loop", 0);
    if (loop >= world->n_loops)
        scn_fail(line, "there are %u loops", world->n_loops);
    struct ps_req *req = &request->req;
    ps_req_init(req, engine, loop, request->arena);
    const char *cache = scn_option(line, "cache", "main");
    req->protocol = &protocol;
    req->cache_id = keep(request, scn_cache_id(world, cache));
    req->user = keep(request, scn_option(line, "user", "app"));
    req->password = keep(request, scn_option(line, "password", "secret"));
    req->database = keep(request, scn_option(line, "database", "app"));
    req->source = keep(request, scn_option(line, "source", "192.0.2.1"));
    req->sql = keep(request, sql);
    PS_CHECK(ps_sql_key_text(PS_DIALECT_POSTGRES, 0, req->sql, request->arena,
                             &req->key_sql) == PS_OK);
    req->key_bindings = keep(request, scn_option(line, "bindings", ""));
    req->no_cache = scn_flag(line, "no_cache");
    req->no_store = scn_flag(line, "no_store");
    req->only_if_cached = scn_flag(line, "only_if_cached");
    req->has_max_age = scn_option(line, "max_age", NULL) != NULL;
    req->max_age_ms = scn_duration_ms(line, "max_age", 0);
    req->stale_if_error_ms = scn_duration_ms(line, "stale_if_error", 0);
    req->stale_while_revalidate_ms =
        scn_duration_ms(line, "stale_while_revalidate", 0);
    use_session(world, line, req);
    const char *provider = scn_option(line, "provider", NULL);
    req->has_provider = provider != NULL;
    if (provider && !ps_provider_parse(ps_str_of(provider), &req->provider))
        scn_fail(line, "no such provider: %s", provider);
    request->prepare_rc = scn_rc(line, scn_option(line, "prepare", "ok"));
    req->received_us = ps_clock_now_us(world->clock);
    req->done = on_done;
    return request;
}

/* request NAME "SQL" [user=] [password=] [database=] [cache=] [loop=]
 * [source=] [bindings=] [provider=] [session=] [no_cache] [no_store]
 * [only_if_cached] [prepare=] (what the front's own part of the work ends with)
 * [arena=] */
void
scn_request(struct scn_world *world, struct scn_line *line)
{
    const char *name = scn_operand(line, 1), *sql = scn_operand(line, 2);
    ps_req_start(&make(world, line, name, sql)->req);
}

static void
expect_text(struct scn_line *line, const char *key, const char *got)
{
    const char *want = scn_option(line, key, NULL);
    if (want && strcmp(want, got) != 0)
        scn_fail(line, "%s is %s", key, got);
}

static void
expect_verdict(struct scn_line *line, const struct ps_reply *reply)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(verdicts); i++)
        if (scn_flag(line, verdicts[i]) && i != reply->verdict)
            scn_fail(line, "it is a %s (%s, %s)", verdicts[reply->verdict],
                     reply->reason ? reply->reason : "-",
                     ps_err_info(reply->rc)->code);
}

static void
expect_times(struct scn_line *line, const struct ps_reply *reply)
{
    uint64_t ttl = (uint64_t)PS_MAX(reply->ttl_ms, (int64_t)0);
    uint64_t age = (uint64_t)reply->age_ms;
    if (scn_flag(line, "open") && !reply->in_session)
        scn_fail(line, "no transaction is open");
    if (scn_flag(line, "closed") && reply->in_session)
        scn_fail(line, "a transaction is open");
    if (scn_flag(line, "expired") && reply->ttl_ms >= 0)
        scn_fail(line, "it had not expired");
    if (age != scn_duration_ms(line, "age", age))
        scn_fail(line, "age is %d ms", (int)age);
    if (ttl < scn_duration_ms(line, "ttl_from", ttl) ||
        ttl > scn_duration_ms(line, "ttl_to", ttl))
        scn_fail(line, "ttl is %d ms", (int)ttl);
    uint64_t retry = reply->retry_after_ms;
    if (retry != scn_duration_ms(line, "retry_after", retry))
        scn_fail(line, "retry_after is %d ms", (int)retry);
}

static void
expect_reply(struct scn_line *line, struct request *request)
{
    const struct ps_reply *reply = &request->req.reply;
    if (!request->done)
        scn_fail(line, "it is not done");
    request->looked_at = true;
    if (!scn_option(line, "error", NULL) && !scn_option(line, "status", NULL) &&
        reply->rc != PS_OK)
        scn_fail(line, "it failed: %s: %s", ps_err_info(reply->rc)->code,
                 reply->err.message);
    char status[16];
    snprintf(status, sizeof(status), "%d", ps_err_info(reply->rc)->http_status);
    expect_text(line, "error", ps_err_info(reply->rc)->code);
    expect_text(line, "status", status);
    expect_verdict(line, reply);
    expect_text(line, "reason", reply->reason ? reply->reason : "none");
    expect_text(line, "body", request->body);
    expect_text(line, "sqlstate", reply->err.sqlstate);
    expect_text(line, "message", reply->err.message);
    expect_times(line, reply);
    bool stored = scn_flag(line, "stored"), no = scn_flag(line, "unstored");
    if ((stored && !reply->stored) || (no && reply->stored))
        scn_fail(line, "stored: %s", reply->stored ? "yes" : "no");
    if (request->body_len != scn_number(line, "body_len", request->body_len))
        scn_fail(line, "the body has %d bytes", (int)request->body_len);
}

/* expect NAME [hit|miss|stale|bypass|undecided] [reason=] [body=] ..., or
 * expect NAME pending */
void
scn_expect(struct scn_world *world, struct scn_line *line)
{
    struct request *request = get(world, line);
    if (!scn_flag(line, "pending"))
        expect_reply(line, request);
    else if (request->done)
        scn_fail(line, "it is done: %s", request->body);
}

/* ask "SQL" OPTIONS-OF-BOTH: a request that is over at once. */
void
scn_ask(struct scn_world *world, struct scn_line *line)
{
    struct request *request = make(world, line, "ask", scn_operand(line, 1));
    ps_req_start(&request->req);
    scn_settle(world);
    expect_reply(line, request);
}

/* abandon NAME: its client went away. */
void
scn_abandon(struct scn_world *world, struct scn_line *line)
{
    struct request *request = get(world, line);
    if (request->done)
        scn_fail(line, "it is done already");
    ps_req_abandon(&request->req);
}
