/*
 * One request with its reply, from the moment the request is complete until
 * the last byte of the reply is written. Exchanges are kept in a stack like
 * buffers: a hit finds its arena and request object in the cache.
 *
 *   READY <--route: own reply----- NEW --route: ps_req_start--> RUNNING
 *     ^                                                            |
 *     +------------------------- done -----------------------------+
 *
 * While RUNNING it may be written in parts already (streaming).
 */
#ifndef PS_AGENT_FRONT_EXCHANGE_H
#define PS_AGENT_FRONT_EXCHANGE_H

#include "agent/front/batch.h"
#include "agent/front/buffers.h"
#include "agent/front/neon.h"
#include "agent/front/planetscale.h"
#include "agent/front/polyscale.h"
#include "agent/front/query.h"
#include "agent/front/reply.h"
#include "common/buf.h"
#include "common/list.h"

enum {
    /* Of one request: decoded strings, bindings, the statement that knex makes
     * of them, the engine's analysis. */
    PS_EXCHANGE_ARENA_BYTES = 128 << 20,
    PS_CHUNK_HEAD_MAX = 24 /* the size of a chunk */
};

struct ps_http;
struct ps_protocol; /* protocol.h */

enum ps_exchange_state {
    PS_EXCHANGE_NEW,
    PS_EXCHANGE_RUNNING, /* the engine has it */
    PS_EXCHANGE_READY    /* head and body can be written */
};

struct ps_exchange {
    unsigned magic;
    enum ps_exchange_state state;
    struct ps_http *http;
    const struct ps_protocol *protocol; /* NULL: a path without one */
    /* Valid when started; each begins with its req. */
    union {
        struct ps_req req;
        struct ps_polyscale_request polyscale;
        struct ps_query_request query;
        struct ps_neon_request neon;
        struct ps_planetscale_request planetscale;
    } request;
    bool started;           /* by ps_req_start: ps_req_done is due */
    struct ps_batch *batch; /* several statements; or NULL */
    bool abandoned;         /* the client went away */
    struct ps_arena *arena;
    size_t charged; /* bytes of the arena counted in buffers */
    /* How the reply is to be framed. */
    bool head_only; /* HEAD */
    bool last;      /* the connection closes behind it */
    bool keep_alive_1_0;
    bool takes_parts; /* said by the protocol: see protocol.h, broken */
    /* The reply comes in parts (stream.c): head to after are then one of them,
     * and written begins anew with each. */
    bool streaming, ended;
    bool unframed;        /* HTTP/1.0: parts are not chunks */
    struct ps_list parts; /* not yet begun */
    struct ps_part *part; /* being written */
    /* The reply. */
    char head[PS_REPLY_HEAD_MAX + PS_CHUNK_HEAD_MAX];
    size_t head_len;
    struct ps_str body; /* the engine's (valid until ps_req_done) or text's */
    /* What the protocol puts around the engine's body; in text. */
    struct ps_str before, after;
    const char *content_type; /* NULL: JSON */
    struct ps_buf text;
    size_t written; /* of head, before, body and after together */
    struct ps_exchange *next_free;
};

struct ps_exchanges {
    struct ps_buffers *buffers; /* for the bound */
    size_t arena_bytes;
    struct ps_exchange *free;
    size_t n_free, n_used;
};

void ps_exchanges_init(struct ps_exchanges *exchanges,
                       struct ps_buffers *buffers, size_t arena_bytes);
void ps_exchanges_done(struct ps_exchanges *exchanges);
/* NULL without memory. */
struct ps_exchange *ps_exchange_take(struct ps_exchanges *exchanges,
                                     struct ps_http *http);
/* Lets go of the answer, forgets everything. Not while RUNNING. */
void ps_exchange_give(struct ps_exchanges *exchanges, struct ps_exchange *x);
/* Counts what the arena holds; false: the bound on buffered bytes is
 * reached. */
PS_MUST_USE bool ps_exchange_charge(struct ps_exchanges *exchanges,
                                    struct ps_exchange *x);

/* ---- stream.c: a reply in parts ---- */

/* The first one or another has come. http_1_0: of the request. */
void ps_exchange_part(struct ps_exchange *x, const struct ps_reply *reply,
                      struct ps_part *part, bool http_1_0);
/* The engine is done: makes x READY. */
void ps_exchange_end(struct ps_exchange *x);
/* What is in x is written: puts the next there is into it. False: there is
 * none, for now (RUNNING) or at all. */
bool ps_exchange_next(struct ps_exchange *x);
/* Frees what is not written. */
void ps_exchange_drop_parts(struct ps_exchange *x);

/* Each makes x READY. */

/* The engine's answer, of a request that is done. */
void ps_exchange_reply_engine(struct ps_exchange *x);
/* An error of the front's own; message NULL: the table's sentence. */
void ps_exchange_reply_error(struct ps_exchange *x, const struct ps_err *err,
                             const char *extra);
/* A fixed text with a fixed status. */
void ps_exchange_reply_text(struct ps_exchange *x, int status,
                            struct ps_str body, const char *extra);

#endif
