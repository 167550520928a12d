/*
 * The front of one loop: its listeners, its connections by what they wait
 * for, and one timer that closes what has waited too long.
 */
#include "agent/front/front.h"

#include "agent/front/front_private.h"
#include "agent/front/listener.h"
#include "common/check.h"

#include <signal.h>
#include <stdlib.h>

enum {
    FRONT_MAGIC = 0x46524F4E,
    SLAB_BYTES = 16 << 10,
    SWEEP_MIN_MS = 10,
    SWEEP_MAX_MS = 1000,
    LINGER_MS = 2000,
    FRESH_MS = 1000
};

static const struct ps_front_limits default_limits = {
    .max_head_bytes = 16 << 10,
    .max_body_bytes = 4 << 20,
    .max_buffered_bytes = 256 << 20,
    .max_connections = 10000,
    .head_timeout_ms = 10000,
    .body_timeout_ms = 30000,
    .idle_timeout_ms = 75000,
    .write_timeout_ms = 30000,
};

#define DEFAULT(limits, member)                       \
    do {                                              \
        if ((limits)->member == 0)                    \
            (limits)->member = default_limits.member; \
    } while (0)

static void
fill_limits(struct ps_front_limits *limits)
{
    DEFAULT(limits, max_head_bytes);
    DEFAULT(limits, max_body_bytes);
    DEFAULT(limits, max_buffered_bytes);
    DEFAULT(limits, max_connections);
    DEFAULT(limits, head_timeout_ms);
    DEFAULT(limits, body_timeout_ms);
    DEFAULT(limits, idle_timeout_ms);
    DEFAULT(limits, write_timeout_ms);
}

/* ---- time limits ---- */

static void
sweep_list(struct ps_front *front, enum ps_http_wait waits, uint64_t now_ms)
{
    uint64_t limit = front->limits_ms[waits];
    struct ps_link *link;
    if (limit == 0)
        return;
    /* Every expired one leaves the list. */
    while ((link = ps_list_first(&front->waiting[waits])) != NULL) {
        struct ps_http *http = PS_CONTAINER_OF(link, struct ps_http, link);
        if (now_ms < http->since_ms + limit)
            return;
        ps_http_expired(http);
    }
}

static void
on_sweep(void *arg)
{
    struct ps_front *front = arg;
    uint64_t now_ms = ps_loop_now_ms(front->conf.loop);
    for (int waits = 0; waits < PS_HTTP_WAIT_COUNT; waits++)
        sweep_list(front, (enum ps_http_wait)waits, now_ms);
    if (front->n_connections > 0)
        ps_timer_start_ms(&front->sweep, front->sweep_ms);
}

static void
set_time_limits(struct ps_front *front)
{
    const struct ps_front_limits *limits = &front->conf.limits;
    uint64_t *ms = front->limits_ms, least = SWEEP_MAX_MS * 4;
    ms[PS_HTTP_WAIT_HANDSHAKE] = limits->head_timeout_ms;
    ms[PS_HTTP_WAIT_IDLE] = limits->idle_timeout_ms;
    ms[PS_HTTP_WAIT_HEAD] = limits->head_timeout_ms;
    ms[PS_HTTP_WAIT_BODY] = limits->body_timeout_ms;
    ms[PS_HTTP_WAIT_WRITE] = limits->write_timeout_ms;
    ms[PS_HTTP_WAIT_LINGER] = LINGER_MS;
    for (int i = 0; i < PS_HTTP_WAIT_COUNT; i++) {
        if (ms[i] > 0 && ms[i] < least)
            least = ms[i];
    }
    front->sweep_ms = PS_MAX(least / 4, (uint64_t)SWEEP_MIN_MS);
}

/* ---- replies of one turn ---- */

/* The mailbox comes after the descriptors, in the same turn. */
static void
on_flush(struct ps_task *task)
{
    struct ps_front *front = PS_CONTAINER_OF(task, struct ps_front, flush);
    front->flush_posted = false;
    ps_http_flush(front);
}

/* ---- life ---- */

struct ps_front *
ps_front_new(const struct ps_front_conf *conf)
{
    struct ps_front *front = calloc(1, sizeof(*front));
    if (!front)
        return NULL;
    front->magic = FRONT_MAGIC;
    front->conf = *conf;
    fill_limits(&front->conf.limits);
    set_time_limits(front);
    for (int i = 0; i < PS_HTTP_WAIT_COUNT; i++)
        ps_list_init(&front->waiting[i]);
    front->flush.fn = on_flush;
    ps_timer_init(&front->sweep, conf->loop, on_sweep, front);
    ps_buffers_init(
        &front->buffers,
        PS_MAX(front->conf.limits.max_head_bytes, (size_t)SLAB_BYTES),
        front->conf.limits.max_buffered_bytes);
    ps_exchanges_init(&front->exchanges, &front->buffers,
                      PS_EXCHANGE_ARENA_BYTES);
    return front;
}

enum ps_rc
ps_front_start(struct ps_front **out, const struct ps_front_conf *conf,
               struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    struct ps_front *front = ps_front_new(conf);
    if (!front)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    /* OpenSSL writes with write(): a peer that went away must not end the
     * process. */
    signal(SIGPIPE, SIG_IGN);
    if (conf->listen_http)
        rc = ps_listener_start(&front->plain, front, conf->listen_http, NULL,
                               err);
    if (rc == PS_OK && conf->listen_https) {
        PS_CHECK(conf->tls != NULL);
        rc = ps_listener_start(&front->tls, front, conf->listen_https,
                               conf->tls, err);
    }
    if (rc != PS_OK) {
        ps_front_free(&front);
        return rc;
    }
    *out = front;
    return PS_OK;
}

void
ps_front_ports(const struct ps_front *front, int *http, int *https)
{
    *http = ps_listener_port(front->plain);
    *https = ps_listener_port(front->tls);
}

static void
close_all(struct ps_front *front, enum ps_http_wait waits)
{
    struct ps_link *link;
    while ((link = ps_list_first(&front->waiting[waits])) != NULL)
        ps_http_close(PS_CONTAINER_OF(link, struct ps_http, link));
}

void
ps_front_drain(struct ps_front *front)
{
    PS_CHECK_OBJ(front, FRONT_MAGIC);
    front->draining = front->closing = true;
    ps_listener_stop(&front->plain);
    ps_listener_stop(&front->tls);
    close_all(front, PS_HTTP_WAIT_HANDSHAKE);
    close_all(front, PS_HTTP_WAIT_IDLE);
}

/* A new one is about to send its first request, and has a moment for that. */
static void
close_idle(struct ps_front *front)
{
    uint64_t now_ms = ps_loop_now_ms(front->conf.loop);
    PS_LIST_FOREACH_SAFE(&front->waiting[PS_HTTP_WAIT_IDLE], it, next) {
        struct ps_http *http = PS_CONTAINER_OF(it, struct ps_http, link);
        if (http->served || now_ms >= http->since_ms + FRESH_MS)
            ps_http_close(http);
    }
}

void
ps_front_retire(struct ps_front *front, bool on)
{
    PS_CHECK_OBJ(front, FRONT_MAGIC);
    if (on)
        close_idle(front);
    front->closing = on || front->draining;
}

size_t
ps_front_connections(const struct ps_front *front)
{
    return front->n_connections;
}

void
ps_front_free(struct ps_front **front)
{
    struct ps_front *f = *front;
    if (!f)
        return;
    PS_CHECK_OBJ(f, FRONT_MAGIC);
    PS_CHECK(f->waiting[PS_HTTP_WAIT_ENGINE].count == 0 &&
             f->waiting[PS_HTTP_WAIT_GONE].count == 0);
    ps_listener_stop(&f->plain);
    ps_listener_stop(&f->tls);
    for (int i = 0; i < PS_HTTP_WAIT_COUNT; i++)
        close_all(f, (enum ps_http_wait)i);
    ps_timer_stop(&f->sweep);
    if (f->flush_posted)
        ps_loop_unpost(f->conf.loop, &f->flush);
    ps_exchanges_done(&f->exchanges);
    ps_buffers_done(&f->buffers);
    f->magic = 0;
    free(f);
    *front = NULL;
}
