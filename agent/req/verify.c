/*
 * A share of the hits is checked: the same statement runs at the origin in the
 * background, as a request of its own, and STORE compares the answers.
 *
 *   hit --every so many--> copy of the request --next turn--> its own run,
 *    |                                                        past memory
 *    \-> reply, not later than any other                      STORE: same?
 *
 * So the share of stale answers is measured, whatever the reason for them. The
 * copy owns all it points to; the password in it is wiped when it is done.
 */
#include "agent/req/req_private.h"
#include "common/log.h"

#include <stdlib.h>

enum {
    VERIFY_ARENA_MAX = 4 << 20
};

struct verify {
    struct ps_req req;
    struct ps_req_protocol protocol;
    struct ps_statement statement;
    struct ps_arena *arena;
    struct ps_worker *worker;
    struct ps_entry *entry; /* what was served */
    struct ps_task task;
};

static void
verify_free(struct verify *v)
{
    /* A view of our own copy. */
    union {
        const char *in;
        char *out;
    } password = {.in = v->req.password.ptr};
    if (password.out)
        explicit_bzero(password.out, v->req.password.len);
    ps_entry_unref(&v->entry);
    ps_arena_free(&v->arena);
    free(v);
}

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out,
        PS_UNUSED struct ps_err *err)
{
    *out = PS_CONTAINER_OF(req, struct verify, req)->statement;
    return PS_OK;
}

static void
on_done(struct ps_req *req)
{
    struct verify *v = PS_CONTAINER_OF(req, struct verify, req);
    ps_req_done(req);
    verify_free(v);
}

static void
on_task(struct ps_task *task)
{
    struct verify *v = PS_CONTAINER_OF(task, struct verify, task);
    struct ps_worker *worker = v->worker;
    if (worker->draining)
        verify_free(v);
    else
        ps_req_start(&v->req);
    ps_worker_request_done(worker); /* the place that was kept for it */
}

/* NULL without memory, which the arena remembers. */
static const struct ps_param *
copy_params(struct ps_arena *arena, const struct ps_param *params, size_t n)
{
    struct ps_param *out = ps_arena_alloc(arena, (n + 1) * sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        out[i] = params[i];
        out[i].text = ps_arena_str(arena, params[i].text);
        /* Lists hold values only. */
        if (params[i].n_items)
            out[i].items =
                copy_params(arena, params[i].items, params[i].n_items);
    }
    return out;
}

static void
copy_request(struct verify *v, const struct ps_req *from,
             const struct ps_statement *statement)
{
    struct ps_arena *arena = v->arena;
    struct ps_req *to = &v->req;
    ps_req_init(to, from->engine, from->loop_index, arena);
    to->cache_id = ps_arena_str(arena, from->cache_id);
    to->user = ps_arena_str(arena, from->user);
    to->password = ps_arena_str(arena, from->password);
    to->database = ps_arena_str(arena, from->database);
    to->has_provider = from->has_provider;
    to->provider = from->provider;
    to->sql = ps_arena_str(arena, from->sql);
    to->key_sql = ps_arena_str(arena, from->key_sql);
    to->key_bindings = ps_arena_str(arena, from->key_bindings);
    to->source = ps_arena_str(arena, from->source);
    to->no_cache = true;
    to->verifies = v->entry;
    to->received_us = ps_clock_now_us(from->engine->conf.clock);
    to->done = on_done;
    v->protocol = *from->protocol;
    v->protocol.prepare = prepare;
    to->protocol = &v->protocol;
    v->statement = *statement;
    v->statement.sql = ps_arena_str(arena, statement->sql);
    v->statement.params =
        copy_params(arena, statement->params, statement->n_params);
}

/* Without memory, or when the front cannot prepare it: another time. */
static void
begin(struct ps_run *run, struct ps_entry *entry)
{
    struct ps_statement statement = {.n_params = 0};
    struct ps_err err;
    if (run->req->protocol->prepare(run->req, &statement, &err) != PS_OK)
        return;
    struct verify *v = calloc(1, sizeof(*v));
    if (!v)
        return;
    v->arena = ps_arena_new(VERIFY_ARENA_MAX);
    if (!v->arena) {
        free(v);
        return;
    }
    v->entry = ps_entry_ref(entry);
    v->worker = run->front;
    copy_request(v, run->req, &statement);
    if (ps_arena_failed(v->arena)) {
        verify_free(v);
        return;
    }
    v->worker->active++;
    v->task.fn = on_task;
    ps_loop_post(v->worker->loop, &v->task);
}

void
ps_run_maybe_verify(struct ps_run *run, struct ps_entry *entry)
{
    unsigned every = run->engine->conf.verify_every;
    if (every == 0 || run->homed || ++run->front->unverified < every)
        return;
    run->front->unverified = 0;
    begin(run, entry);
}

void
ps_run_verify(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    struct ps_policy_verified found;
    if (!run->snapshot_taken)
        return;
    const struct ps_policy_ask ask = ps_run_policy_ask(run);
    if (!ps_policy_verify(engine->policy, &ask, run->req->verifies,
                          run->req->reply.body, &found))
        return;
    ps_worker_count(run->at, PS_ENGINE_VERIFIED);
    ps_run_count_verified(run, found.stale);
    if (!found.stale)
        return;
    ps_worker_count(run->at, PS_ENGINE_STALE_FOUND);
    if (!found.switched_off)
        return;
    ps_warn("req",
            "cache %s: %u of %u checked answers of template %016llx were "
            "stale though no write was seen; it is not kept for a while",
            run->conf->id, found.n_stale, found.n_verified,
            (unsigned long long)ask.fingerprint);
    /* What is kept of it goes too; of the rest there will be new answers. */
    ps_store_drop(engine->store, ps_str_of(run->conf->id));
    run->keep = false;
}
