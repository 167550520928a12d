/* Which path and method mean what. */
#include "agent/front/front_private.h"
#include "agent/front/protocol.h"
#include "common/check.h"

enum target {
    TARGET_NONE,
    TARGET_SQL,
    TARGET_QUERY,
    TARGET_EXECUTE,
    TARGET_CREATE_SESSION,
    TARGET_HEALTHZ,
    TARGET_READYZ
};

static const struct {
    struct ps_str path;
    enum target target;
} targets[] = {
    {{"/sql", 4},                                   TARGET_SQL           },
 /* What clients make of an endpoint that ends in a slash. */
    {{"//sql", 5},                                  TARGET_SQL           },
    {{"/v1/query", 9},                              TARGET_QUERY         },
    {{"/psdb.v1alpha1.Database/Execute", 31},       TARGET_EXECUTE       },
    {{"/psdb.v1alpha1.Database/CreateSession", 37}, TARGET_CREATE_SESSION},
    {{"/healthz", 8},                               TARGET_HEALTHZ       },
    {{"/readyz", 7},                                TARGET_READYZ        },
};

static enum target
find_target(struct ps_str path)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(targets); i++) {
        if (ps_str_eq(targets[i].path, path))
            return targets[i].target;
    }
    return TARGET_NONE;
}

static void
fail(struct ps_exchange *x, enum ps_rc rc, const char *extra)
{
    struct ps_err err;
    ps_err_set(&err, rc, NULL);
    ps_exchange_reply_error(x, &err, extra);
}

/* What Cache-Control said; a protocol may know better. */
static void
directives(struct ps_req *req, const struct ps_head *head)
{
    req->no_cache = head->no_cache;
    req->no_store = head->no_store;
    req->only_if_cached = head->only_if_cached;
    req->has_max_age = head->has_max_age;
    req->max_age_ms = head->max_age_s * 1000;
    req->stale_if_error_ms = head->stale_if_error_s * 1000;
}

/* Hands a query to the engine. */
static void
start(struct ps_http *http, struct ps_exchange *x)
{
    const struct ps_front *front = http->front;
    const struct ps_clock *clock = ps_loop_clock(front->conf.loop);
    const char *base = http->data + http->start;
    struct ps_req *req = &x->request.req;
    uint64_t received_us = ps_clock_now_us(clock);
    const struct ps_http_input in = {
        .body = {base + http->body_at, http->body_end - http->body_at},
        .head = &http->head,
        .head_base = base,
    };
    struct ps_err err;
    ps_req_init(req, front->conf.engine, front->conf.loop_index, x->arena);
    directives(req, &http->head);
    enum ps_rc rc = x->protocol->accept(x, &in, &err);
    if (rc == PS_OK && !ps_exchange_charge(&http->front->exchanges, x))
        rc = ps_err_set(&err, PS_NO_MEMORY, NULL);
    if (rc != PS_OK) {
        ps_exchange_reply_error(x, &err, NULL);
        return;
    }
    req->source = ps_str_of(http->source);
    if (PS_UNLIKELY(http->head.kept[PS_HEAD_TRACEPARENT].at > 0))
        req->traceparent =
            ps_head_value(&http->head, base, PS_HEAD_TRACEPARENT);
    req->received_us = received_us;
    req->ready_us = ps_clock_now_us(clock);
    req->parse_us = req->ready_us - received_us;
    req->part = x->takes_parts ? ps_http_part : NULL;
    req->done = ps_http_done;
    req->front = x;
    x->started = true;
    x->state = PS_EXCHANGE_RUNNING;
    ps_req_start(req);
}

static void
route_protocol(struct ps_http *http, const struct ps_protocol *protocol)
{
    http->exchange->protocol = protocol;
    if (http->head.method == PS_HTTP_POST)
        start(http, http->exchange);
    else
        fail(http->exchange, PS_METHOD, ps_reply_allow_post);
}

/* One path, two protocols. */
static void
route_sql(struct ps_http *http)
{
    bool neon = http->head.kept[PS_HEAD_NEON_CONNECTION].at > 0;
    route_protocol(http, neon ? &ps_protocol_neon : &ps_protocol_polyscale);
}

static bool
is_get(const struct ps_http *http)
{
    return http->head.method == PS_HTTP_GET ||
           http->head.method == PS_HTTP_HEAD;
}

static void
route_healthz(struct ps_http *http)
{
    if (is_get(http))
        ps_exchange_reply_text(http->exchange, 200,
                               PS_STR("{\"status\":\"ok\"}"), NULL);
    else
        fail(http->exchange, PS_METHOD, ps_reply_allow_get);
}

static void
route_readyz(struct ps_http *http)
{
    const struct ps_front_conf *conf = &http->front->conf;
    struct ps_exchange *x = http->exchange;
    const char *trouble = NULL;
    if (!is_get(http)) {
        fail(x, PS_METHOD, ps_reply_allow_get);
        return;
    }
    if (http->front->draining)
        trouble = ps_err_info(PS_SHUTTING_DOWN)->sentence;
    else if (conf->not_ready)
        trouble = conf->not_ready(conf->arg);
    if (!trouble) {
        ps_exchange_reply_text(x, 200, PS_STR("{\"status\":\"ready\"}"), NULL);
        return;
    }
    ps_buf_clear(&x->text);
    ps_reply_error_body(&x->text, 503, "not_ready", ps_str_of(trouble));
    ps_exchange_reply_text(x, 503, ps_buf_str(&x->text), NULL);
}

void
ps_route(struct ps_http *http)
{
    struct ps_str path = ps_head_path(&http->head, http->data + http->start);
    if (http->head.method == PS_HTTP_OPTIONS) {
        ps_exchange_reply_text(http->exchange, 204, PS_STR(""),
                               ps_reply_preflight);
        return;
    }
    switch (find_target(path)) {
    case TARGET_SQL:
        route_sql(http);
        return;
    case TARGET_QUERY:
        route_protocol(http, &ps_protocol_query);
        return;
    case TARGET_EXECUTE:
        route_protocol(http, &ps_protocol_planetscale);
        return;
    case TARGET_CREATE_SESSION:
        route_protocol(http, &ps_protocol_planetscale_session);
        return;
    case TARGET_HEALTHZ:
        route_healthz(http);
        return;
    case TARGET_READYZ:
        route_readyz(http);
        return;
    case TARGET_NONE:
        fail(http->exchange, PS_NOT_FOUND, NULL);
        return;
    }
}
