/*
 * Neon's SQL over HTTP, as @neondatabase/serverless speaks it: credentials in
 * a header, one statement or a batch that is one transaction, in PostgreSQL's
 * extended protocol with values as text.
 */
#ifndef PS_AGENT_FRONT_NEON_H
#define PS_AGENT_FRONT_NEON_H

#include "agent/front/batch.h"
#include "agent/front/json_in.h"
#include "agent/req/req.h"

struct ps_neon_request {
    struct ps_req req;              /* first */
    bool raw, arrays;               /* as the headers say */
    const struct ps_json *params;   /* of the statement under way, or NULL */
    const struct ps_json **queries; /* of a batch */
    size_t n_queries;               /* with batch */
    bool batch;
    struct ps_batch_mode mode;
};

/* The headers that it reads; absent views where they are. */
struct ps_neon_headers {
    struct ps_str connection, raw_text, array_mode;
    struct ps_str isolation, read_only, deferrable;
};

/* Fills request from a body, which must stay valid until done. For a batch
 * req has no statement yet: see ps_neon_query. */
PS_MUST_USE enum ps_rc ps_neon_accept(struct ps_neon_request *request,
                                      struct ps_str body,
                                      const struct ps_neon_headers *headers,
                                      struct ps_err *err);
/* Sets statement i of a batch; false: no memory. */
bool ps_neon_query(struct ps_neon_request *request, size_t i);

#endif
