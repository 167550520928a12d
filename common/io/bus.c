/*
 * The fabric on nng 1.5.
 *
 *   server  one rep socket with `parallel_calls` contexts, each a small state
 *           machine around one nng_aio:
 *             RECEIVING -> (loop) ANSWERING, the caller has it -> SENDING -+
 *                ^---------------------------------------------------------+
 *           and one pub socket.
 *   client  one req socket with one context and one nng_aio per call under
 *           way, and one sub socket that takes everything.
 *
 * Threads: nng completes on threads of its own. Completions only note what
 * happened and post to the loop; all else is done there. At stop the sockets
 * are closed first, then every nng_aio is stopped (which waits for its
 * callback), then its task is taken out of the mailbox: after that nothing
 * can come any more.
 *
 * Sent once: the resend time is infinite, which in nng also means that the
 * loss of the connection ends a call that was sent (NNG_ECONNRESET) instead
 * of repeating it on the next one.
 *
 * Flow: events come one at a time through the loop, calls up to
 * `parallel_calls` at a time; what is beyond waits in nng's bounded queues
 * or in TCP. A subscriber that is slower than QUEUE_MESSAGES for long loses
 * the newest and sees so by their numbers.
 */
#include "common/io/bus.h"

#include "common/check.h"
#include "common/list.h"
#include "common/log.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SERVER_MAGIC = 0x62757373,
    CALL_MAGIC = 0x62757361,
    CLIENT_MAGIC = 0x62757363,
    QUEUE_MESSAGES = 8192, /* the most nng takes */
    HEADER_MAX = 64,       /* nng's own words in a message */
    RECONNECT_MIN_MS = 100,
    RECONNECT_MAX_MS = 1000
};

/* ---- what both sides need ---- */

static enum ps_rc
nng_fail(struct ps_err *err, enum ps_rc rc, const char *what, const char *name,
         int code)
{
    return ps_err_set(err, rc, "%s %s: %s", what, name, nng_strerror(code));
}

/* nng starts threads at first use; they inherit the mask. */
static void
block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &all, before) == 0);
}

static void
restore_signals(const sigset_t *before)
{
    PS_CHECK(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

static enum ps_rc
make_tls(const struct ps_bus_tls *tls, nng_tls_mode mode, nng_tls_config **out,
         struct ps_err *err)
{
    nng_tls_config *config;
    int code = nng_tls_config_alloc(&config, mode);
    if (code != 0)
        return nng_fail(err, PS_TLS, "cannot set up TLS of", "the fabric",
                        code);
    const char *what = "CA";
    code = nng_tls_config_ca_chain(config, tls->ca_pem, NULL);
    if (code == 0) {
        what = "certificate and key";
        code =
            nng_tls_config_own_cert(config, tls->cert_pem, tls->key_pem, NULL);
    }
    if (code == 0)
        code = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    if (code == 0 && mode == NNG_TLS_MODE_CLIENT)
        code = nng_tls_config_server_name(config, PS_BUS_SERVER_NAME);
    if (code != 0) {
        nng_tls_config_free(config);
        return nng_fail(err, PS_TLS, "cannot use the fabric's", what, code);
    }
    *out = config;
    return PS_OK;
}

static bool
make_url(const char *address, char *url, size_t size)
{
    int n = snprintf(url, size, "tls+tcp://%s", address);
    return n > 0 && (size_t)n < size;
}

static struct ps_str
body_of(nng_msg *msg)
{
    return (struct ps_str){nng_msg_body(msg), nng_msg_len(msg)};
}

/* A message with a copy of body, or NULL. */
static nng_msg *
message(struct ps_str body)
{
    nng_msg *msg;
    if (nng_msg_alloc(&msg, 0) != 0)
        return NULL;
    if (body.len > 0 && nng_msg_append(msg, body.ptr, body.len) != 0) {
        nng_msg_free(msg);
        return NULL;
    }
    return msg;
}

/* Takes the message, if any, out of an nng_aio that is at rest. */
static nng_msg *
take_message(nng_aio *aio)
{
    nng_msg *msg = nng_aio_get_msg(aio);
    nng_aio_set_msg(aio, NULL);
    return msg;
}

/* Stops an nng_aio whose completions post task, for good. */
static void
end_aio(struct ps_loop *loop, nng_aio **aio, struct ps_task *task)
{
    if (!*aio)
        return;
    nng_aio_stop(*aio);
    ps_loop_unpost(loop, task);
    nng_msg *msg = take_message(*aio);
    if (msg)
        nng_msg_free(msg);
    nng_aio_free(*aio);
    *aio = NULL;
}

/* ---- the control plane's side ---- */

enum call_state {
    RECEIVING,
    ANSWERING,
    SENDING
};

struct ps_bus_call {
    unsigned magic;
    enum call_state state;
    struct ps_bus_server *server;
    nng_ctx ctx;
    nng_aio *aio;
    struct ps_task task; /* aio completed */
};

struct ps_bus_server {
    unsigned magic;
    struct ps_loop *loop;
    void (*on_call)(void *arg, struct ps_bus_call *call, struct ps_str body);
    void *arg;
    nng_socket calls, events;
    bool calls_open, events_open;
    int call_port, event_port;
    size_t call_count;
    struct ps_bus_call call[];
};

/* On a thread of nng. */
static void
call_completed(void *arg)
{
    struct ps_bus_call *call = arg;
    ps_loop_post(call->server->loop, &call->task);
}

static void
receive_call(struct ps_bus_call *call)
{
    call->state = RECEIVING;
    nng_ctx_recv(call->ctx, call->aio);
}

static void
call_on_loop(struct ps_task *task)
{
    struct ps_bus_call *call = PS_CONTAINER_OF(task, struct ps_bus_call, task);
    PS_CHECK_OBJ(call, CALL_MAGIC);
    int code = nng_aio_result(call->aio);
    nng_msg *msg = take_message(call->aio);
    if (call->state == RECEIVING && code == 0) {
        call->state = ANSWERING;
        struct ps_bus_server *server = call->server;
        /* May reply, and may even stop the server. */
        server->on_call(server->arg, call, body_of(msg));
        nng_msg_free(msg);
        return;
    }
    /* A reply that could not be sent: its caller is gone or will time out. */
    if (msg)
        nng_msg_free(msg);
    if (code != 0)
        ps_warn("bus", "%s a call failed: %s",
                call->state == SENDING ? "answering" : "receiving",
                nng_strerror(code));
    receive_call(call);
}

void
ps_bus_reply(struct ps_bus_call *call, struct ps_str body)
{
    PS_CHECK_OBJ(call, CALL_MAGIC);
    PS_CHECK(call->state == ANSWERING);
    nng_msg *msg = NULL;
    if (body.len > PS_BUS_MESSAGE_MAX)
        ps_error("bus", "a reply of %zu bytes is too large to send", body.len);
    else
        msg = message(body);
    if (!msg) {
        receive_call(call); /* forgets the caller, who will time out */
        return;
    }
    call->state = SENDING;
    nng_aio_set_msg(call->aio, msg);
    nng_ctx_send(call->ctx, call->aio);
}

/* Binds address on sock; port gets the number really bound. */
static int
listen_on(nng_socket sock, const char *address, nng_tls_config *tls, int *port)
{
    char url[256];
    nng_listener listener;
    if (!make_url(address, url, sizeof(url)))
        return NNG_EADDRINVAL;
    int code = nng_listener_create(&listener, sock, url);
    if (code != 0)
        return code;
    if ((code = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls)) ||
        (code = nng_listener_set_size(listener, NNG_OPT_RECVMAXSZ,
                                      PS_BUS_MESSAGE_MAX + HEADER_MAX)) ||
        (code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true)) ||
        (code = nng_listener_start(listener, 0)) ||
        (code = nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, port)))
        nng_listener_close(listener);
    return code;
}

static int
open_server_sockets(struct ps_bus_server *server)
{
    int code = nng_rep0_open(&server->calls);
    server->calls_open = code == 0;
    if (code == 0) {
        code = nng_pub0_open(&server->events);
        server->events_open = code == 0;
    }
    if (code == 0)
        code =
            nng_socket_set_int(server->events, NNG_OPT_SENDBUF, QUEUE_MESSAGES);
    for (size_t i = 0; code == 0 && i < server->call_count; i++) {
        struct ps_bus_call *call = &server->call[i];
        call->magic = CALL_MAGIC;
        call->server = server;
        call->task.fn = call_on_loop;
        code = nng_aio_alloc(&call->aio, call_completed, call);
        if (code == 0)
            code = nng_ctx_open(&call->ctx, server->calls);
    }
    return code;
}

static enum ps_rc
start_server(struct ps_bus_server *server, const struct ps_bus_server_conf *c,
             nng_tls_config *tls, struct ps_err *err)
{
    int code = open_server_sockets(server);
    if (code != 0)
        return nng_fail(err, PS_IO, "cannot make the sockets of", "the fabric",
                        code);
    code = listen_on(server->calls, c->call_address, tls, &server->call_port);
    if (code != 0)
        return nng_fail(err, PS_IO, "cannot listen on", c->call_address, code);
    code =
        listen_on(server->events, c->event_address, tls, &server->event_port);
    if (code != 0)
        return nng_fail(err, PS_IO, "cannot listen on", c->event_address, code);
    for (size_t i = 0; i < server->call_count; i++)
        receive_call(&server->call[i]);
    return PS_OK;
}

enum ps_rc
ps_bus_server_start(struct ps_bus_server **server,
                    const struct ps_bus_server_conf *c, struct ps_err *err)
{
    size_t count = PS_MAX(c->parallel_calls, 1u);
    struct ps_bus_server *s =
        calloc(1, sizeof(*s) + count * sizeof(s->call[0]));
    if (!s)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    s->magic = SERVER_MAGIC;
    s->loop = c->loop;
    s->on_call = c->on_call;
    s->arg = c->arg;
    s->call_count = count;

    nng_tls_config *tls = NULL;
    sigset_t before;
    block_signals(&before);
    enum ps_rc rc = make_tls(c->tls, NNG_TLS_MODE_SERVER, &tls, err);
    if (rc == PS_OK) {
        rc = start_server(s, c, tls, err);
        nng_tls_config_free(tls); /* the listeners hold it */
    }
    restore_signals(&before);
    if (rc != PS_OK) {
        ps_bus_server_stop(&s);
        return rc;
    }
    *server = s;
    return PS_OK;
}

void
ps_bus_server_stop(struct ps_bus_server **server)
{
    struct ps_bus_server *s = *server;
    if (!s)
        return;
    PS_CHECK_OBJ(s, SERVER_MAGIC);
    if (s->calls_open)
        nng_close(s->calls);
    if (s->events_open)
        nng_close(s->events);
    for (size_t i = 0; i < s->call_count; i++) {
        end_aio(s->loop, &s->call[i].aio, &s->call[i].task);
        s->call[i].magic = 0;
    }
    s->magic = 0;
    free(s);
    *server = NULL;
}

void
ps_bus_server_ports(const struct ps_bus_server *server, int *call_port,
                    int *event_port)
{
    PS_CHECK_OBJ(server, SERVER_MAGIC);
    *call_port = server->call_port;
    *event_port = server->event_port;
}

void
ps_bus_publish(struct ps_bus_server *server, struct ps_str body)
{
    PS_CHECK_OBJ(server, SERVER_MAGIC);
    nng_msg *msg = NULL;
    if (body.len <= PS_BUS_MESSAGE_MAX)
        msg = message(body);
    /* Receivers notice by number that one is missing. */
    if (!msg) {
        ps_error("bus", "an event of %zu bytes could not be sent", body.len);
        return;
    }
    int code = nng_sendmsg(server->events, msg, NNG_FLAG_NONBLOCK);
    if (code != 0) {
        ps_error("bus", "an event was not sent: %s", nng_strerror(code));
        nng_msg_free(msg);
    }
}

/* ---- the agent's side ---- */

/* The one connection of a dialer, as nng tells it on its threads. */
struct connection {
    pthread_mutex_t lock;
    nng_pipe pipe; /* id 0: none */
    uint32_t gone; /* the last that went */
    bool lost;     /* one went since the loop last looked */
};

struct ps_bus_client {
    unsigned magic;
    struct ps_loop *loop;
    void (*on_event)(void *arg, struct ps_str body);
    void (*on_link)(void *arg, bool up);
    void *arg;
    nng_socket calls, events;
    bool calls_open, events_open, stopping;
    struct ps_list under_way; /* struct call */

    nng_aio *event_aio;
    struct ps_task event_task;

    struct connection call_connection, event_connection;
    struct ps_task link_task;
    bool link_posted; /* under event_connection.lock */
    bool up;          /* as last told */
};

struct call {
    struct ps_link link;
    struct ps_bus_client *client;
    nng_ctx ctx;
    nng_aio *aio;
    bool sent; /* written before the task is posted */
    uint64_t deadline_ms;
    enum ps_rc rc;       /* of a call that did not get as far as nng */
    struct ps_task task; /* aio completed */
    void (*fn)(void *arg, enum ps_rc rc, struct ps_str reply);
    void *arg;
};

/* -- calls -- */

/* On a thread of nng. */
static void
client_call_completed(void *arg)
{
    struct call *call = arg;
    if (nng_aio_result(call->aio) == 0 && !call->sent) {
        call->sent = true;
        uint64_t now = ps_clock_now_ms(ps_clock_real());
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
        msg = take_message(call->aio);
        nng_aio_free(call->aio);
        if (nng_ctx_id(call->ctx) > 0)
            nng_ctx_close(call->ctx);
    }
    call->fn(call->arg, rc, rc == PS_OK ? body_of(msg) : PS_STR_NONE);
    if (msg)
        nng_msg_free(msg);
    free(call);
}

static void
client_call_on_loop(struct ps_task *task)
{
    struct call *call = PS_CONTAINER_OF(task, struct call, task);
    finish_call(call, call_result(call));
}

/* Hands the call to nng; other than PS_OK when it cannot be. */
static enum ps_rc
submit_call(struct call *call, struct ps_str body, unsigned timeout_ms)
{
    if (body.len > PS_BUS_MESSAGE_MAX)
        return PS_TOO_BIG;
    if (nng_aio_alloc(&call->aio, client_call_completed, call) != 0)
        return PS_NO_MEMORY;
    if (nng_ctx_open(&call->ctx, call->client->calls) != 0)
        return PS_NO_MEMORY;
    nng_msg *msg = message(body);
    if (!msg)
        return PS_NO_MEMORY;
    timeout_ms = PS_MIN(PS_MAX(timeout_ms, 1u), (unsigned)INT32_MAX);
    call->deadline_ms = ps_clock_now_ms(ps_clock_real()) + timeout_ms;
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
    call->task.fn = client_call_on_loop;
    ps_list_push_back(&client->under_way, &call->link);
    call->rc = submit_call(call, body, timeout_ms);
    if (call->rc != PS_OK)
        ps_loop_post(client->loop, &call->task);
}

/* -- events -- */

/* On a thread of nng. */
static void
event_completed(void *arg)
{
    struct ps_bus_client *client = arg;
    ps_loop_post(client->loop, &client->event_task);
}

static void
event_on_loop(struct ps_task *task)
{
    struct ps_bus_client *client =
        PS_CONTAINER_OF(task, struct ps_bus_client, event_task);
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    nng_msg *msg = take_message(client->event_aio);
    void (*on_event)(void *, struct ps_str) = client->on_event;
    void *arg = client->arg;
    nng_recv_aio(client->events, client->event_aio);
    if (!msg)
        return;
    on_event(arg, body_of(msg)); /* may stop the client */
    nng_msg_free(msg);
}

/* -- connections -- */

static void
connection_added(struct connection *connection, nng_pipe pipe)
{
    /* Its end may be told first, by another thread. */
    if (pipe.id == connection->gone)
        return;
    connection->lost |= connection->pipe.id != 0;
    connection->pipe = pipe;
}

static void
connection_removed(struct connection *connection, nng_pipe pipe)
{
    connection->gone = pipe.id;
    if (connection->pipe.id != pipe.id)
        return;
    connection->pipe.id = 0;
    connection->lost = true;
}

/* On a thread of nng. */
static void
note_connection(struct connection *connection, nng_pipe pipe, nng_pipe_ev what)
{
    if (what == NNG_PIPE_EV_ADD_POST)
        connection_added(connection, pipe);
    else
        connection_removed(connection, pipe);
}

static void
on_call_pipe(nng_pipe pipe, nng_pipe_ev what, void *arg)
{
    struct ps_bus_client *client = arg;
    pthread_mutex_lock(&client->call_connection.lock);
    note_connection(&client->call_connection, pipe, what);
    pthread_mutex_unlock(&client->call_connection.lock);
}

static void
on_event_pipe(nng_pipe pipe, nng_pipe_ev what, void *arg)
{
    struct ps_bus_client *client = arg;
    pthread_mutex_lock(&client->event_connection.lock);
    note_connection(&client->event_connection, pipe, what);
    if (!client->link_posted) {
        client->link_posted = true;
        ps_loop_post(client->loop, &client->link_task);
    }
    pthread_mutex_unlock(&client->event_connection.lock);
}

/* Tells one change at a time: down, if one was lost, before up. */
static void
link_on_loop(struct ps_task *task)
{
    struct ps_bus_client *client =
        PS_CONTAINER_OF(task, struct ps_bus_client, link_task);
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    struct connection *connection = &client->event_connection;
    pthread_mutex_lock(&connection->lock);
    bool connected = connection->pipe.id != 0, was = client->up;
    bool now = was ? !connection->lost : connected;
    connection->lost = false;
    client->link_posted = !now && connected;
    if (client->link_posted)
        ps_loop_post(client->loop, &client->link_task);
    pthread_mutex_unlock(&connection->lock);
    client->up = now;
    if (was != now)
        client->on_link(client->arg, now); /* may stop the client */
}

static void
close_connection(struct connection *connection)
{
    pthread_mutex_lock(&connection->lock);
    nng_pipe pipe = connection->pipe;
    pthread_mutex_unlock(&connection->lock);
    /* An id is not used again soon: at worst nothing is closed. */
    if (pipe.id != 0)
        nng_pipe_close(pipe);
}

void
ps_bus_client_reconnect(struct ps_bus_client *client)
{
    PS_CHECK_OBJ(client, CLIENT_MAGIC);
    close_connection(&client->call_connection);
    close_connection(&client->event_connection);
}

/* -- life -- */

static int
open_client_sockets(struct ps_bus_client *client)
{
    int code = nng_req0_open(&client->calls);
    client->calls_open = code == 0;
    if (code == 0) {
        code = nng_sub0_open(&client->events);
        client->events_open = code == 0;
    }
    if (code ||
        (code = nng_socket_set_ms(client->calls, NNG_OPT_REQ_RESENDTIME,
                                  NNG_DURATION_INFINITE)) ||
        (code = nng_socket_set_int(client->events, NNG_OPT_RECVBUF,
                                   QUEUE_MESSAGES)) ||
        (code =
             nng_socket_set_bool(client->events, NNG_OPT_SUB_PREFNEW, false)) ||
        (code = nng_socket_set(client->events, NNG_OPT_SUB_SUBSCRIBE, "", 0)))
        return code;
    if ((code = nng_aio_alloc(&client->event_aio, event_completed, client)))
        return code;
    nng_pipe_ev events[] = {NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST};
    for (size_t i = 0; code == 0 && i < PS_ARRAY_LEN(events); i++) {
        code = nng_pipe_notify(client->calls, events[i], on_call_pipe, client);
        if (code == 0)
            code = nng_pipe_notify(client->events, events[i], on_event_pipe,
                                   client);
    }
    return code;
}

static int
dial(nng_socket sock, const char *address, nng_tls_config *tls)
{
    char url[256];
    nng_dialer dialer;
    if (!make_url(address, url, sizeof(url)))
        return NNG_EADDRINVAL;
    int code = nng_dialer_create(&dialer, sock, url);
    if (code != 0)
        return code;
    if ((code = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls)) ||
        (code = nng_dialer_set_size(dialer, NNG_OPT_RECVMAXSZ,
                                    PS_BUS_MESSAGE_MAX + HEADER_MAX)) ||
        (code = nng_dialer_set_bool(dialer, NNG_OPT_TCP_KEEPALIVE, true)) ||
        (code =
             nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) ||
        (code =
             nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) ||
        (code = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK)))
        nng_dialer_close(dialer);
    return code;
}

static enum ps_rc
start_client(struct ps_bus_client *client, const struct ps_bus_client_conf *c,
             nng_tls_config *tls, struct ps_err *err)
{
    int code = open_client_sockets(client);
    if (code != 0)
        return nng_fail(err, PS_FABRIC, "cannot make the sockets of",
                        "the fabric", code);
    nng_recv_aio(client->events, client->event_aio);
    code = dial(client->calls, c->call_address, tls);
    if (code != 0)
        return nng_fail(err, PS_FABRIC, "cannot use the address",
                        c->call_address, code);
    code = dial(client->events, c->event_address, tls);
    if (code != 0)
        return nng_fail(err, PS_FABRIC, "cannot use the address",
                        c->event_address, code);
    return PS_OK;
}

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
    b->event_task.fn = event_on_loop;
    b->link_task.fn = link_on_loop;
    ps_list_init(&b->under_way);
    pthread_mutex_init(&b->call_connection.lock, NULL);
    pthread_mutex_init(&b->event_connection.lock, NULL);

    nng_tls_config *tls = NULL;
    sigset_t before;
    block_signals(&before);
    enum ps_rc rc = make_tls(c->tls, NNG_TLS_MODE_CLIENT, &tls, err);
    if (rc == PS_OK) {
        rc = start_client(b, c, tls, err);
        nng_tls_config_free(tls); /* the dialers hold it */
    }
    restore_signals(&before);
    if (rc != PS_OK) {
        ps_bus_client_stop(&b);
        return rc;
    }
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
    *client = NULL;
    b->stopping = true;
    if (b->calls_open)
        nng_close(b->calls);
    if (b->events_open)
        nng_close(b->events);
    end_aio(b->loop, &b->event_aio, &b->event_task);
    ps_loop_unpost(b->loop, &b->link_task);

    struct ps_link *link;
    while ((link = ps_list_first(&b->under_way))) {
        struct call *call = PS_CONTAINER_OF(link, struct call, link);
        if (call->aio)
            nng_aio_stop(call->aio);
        ps_loop_unpost(b->loop, &call->task);
        finish_call(call, PS_SHUTTING_DOWN);
    }
    pthread_mutex_destroy(&b->call_connection.lock);
    pthread_mutex_destroy(&b->event_connection.lock);
    b->magic = 0;
    free(b);
}
