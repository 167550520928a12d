/* The four calls of req.h that the front makes. */
#include "agent/front/stub_engine.h"

#include "common/check.h"

#include <stdlib.h>

enum {
    STUB_MAGIC = 0x53545542
};

static unsigned *freed; /* where parts that are freed are counted */

void
ps_req_init(struct ps_req *req, struct ps_engine *engine, unsigned loop_index,
            struct ps_arena *arena)
{
    memset(req, 0, sizeof(*req));
    req->magic = STUB_MAGIC;
    req->engine = engine;
    req->loop_index = loop_index;
    req->arena = arena;
}

static void
copy_text(char *out, size_t size, struct ps_str text)
{
    size_t n = PS_MIN(text.len, size - 1);
    memcpy(out, text.ptr, n);
    out[n] = '\0';
}

static void
answer(struct ps_req *req)
{
    struct ps_engine *engine = req->engine;
    struct ps_reply *reply = &req->reply;
    engine->n_finished++;
    reply->rc = engine->rc;
    if (engine->rc != PS_OK)
        ps_err_set(&reply->err, engine->rc, NULL);
    reply->body = engine->body;
    reply->verdict = engine->verdict;
    reply->reason = engine->reason;
    reply->stored = engine->stored;
    reply->ttl_ms = 42500;
    reply->age_ms = 3999;
    reply->parse_us = req->parse_us;
    if (engine->prepare) {
        struct ps_statement statement;
        reply->rc = req->protocol->prepare(req, &statement, &reply->err);
    }
    req->done(req);
}

void
ps_req_start(struct ps_req *req)
{
    struct ps_engine *engine = req->engine;
    PS_CHECK_OBJ(req, STUB_MAGIC);
    engine->n_started++;
    engine->last_no_cache = req->no_cache;
    engine->last_no_store = req->no_store;
    engine->last_only_if_cached = req->only_if_cached;
    engine->last_has_max_age = req->has_max_age;
    engine->last_max_age_ms = req->max_age_ms;
    engine->last_stale_if_error_ms = req->stale_if_error_ms;
    copy_text(engine->last_sql, sizeof(engine->last_sql), req->sql);
    copy_text(engine->last_user, sizeof(engine->last_user), req->user);
    copy_text(engine->last_source, sizeof(engine->last_source), req->source);
    if (!engine->hold) {
        answer(req);
        return;
    }
    PS_CHECK(engine->n_held < PS_ARRAY_LEN(engine->held));
    engine->held[engine->n_held++] = req;
}

void
ps_stub_finish(struct ps_engine *engine)
{
    PS_CHECK(engine->n_held > 0);
    struct ps_req *req = engine->held[0];
    engine->n_held--;
    memmove(engine->held, engine->held + 1,
            engine->n_held * sizeof(struct ps_req *));
    answer(req);
}

void
ps_req_abandon(struct ps_req *req)
{
    struct ps_engine *engine = req->engine;
    PS_CHECK_OBJ(req, STUB_MAGIC);
    engine->n_abandoned++;
    if (!engine->finish_abandoned)
        return;
    for (unsigned i = 0; i < engine->n_held; i++) {
        if (engine->held[i] != req)
            continue;
        engine->n_held--;
        memmove(engine->held + i, engine->held + i + 1,
                (engine->n_held - i) * sizeof(struct ps_req *));
        answer(req);
        return;
    }
}

uint64_t
ps_req_max_reply(const struct ps_req *req)
{
    (void)req;
    return 1 << 20;
}

void
ps_session_sign(const struct ps_req *req,
                const unsigned char id[PS_SESSION_ID_BYTES],
                unsigned char token[PS_SESSION_TOKEN_BYTES])
{
    (void)req;
    memset(token, 0, PS_SESSION_TOKEN_BYTES);
    memcpy(token, id, PS_SESSION_ID_BYTES);
}

bool
ps_session_verify(struct ps_req *req, struct ps_str token)
{
    if (token.len != PS_SESSION_TOKEN_BYTES)
        return false;
    req->session = PS_SESSION_IN;
    memcpy(req->session_id, token.ptr, PS_SESSION_ID_BYTES);
    return true;
}

void
ps_req_done(struct ps_req *req)
{
    PS_CHECK_OBJ(req, STUB_MAGIC);
    req->magic = 0;
    req->engine->n_done++;
}

void
ps_stub_part(struct ps_engine *engine, const char *text)
{
    PS_CHECK(engine->n_held > 0);
    struct ps_req *req = engine->held[0];
    struct ps_part *part = malloc(sizeof(*part));
    const struct ps_reply reply = {.verdict = engine->verdict,
                                   .reason = engine->reason};
    PS_CHECK(part && req->part);
    *part = (struct ps_part){.bytes = ps_str_of(text)};
    ps_link_init(&part->link);
    engine->n_parts++;
    freed = &engine->n_parts_freed;
    req->part(req, &reply, part);
}

void
ps_part_free(struct ps_part **part)
{
    if (*part)
        ++*freed;
    free(*part);
    *part = NULL;
}
