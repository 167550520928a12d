/*
 * An engine for tests of the front alone: answers every request with a fixed
 * text at once, or holds it until told. Linked in place of ps_req.
 */
#ifndef PS_AGENT_FRONT_STUB_ENGINE_H
#define PS_AGENT_FRONT_STUB_ENGINE_H

#include "agent/req/req.h"

struct ps_engine {
    /* How to answer. */
    struct ps_str body;
    enum ps_rc rc;
    bool hold;             /* keep requests until ps_stub_finish */
    bool prepare;          /* call the protocol's prepare first */
    bool finish_abandoned; /* ps_req_abandon ends the request at once */
    enum ps_verdict verdict;
    const char *reason;
    bool stored;
    /* What happened. */
    struct ps_req *held[64];
    unsigned n_held, n_started, n_abandoned, n_finished, n_done;
    bool last_no_cache, last_no_store, last_only_if_cached, last_has_max_age;
    uint64_t last_max_age_ms, last_stale_if_error_ms;
    unsigned n_parts, n_parts_freed;
    char last_sql[256], last_source[64], last_user[64];
};

/* Answers the oldest held request. */
void ps_stub_finish(struct ps_engine *engine);
/* A part of the answer to the oldest held request; text stays the test's. */
void ps_stub_part(struct ps_engine *engine, const char *text);

#endif
