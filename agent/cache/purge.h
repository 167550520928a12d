/*
 * What an operator wants out of memory, and what became of it: declared here
 * for the link, which is told, and the engine, which does it (agent/req/
 * purge.c). However it is named, it ends as stamps that move, so that
 * an answer whose query is under way is not kept either (C1, C2).
 */
#ifndef PS_AGENT_CACHE_PURGE_H
#define PS_AGENT_CACHE_PURGE_H

#include "common/base.h"

enum ps_purge_kind {
    PS_PURGE_CACHE,    /* all of it */
    PS_PURGE_TABLE,    /* text: name or schema.name, in any letters */
    PS_PURGE_TEMPLATE, /* text: any statement of it; or id: fingerprint */
    PS_PURGE_QUERY,    /* text: as clients send it; or id: ps_query_id */
    PS_PURGE_KIND_COUNT
};

struct ps_purge {
    struct ps_str cache_id; /* UUID, lower case */
    enum ps_purge_kind kind;
    struct ps_str text; /* absent: id counts */
    uint64_t id;
};

struct ps_purged {
    uint64_t entries; /* answers that were in memory and could be served */
    uint64_t id;      /* of the template or query; 0: neither */
    bool known;       /* TABLE: a catalogue here has it; else true */
    bool wider;       /* more than was asked for: nothing less was possible */
};

#endif
