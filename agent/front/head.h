/*
 * The head of an HTTP/1.1 request: llhttp reads the syntax, this file keeps
 * what the front needs and refuses what could mean two things to two servers
 * (request smuggling: RFC 9112 section 11.2).
 *
 * Spans are offsets from the request's first byte, which may move between two
 * calls of ps_head_feed. Nothing is copied, nothing allocated.
 */
#ifndef PS_AGENT_FRONT_HEAD_H
#define PS_AGENT_FRONT_HEAD_H

#include "common/base.h"

#include <llhttp.h>

enum ps_http_method {
    PS_HTTP_GET,
    PS_HTTP_HEAD,
    PS_HTTP_POST,
    PS_HTTP_OPTIONS,
    PS_HTTP_OTHER
};

struct ps_head_span {
    size_t at, len;
};

/* Headers whose values protocols read. X(NAME, name in lower case) */
#define PS_HEAD_KEPT_TABLE(X)                       \
    X(TRACEPARENT, "traceparent")                   \
    X(ACCEPT, "accept")                             \
    X(AUTHORIZATION, "authorization")               \
    X(NEON_CONNECTION, "neon-connection-string")    \
    X(NEON_RAW_TEXT, "neon-raw-text-output")        \
    X(NEON_ARRAY_MODE, "neon-array-mode")           \
    X(NEON_ISOLATION, "neon-batch-isolation-level") \
    X(NEON_READ_ONLY, "neon-batch-read-only")       \
    X(NEON_DEFERRABLE, "neon-batch-deferrable")

enum ps_head_kept {
#define X(name, text) PS_HEAD_##name,
    PS_HEAD_KEPT_TABLE(X)
#undef X
    PS_HEAD_KEPT_COUNT
};

struct ps_head {
    llhttp_t parser;
    const char *base; /* during ps_head_feed only */
    /* What is being read. */
    struct ps_head_span name, value;
    bool in_value;
    unsigned hosts, lengths, encodings;
    /* The result: from here on what head_memo.c keeps. */
    enum ps_http_method method;
    struct ps_head_span target;
    bool http_1_0;
    bool has_length, chunked;
    uint64_t content_length;
    struct ps_head_span length; /* its digits, with has_length */
    bool keep_alive;
    bool expect_continue;
    /* Cache-Control of the request */
    bool no_cache, no_store, only_if_cached, has_max_age;
    uint64_t max_age_s, stale_if_error_s;
    /* Without blanks around them; at 0: absent (the request line is there).
     * A second one of the same name is refused, but of Accept ignored;
     * of two traceparents none counts. */
    struct ps_head_span kept[PS_HEAD_KEPT_COUNT];
    const char *problem; /* why it is bad: a sentence, static */
};

enum ps_head_result {
    PS_HEAD_DONE,
    PS_HEAD_MORE,
    PS_HEAD_BAD
};

/* Before the first byte of each request. */
void ps_head_begin(struct ps_head *head);
/*
 * Reads base[from..to), which continues what was fed before; base is where
 * this request began. DONE: *end is the offset behind the empty line.
 */
PS_MUST_USE enum ps_head_result ps_head_feed(struct ps_head *head,
                                             const char *base, size_t from,
                                             size_t to, size_t *end);
/* The path without scheme, authority and query; "*" stays. */
struct ps_str ps_head_path(const struct ps_head *head, const char *base);
/* What follows the path's question mark; empty when there is none. */
struct ps_str ps_head_query(const struct ps_head *head, const char *base);
/* A header's value, or an absent view. */
struct ps_str ps_head_value(const struct ps_head *head, const char *base,
                            enum ps_head_kept which);

#endif
