/*
 * PlanetScale's serverless API, as @planetscale/database speaks it: Basic
 * credentials, a statement with its values in the text, and an opaque session
 * that the client sends back with its next statement.
 */
#ifndef PS_AGENT_FRONT_PLANETSCALE_H
#define PS_AGENT_FRONT_PLANETSCALE_H

#include "agent/front/batch.h"
#include "agent/req/req.h"

struct ps_planetscale_request {
    struct ps_req req; /* first */
    /* Of the session from here on, outside of transactions. */
    struct ps_str database; /* chosen by USE, or empty: as the user name says */
    enum ps_isolation isolation; /* of the next transaction */
    /* Of this statement. */
    enum ps_isolation begin_isolation;
    bool begins, rollback;
};

/* create: CreateSession, which has no statement. Views must stay valid until
 * done. */
PS_MUST_USE enum ps_rc
ps_planetscale_accept(struct ps_planetscale_request *request,
                      struct ps_str body, struct ps_str authorization,
                      bool create, struct ps_err *err);

#endif
