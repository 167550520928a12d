/*
 * The agent's side: one req socket with one context and one nng_aio per call
 * under way, and one sub socket that takes everything.
 *
 * The two sockets and what nng's threads touch of them are a session, which
 * can be retired and replaced: because the caller asks for it, or because
 * what should come does not come (bus.c, defect 2). A retired session no
 * longer knows its client; it is freed when nng has closed its sockets.
 *
 * Sent once: the resend time is infinite, which in nng also means that the
 * loss of the connection ends a call that was sent (NNG_ECONNRESET) instead
 * of repeating it on the next one.
 *
 * Events come one at a time through the loop; what is beyond waits in nng's
 * queue, and when that is full the newest are lost.
 */
#include "common/check.h"
#include "common/io/bus_private.h"
#include "common/list.h"
#include "common/log.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>

#include <pthread.h>
#include <stdlib.h>

enum {
    CLIENT_MAGIC = 0x62757363,
    RECONNECT_MIN_MS = 100,
    RECONNECT_MAX_MS = 1000,
    CLOSE_WAIT_MS = 3000
};

struct session {
    nng_socket calls, events; /* id 0: not open */
    nng_aio *event_aio;       /* never cancelled (bus.c, defect 3) */

    pthread_mutex_t lock;
    struct ps_bus_client *client; /* NULL: retired */
    uint32_t pipe;                /* the event connection's, 0: none */
    uint32_t gone;                /* the last one that went */
    bool lost;                    /* one went since the loop last looked */
    bool link_posted;
};

struct ps_bus_client {
    unsigned magic;
    bool stopping;
    struct ps_loop *loop;
    void (*on_event)(void *arg, struct ps_str body);
    void (*on_link)(void *arg, bool up);
    void *arg;
    nng_tls_config *tls;
    char *call_address, *event_address;
    enum bus_family family; /* of the addresses that are tried */

    struct session *session;
    struct ps_task event_task, link_task;
    struct ps_list under_way; /* struct call */
    bool up;                  /* as last told */

    uint64_t silence_ms; /* 0: never mind */
    struct ps_timer watch;
    bool connected;    /* this session was, once */
    uint64_t open_ms;  /* when this session was made */
    uint64_t event_ms; /* last event, or connection */
    uint64_t call_ms;  /* last reply, or start of the session */
};

struct call {
    struct ps_link link;
    struct ps_bus_client *client;
    nng_ctx ctx; /* id 0: not open */
    nng_aio *aio;
    bool sent; /* by nng's thread, before the task is posted */
    uint64_t deadline_ms;
    enum ps_rc rc;       /* of a call that nng does not end */
    struct ps_task task; /* aio completed */
    void (*fn)(void *arg, enum ps_rc rc, struct ps_str reply);
    void *arg;
};

static uint64_t
now_ms(void)
{
    return ps_clock_now_ms(ps_clock_real()); /* as nng does */
}

/* ---- events and connections, noted on threads of nng ---- */

static void
event_completed(void *arg)
{
    struct session *session = arg;
    pthread_mutex_lock(&session->lock);
    struct ps_bus_client *client = session->client;
    if (client)
        ps_loop_post(client->loop, &client->event_task);
    pthread_mutex_unlock(&session->lock);
}

/* With the lock. */
static void
post_link(struct session *session)
{
    struct ps_bus_client *client = session->client;
    if (!client || session->link_posted)
        return;
    session->link_posted = true;
    ps_loop_post(client->loop, &client->link_task);
}

static void
pipe_changed(nng_pipe pipe, nng_pipe_ev what, void *arg)
{
    struct session *session = arg;
    pthread_mutex_lock(&session->lock);
    if (what == NNG_PIPE_EV_REM_POST) {
        session->lost |= session->pipe == pipe.id;
        if (session->pipe == pipe.id)
            session->pipe = 0;
        session->gone = pipe.id;
    } else if (session->gone != pipe.id) {
        /* Otherwise its end was told first, by another thread. */
        session->lost |= session->pipe != 0;
        session->pipe = pipe.id;
    }
    post_link(session);
    pthread_mutex_unlock(&session->lock);
}

/* ---- sessions ---- */

static void
session_free(void *arg)
{
    struct session *session = arg;
    if (session->event_aio) {
        nng_aio_stop(session->event_aio);
        nng_msg *msg = bus_take_message(session->event_aio);
        if (msg)
            nng_msg_free(msg);
        nng_aio_free(session->event_aio);
    }
    pthread_mutex_destroy(&session->lock);
    free(session);
}

/* Nothing of it reaches the client any more. */
static void
session_retire(struct ps_bus_client *client, unsigned wait_ms)
{
    struct session *session = client->session;
    client->session = NULL;
    pthread_mutex_lock(&session->lock);
    session->client = NULL;
    pthread_mutex_unlock(&session->lock);
    ps_loop_unpost(client->loop, &client->event_task);
    ps_loop_unpost(client->loop, &client->link_task);
    bus_close(session->calls, session->events, session_free, session, wait_ms);
}

static int
dial(const struct ps_bus_client *client, nng_socket sock, const char *address)
{
    nng_dialer d;
    nng_tls_config *tls = client->tls;
    char url[BUS_URL_MAX];
    if (!bus_make_url(client->family, address, url))
        return NNG_EADDRINVAL;
    int code = nng_dialer_create(&d, sock, url);
    if (code != 0)
        return code;
    if ((code = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, tls)) ||
        (code = nng_dialer_set_size(d, NNG_OPT_RECVMAXSZ, BUS_WIRE_MAX)) ||
        (code = nng_dialer_set_bool(d, NNG_OPT_TCP_KEEPALIVE, true)) ||
        (code = nng_dialer_set_ms(d, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) ||
        (code = nng_dialer_set_ms(d, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)))
        return code;
    return nng_dialer_start(d, NNG_FLAG_NONBLOCK);
}

static int
open_sockets(struct session *s)
{
    int code;
    if ((code = nng_req0_open(&s->calls)) ||
        (code = nng_sub0_open(&s->events)) ||
        (code = nng_socket_set_ms(s->calls, NNG_OPT_REQ_RESENDTIME,
                                  NNG_DURATION_INFINITE)) ||
        (code = nng_socket_set_int(s->events, NNG_OPT_RECVBUF,
                                   BUS_QUEUE_MESSAGES)) ||
        (code = nng_socket_set_bool(s->events, NNG_OPT_SUB_PREFNEW, false)) ||
        (code = nng_socket_set(s->events, NNG_OPT_SUB_SUBSCRIBE, "", 0)) ||
        (code = nng_pipe_notify(s->events, NNG_PIPE_EV_ADD_POST, pipe_changed,
                                s)) ||
        (code =
             nng_pipe_notify(s->events, NNG_PIPE_EV_REM_POST, pipe_changed, s)))
        return code;
    return nng_aio_alloc(&s->event_aio, event_completed, s);
}

/* Makes client's session and starts to connect. */
static int
session_start(struct ps_bus_client *client)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NNG_ENOMEM;
    pthread_mutex_init(&session->lock, NULL);
    session->client = client;
    client->session = session;
    client->connected = false;
    client->open_ms = client->call_ms = now_ms();
    int code;
    sigset_t before;
    bus_block_signals(&before);
    if ((code = open_sockets(session)) == 0) {
        nng_recv_aio(session->events, session->event_aio);
        if ((code = dial(client, session->calls, client->call_address)) == 0)
            code = dial(client, session->events, client->event_address);
    }
    bus_restore_signals(&before);
    if (code != 0)
        session_retire(client, CLOSE_WAIT_MS);
    return code;
}

/* ---- calls ---- */

/* On a thread of nng. */
static void
call_completed(void *arg)
{
    struct call *call = arg;
    if (nng_aio_result(call->aio) == 0 && !call->sent) {
        call->sent = true;
        uint64_t now = now_ms();
        uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 1;
        nng_aio_set_timeout(call->aio, (nng_duration)left);
        nng_ctx_recv(call->ctx, call->aio);
        return;
    }
    ps_loop_post(call->client->loop, &call->task);
}

static enum ps_rc
call_result(const struct call *call)
{
    if (call->rc != PS_OK)
        return call->rc;
    switch (nng_aio_result(call->aio)) {
    case 0:
        return PS_OK;
    case NNG_ETIMEDOUT:
        /* Not sent means that there was no connection all the time. */
        return call->sent ? PS_REQUEST_TIMEOUT : PS_FABRIC;
    case NNG_ENOMEM:
        return PS_NO_MEMORY;
    default:
        return PS_FABRIC;
    }
}

/* Takes the call apart, then tells its caller, who may stop the client. */
static void
finish_call(struct call *call, enum ps_rc rc)
{
    nng_msg *msg = NULL;
    ps_list_remove(&call->client->under_way, &call->link);
    if (call->aio) {
        msg = bus_take_message(call->aio);
        nng_aio_free(call->aio);
    }
    if (call->ctx.id != 0)
        nng_ctx_close(call->ctx);
    call->fn(call->arg, rc, rc == PS_OK ? bus_body(msg) : PS_STR_NONE);
    if (msg)
        nng_msg_free(msg);
    free(call);
}

/* Whether the call connection has been of no use for too long. */
static bool
calls_are_stuck(struct ps_bus_client *client, enum ps_rc rc)
{
    if (rc == PS_OK) {
        client->call_ms = now_ms();
        return false;
    }
    return (rc == PS_FABRIC || rc == PS_REQUEST_TIMEOUT) &&
           client->silence_ms > 0 && client->connected &&
           now_ms() - client->call_ms > 2 * client->silence_ms;
}

static void
call_on_loop(struct ps_task *task)
{
    struct call *call = PS_CONTAINER_OF(task, struct call, task);
    enum ps_rc rc = call_result(call);
    if (calls_are_stuck(call->client, rc)) {
        ps_warn("bus", "no call was answered for %llu ms; connecting anew",
                (unsigned long long)(2 * call->client->silence_ms));
        /* It would also end this call, which has ended already. */
        call->rc = rc;
        ps_bus_client_reconnect(call->client);
        ps_loop_unpost(call->client->loop, &call->task);
    }
    finish_call(call, rc);
}

/* Hands the call to nng; other than PS_OK when it cannot be. */
static enum ps_rc
submit_call(struct call *call, struct ps_str body, unsigned timeout_ms)
{
    if (body.len > PS_BUS_MESSAGE_MAX)
        return PS_TOO_BIG;
    if (!call->client->session)
        return PS_FABRIC;
    if (nng_aio_alloc(&call->aio, call_completed, call) != 0)
        return PS_NO_MEMORY;
    if (nng_ctx_open(&call->ctx, call->client->session->calls) != 0)
        return PS_NO_MEMORY;
    nng_msg *msg = bus_message(body);
    if (!msg)
        return PS_NO_MEMORY;
    timeout_ms = PS_MIN(PS_MAX(timeout_ms, 1u), (unsigned)INT32_MAX);
    call->deadline_ms = now_ms() + timeout_ms;
    nng_aio_set_msg(call->aio, msg);
    nng_aio_set_timeout(call->aio, (nng_duration)timeout_ms);
    nng_ctx_send(call->ctx, call->aio);
    return PS_OK;
}

void
ps_bus_call(struct ps_bus_client *client, struct ps_str body,
            unsigned timeout_ms,
            void (*fn)(void *arg, enum ps_rc rc, struct ps_str reply),
            void *arg)
{
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    PS_CHECK(!client->stopping);
    struct call *call = calloc(1, sizeof(*call));
    PS_CHECK(call != NULL); /* the promise to call fn could not be kept */
    call->client = client;
    call->fn = fn;
    call->arg = arg;
    call->task.fn = call_on_loop;
    ps_list_push_back(&client->under_way, &call->link);
    enum ps_rc rc = submit_call(call, body, timeout_ms);
    if (rc != PS_OK) {
        call->rc = rc;
        ps_loop_post(client->loop, &call->task);
    }
}

/* ---- on the loop ---- */

static void
event_on_loop(struct ps_task *task)
{
    struct ps_bus_client *client =
        PS_CONTAINER_OF(task, struct ps_bus_client, event_task);
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    struct session *session = client->session;
    nng_msg *msg = bus_take_message(session->event_aio);
    void (*on_event)(void *, struct ps_str) = client->on_event;
    void *arg = client->arg;
    client->event_ms = now_ms();
    nng_recv_aio(session->events, session->event_aio);
    if (!msg)
        return;
    on_event(arg, bus_body(msg)); /* may stop the client */
    nng_msg_free(msg);
}

/* Tells one change at a time: down, if one was lost, before up. */
static void
link_on_loop(struct ps_task *task)
{
    struct ps_bus_client *client =
        PS_CONTAINER_OF(task, struct ps_bus_client, link_task);
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    struct session *session = client->session;
    pthread_mutex_lock(&session->lock);
    bool linked = session->pipe != 0, was = client->up;
    bool now = was ? !session->lost : linked;
    session->lost = false;
    session->link_posted = false;
    if (linked && !now)
        post_link(session);
    pthread_mutex_unlock(&session->lock);
    if (was == now)
        return;
    client->up = now;
    if (now) {
        client->connected = true;
        client->event_ms = now_ms();
    }
    client->on_link(client->arg, now); /* may stop the client */
}

/* A name may have an address that nobody serves in front of one that works:
 * the families are tried in turn, "localhost" is often both. */
static void
try_next_family(struct ps_bus_client *client)
{
    ps_warn("bus", "no connection to %s and %s yet; trying again",
            client->call_address, client->event_address);
    client->family = (client->family + 1) % BUS_FAMILIES;
    ps_bus_client_reconnect(client);
}

static void
on_watch(void *arg)
{
    struct ps_bus_client *client = arg;
    ps_timer_start_ms(&client->watch, client->silence_ms / 2 + 1);
    uint64_t now = now_ms();
    if (client->session && !client->connected &&
        now - client->open_ms > client->silence_ms) {
        try_next_family(client);
    } else if (!client->session ||
               (client->connected &&
                now - client->event_ms > client->silence_ms)) {
        ps_warn("bus", "nothing came for %llu ms; connecting anew",
                (unsigned long long)client->silence_ms);
        ps_bus_client_reconnect(client);
    }
}

void
ps_bus_client_reconnect(struct ps_bus_client *client)
{
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    PS_CHECK(!client->stopping);
    PS_LIST_FOREACH_SAFE(&client->under_way, it, next) {
        struct call *call = PS_CONTAINER_OF(it, struct call, link);
        if (call->rc != PS_OK)
            continue; /* posted already */
        if (call->aio)
            nng_aio_stop(call->aio);
        ps_loop_unpost(client->loop, &call->task);
        call->rc = call_result(call) == PS_OK && call->sent ? PS_OK : PS_FABRIC;
        ps_loop_post(client->loop, &call->task);
    }
    if (client->session)
        session_retire(client, 0);
    if (session_start(client) != 0)
        ps_error("bus", "cannot make the sockets of the fabric");
    if (!client->session || !client->up)
        return;
    pthread_mutex_lock(&client->session->lock);
    client->session->lost = true;
    post_link(client->session);
    pthread_mutex_unlock(&client->session->lock);
}

/* ---- life ---- */

enum ps_rc
ps_bus_client_start(struct ps_bus_client **client,
                    const struct ps_bus_client_conf *c, struct ps_err *err)
{
    struct ps_bus_client *b = calloc(1, sizeof(*b));
    if (!b)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    b->magic = CLIENT_MAGIC;
    b->loop = c->loop;
    b->on_event = c->on_event;
    b->on_link = c->on_link;
    b->arg = c->arg;
    b->silence_ms = c->silence_ms;
    b->event_task.fn = event_on_loop;
    b->link_task.fn = link_on_loop;
    ps_list_init(&b->under_way);
    ps_timer_init(&b->watch, c->loop, on_watch, b);

    enum ps_rc rc = PS_OK;
    char url[BUS_URL_MAX];
    b->call_address = strdup(c->call_address);
    b->event_address = strdup(c->event_address);
    if (!b->call_address || !b->event_address)
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    else if (!bus_make_url(BUS_V4, c->call_address, url) ||
             !bus_make_url(BUS_V4, c->event_address, url))
        rc = ps_err_set(err, PS_FABRIC,
                        "the control plane's address is too "
                        "long");
    if (rc == PS_OK)
        rc = bus_make_tls(c->tls, NNG_TLS_MODE_CLIENT, &b->tls, err);
    if (rc == PS_OK) {
        int code = session_start(b);
        if (code != 0)
            rc = bus_fail(err, PS_FABRIC, "cannot connect to", c->call_address,
                          code);
    }
    if (rc != PS_OK) {
        ps_bus_client_stop(&b);
        return rc;
    }
    if (b->silence_ms > 0)
        ps_timer_start_ms(&b->watch, b->silence_ms / 2 + 1);
    *client = b;
    return PS_OK;
}

void
ps_bus_client_stop(struct ps_bus_client **client)
{
    struct ps_bus_client *b = *client;
    if (!b)
        return;
    PS_CHECK_OBJ(b, CLIENT_MAGIC);
    PS_CHECK(!b->stopping);
    *client = NULL;
    b->stopping = true;
    ps_timer_stop(&b->watch);
    struct ps_link *link;
    while ((link = ps_list_first(&b->under_way))) {
        struct call *call = PS_CONTAINER_OF(link, struct call, link);
        if (call->aio)
            nng_aio_stop(call->aio);
        ps_loop_unpost(b->loop, &call->task);
        finish_call(call, PS_SHUTTING_DOWN);
    }
    if (b->session)
        session_retire(b, CLOSE_WAIT_MS);
    if (b->tls)
        nng_tls_config_free(b->tls);
    free(b->call_address);
    free(b->event_address);
    b->magic = 0;
    free(b);
}
