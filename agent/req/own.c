/*
 * Requests of the engine's own: a hit has the same statement run at the origin
 * in the background, to check the answer that was served (verify.c) or to have
 * a newer one in its place (refresh.c).
 *
 *   hit --> copy of the request --next turn--> its own run, past memory
 *    \-> reply, not later than any other
 *
 * The copy owns all it points to; the password in it is wiped when it is done.
 * It is nobody's request: it is not counted as one, it never logs in, and it
 * only ever sends what is proven to be a read that may be kept (step_plan.c).
 */
#include "agent/req/req_private.h"

#include <stdlib.h>

enum {
    OWN_ARENA_MAX = 4 << 20
};

struct own {
    struct ps_req req;
    struct ps_req_protocol protocol;
    struct ps_statement statement;
    struct ps_arena *arena;
    struct ps_worker *worker;
    struct ps_entry *entry; /* what was served */
    struct ps_task task;
};

static void
own_free(struct own *own)
{
    /* A view of our own copy. */
    union {
        const char *in;
        char *out;
    } password = {.in = own->req.password.ptr};
    if (password.out)
        explicit_bzero(password.out, own->req.password.len);
    if (own->req.refreshes) {
        ps_entry_unclaim(own->entry);
        own->worker->refreshing--;
    }
    ps_entry_unref(&own->entry);
    ps_arena_free(&own->arena);
    free(own);
}

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out,
        PS_UNUSED struct ps_err *err)
{
    *out = PS_CONTAINER_OF(req, struct own, req)->statement;
    return PS_OK;
}

static void
on_done(struct ps_req *req)
{
    struct own *own = PS_CONTAINER_OF(req, struct own, req);
    ps_req_done(req);
    own_free(own);
}

static void
on_task(struct ps_task *task)
{
    struct own *own = PS_CONTAINER_OF(task, struct own, task);
    struct ps_worker *worker = own->worker;
    if (worker->draining)
        own_free(own);
    else
        ps_req_start(&own->req);
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
copy_request(struct own *own, const struct ps_req *from,
             const struct ps_statement *statement)
{
    struct ps_arena *arena = own->arena;
    struct ps_req *to = &own->req;
    ps_req_init(to, from->engine, from->loop_index, arena);
    to->cache_id = ps_arena_str(arena, from->cache_id);
    to->user = ps_arena_str(arena, from->user);
    to->password = ps_arena_str(arena, from->password);
    to->database = ps_arena_str(arena, from->database);
    to->needs_database = from->needs_database;
    to->has_provider = from->has_provider;
    to->provider = from->provider;
    to->sql = ps_arena_str(arena, from->sql);
    to->key_sql = ps_arena_str(arena, from->key_sql);
    to->key_bindings = ps_arena_str(arena, from->key_bindings);
    to->source = ps_arena_str(arena, from->source);
    to->no_cache = true;
    to->has_ttl = from->has_ttl;
    to->ttl_ms = from->ttl_ms;
    to->received_us = ps_clock_now_us(from->engine->conf.clock);
    to->done = on_done;
    own->protocol = *from->protocol;
    own->protocol.prepare = prepare;
    to->protocol = &own->protocol;
    own->statement = *statement;
    own->statement.sql = ps_arena_str(arena, statement->sql);
    own->statement.params =
        copy_params(arena, statement->params, statement->n_params);
}

static struct own *
own_new(struct ps_run *run, struct ps_entry *entry,
        const struct ps_statement *statement)
{
    struct own *own = calloc(1, sizeof(*own));
    if (!own)
        return NULL;
    own->arena = ps_arena_new(OWN_ARENA_MAX);
    if (!own->arena) {
        free(own);
        return NULL;
    }
    own->entry = ps_entry_ref(entry);
    own->worker = run->front;
    copy_request(own, run->req, statement);
    if (ps_arena_failed(own->arena)) {
        own_free(own);
        return NULL;
    }
    return own;
}

bool
ps_run_begin_own(struct ps_run *run, struct ps_entry *entry, enum ps_own what)
{
    struct ps_statement statement = {.n_params = 0};
    struct ps_err err;
    if (run->req->protocol->prepare(run->req, &statement, &err) != PS_OK)
        return false;
    struct own *own = own_new(run, entry, &statement);
    if (!own)
        return false;
    if (what == PS_OWN_REFRESH) {
        own->req.refreshes = entry;
        own->worker->refreshing++;
    } else {
        own->req.verifies = entry;
    }
    own->worker->active++;
    own->task.fn = on_task;
    ps_loop_post(own->worker->loop, &own->task);
    return true;
}

enum ps_next
ps_run_give_up(struct ps_run *run)
{
    return ps_run_fail(run, PS_CANCELLED, "nobody waits for this request");
}
