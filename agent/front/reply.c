/*
 * Cache-Status follows RFC 9211, Server-Timing the W3C's draft (durations in
 * milliseconds, here with three decimals). What foreign clients do not know
 * they ignore.
 */
#include "agent/front/reply.h"

#include "common/check.h"

enum {
    EXTRA_MAX = 600
};

const char ps_reply_preflight[] =
    "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
    "Access-Control-Allow-Headers: *, Authorization, Cache-Control, "
    "Content-Type, Neon-Connection-String, Neon-Raw-Text-Output, "
    "Neon-Array-Mode, Neon-Batch-Isolation-Level, Neon-Batch-Read-Only, "
    "Neon-Batch-Deferrable\r\n"
    "Access-Control-Max-Age: 86400\r\n"
    "Allow: GET, HEAD, POST, OPTIONS\r\n";
const char ps_reply_allow_post[] = "Allow: POST, OPTIONS\r\n";
const char ps_reply_allow_get[] = "Allow: GET, HEAD, OPTIONS\r\n";

#define COMMON_LINES                                                      \
    "Server: portside\r\n"                                                \
    "Access-Control-Allow-Origin: *\r\n"                                  \
    "Access-Control-Expose-Headers: Age, Cache-Status, Portside-Reason, " \
    "Retry-After, Server-Timing\r\n"
#define JSON_LINE "Content-Type: application/json\r\n"

static const char ok_lines[] =
    "HTTP/1.1 200 OK\r\n" COMMON_LINES JSON_LINE "Content-Length: ";

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static inline char *
put(char *at, const char *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

/* Text that is ours and short, cut should it ever not be. */
static char *
put_text(char *at, const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    return put(at, text, n);
}

static char *
put_u64(char *at, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* Microseconds as milliseconds with three decimals. */
static char *
put_ms(char *at, uint64_t us)
{
    unsigned rest = (unsigned)(us % 1000);
    at = put_u64(at, us / 1000);
    *at++ = '.';
    *at++ = (char)('0' + rest / 100);
    *at++ = (char)('0' + rest / 10 % 10);
    *at++ = (char)('0' + rest % 10);
    return at;
}

static uint64_t
whole_seconds(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms / 1000 : 0;
}

static char *
put_stored(char *at, const struct ps_reply *reply)
{
    if (!reply->stored)
        return at;
    at = PUT(at, "; stored; ttl=");
    return put_u64(at, whole_seconds(reply->ttl_ms));
}

/* An answer past its time: the seconds since then, begun ones counted. */
static char *
put_stale(char *at, const struct ps_reply *reply)
{
    *at++ = '-';
    at = put_u64(at, ((uint64_t)-reply->ttl_ms + 999) / 1000);
    at = PUT(at, "\r\nAge: ");
    at = put_u64(at, whole_seconds(reply->age_ms));
    return PUT(at, "\r\n");
}

static char *
put_cache_status(char *at, const struct ps_reply *reply)
{
    switch (reply->verdict) {
    case PS_VERDICT_HIT:
        at = PUT(at, "Cache-Status: portside; hit; ttl=");
        if (reply->ttl_ms < 0) /* RFC 9211 section 2.6 */
            return put_stale(at, reply);
        at = put_u64(at, whole_seconds(reply->ttl_ms));
        at = PUT(at, "\r\nAge: ");
        at = put_u64(at, whole_seconds(reply->age_ms));
        return PUT(at, "\r\n");
    case PS_VERDICT_MISS:
        at = PUT(at, "Cache-Status: portside; fwd=uri-miss");
        at = put_stored(at, reply);
        return PUT(at, "\r\n");
    case PS_VERDICT_STALE:
        at = PUT(at, "Cache-Status: portside; fwd=stale");
        at = put_stored(at, reply);
        return PUT(at, "\r\n");
    case PS_VERDICT_BYPASS:
        at = PUT(at, "Cache-Status: portside; fwd=bypass");
        if (reply->reason) {
            at = PUT(at, "; detail=");
            at = put_text(at, reply->reason, 64);
        }
        return PUT(at, "\r\n");
    case PS_VERDICT_NONE:
        break;
    }
    return at;
}

/* One metric, with a comma before all but the first. */
static char *
put_timing(char *at, bool *first, const char *name, size_t len, uint64_t us)
{
    if (us == 0)
        return at;
    if (*first)
        at = PUT(at, "Server-Timing: ");
    else
        at = PUT(at, ", ");
    *first = false;
    at = put(at, name, len);
    at = PUT(at, ";dur=");
    return put_ms(at, us);
}

static char *
put_timings(char *at, const struct ps_reply *reply)
{
    bool first = true;
#define TIMING(name) \
    at = put_timing(at, &first, #name, sizeof(#name) - 1, reply->name##_us)
    TIMING(parse);
    TIMING(lookup);
    TIMING(pool);
    TIMING(origin);
    TIMING(encode);
#undef TIMING
    if (PS_UNLIKELY(reply->traceparent)) {
        at = first ? PUT(at, "Server-Timing: ") : PUT(at, ", ");
        first = false;
        at = PUT(at, "traceparent;desc=\"");
        at = put_text(at, reply->traceparent, 55);
        *at++ = '"';
    }
    return first ? at : PUT(at, "\r\n");
}

static char *
put_reply(char *at, const struct ps_reply *reply)
{
    at = put_cache_status(at, reply);
    if (reply->reason) {
        at = PUT(at, "Portside-Reason: ");
        at = put_text(at, reply->reason, 64);
        at = PUT(at, "\r\n");
    }
    return put_timings(at, reply);
}

/* Status line to Content-Length. */
static char *
put_start(char *at, const struct ps_reply_head *head)
{
    if (PS_LIKELY(head->status == 200 && !head->no_body &&
                  !head->content_type && !head->chunked && !head->unframed)) {
        at = PUT(at, ok_lines);
    } else {
        at = PUT(at, "HTTP/1.1 ");
        at = put_u64(at, (uint64_t)head->status);
        *at++ = ' ';
        at = put_text(at, ps_http_reason(head->status), 64);
        at = PUT(at, "\r\n" COMMON_LINES);
        if (head->no_body)
            return at;
        at = PUT(at, "Content-Type: ");
        at = put_text(
            at, head->content_type ? head->content_type : "application/json",
            64);
        if (head->unframed)
            return PUT(at, "\r\n");
        if (head->chunked)
            return PUT(at, "\r\nTransfer-Encoding: chunked\r\n");
        at = PUT(at, "\r\nContent-Length: ");
    }
    at = put_u64(at, head->body_len);
    return PUT(at, "\r\n");
}

size_t
ps_reply_head_write(char out[PS_REPLY_HEAD_MAX],
                    const struct ps_reply_head *head)
{
    char *at = put_start(out, head);
    if (head->reply)
        at = put_reply(at, head->reply);
    if (head->connection == PS_REPLY_CONNECTION_CLOSE)
        at = PUT(at, "Connection: close\r\n");
    else if (head->connection == PS_REPLY_CONNECTION_KEEP_ALIVE)
        at = PUT(at, "Connection: keep-alive\r\n");
    if (head->retry_after_ms > 0) {
        at = PUT(at, "Retry-After: ");
        at = put_u64(at, (head->retry_after_ms + 999) / 1000);
        at = PUT(at, "\r\n");
    }
    if (head->extra)
        at = put_text(at, head->extra, EXTRA_MAX);
    at = PUT(at, "\r\n");
    PS_CHECK(at - out <= PS_REPLY_HEAD_MAX);
    return (size_t)(at - out);
}

void
ps_reply_error_body(struct ps_buf *out, int status, const char *code,
                    struct ps_str message)
{
    ps_buf_append_c(out, "{\"statusCode\":");
    ps_buf_append_u64(out, (uint64_t)status);
    ps_buf_append_c(out, ",\"code\":");
    ps_buf_append_json(out, ps_str_of(code));
    ps_buf_append_c(out, ",\"error\":");
    ps_buf_append_json(out, ps_str_of(ps_http_reason(status)));
    ps_buf_append_c(out, ",\"message\":");
    ps_buf_append_json(out, message);
    ps_buf_append_char(out, '}');
}
