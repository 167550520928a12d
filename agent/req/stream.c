/* See stream.h. */
#include "agent/req/stream.h"

#include "agent/req/req_private.h"

#include <stdlib.h>

enum {
    PART_BYTES = 64 << 10,
    LOW_BYTES = PS_STREAM_WINDOW_BYTES / 2,
    WAIT_MS = 300000
};

struct ps_stream {
    _Atomic unsigned refs; /* the run's, each part's, a posted resume's */
    struct ps_run *run;    /* the home loop's; NULL: closed */
    struct ps_loop *home, *front;
    struct ps_req *req; /* the front's loop; valid while parts are posted */
    struct ps_sink sink;
    struct ps_task flush;
    bool flush_posted, begun, whole;
    size_t sent;   /* of what the encoder holds */
    uint64_t gone; /* of what it held before */
    struct ps_reply head;
    struct ps_timer patience; /* runs while the origin waits */
    uint64_t left_ms;         /* of it, when it does not */
    bool stalled;
    /* Both loops'. */
    _Atomic size_t unwritten;
    _Atomic bool paused, resume_posted;
    struct ps_task resume;
};

struct part {
    struct ps_part part;
    struct ps_task task;
    struct ps_stream *stream;
    char bytes[];
};

static void
unref(struct ps_stream *stream)
{
    if (atomic_fetch_sub(&stream->refs, 1) == 1)
        free(stream);
}

/* ---- back from the front ---- */

static void
on_patience(void *arg)
{
    struct ps_stream *stream = arg;
    struct ps_run *run = stream->run;
    stream->stalled = true;
    stream->left_ms = 0;
    if (!run->conn || run->cancelled)
        return;
    run->cancelled = true;
    ps_conn_cancel(run->conn);
}

static void
count_patience(struct ps_stream *stream, bool paused)
{
    struct ps_timer *timer = &stream->patience;
    if (paused == ps_timer_active(timer) || stream->stalled)
        return;
    if (paused) {
        ps_timer_start_ms(timer, stream->left_ms);
        return;
    }
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(stream->home));
    uint64_t left_us = timer->due_us - PS_MIN(timer->due_us, now_us);
    stream->left_ms = left_us / 1000;
    ps_timer_stop(timer);
}

static void
set_paused(struct ps_stream *stream, bool paused)
{
    atomic_store(&stream->paused, paused);
    if (!stream->run)
        return;
    count_patience(stream, paused);
    if (stream->run->conn)
        ps_conn_pause(stream->run->conn, paused);
}

static void
on_resume(struct ps_task *task)
{
    struct ps_stream *stream = PS_CONTAINER_OF(task, struct ps_stream, resume);
    atomic_store(&stream->resume_posted, false);
    if (atomic_load(&stream->paused) &&
        atomic_load(&stream->unwritten) <= LOW_BYTES)
        set_paused(stream, false);
    unref(stream);
}

void
ps_part_free(struct ps_part **part)
{
    struct part *old = (struct part *)*part;
    *part = NULL;
    if (!old)
        return;
    struct ps_stream *stream = old->stream;
    size_t n = old->part.bytes.len;
    free(old);
    /* The order of what follows and that of pause_if_full: one of both sees
     * what the other has done. */
    size_t left = atomic_fetch_sub(&stream->unwritten, n) - n;
    if (left <= LOW_BYTES && atomic_load(&stream->paused) &&
        !atomic_exchange(&stream->resume_posted, true)) {
        atomic_fetch_add(&stream->refs, 1);
        stream->resume.fn = on_resume;
        ps_loop_post(stream->home, &stream->resume);
    }
    unref(stream);
}

static void
pause_if_full(struct ps_stream *stream)
{
    if (atomic_load(&stream->unwritten) < PS_STREAM_WINDOW_BYTES)
        return;
    set_paused(stream, true);
    if (atomic_load(&stream->unwritten) <= LOW_BYTES)
        set_paused(stream, false);
}

/* ---- to the front ---- */

static void
on_part(struct ps_task *task)
{
    struct part *part = PS_CONTAINER_OF(task, struct part, task);
    struct ps_req *req = part->stream->req;
    req->part(req, &part->stream->head, &part->part);
}

/* What can be said before the end. */
static void
begin(struct ps_stream *stream)
{
    const struct ps_run *run = stream->run;
    stream->begun = true;
    stream->head = run->req->reply;
    stream->head.rc = PS_OK;
    stream->head.parse_us = run->req->parse_us;
    stream->head.reason =
        run->keep || !run->why ? ps_reason_code(PS_REASON_STREAMED) : run->why;
}

/* Too much to be kept or shared; or nobody wants to. */
static void
decide_whole(struct ps_stream *stream, size_t held)
{
    struct ps_run *run = stream->run;
    bool wanted =
        run->cacheable &&
        (run->keep || (run->flight && ps_flight_waiters(run->flight) > 0));
    if (!stream->whole || (wanted && held <= run->conf->max_entry_bytes))
        return;
    stream->whole = false;
    if (run->keep)
        run->why = ps_reason_code(PS_REASON_TOO_BIG);
    run->keep = false;
}

static enum ps_rc
give(struct ps_stream *stream)
{
    struct ps_rows_json *encoder = stream->run->encoder;
    struct ps_str held = ps_rows_json_so_far(encoder);
    size_t n = held.len - stream->sent;
    if (n == 0)
        return PS_OK;
    struct part *part = malloc(sizeof(*part) + n);
    if (!part)
        return PS_NO_MEMORY;
    if (!stream->begun)
        begin(stream);
    memcpy(part->bytes, held.ptr + stream->sent, n);
    *part = (struct part){.part = {.bytes = {part->bytes, n}},
                          .task = {.fn = on_part},
                          .stream = stream};
    ps_link_init(&part->part.link);
    stream->sent = held.len;
    decide_whole(stream, held.len);
    if (!stream->whole) {
        ps_rows_json_drop(encoder);
        stream->gone += stream->sent;
        stream->sent = 0;
    }
    atomic_fetch_add(&stream->refs, 1);
    atomic_fetch_add(&stream->unwritten, n);
    ps_loop_post(stream->front, &part->task);
    pause_if_full(stream);
    return PS_OK;
}

static void
on_flush(struct ps_task *task)
{
    struct ps_stream *stream = PS_CONTAINER_OF(task, struct ps_stream, flush);
    struct ps_run *run = stream->run;
    stream->flush_posted = false;
    (void)give(stream); /* without memory: with the next row */
    /* Those who wait for it need not wait until its end. */
    if (!stream->whole && run->flight)
        ps_flight_finish(&run->flight, NULL, PS_OK, NULL);
}

/* ---- the sink ---- */

static enum ps_rc
on_columns(struct ps_sink *sink, const struct ps_column *columns, size_t n)
{
    struct ps_stream *stream = PS_CONTAINER_OF(sink, struct ps_stream, sink);
    struct ps_sink *inner = ps_rows_json_sink(stream->run->encoder);
    if (stream->begun) /* what was sent cannot be taken back */
        return PS_UNSUPPORTED;
    return inner->columns(inner, columns, n);
}

static enum ps_rc
on_row(struct ps_sink *sink, const struct ps_cell *cells, size_t n)
{
    struct ps_stream *stream = PS_CONTAINER_OF(sink, struct ps_stream, sink);
    struct ps_rows_json *encoder = stream->run->encoder;
    struct ps_sink *inner = ps_rows_json_sink(encoder);
    enum ps_rc rc = inner->row(inner, cells, n);
    if (rc != PS_OK)
        return rc;
    if (!stream->flush_posted) {
        stream->flush_posted = true;
        ps_loop_post(stream->home, &stream->flush);
    }
    return ps_rows_json_so_far(encoder).len - stream->sent < PART_BYTES
               ? PS_OK
               : give(stream);
}

static void
on_error(struct ps_sink *sink, const struct ps_origin_error *error)
{
    struct ps_stream *stream = PS_CONTAINER_OF(sink, struct ps_stream, sink);
    struct ps_sink *inner = ps_rows_json_sink(stream->run->encoder);
    inner->error(inner, error);
}

/* ---- for the steps ---- */

/* Nothing of a write may be seen before its window is closed (C2), and nothing
 * of several results can be told before the last has come. */
static bool
is_for_parts(const struct ps_run *run)
{
    return run->req->part && !run->writes && !run->statement.may_write &&
           !run->session && run->req->session == PS_SESSION_NONE &&
           run->analysis->n_statements == 1;
}

struct ps_sink *
ps_stream_open(struct ps_run *run)
{
    struct ps_stream *stream = run->stream;
    if (!is_for_parts(run))
        return NULL;
    if (stream) {
        PS_CHECK(!stream->begun);
        return &stream->sink;
    }
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    atomic_init(&stream->refs, 1);
    stream->run = run;
    stream->home = run->at->loop;
    stream->front = run->front->loop;
    stream->req = run->req;
    stream->sink = (struct ps_sink){
        .columns = on_columns, .row = on_row, .error = on_error};
    stream->flush.fn = on_flush;
    stream->whole = true;
    ps_timer_init(&stream->patience, stream->home, on_patience, stream);
    stream->left_ms = run->engine->conf.stream_wait_ms
                          ? run->engine->conf.stream_wait_ms
                          : WAIT_MS;
    run->stream = stream;
    return &stream->sink;
}

bool
ps_stream_begun(const struct ps_run *run)
{
    return run->stream && run->stream->begun;
}

bool
ps_stream_stalled(const struct ps_run *run)
{
    return run->stream && run->stream->stalled;
}

bool
ps_stream_whole(const struct ps_run *run)
{
    return !run->stream || run->stream->whole;
}

void
ps_stream_sent(const struct ps_run *run, size_t *given, uint64_t *gone)
{
    *given = run->stream ? run->stream->sent : 0;
    *gone = run->stream ? run->stream->gone : 0;
}

void
ps_stream_close(struct ps_run *run)
{
    struct ps_stream *stream = run->stream;
    run->stream = NULL;
    if (!stream)
        return;
    if (stream->flush_posted)
        ps_loop_unpost(stream->home, &stream->flush);
    ps_timer_stop(&stream->patience);
    stream->run = NULL;
    unref(stream);
}
