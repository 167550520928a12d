/*
 * How a connection's bytes travel: plain TCP, TLS, or a test's memory. The
 * connection code sees reads, writes and readiness only.
 *
 *   connection --read, writev, want--> transport --> socket
 *   connection <-------ready---------- transport <-- event loop
 *
 * Everything on the loop's thread. No call blocks; ready is never called from
 * inside another call.
 */
#ifndef PS_AGENT_FRONT_TRANSPORT_H
#define PS_AGENT_FRONT_TRANSPORT_H

#include "common/base.h"
#include "common/io/loop.h"

#include <sys/types.h>
#include <sys/uio.h>

struct ssl_ctx_st;
struct ps_transport;

/* Results of read, writev and handshake below zero. */
enum {
    PS_TRANSPORT_AGAIN = -1, /* not now: ready will be called */
    PS_TRANSPORT_BROKEN = -2
};

enum {
    PS_TRANSPORT_MAX_PARTS = 4 /* of one writev: head, body, what is around */
};

struct ps_transport_ops {
    /* 0: may read and write. */
    int (*handshake)(struct ps_transport *transport);
    /* Bytes read, 0: the peer sends no more. */
    ssize_t (*read)(struct ps_transport *transport, void *buf, size_t n);
    /* Bytes taken, perhaps fewer than offered. */
    ssize_t (*writev)(struct ps_transport *transport, const struct iovec *iov,
                      int count);
    /* Already received, not yet read: readiness of the socket may not tell. */
    bool (*pending)(const struct ps_transport *transport);
    /* Wait for any of PS_IO_* from now on. */
    void (*want)(struct ps_transport *transport, unsigned interest);
    /* Nothing more will be written; what was is still delivered. */
    void (*finish)(struct ps_transport *transport);
    /* Closes the socket. */
    void (*free)(struct ps_transport *transport);
};

/* The head of every transport. */
struct ps_transport {
    const struct ps_transport_ops *ops;
    void (*ready)(void *arg, unsigned ready);
    void *arg;
};

/* Both take over the non-blocking fd; NULL without memory (fd stays open). */
struct ps_transport *ps_transport_plain(struct ps_loop *loop, int fd);
struct ps_transport *ps_transport_tls(struct ps_loop *loop, int fd,
                                      struct ssl_ctx_st *ctx);

#endif
