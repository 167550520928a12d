/*
 * POST /sql in the protocol of @polyscale/serverless-js: from a body to a
 * request for the engine, and (when memory does not answer) to a statement
 * for the driver.
 */
#ifndef PS_AGENT_FRONT_POLYSCALE_H
#define PS_AGENT_FRONT_POLYSCALE_H

#include "agent/front/polyscale_body.h"
#include "agent/req/req.h"

struct ps_polyscale_request {
    struct ps_req req;
    struct ps_polyscale_body body;
};

/*
 * Reads text into request->body and sets what the protocol knows of
 * request->req (after ps_req_init). text must stay valid until done.
 */
PS_MUST_USE enum ps_rc ps_polyscale_accept(struct ps_polyscale_request *request,
                                           struct ps_str text,
                                           struct ps_err *err);

/* The SQL bytes that go into the cache key. */
PS_MUST_USE enum ps_rc ps_polyscale_key_sql(const struct ps_req *req,
                                            struct ps_str *out);

#endif
