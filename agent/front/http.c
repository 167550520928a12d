/*
 * One connection: a list of named steps. A step returns NEXT to go on with
 * http->step, WAIT when it has put the connection into the list of what it
 * waits for, or GONE when the connection is no more.
 *
 *   HANDSHAKE -> HEAD -> BODY -> ANSWER -> WRITE -+-> HEAD ...
 *                  |       |                      +-> LINGER -> closed
 *                  +-------+--- refused ---> WRITE
 *
 * Invariants:
 *  1. One request at a time; what the peer sends meanwhile waits in the
 *     buffer, and in the socket once that is full.
 *  2. While an exchange exists the buffer neither moves nor grows: the request
 *     points into it.
 *  3. A reply is written completely before the next request is looked at, so
 *     pipelined requests are answered in order.
 *  4. The replies to requests that were read in one turn of the loop are
 * written together at its end (REPLY), after reply_batch of them at the latest.
 *  5. Bytes are read once per readiness, so that one busy connection cannot
 *     keep the others waiting.
 *  6. A reply in parts goes from WRITE back to ANSWER while there is no more of
 *     it; the peer is watched there as it is before any other reply.
 */
#include "agent/front/front_private.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    DISCARD_BYTES = 16 << 10,
    PROGRESS_BYTES = 16 << 10, /* per write time limit, at least */
    CHUNK_ROOM = 4096          /* coded bytes beyond the decoded body */
};

enum step_result {
    NEXT,
    WAIT,
    GONE
};

static enum step_result step_handshake(struct ps_http *http);
static enum step_result step_head(struct ps_http *http);
static enum step_result step_body(struct ps_http *http);
static enum step_result step_answer(struct ps_http *http);
static enum step_result step_write(struct ps_http *http);
static enum step_result step_linger(struct ps_http *http);

static enum step_result (*const steps[PS_HTTP_STEP_COUNT])(struct ps_http *) = {
    [PS_HTTP_STEP_HANDSHAKE] = step_handshake,
    [PS_HTTP_STEP_HEAD] = step_head,
    [PS_HTTP_STEP_BODY] = step_body,
    [PS_HTTP_STEP_ANSWER] = step_answer,
    [PS_HTTP_STEP_WRITE] = step_write,
    [PS_HTTP_STEP_LINGER] = step_linger,
};

static void
run(struct ps_http *http)
{
    while (steps[http->step](http) == NEXT)
        ;
}

/* ---- waiting ---- */

static unsigned
interest(const struct ps_http *http)
{
    switch (http->waits) {
    case PS_HTTP_WAIT_WRITE:
        return PS_IO_WRITE;
    case PS_HTTP_WAIT_ENGINE:
        return !http->eof && http->len < http->cap ? PS_IO_READ : 0;
    default:
        return PS_IO_READ;
    }
}

static void
move_to(struct ps_http *http, enum ps_http_wait waits)
{
    struct ps_front *front = http->front;
    if (ps_link_linked(&http->link))
        ps_list_remove(&front->waiting[http->waits], &http->link);
    http->waits = waits;
    http->since_ms = ps_loop_now_ms(front->conf.loop);
    http->renewed = false;
    http->progress = 0;
    ps_list_push_back(&front->waiting[waits], &http->link);
}

static enum step_result
wait_for(struct ps_http *http, enum ps_http_wait waits)
{
    if (http->waits != waits || http->renewed)
        move_to(http, waits);
    http->transport->ops->want(http->transport, interest(http));
    return WAIT;
}

/* ---- the input buffer ---- */

static void
release_input(struct ps_http *http)
{
    if (http->data)
        ps_buffers_give(&http->front->buffers, http->data, http->cap);
    http->data = NULL;
    http->cap = http->start = http->len = 0;
}

/* How large the buffer may have to be for the request under way. */
static size_t
wanted_cap(const struct ps_http *http)
{
    const struct ps_front_limits *limits = &http->front->conf.limits;
    if (http->step != PS_HTTP_STEP_BODY)
        return http->front->buffers.slab_bytes;
    if (http->head.chunked)
        return http->body_at + limits->max_body_bytes + CHUNK_ROOM;
    return http->body_at + (size_t)http->head.content_length;
}

/* Makes room for at least one byte; false at the bound on buffered bytes. */
static bool
make_room(struct ps_http *http)
{
    struct ps_buffers *buffers = &http->front->buffers;
    if (!http->data) {
        http->data = ps_buffers_take(buffers);
        http->cap = http->data ? buffers->slab_bytes : 0;
        return http->data != NULL;
    }
    if (http->len < http->cap)
        return true;
    if (http->start > 0) {
        http->len -= http->start;
        memmove(http->data, http->data + http->start, http->len);
        http->start = 0;
        return true;
    }
    size_t cap = PS_MIN(2 * http->cap, wanted_cap(http));
    PS_CHECK(cap > http->cap);
    char *grown =
        ps_buffers_grow(buffers, http->data, http->cap, http->len, cap);
    if (!grown)
        return false;
    http->data = grown;
    http->cap = cap;
    return true;
}

/* Reads what there is room for. false: the connection is gone. */
static bool
fill(struct ps_http *http)
{
    struct ps_transport *t = http->transport;
    do {
        ssize_t n =
            t->ops->read(t, http->data + http->len, http->cap - http->len);
        if (n == PS_TRANSPORT_BROKEN) {
            ps_http_close(http);
            return false;
        }
        if (n == PS_TRANSPORT_AGAIN)
            break;
        if (n == 0) {
            http->eof = true;
            break;
        }
        http->len += (size_t)n;
    } while (http->len < http->cap && t->ops->pending(t));
    return true;
}

/* ---- refusals ---- */

static enum step_result
refuse(struct ps_http *http, enum ps_rc rc, const char *message)
{
    struct ps_err err;
    PS_CHECK(!http->exchange);
    http->exchange = ps_exchange_take(&http->front->exchanges, http);
    if (!http->exchange) {
        ps_http_close(http);
        return GONE;
    }
    if (message)
        ps_err_set(&err, rc, "%s: %s", ps_err_info(rc)->sentence, message);
    else
        ps_err_set(&err, rc, NULL);
    http->last = http->linger = true;
    http->exchange->last = true;
    http->exchange->head_only =
        http->head.method == PS_HTTP_HEAD && http->step != PS_HTTP_STEP_HEAD;
    ps_exchange_reply_error(http->exchange, &err, NULL);
    http->step = PS_HTTP_STEP_WRITE;
    return NEXT;
}

void
ps_http_refuse(struct ps_http *http, enum ps_rc rc, const char *message)
{
    if (refuse(http, rc, message) == NEXT)
        run(http);
}

/* ---- HANDSHAKE ---- */

static enum step_result
step_handshake(struct ps_http *http)
{
    int n = http->transport->ops->handshake(http->transport);
    if (n == PS_TRANSPORT_BROKEN) {
        ps_http_close(http);
        return GONE;
    }
    if (n == PS_TRANSPORT_AGAIN)
        return wait_for(http, PS_HTTP_WAIT_HANDSHAKE);
    http->step = PS_HTTP_STEP_HEAD;
    return NEXT;
}

/* ---- HEAD ---- */

static enum step_result
head_incomplete(struct ps_http *http)
{
    if (http->len - http->start >= http->front->conf.limits.max_head_bytes)
        return refuse(http, PS_HEAD_TOO_BIG, NULL);
    if (http->eof) {
        ps_http_close(http);
        return GONE;
    }
    if (http->len > http->start)
        return wait_for(http, PS_HTTP_WAIT_HEAD);
    release_input(http);
    if (http->front->draining) {
        ps_http_close(http);
        return GONE;
    }
    return wait_for(http, PS_HTTP_WAIT_IDLE);
}

static enum step_result
head_complete(struct ps_http *http)
{
    const struct ps_front_limits *limits = &http->front->conf.limits;
    http->step = PS_HTTP_STEP_BODY;
    http->body_end = http->raw = http->body_at;
    if (http->head.content_length > limits->max_body_bytes)
        return refuse(http, PS_BODY_TOO_BIG, NULL);
    if (http->head.chunked)
        ps_chunked_begin(&http->chunked);
    return NEXT;
}

static enum step_result
step_head(struct ps_http *http)
{
    const struct ps_front_limits *limits = &http->front->conf.limits;
    struct ps_head_memo *known = &http->front->heads;
    struct ps_str text = {
        http->data + http->start,
        PS_MIN(http->len - http->start, limits->max_head_bytes)};
    if (http->fed == text.len)
        return head_incomplete(http);
    if (http->fed == 0) {
        if (ps_head_memo_find(known, &http->known_head, text, &http->head,
                              &http->body_at))
            return head_complete(http);
        ps_head_begin(&http->head);
    }
    enum ps_head_result result = ps_head_feed(&http->head, text.ptr, http->fed,
                                              text.len, &http->body_at);
    http->fed = text.len;
    if (result == PS_HEAD_MORE)
        return head_incomplete(http);
    if (result == PS_HEAD_BAD)
        return refuse(http, PS_BAD_REQUEST, http->head.problem);
    text.len = http->body_at;
    ps_head_memo_keep(known, &http->known_head, text, &http->head);
    return head_complete(http);
}

/* ---- BODY ---- */

static enum step_result
body_incomplete(struct ps_http *http)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (http->eof) {
        ps_http_close(http);
        return GONE;
    }
    if (http->head.expect_continue && !http->continue_sent &&
        !http->head.http_1_0) {
        /* Nothing else is in the socket's buffer, so it fits or the
         * connection is of no use. */
        struct iovec part = {(void *)(uintptr_t)text, sizeof(text) - 1};
        struct ps_transport *t = http->transport;
        if (t->ops->writev(t, &part, 1) != (ssize_t)part.iov_len) {
            ps_http_close(http);
            return GONE;
        }
        http->continue_sent = true;
    }
    return wait_for(http, PS_HTTP_WAIT_BODY);
}

static enum step_result
chunked_body(struct ps_http *http)
{
    size_t max = http->front->conf.limits.max_body_bytes;
    char *base = http->data + http->start;
    enum ps_chunked_result result =
        ps_chunked_feed(&http->chunked, base, &http->raw,
                        http->len - http->start, &http->body_end, max);
    switch (result) {
    case PS_CHUNKED_DONE:
        http->step = PS_HTTP_STEP_ANSWER;
        return NEXT;
    case PS_CHUNKED_BAD:
        return refuse(http, PS_BAD_REQUEST, "the chunked body is malformed");
    case PS_CHUNKED_TOO_BIG:
        return refuse(http, PS_BODY_TOO_BIG, NULL);
    case PS_CHUNKED_MORE:
        break;
    }
    /* Only decoded bytes are kept. */
    http->raw = http->body_end;
    http->len = http->start + http->body_end;
    return body_incomplete(http);
}

static enum step_result
step_body(struct ps_http *http)
{
    if (http->head.chunked)
        return chunked_body(http);
    size_t end = http->body_at + (size_t)http->head.content_length;
    if (http->len - http->start < end)
        return body_incomplete(http);
    http->body_end = http->raw = end;
    http->step = PS_HTTP_STEP_ANSWER;
    return NEXT;
}

/* ---- ANSWER ---- */

static enum step_result
begin_exchange(struct ps_http *http)
{
    struct ps_exchange *x = ps_exchange_take(&http->front->exchanges, http);
    if (!x) {
        ps_http_close(http);
        return GONE;
    }
    http->exchange = x;
    http->last = http->front->closing || !http->head.keep_alive;
    x->last = http->last;
    x->keep_alive_1_0 = http->head.http_1_0 && http->head.keep_alive;
    x->head_only = http->head.method == PS_HTTP_HEAD;
    http->routing = true;
    ps_route(http);
    http->routing = false;
    return NEXT;
}

static enum step_result
step_answer(struct ps_http *http)
{
    if (!http->exchange)
        return begin_exchange(http);
    if (http->exchange->state == PS_EXCHANGE_RUNNING)
        return wait_for(http, PS_HTTP_WAIT_ENGINE);
    http->last |= http->exchange->last;
    http->step = PS_HTTP_STEP_WRITE;
    return NEXT;
}

void
ps_http_part(struct ps_req *req, const struct ps_reply *reply,
             struct ps_part *part)
{
    struct ps_exchange *x = req->front;
    struct ps_http *http = x->http;
    PS_CHECK_OBJ(http, PS_HTTP_MAGIC);
    PS_CHECK(!http->routing);
    if (http->waits == PS_HTTP_WAIT_GONE) {
        ps_part_free(&part);
        return;
    }
    ps_exchange_part(x, reply, part, http->head.http_1_0);
    if (http->step != PS_HTTP_STEP_ANSWER)
        return; /* another one is being written */
    http->step = PS_HTTP_STEP_WRITE;
    run(http);
}

void
ps_http_done(struct ps_req *req)
{
    struct ps_exchange *x = req->front;
    struct ps_http *http = x->http;
    PS_CHECK_OBJ(http, PS_HTTP_MAGIC);
    PS_CHECK(x->state == PS_EXCHANGE_RUNNING);
    if (x->batch && ps_batch_next(x))
        return;
    if (http->waits == PS_HTTP_WAIT_GONE) {
        x->state = PS_EXCHANGE_READY;
        ps_http_close(http);
        return;
    }
    if (x->streaming) {
        ps_exchange_end(x);
    } else {
        x->last |= http->front->closing;
        ps_exchange_reply_engine(x);
    }
    if (!http->routing && http->step == PS_HTTP_STEP_ANSWER)
        run(http);
}

/* ---- WRITE ---- */

/* The reply is written: on to the next request, or the end. */
static enum step_result
reply_written(struct ps_http *http)
{
    ps_exchange_give(&http->front->exchanges, http->exchange);
    http->exchange = NULL;
    /* Closing: since its head was written. */
    if (http->last || http->front->closing) {
        if (!http->linger && http->len - http->start == http->raw) {
            ps_http_close(http);
            return GONE;
        }
        http->transport->ops->finish(http->transport);
        release_input(http);
        http->step = PS_HTTP_STEP_LINGER;
        return NEXT;
    }
    http->start += http->raw;
    if (http->start == http->len)
        release_input(http);
    http->fed = 0;
    http->continue_sent = false;
    http->renewed = http->served = true;
    http->step = PS_HTTP_STEP_HEAD;
    return NEXT;
}

/*
 * May the reply wait for those to the other requests of this turn? Writing
 * them together wakes a client that waits for several of them once instead of
 * several times, and reading and writing in long runs keeps the kernel's code
 * for either in the processor's caches: 1.1 of 8.8 us per request (64
 * connections, tests/bench/run hits). Nobody waits longer than for the
 * requests that were already there when the turn began.
 */
static bool
may_wait_for_others(const struct ps_http *http)
{
    return http->front->gathering && http->exchange->written == 0 &&
           !http->exchange->streaming;
}

static enum step_result
wait_for_others(struct ps_http *http)
{
    struct ps_front *front = http->front;
    if (!front->flush_posted) {
        front->flush_posted = true;
        ps_loop_post(front->conf.loop, &front->flush);
    }
    return wait_for(http, PS_HTTP_WAIT_REPLY);
}

/* The parts of the reply from the first byte on that is not written. */
static int
unwritten(const struct ps_exchange *x, struct iovec *parts)
{
    const struct ps_str all[PS_TRANSPORT_MAX_PARTS] = {
        {x->head, x->head_len},
        x->before, x->body, x->after
    };
    size_t skip = x->written;
    int count = 0;
    for (size_t i = 0; i < PS_TRANSPORT_MAX_PARTS; i++) {
        size_t done = PS_MIN(skip, all[i].len);
        skip -= done;
        if (all[i].len > done)
            parts[count++] = (struct iovec){
                (void *)(uintptr_t)(all[i].ptr + done), all[i].len - done};
    }
    return count;
}

/* On to what else there is of this reply, or back to wait for it. */
static enum step_result
part_written(struct ps_http *http)
{
    struct ps_exchange *x = http->exchange;
    if (ps_exchange_next(x))
        return NEXT;
    if (x->state == PS_EXCHANGE_READY) {
        http->last |= x->last;
        return reply_written(http);
    }
    http->step = PS_HTTP_STEP_ANSWER;
    return NEXT;
}

static enum step_result
step_write(struct ps_http *http)
{
    struct ps_exchange *x = http->exchange;
    struct ps_transport *t = http->transport;
    size_t total = x->head_len + x->before.len + x->body.len + x->after.len;
    if (may_wait_for_others(http))
        return wait_for_others(http);
    while (x->written < total) {
        struct iovec parts[PS_TRANSPORT_MAX_PARTS];
        int count = unwritten(x, parts);
        ssize_t n = t->ops->writev(t, parts, count);
        if (n == PS_TRANSPORT_BROKEN) {
            ps_http_close(http);
            return GONE;
        }
        if (n == PS_TRANSPORT_AGAIN) {
            if (http->progress >= PROGRESS_BYTES)
                http->renewed = true;
            return wait_for(http, PS_HTTP_WAIT_WRITE);
        }
        x->written += (size_t)n;
        http->progress += (size_t)n;
    }
    return x->streaming ? part_written(http) : reply_written(http);
}

/* ---- LINGER ---- */

/* Closing with unread input would make the kernel reset the connection and the
 * peer lose the reply: what still comes is read and forgotten for a moment. */
static enum step_result
step_linger(struct ps_http *http)
{
    char discarded[DISCARD_BYTES];
    struct ps_transport *t = http->transport;
    ssize_t n = PS_TRANSPORT_AGAIN;
    if (!http->eof)
        n = t->ops->read(t, discarded, sizeof(discarded));
    if (http->eof || n == 0 || n == PS_TRANSPORT_BROKEN) {
        ps_http_close(http);
        return GONE;
    }
    return wait_for(http, PS_HTTP_WAIT_LINGER);
}

/* ---- readiness ---- */

void
ps_http_flush(struct ps_front *front)
{
    const struct ps_list *list = &front->waiting[PS_HTTP_WAIT_REPLY];
    struct ps_link *link;
    /* Every one leaves the list. */
    while ((link = ps_list_first(list)) != NULL)
        run(PS_CONTAINER_OF(link, struct ps_http, link));
}

/* Bytes have come: on, with the reply kept back for a moment. */
static void
run_gathering(struct ps_http *http)
{
    struct ps_front *front = http->front;
    front->gathering = front->conf.reply_batch > 1;
    run(http);
    front->gathering = false;
    if (front->waiting[PS_HTTP_WAIT_REPLY].count >= front->conf.reply_batch)
        ps_http_flush(front);
}

/* The peer went away while the engine works. A read is cancelled, a write is
 * finished, and the reply is written all the same: it may only have closed
 * its own direction. */
static void
peer_left(struct ps_http *http)
{
    http->last = true;
    http->exchange->last = true;
    /* done may run inside and must not find a connection that waits. */
    wait_for(http, PS_HTTP_WAIT_ENGINE);
    http->exchange->abandoned = true;
    ps_req_abandon(&http->exchange->request.req);
}

static void
on_ready(void *arg, unsigned ready)
{
    struct ps_http *http = arg;
    PS_CHECK_OBJ(http, PS_HTTP_MAGIC);
    (void)ready; /* TLS may need the other direction than we want */
    switch (http->step) {
    case PS_HTTP_STEP_HEAD:
    case PS_HTTP_STEP_BODY:
        if (!make_room(http)) {
            ps_http_refuse(http, PS_NO_MEMORY,
                           "too many requests are being received");
            return;
        }
        if (fill(http))
            run_gathering(http);
        return;
    case PS_HTTP_STEP_ANSWER:
        if (http->eof || http->len == http->cap || !fill(http))
            return;
        if (http->eof)
            peer_left(http);
        else
            wait_for(http, PS_HTTP_WAIT_ENGINE);
        return;
    default:
        run(http);
        return;
    }
}

/* ---- life ---- */

struct ps_http *
ps_http_open(struct ps_front *front, struct ps_transport *transport,
             const char *source, bool handshake)
{
    struct ps_http *http = calloc(1, sizeof(*http));
    if (!http) {
        transport->ops->free(transport);
        return NULL;
    }
    http->magic = PS_HTTP_MAGIC;
    http->front = front;
    http->transport = transport;
    http->step = handshake ? PS_HTTP_STEP_HANDSHAKE : PS_HTTP_STEP_HEAD;
    memcpy(http->source, source, strnlen(source, PS_HTTP_SOURCE_MAX - 1));
    transport->ready = on_ready;
    transport->arg = http;
    front->n_connections++;
    move_to(http, handshake ? PS_HTTP_WAIT_HANDSHAKE : PS_HTTP_WAIT_IDLE);
    transport->ops->want(transport, PS_IO_READ);
    if (!ps_timer_active(&front->sweep))
        ps_timer_start_ms(&front->sweep, front->sweep_ms);
    return http;
}

void
ps_http_close(struct ps_http *http)
{
    struct ps_front *front = http->front;
    struct ps_exchange *x = http->exchange;
    PS_CHECK_OBJ(http, PS_HTTP_MAGIC);
    if (http->transport) {
        http->transport->ops->free(http->transport);
        http->transport = NULL;
    }
    if (x && x->state == PS_EXCHANGE_RUNNING) {
        /* done closes it for good, perhaps from inside abandon. */
        move_to(http, PS_HTTP_WAIT_GONE);
        x->abandoned = true;
        ps_req_abandon(&x->request.req);
        return;
    }
    if (x)
        ps_exchange_give(&front->exchanges, x);
    release_input(http);
    ps_list_remove(&front->waiting[http->waits], &http->link);
    PS_CHECK(front->n_connections > 0);
    front->n_connections--;
    http->magic = 0;
    free(http);
}

void
ps_http_expired(struct ps_http *http)
{
    if (http->waits == PS_HTTP_WAIT_HEAD || http->waits == PS_HTTP_WAIT_BODY)
        ps_http_refuse(http, PS_REQUEST_TIMEOUT, NULL);
    else
        ps_http_close(http);
}
