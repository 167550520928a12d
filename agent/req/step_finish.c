/*
 * The end of every request. FAIL is the one place where an error becomes a
 * reply; LEAVE lets go of what lives on the home loop; FINISH counts and
 * hands over to the front, on the front's loop.
 */
#include "agent/req/session.h"
#include "agent/req/stream.h"
#include "common/log.h"
#include "common/utf8.h"

#include <inttypes.h>

enum {
    RETRY_AFTER_MS = 1000,
    TEMPLATE_LOG_MAX = 200
};

/* Errors that a short wait can cure, so the client is told how long. */
static bool
wait_helps(enum ps_rc rc)
{
    return rc == PS_POOL_FULL || rc == PS_POOL_TIMEOUT ||
           rc == PS_TOO_MANY_REQUESTS || rc == PS_SHUTTING_DOWN ||
           rc == PS_ORIGIN_TOO_MANY || rc == PS_ORIGIN_UNAVAILABLE ||
           rc == PS_ORIGIN_CIRCUIT || rc == PS_RATE_LIMITED ||
           rc == PS_TOO_MANY_CONCURRENT;
}

enum ps_next
ps_step_fail(struct ps_run *run)
{
    struct ps_reply *reply = &run->req->reply;
    PS_CHECK(reply->err.rc != PS_OK);
    if (!(run->homed && ps_stream_begun(run)) &&
        ps_run_serve_spare(run, reply->err.rc))
        return PS_NEXT_GO;
    reply->rc = reply->err.rc;
    reply->body = PS_STR_NONE;
    reply->stored = false;
    if (reply->retry_after_ms == 0 && wait_helps(reply->rc))
        reply->retry_after_ms = RETRY_AFTER_MS;
    run->why = ps_reason_code(PS_REASON_ERROR);
    return ps_go(&run->step, run->homed ? PS_STEP_LEAVE : PS_STEP_FINISH);
}

/* A leader without an answer: its waiters look after themselves. */
static void
land(struct ps_run *run)
{
    const struct ps_reply *reply = &run->req->reply;
    if (!run->flight)
        return;
    /* reply->rc may be OK: its own client was content with an old answer. */
    if (reply->err.rc == PS_OK || reply->err.rc == PS_CANCELLED)
        ps_flight_finish(&run->flight, NULL, PS_OK, NULL);
    else
        ps_flight_finish(&run->flight, NULL, reply->err.rc, &reply->err);
}

enum ps_next
ps_step_leave(struct ps_run *run)
{
    PS_CHECK(!run->write.open);
    PS_CHECK(!ps_link_linked(&run->verify_link));
    PS_CHECK(run->verify_waiters.count == 0);
    PS_CHECK(!ps_timer_active(&run->timer));
    land(run);
    ps_session_leave(run);
    /* Only one on which nothing has run is still here. */
    ps_run_release(run, PS_POOL_CLEAN);
    bool streamed = ps_stream_begun(run);
    ps_stream_close(run);
    ps_rows_json_free(&run->encoder);
    if (run->entered)
        ps_cache_load_leave(run->conf->load);
    run->entered = false;
    ps_catalog_unref(&run->catalog);
    ps_space_unref(&run->space);
    if (run->at == run->front && !streamed)
        return ps_go(&run->step, PS_STEP_FINISH);
    /* Behind the parts that are on their way. */
    ps_run_move(run, run->front, PS_STEP_FINISH);
    return PS_NEXT_WAIT;
}

/* The client of a write that was sent is gone: what became of it is for the
 * log, because nobody reads the reply. */
static void
record_abandoned(struct ps_run *run)
{
    if (!run->homed || !run->writes || run->born_us == 0 ||
        !ps_run_abandoned(run))
        return;
    struct ps_str text = run->analysis->template_text;
    text.len = PS_MIN(text.len, (size_t)TEMPLATE_LOG_MAX);
    text.len = ps_utf8_check(text); /* up to a whole character */
    ps_worker_count(run->front, PS_ENGINE_ABANDONED_WRITES);
    ps_info("req",
            "cache %s: the client of a write has gone: %s, %" PRIu64
            " rows: %.*s",
            run->conf->id, ps_err_info(run->outcome.rc)->code,
            run->outcome.rows, PS_STR_ARG(text));
}

enum ps_next
ps_step_finish(struct ps_run *run)
{
    struct ps_req *req = run->req;
    struct ps_worker *worker = run->front;
    run->away = false;
    if (run->abandon_pending) {
        run->landed = true;
        return PS_NEXT_WAIT;
    }
    req->reply.reason = run->why;
    req->reply.parse_us = req->parse_us;
    ps_run_count(run);
    record_abandoned(run);
    if (PS_UNLIKELY(run->engine->conf.tracer ||
                    atomic_load_explicit(&ps_log_lowest,
                                         memory_order_relaxed) <= PS_LOG_DEBUG))
        ps_run_trace(run);
    ps_entry_unref(&run->old);
    ps_entry_unref(&run->spare);
    ps_principal_unref(&run->principal);
    ps_cache_conf_unref(&run->conf);
    req->done(req);
    /* The request is the front's again. */
    ps_worker_request_done(worker);
    return PS_NEXT_DONE;
}
