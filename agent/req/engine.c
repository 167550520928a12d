/*
 * How a request runs: a loop over the named steps of steps.h. A step does its
 * part and names the next one, or waits; whatever it waited for resumes the
 * run on the loop where it is.
 *
 * Two rules keep this simple. A run waits for one thing at a time, so that one
 * task carries it on. And a step that has started something which ends
 * elsewhere (another thread's loop, a publisher) does not touch the run
 * any more: it may already be running there.
 *
 * A client that goes away is noticed on the front's loop, while the run may
 * be on another: a task is sent after it and comes back, and the request is
 * not finished before it has, because it lives in the request's memory.
 */
#include "agent/req/req_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static enum ps_next (*const steps[])(struct ps_run *run) = {
#define X(name, fn, what) ps_step_##fn,
    PS_STEP_TABLE(X)
#undef X
};

static const char *const reason_codes[] = {
#define X(name, code, sentence) code,
    PS_REASON_TABLE(X)
#undef X
};

static const char *const reason_sentences[] = {
#define X(name, code, sentence) sentence,
    PS_REASON_TABLE(X)
#undef X
};

/* The catalogue's own. */
static const char *
sentence_of_catalog(const char *code)
{
    if (strcmp(code, "hidden_structure") == 0)
        return "the database hides foreign keys from the user who asked";
    return strcmp(code, "sequence") == 0 ? "a sequence is read" : "";
}

const char *
ps_reason_sentence(const char *code)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(reason_codes); i++)
        if (strcmp(reason_codes[i], code) == 0)
            return reason_sentences[i];
    for (int r = 0; r < PS_SQL_REASON_COUNT; r++)
        if (strcmp(ps_sql_reason_code((enum ps_sql_reason)r), code) == 0)
            return ps_sql_reason_sentence((enum ps_sql_reason)r);
    return sentence_of_catalog(code);
}

const char *
ps_reason_code(enum ps_reason reason)
{
    PS_CHECK((unsigned)reason < PS_REASON_COUNT);
    return reason_codes[reason];
}

void
ps_run_steps(struct ps_run *run)
{
    enum ps_next next;
    do {
        PS_CHECK_OBJ(run, PS_RUN_MAGIC);
        PS_CHECK((unsigned)run->step < PS_STEP_COUNT);
        next = steps[run->step](run);
    } while (next == PS_NEXT_GO);
}

static void
on_task(struct ps_task *task)
{
    struct ps_run *run = PS_CONTAINER_OF(task, struct ps_run, task);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->step = run->next;
    ps_run_steps(run);
}

void
ps_run_continue(struct ps_run *run, enum ps_step next)
{
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->interrupt = NULL;
    run->step = next;
    ps_run_steps(run);
}

void
ps_run_resume(struct ps_run *run, enum ps_step next)
{
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->interrupt = NULL;
    run->next = next;
    run->task.fn = on_task;
    ps_loop_post(run->at->loop, &run->task);
}

void
ps_run_move(struct ps_run *run, struct ps_worker *to, enum ps_step next)
{
    run->at = to;
    ps_run_resume(run, next);
}

static enum ps_next
fail(struct ps_run *run)
{
    run->step = PS_STEP_FAIL;
    return PS_NEXT_GO;
}

enum ps_next
ps_run_fail_err(struct ps_run *run, enum ps_rc rc, const struct ps_err *err)
{
    struct ps_err *out = &run->req->reply.err;
    if (err && err->message[0])
        *out = *err;
    else
        ps_err_set(out, rc, NULL);
    out->rc = rc;
    return fail(run);
}

enum ps_next
ps_run_fail(struct ps_run *run, enum ps_rc rc, const char *fmt, ...)
{
    struct ps_err *out = &run->req->reply.err;
    if (!fmt) {
        ps_err_set(out, rc, NULL);
        return fail(run);
    }
    char text[sizeof(out->message)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ps_err_set(out, rc, "%s", text);
    return fail(run);
}

/* ---- for the fronts ---- */

void
ps_req_init(struct ps_req *req, struct ps_engine *engine, unsigned loop_index,
            struct ps_arena *arena)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    PS_CHECK(loop_index < engine->conf.n_loops);
    /* All but the text of the error, which nobody reads without a code. */
    memset(req, 0, offsetof(struct ps_req, reply));
    memset(&req->reply, 0, offsetof(struct ps_reply, err));
    req->reply.err.rc = PS_OK;
    req->reply.err.sqlstate[0] = req->reply.err.message[0] = '\0';
    size_t rest = offsetof(struct ps_reply, body);
    memset((char *)&req->reply + rest, 0, sizeof(req->reply) - rest);
    req->reply.verdict = PS_VERDICT_NONE;
    req->magic = PS_REQ_MAGIC;
    req->engine = engine;
    req->loop_index = loop_index;
    req->arena = arena;
    req->state = NULL;
    atomic_init(&req->abandoned, false);
}

/* Without memory for its state a request cannot even fail by a step. */
static void
refuse(struct ps_req *req, struct ps_worker *worker)
{
    req->reply.rc = ps_err_set(&req->reply.err, PS_NO_MEMORY, NULL);
    req->reply.reason = ps_reason_code(PS_REASON_ERROR);
    ps_worker_count_error(worker, PS_NO_MEMORY);
    req->done(req);
    ps_worker_request_done(worker);
}

/* A hit allocates nothing (README, 10): state and the front's few bindings fit
 * what the arena keeps. */
_Static_assert(sizeof(struct ps_run) + 1536 <= PS_ARENA_FIRST_BYTES,
               "ps_run has outgrown the arena's first chunk");

void
ps_req_start(struct ps_req *req)
{
    PS_CHECK_OBJ(req, PS_REQ_MAGIC);
    struct ps_worker *worker = &req->engine->workers[req->loop_index];
    worker->active++;
    if (!req->verifies && !req->refreshes)
        ps_worker_count(worker, PS_ENGINE_REQUESTS);
    struct ps_run *run = ps_arena_alloc(req->arena, sizeof(*run));
    if (!run) {
        refuse(req, worker);
        return;
    }
    memset(run, 0, offsetof(struct ps_run, task));
    run->magic = PS_RUN_MAGIC;
    run->step = PS_STEP_RECV;
    run->req = req;
    run->engine = req->engine;
    run->front = run->at = worker;
    req->state = run;
    ps_run_steps(run);
}

/* The home loop has seen it; back on the front's. */
static void
on_abandon_back(struct ps_task *task)
{
    struct ps_run *run = PS_CONTAINER_OF(task, struct ps_run, abandon_task);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    run->abandon_pending = false;
    if (run->landed)
        ps_run_steps(run);
}

static void
interrupt(struct ps_run *run)
{
    if (run->homed && run->interrupt)
        run->interrupt(run);
}

/* On the home loop, unless the run has left it already. */
static void
on_abandon(struct ps_task *task)
{
    struct ps_run *run = PS_CONTAINER_OF(task, struct ps_run, abandon_task);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    /* Read before interrupt(): that may send the run home. */
    struct ps_loop *back = run->front->loop;
    task->fn = on_abandon_back;
    if (run->at != run->front)
        interrupt(run);
    ps_loop_post(back, task);
}

void
ps_req_abandon(struct ps_req *req)
{
    PS_CHECK_OBJ(req, PS_REQ_MAGIC);
    struct ps_run *run = req->state;
    if (atomic_exchange(&req->abandoned, true) || !run)
        return;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    if (!run->away) {
        interrupt(run);
        return;
    }
    run->abandon_pending = true;
    run->abandon_task.fn = on_abandon;
    ps_loop_post(run->engine->workers[run->principal->home].loop,
                 &run->abandon_task);
}

void
ps_req_done(struct ps_req *req)
{
    PS_CHECK_OBJ(req, PS_REQ_MAGIC);
    struct ps_run *run = req->state;
    req->state = NULL;
    req->reply.body = PS_STR_NONE;
    if (!run)
        return;
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    ps_entry_unref(&run->entry);
    free(run->body);
    run->body = NULL;
    run->magic = 0;
}
