/*
 * POST /v1/query, Portside's own protocol: what PolyScale's can say and more
 * (columns with their types, arrays for rows, NDJSON, directives for the
 * cache, read-your-writes across agents).
 */
#ifndef PS_AGENT_FRONT_QUERY_H
#define PS_AGENT_FRONT_QUERY_H

#include "agent/front/json_in.h"
#include "agent/req/req.h"

struct ps_query_request {
    struct ps_req req; /* first */
    bool lines;        /* NDJSON */
    bool knex;         /* bindings by knex's rules; else params as they are */
    const struct ps_json
        *params; /* read when memory does not answer; or NULL */
};

/* authorization: the header's value or an absent view. lines: the client
 * accepts NDJSON. body must stay valid until done. */
PS_MUST_USE enum ps_rc ps_query_accept(struct ps_query_request *request,
                                       struct ps_str body,
                                       struct ps_str authorization, bool lines,
                                       struct ps_err *err);

#endif
