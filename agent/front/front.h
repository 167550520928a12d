/*
 * The HTTP side of the agent: listeners on every loop, connections, limits,
 * routes. See README.md of this folder.
 */
#ifndef PS_AGENT_FRONT_FRONT_H
#define PS_AGENT_FRONT_FRONT_H

#include "agent/req/req.h"
#include "common/err.h"
#include "common/io/loop.h"

struct ps_front; /* one per loop */

struct ps_front_limits {
    size_t max_head_bytes;     /* 16 KiB */
    size_t max_body_bytes;     /* 4 MiB */
    size_t max_buffered_bytes; /* all connections of this loop together */
    unsigned max_connections;  /* of this loop */
    uint64_t head_timeout_ms;  /* first byte to whole head: 10 s */
    uint64_t body_timeout_ms;  /* head to whole body: 30 s */
    uint64_t idle_timeout_ms;  /* between requests: 75 s */
    uint64_t write_timeout_ms; /* reply not taken: 30 s */
};

struct ps_front_conf {
    struct ps_loop *loop;
    unsigned loop_index;
    struct ps_engine *engine;
    struct ps_front_limits limits;
    /* Replies that are written together when a turn of the loop brings several
     * requests; 0 or 1: each at once. */
    size_t reply_batch;
    /* "127.0.0.1:8080", "[::]:8443"; NULL: no such listener. Several loops
     * listen at the same address by SO_REUSEPORT. */
    const char *listen_http;
    const char *listen_https;
    struct ssl_ctx_st *tls; /* for listen_https; not owned */
    bool reuse_port;
    /* For /readyz: not NULL text says why the agent is not ready. */
    const char *(*not_ready)(void *arg);
    void *arg;
};
PS_MUST_USE enum ps_rc ps_front_start(struct ps_front **front,
                                      const struct ps_front_conf *conf,
                                      struct ps_err *err);
/* The ports really bound (0: no such listener). */
void ps_front_ports(const struct ps_front *front, int *http, int *https);
/* Stops listening; open connections finish their request, then close. */
void ps_front_drain(struct ps_front *front);
/* On: connections end with the reply under way, idle ones at once (new ones
 * after a second: call it again), but it goes on listening and answering. Off:
 * as before. The loop's thread. */
void ps_front_retire(struct ps_front *front, bool on);
/* How many connections are open. */
size_t ps_front_connections(const struct ps_front *front);
/* Closes everything. No request may be under way in the engine. */
void ps_front_free(struct ps_front **front);

#endif
