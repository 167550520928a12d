/*
 * The fabric's transport: nng sockets over TLS with certificates on both
 * sides. The only user of nng. Messages are opaque bytes here (the codec is
 * proto/).
 *
 *   agents  --call-->  server: handler(reply handle) ... ps_bus_reply()
 *   server  --publish--> every subscriber, in order, may be lost (the
 *                        receiver notices by number, design section 4)
 *
 * Callbacks run on the loop given at creation. Everything is called on that
 * loop's thread, except where noted.
 *
 * TLS: the peer's certificate must be signed by ca_pem; a client also
 * requires the server's name PS_BUS_SERVER_NAME, whatever its address.
 */
#ifndef PS_COMMON_IO_BUS_H
#define PS_COMMON_IO_BUS_H

#include "common/err.h"
#include "common/io/loop.h"

#define PS_BUS_SERVER_NAME "controlplane.portside.internal"
enum {
    PS_BUS_MESSAGE_MAX = 8 << 20
};

struct ps_bus_tls {
    const char *ca_pem;   /* trusted signer(s) */
    const char *cert_pem; /* own certificate */
    const char *key_pem;  /* own key, unencrypted PKCS#8 or SEC1 */
};

/* ---- the control plane's side ---- */
struct ps_bus_server;
struct ps_bus_call; /* one call that waits for its reply */

struct ps_bus_server_conf {
    struct ps_loop *loop;
    const struct ps_bus_tls *tls; /* copied */
    const char *call_address;     /* "0.0.0.0:7601"; port 0: any */
    const char *event_address;
    unsigned parallel_calls; /* calls answered at a time, e.g. 64 */
    /* Takes the call: every call gets exactly one ps_bus_reply, now or
     * later. body is valid during the call of on_call only. */
    void (*on_call)(void *arg, struct ps_bus_call *call, struct ps_str body);
    void *arg;
};
PS_MUST_USE enum ps_rc ps_bus_server_start(struct ps_bus_server **server,
                                           const struct ps_bus_server_conf *c,
                                           struct ps_err *err);
/* Calls not yet replied to are dropped; their handles are dead. May be called
 * within on_call. */
void ps_bus_server_stop(struct ps_bus_server **server);
/* The ports really bound. */
void ps_bus_server_ports(const struct ps_bus_server *server, int *call_port,
                         int *event_port);
/* Copies body; the handle is dead afterwards. A body above
 * PS_BUS_MESSAGE_MAX is not sent: the caller runs into its time-out. */
void ps_bus_reply(struct ps_bus_call *call, struct ps_str body);
/* To all subscribers; copies body, never blocks. For each subscriber 8192
 * events wait at most; those it loses it notices by their numbers. */
void ps_bus_publish(struct ps_bus_server *server, struct ps_str body);

/* ---- the agent's side ---- */
struct ps_bus_client;

struct ps_bus_client_conf {
    struct ps_loop *loop;
    const struct ps_bus_tls *tls; /* copied */
    const char *call_address;     /* "192.0.2.1:7601" or a name */
    const char *event_address;
    void (*on_event)(void *arg, struct ps_str body);
    /* The event connection came up or went down; every loss is told, however
     * short. Events received before a loss may come after the news of it, and
     * the server may take up a new subscriber a moment after `up`: so fetch
     * what may have been missed after up, and mind the numbers. */
    void (*on_link)(void *arg, bool up);
    void *arg;
    /* No event for this long, or no call answered for twice as long: connect
     * anew (ps_bus_client_reconnect). 0: never by itself. */
    uint64_t silence_ms;
};
PS_MUST_USE enum ps_rc ps_bus_client_start(struct ps_bus_client **client,
                                           const struct ps_bus_client_conf *c,
                                           struct ps_err *err);
/* May be called within a callback, once. */
void ps_bus_client_stop(struct ps_bus_client **client);
/* Drops both connections; they are made anew within a second. For when
 * nothing came for too long: a peer that vanished without a word is otherwise
 * noticed after many minutes, or never. */
void ps_bus_client_reconnect(struct ps_bus_client *client);
/* Sends a call; fn runs exactly once, later, on the loop: with the reply, or
 * with an empty body and
 *   PS_FABRIC           not connected all the time, or the connection broke
 *   PS_REQUEST_TIMEOUT  sent, and no reply in time
 *   PS_TOO_BIG          body above PS_BUS_MESSAGE_MAX; PS_NO_MEMORY
 *   PS_SHUTTING_DOWN    from within ps_bus_client_stop; no new call then
 * While not connected a call waits, within its time. Several calls may be
 * under way; each is sent at most once. body is copied. */
void ps_bus_call(struct ps_bus_client *client, struct ps_str body,
                 unsigned timeout_ms,
                 void (*fn)(void *arg, enum ps_rc rc, struct ps_str reply),
                 void *arg);

#endif
