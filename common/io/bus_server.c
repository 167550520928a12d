/*
 * The control plane's side: one rep socket with `parallel_calls` contexts,
 * each a small state machine around one nng_aio,
 *
 *   RECEIVING -> (loop) ANSWERING, the caller has it -> SENDING -+
 *      ^---------------------------------------------------------+
 *
 * and one pub socket. Calls beyond `parallel_calls` wait in TCP; events wait
 * in a bounded queue per subscriber.
 */
#include "common/check.h"
#include "common/io/bus_private.h"
#include "common/log.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>

#include <stdlib.h>

enum {
    SERVER_MAGIC = 0x62757373,
    CALL_MAGIC = 0x62757361,
    CLOSE_WAIT_MS = 3000
};

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
    nng_socket calls, events; /* id 0: not open */
    nng_listener call_listener, event_listener;
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
    nng_msg *msg = bus_take_message(call->aio);
    if (call->state == RECEIVING && code == 0) {
        call->state = ANSWERING;
        struct ps_bus_server *server = call->server;
        /* May reply, and may even stop the server. */
        server->on_call(server->arg, call, bus_body(msg));
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
    if (body.len <= PS_BUS_MESSAGE_MAX)
        msg = bus_message(body);
    if (!msg) {
        ps_error("bus", "a reply of %zu bytes could not be sent", body.len);
        receive_call(call); /* forgets the caller, who will time out */
        return;
    }
    call->state = SENDING;
    nng_aio_set_msg(call->aio, msg);
    nng_ctx_send(call->ctx, call->aio);
}

void
ps_bus_publish(struct ps_bus_server *server, struct ps_str body)
{
    PS_CHECK_OBJ(server, SERVER_MAGIC);
    nng_msg *msg = NULL;
    if (body.len <= PS_BUS_MESSAGE_MAX)
        msg = bus_message(body);
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

/* ---- life ---- */

/* Binds address on sock; port gets the number really bound. */
static int
listen_on(nng_socket sock, const char *address, nng_tls_config *tls,
          nng_listener *listener, int *port)
{
    char url[BUS_URL_MAX];
    if (!bus_make_url(BUS_ANY, address, url))
        return NNG_EADDRINVAL;
    int code = nng_listener_create(listener, sock, url);
    if (code != 0)
        return code;
    nng_listener l = *listener;
    if ((code = nng_listener_set_ptr(l, NNG_OPT_TLS_CONFIG, tls)) ||
        (code = nng_listener_set_size(l, NNG_OPT_RECVMAXSZ, BUS_WIRE_MAX)) ||
        (code = nng_listener_set_bool(l, NNG_OPT_TCP_KEEPALIVE, true)) ||
        (code = nng_listener_start(l, 0)))
        return code;
    return nng_listener_get_int(l, NNG_OPT_TCP_BOUND_PORT, port);
}

static int
open_sockets(struct ps_bus_server *server)
{
    int code;
    if ((code = nng_rep0_open(&server->calls)) ||
        (code = nng_pub0_open(&server->events)) ||
        (code = nng_socket_set_int(server->events, NNG_OPT_SENDBUF,
                                   BUS_QUEUE_MESSAGES)))
        return code;
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
start(struct ps_bus_server *server, const struct ps_bus_server_conf *c,
      nng_tls_config *tls, struct ps_err *err)
{
    int code = open_sockets(server);
    if (code != 0)
        return bus_fail(err, PS_IO, "cannot make the sockets of", "the fabric",
                        code);
    code = listen_on(server->calls, c->call_address, tls,
                     &server->call_listener, &server->call_port);
    if (code != 0)
        return bus_fail(err, PS_IO, "cannot listen on", c->call_address, code);
    code = listen_on(server->events, c->event_address, tls,
                     &server->event_listener, &server->event_port);
    if (code != 0)
        return bus_fail(err, PS_IO, "cannot listen on", c->event_address, code);
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
    bus_block_signals(&before);
    enum ps_rc rc = bus_make_tls(c->tls, NNG_TLS_MODE_SERVER, &tls, err);
    if (rc == PS_OK) {
        rc = start(s, c, tls, err);
        nng_tls_config_free(tls); /* the listeners hold it */
    }
    bus_restore_signals(&before);
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
    /* First of all, so that the ports are free whatever becomes of the rest. */
    if (s->call_listener.id != 0)
        nng_listener_close(s->call_listener);
    if (s->event_listener.id != 0)
        nng_listener_close(s->event_listener);
    for (size_t i = 0; i < s->call_count; i++) {
        bus_end_aio(s->loop, &s->call[i].aio, &s->call[i].task);
        s->call[i].magic = 0;
    }
    bus_close(s->calls, s->events, NULL, NULL, CLOSE_WAIT_MS);
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
