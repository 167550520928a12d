/*
 * The head of a reply and the JSON of an error. Written by hand, byte by byte:
 * it is on the path of every hit.
 */
#ifndef PS_AGENT_FRONT_REPLY_H
#define PS_AGENT_FRONT_REPLY_H

#include "agent/req/req.h"
#include "common/buf.h"

enum {
    PS_REPLY_HEAD_MAX = 1664
};

enum ps_reply_connection {
    PS_REPLY_CONNECTION_DEFAULT, /* no header: what the version implies */
    PS_REPLY_CONNECTION_CLOSE,
    PS_REPLY_CONNECTION_KEEP_ALIVE
};

struct ps_reply_head {
    int status;
    size_t body_len;
    const char *content_type; /* NULL: JSON */
    bool no_body;             /* 204: neither Content-Type nor Content-Length */
    bool chunked;  /* in place of Content-Length: RFC 9112 section 7.1 */
    bool unframed; /* the end of the connection is its end */
    enum ps_reply_connection connection;
    const struct ps_reply *reply; /* cache headers of the engine, or NULL */
    uint64_t retry_after_ms;      /* 0: no such header */
    const char *extra;            /* static lines with their CR LF, or NULL */
};

/* Writes the head, empty line included; returns its length. */
size_t ps_reply_head_write(char out[PS_REPLY_HEAD_MAX],
                           const struct ps_reply_head *head);

/* {"statusCode","code","error","message"}: code and message as text. */
void ps_reply_error_body(struct ps_buf *out, int status, const char *code,
                         struct ps_str message);

/* Static lines. */
extern const char ps_reply_preflight[];  /* answers to OPTIONS */
extern const char ps_reply_allow_post[]; /* with 405 at a POST path */
extern const char ps_reply_allow_get[];  /* with 405 at a GET path */

#endif
