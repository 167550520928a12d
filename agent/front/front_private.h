/*
 * What the files of the front share: the front of one loop and its
 * connections. Nobody else includes this.
 *
 * A connection's state is the list it is in; only http.c moves it. Each list
 * has one time limit, so its first member is the one whose limit ends first,
 * and keeping time costs two pointers per change.
 */
#ifndef PS_AGENT_FRONT_FRONT_PRIVATE_H
#define PS_AGENT_FRONT_FRONT_PRIVATE_H

#include "agent/front/chunked.h"
#include "agent/front/exchange.h"
#include "agent/front/front.h"
#include "agent/front/head_memo.h"
#include "agent/front/transport.h"
#include "common/list.h"

/* X(name): what a connection waits for */
#define PS_HTTP_WAIT_TABLE(X)                                              \
    X(HANDSHAKE) /* TLS */                                                 \
    X(IDLE)      /* between requests, nothing received */                  \
    X(HEAD)      /* a part of a head */                                    \
    X(BODY)      /* a part of a body */                                    \
    X(ENGINE)    /* the answer */                                          \
    X(REPLY)     /* the end of this turn, then it is written */            \
    X(WRITE)     /* room in the socket's buffer */                         \
    X(LINGER)    /* reply sent, peer may still be sending: RFC 9112 9.6 */ \
    X(GONE)      /* closed; the engine still has its request */

enum ps_http_wait {
#define X(name) PS_HTTP_WAIT_##name,
    PS_HTTP_WAIT_TABLE(X)
#undef X
    PS_HTTP_WAIT_COUNT
};

/* What is done next; the order of a request's life. */
enum ps_http_step {
    PS_HTTP_STEP_HANDSHAKE,
    PS_HTTP_STEP_HEAD,
    PS_HTTP_STEP_BODY,
    PS_HTTP_STEP_ANSWER,
    PS_HTTP_STEP_WRITE,
    PS_HTTP_STEP_LINGER,
    PS_HTTP_STEP_COUNT
};

enum {
    PS_HTTP_MAGIC = 0x48545450,
    PS_HTTP_SOURCE_MAX = 48
};

struct ps_http {
    unsigned magic;
    struct ps_front *front;
    struct ps_transport *transport; /* NULL: GONE */
    enum ps_http_step step;
    enum ps_http_wait waits;
    struct ps_link link; /* in front->waiting[waits] */
    uint64_t since_ms;   /* when it began to wait so */
    bool renewed;        /* another request: the time starts anew */
    bool routing;        /* ps_route is on the stack */
    bool served;         /* has had a reply */
    bool eof;            /* the peer sends no more */
    bool last;           /* close behind the reply under way */
    bool linger;         /* and the peer may not have sent everything */
    bool continue_sent;
    /* Input: data[start..len) is unread, offsets below count from start. */
    char *data;
    size_t cap, start, len;
    size_t fed;      /* bytes of the head that were parsed */
    size_t body_at;  /* behind the head */
    size_t body_end; /* behind the (decoded) body */
    size_t raw;      /* chunked: first byte that is not decoded yet; at the
                        end of any body: first byte of the next request */
    struct ps_head head;
    unsigned known_head; /* its place in the memo */
    struct ps_chunked chunked;
    struct ps_exchange *exchange; /* NULL: no request is complete */
    size_t progress;              /* bytes written since since_ms */
    char source[PS_HTTP_SOURCE_MAX];
};

struct ps_listener;

struct ps_front {
    unsigned magic;
    struct ps_front_conf conf; /* with defaults for limits that are 0 */
    struct ps_listener *plain, *tls;
    struct ps_list waiting[PS_HTTP_WAIT_COUNT];
    uint64_t limits_ms[PS_HTTP_WAIT_COUNT]; /* 0: none */
    size_t n_connections;
    struct ps_timer sweep;
    uint64_t sweep_ms;
    bool draining;
    bool closing;         /* every reply ends its connection */
    bool gathering;       /* a connection reads: its reply waits for others */
    struct ps_task flush; /* writes what waits for the end of the turn */
    bool flush_posted;
    struct ps_buffers buffers;
    struct ps_exchanges exchanges;
    struct ps_head_memo heads;
};

/* ---- http.c ---- */

/* A new connection over this transport, which it takes over; NULL without
 * memory (the transport is freed). source: the client's address. */
struct ps_http *ps_http_open(struct ps_front *front,
                             struct ps_transport *transport, const char *source,
                             bool handshake);
/* Answers with this error before or instead of a request, then closes. The
 * connection may be gone on return. */
void ps_http_refuse(struct ps_http *http, enum ps_rc rc, const char *message);
/* Closes at once; a request under way is abandoned. */
void ps_http_close(struct ps_http *http);
/* Writes the replies that wait for the end of the turn. */
void ps_http_flush(struct ps_front *front);
/* Its time limit has passed. */
void ps_http_expired(struct ps_http *http);
/* The engine has a part of the answer; see ps_req.part. */
void ps_http_part(struct ps_req *req, const struct ps_reply *reply,
                  struct ps_part *part);
/* The engine's done callback. */
void ps_http_done(struct ps_req *req);

/* ---- front.c ---- */

/* Parts that tests use without listeners: limits and pools, no sockets. */
struct ps_front *ps_front_new(const struct ps_front_conf *conf);

/* ---- route.c ---- */

/* A complete request: makes http->exchange READY or RUNNING. */
void ps_route(struct ps_http *http);

#endif
