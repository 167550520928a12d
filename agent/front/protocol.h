/*
 * What the protocols of the front differ in; the rest of a request's way is one
 * and the same (route.c, exchange.c, and the engine, which decides).
 *
 *   path, headers --route.c--> protocol
 *   accept  head and body -> a request for the engine
 *   (the engine's bytes are in the form of req->protocol->style)
 *   before, after  what stands around them in the reply
 *   error   the reply to a request that failed
 */
#ifndef PS_AGENT_FRONT_PROTOCOL_H
#define PS_AGENT_FRONT_PROTOCOL_H

#include "agent/front/exchange.h"
#include "agent/front/head.h"

/* The request as it came; views are valid until the reply is written. */
struct ps_http_input {
    struct ps_str body;
    const struct ps_head *head;
    const char *head_base; /* for ps_head_value */
};

struct ps_protocol {
    /* x->request.req is initialised, with what Cache-Control said. Anything
     * but PS_OK: err is set and becomes the reply. */
    enum ps_rc (*accept)(struct ps_exchange *x, const struct ps_http_input *in,
                         struct ps_err *err);
    /* Of a success; NULL: nothing. */
    void (*before)(const struct ps_exchange *x, struct ps_buf *out);
    void (*after)(const struct ps_exchange *x, struct ps_buf *out);
    /* Writes the JSON and returns the status. reply: the engine's, or NULL
     * when it never had the request. NULL: the usual JSON. */
    int (*error)(const struct ps_exchange *x, const struct ps_err *err,
                 const struct ps_reply *reply, struct ps_buf *out);
    /* Of x that takes_parts: what comes behind rows that are on their way
     * already when the request fails. */
    void (*broken)(const struct ps_exchange *x, const struct ps_err *err,
                   const struct ps_reply *reply, struct ps_buf *out);
};

extern const struct ps_protocol ps_protocol_polyscale;
extern const struct ps_protocol ps_protocol_query;
extern const struct ps_protocol ps_protocol_neon;
extern const struct ps_protocol ps_protocol_planetscale; /* Execute */
extern const struct ps_protocol ps_protocol_planetscale_session;

#endif
