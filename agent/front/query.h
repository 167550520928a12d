/*
 * POST /v1/query, Portside's own protocol: what PolyScale's can say and more
 * (columns with their types, arrays for rows, NDJSON, directives for the
 * cache, read-your-writes across agents).
 */
#ifndef PS_AGENT_FRONT_QUERY_H
#define PS_AGENT_FRONT_QUERY_H

#include "agent/front/batch.h"
#include "agent/front/json_in.h"
#include "agent/req/req.h"

struct ps_query_request {
    struct ps_req req; /* first */
    bool lines;        /* NDJSON */
    bool knex;         /* bindings by knex's rules; else params as they are */
    bool arrays;       /* rows */
    /* Read when memory does not answer; or NULL. */
    const struct ps_json *params;
    /* A batch: its statements, which are one transaction. */
    bool batch;
    const struct ps_json *statements;
    struct ps_batch_mode mode;
};

/* authorization: the header's value or an absent view. lines: the client
 * accepts NDJSON. body must stay valid until done. */
PS_MUST_USE enum ps_rc ps_query_accept(struct ps_query_request *request,
                                       struct ps_str body,
                                       struct ps_str authorization, bool lines,
                                       struct ps_err *err);

/* Sets statement i of a batch, which was checked; false: no memory. */
bool ps_query_statement(struct ps_query_request *request, size_t i);

#endif
