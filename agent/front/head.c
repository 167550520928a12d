/*
 * llhttp calls back for each span; the value of a header is looked at when it
 * is complete. After the head is complete llhttp is paused: bodies are not
 * its business (a Content-Length body is only waited for, chunked.c decodes
 * the other kind).
 *
 * llhttp may have been built without its strict mode, so line ends are checked
 * again here: every line ends in CR LF, no CR or LF stands alone, no line
 * begins with white space (obsolete folding).
 */
#include "agent/front/head.h"

static struct ps_head *
head_of(llhttp_t *parser)
{
    return PS_CONTAINER_OF(parser, struct ps_head, parser);
}

/* Appends a piece to a span; false when it does not continue it. */
static bool
span_extend(const struct ps_head *head, struct ps_head_span *span,
            const char *at, size_t len)
{
    size_t offset = (size_t)(at - head->base);
    if (span->len == 0)
        span->at = offset;
    else if (span->at + span->len != offset)
        return false;
    span->len += len;
    return true;
}

static int
on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct ps_head *head = head_of(parser);
    return span_extend(head, &head->target, at, len) ? 0 : -1;
}

static int
on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct ps_head *head = head_of(parser);
    return span_extend(head, &head->name, at, len) ? 0 : -1;
}

static int
on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct ps_head *head = head_of(parser);
    if (span_extend(head, &head->value, at, len))
        return 0;
    head->problem = "folded header lines are not accepted";
    return -1;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct ps_str
trimmed(const char *base, struct ps_head_span span)
{
    struct ps_str s = {base + span.at, span.len};
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s;
}

/* Takes the next member off a comma list. */
static bool
next_token(struct ps_str *list, struct ps_str *token)
{
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;
    *token = trimmed(list->ptr, (struct ps_head_span){0, len});
    size_t used = comma ? len + 1 : len;
    list->ptr += used;
    list->len -= used;
    return true;
}

/* "name=seconds", perhaps quoted, capped as RFC 9111 section 1.2.2 says. False
 * when token is not called name; *seconds stays when there is no number. */
static bool
seconds_of(struct ps_str token, struct ps_str name, uint64_t *seconds)
{
    uint64_t n = 0;
    struct ps_str first = {token.ptr, PS_MIN(name.len, token.len)};
    if (!ps_str_eq_nocase(first, name))
        return false;
    size_t at = name.len, end = token.len;
    if (end >= at + 2 && token.ptr[at] == '"' && token.ptr[end - 1] == '"') {
        at++;
        end--;
    }
    if (at == end)
        return true;
    for (; at < end; at++) {
        if (token.ptr[at] < '0' || token.ptr[at] > '9')
            return true;
        n = PS_MIN(n * 10 + (uint64_t)(token.ptr[at] - '0'),
                   (uint64_t)INT32_MAX);
    }
    *seconds = n;
    return true;
}

/* Of what is said twice the stricter counts; what makes no sense counts as
 * the strictest: a max-age of zero, no stale-if-error. */
static void
with_seconds(struct ps_head *head, struct ps_str token)
{
    uint64_t age = 0, stale = 0;
    if (seconds_of(token, PS_STR("max-age="), &age)) {
        head->max_age_s =
            head->has_max_age ? PS_MIN(head->max_age_s, age) : age;
        head->has_max_age = true;
    } else if (seconds_of(token, PS_STR("stale-if-error="), &stale)) {
        head->stale_if_error_s = stale;
    }
}

static void
cache_control(struct ps_head *head, struct ps_str value)
{
    struct ps_str token;
    while (next_token(&value, &token)) {
        if (ps_str_eq_nocase(token, PS_STR("no-cache")))
            head->no_cache = true;
        else if (ps_str_eq_nocase(token, PS_STR("no-store")))
            head->no_store = true;
        else if (ps_str_eq_nocase(token, PS_STR("only-if-cached")))
            head->only_if_cached = true;
        else
            with_seconds(head, token);
    }
}

static int
bad(struct ps_head *head, const char *problem)
{
    head->problem = problem;
    return -1;
}

static int
content_length(struct ps_head *head, struct ps_str value)
{
    uint64_t n = 0;
    if (++head->lengths > 1)
        return bad(head, "there is more than one Content-Length");
    if (value.len == 0 || value.len > 18)
        return bad(head, "Content-Length is not a number of bytes");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return bad(head, "Content-Length is not a number of bytes");
        n = n * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    head->has_length = true;
    head->content_length = n;
    head->length =
        (struct ps_head_span){(size_t)(value.ptr - head->base), value.len};
    return 0;
}

static const struct ps_str kept_names[PS_HEAD_KEPT_COUNT] = {
#define X(name, text) {text, sizeof(text) - 1},
    PS_HEAD_KEPT_TABLE(X)
#undef X
};

static int
keep(struct ps_head *head, struct ps_str name, struct ps_str value)
{
    for (int i = 0; i < PS_HEAD_KEPT_COUNT; i++) {
        if (name.len != kept_names[i].len ||
            !ps_str_eq_nocase(name, kept_names[i]))
            continue;
        struct ps_head_span *span = &head->kept[i];
        if (span->at > 0 && i == PS_HEAD_ACCEPT)
            return 0;
        if (span->at > 0 && i == PS_HEAD_TRACEPARENT) {
            span->len = 0;
            return 0;
        }
        if (span->at > 0)
            return bad(head, "a header that must be there once is there twice");
        span->at = (size_t)(value.ptr - head->base);
        span->len = value.len;
        return 0;
    }
    return 0;
}

/* The few headers that matter, told apart by their length first. */
static int
header(struct ps_head *head, struct ps_str name, struct ps_str value)
{
    switch (name.len) {
    case 4:
        if (ps_str_eq_nocase(name, PS_STR("host")) && ++head->hosts > 1)
            return bad(head, "there is more than one Host");
        return 0;
    case 6:
        if (!ps_str_eq_nocase(name, PS_STR("expect")))
            return keep(head, name, value);
        if (ps_str_eq_nocase(value, PS_STR("100-continue")))
            head->expect_continue = true;
        return 0;
    case 13:
        if (ps_str_eq_nocase(name, PS_STR("cache-control")))
            cache_control(head, value);
        else
            return keep(head, name, value);
        return 0;
    case 14:
        if (ps_str_eq_nocase(name, PS_STR("content-length")))
            return content_length(head, value);
        return 0;
    case 17:
        if (!ps_str_eq_nocase(name, PS_STR("transfer-encoding")))
            return 0;
        if (++head->encodings > 1 ||
            !ps_str_eq_nocase(value, PS_STR("chunked")))
            return bad(head, "only the transfer coding chunked is accepted");
        head->chunked = true;
        return 0;
    case 11: /* traceparent */
    case 15: /* neon-array-mode */
    case 20:
    case 21:
    case 22:
    case 26:
        return keep(head, name, value);
    default:
        return 0;
    }
}

static int
on_header_value_complete(llhttp_t *parser)
{
    struct ps_head *head = head_of(parser);
    struct ps_str name = {head->base + head->name.at, head->name.len};
    struct ps_str value = trimmed(head->base, head->value);
    head->name.len = head->value.len = 0;
    return header(head, name, value);
}

static int
on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
};

void
ps_head_begin(struct ps_head *head)
{
    memset(head, 0, sizeof(*head));
    llhttp_init(&head->parser, HTTP_REQUEST, &settings);
}

static enum ps_http_method
method_of(const struct ps_head *head)
{
    switch (head->parser.method) {
    case HTTP_GET:
        return PS_HTTP_GET;
    case HTTP_HEAD:
        return PS_HTTP_HEAD;
    case HTTP_POST:
        return PS_HTTP_POST;
    case HTTP_OPTIONS:
        return PS_HTTP_OPTIONS;
    default:
        return PS_HTTP_OTHER;
    }
}

/* Does every line end in CR LF and begin with something else than a blank? */
static bool
lines_clean(const char *text, size_t len)
{
    const char *p = text, *last = text + len;
    size_t lines = 0, returns = 0;
    while ((p = memchr(p, '\n', (size_t)(last - p))) != NULL) {
        if (p == text || p[-1] != '\r')
            return false;
        if (++p < last && is_blank(*p))
            return false;
        lines++;
    }
    for (p = text; (p = memchr(p, '\r', (size_t)(last - p))) != NULL; p++)
        returns++;
    return lines == returns;
}

/* What llhttp accepts and this server does not. */
static const char *
final_problem(const struct ps_head *head, const char *text, size_t len)
{
    if (!lines_clean(text, len))
        return "a line of the head does not end in CR LF";
    if (head->parser.http_major != 1 || head->parser.http_minor > 1)
        return "the protocol version is not HTTP/1.0 or HTTP/1.1";
    if (head->chunked && head->has_length)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (head->chunked && head->http_1_0)
        return "HTTP/1.0 has no Transfer-Encoding";
    if (!head->http_1_0 && head->hosts == 0)
        return "the Host header is missing";
    return NULL;
}

enum ps_head_result
ps_head_feed(struct ps_head *head, const char *base, size_t from, size_t to,
             size_t *end)
{
    head->base = base;
    llhttp_errno_t e = llhttp_execute(&head->parser, base + from, to - from);
    if (e == HPE_OK)
        return PS_HEAD_MORE;
    if (e != HPE_PAUSED) {
        if (!head->problem)
            head->problem = "it cannot be read as an HTTP/1.1 request";
        return PS_HEAD_BAD;
    }
    *end = (size_t)(llhttp_get_error_pos(&head->parser) - base);
    head->http_1_0 = head->parser.http_minor == 0;
    head->method = method_of(head);
    head->keep_alive = llhttp_should_keep_alive(&head->parser) != 0;
    head->problem = final_problem(head, base, *end);
    return head->problem ? PS_HEAD_BAD : PS_HEAD_DONE;
}

/* "http://host:port/path" to "/path" (RFC 9112 section 3.2.2). */
static struct ps_str
without_authority(struct ps_str target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < PS_ARRAY_LEN(schemes); i++) {
        struct ps_str scheme = ps_str_of(schemes[i]);
        struct ps_str first = {target.ptr, PS_MIN(scheme.len, target.len)};
        if (!ps_str_eq_nocase(first, scheme))
            continue;
        target.ptr += scheme.len;
        target.len -= scheme.len;
        const char *slash = memchr(target.ptr, '/', target.len);
        if (!slash)
            return PS_STR("/");
        target.len -= (size_t)(slash - target.ptr);
        target.ptr = slash;
        return target;
    }
    return target;
}

struct ps_str
ps_head_path(const struct ps_head *head, const char *base)
{
    struct ps_str path = {base + head->target.at, head->target.len};
    if (path.len > 0 && path.ptr[0] != '/')
        path = without_authority(path);
    const char *query = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    if (query)
        path.len = (size_t)(query - path.ptr);
    return path;
}

struct ps_str
ps_head_query(const struct ps_head *head, const char *base)
{
    struct ps_str target = {base + head->target.at, head->target.len};
    const char *at = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    if (!at)
        return PS_STR("");
    size_t before = (size_t)(at - target.ptr) + 1;
    return (struct ps_str){at + 1, target.len - before};
}

struct ps_str
ps_head_value(const struct ps_head *head, const char *base,
              enum ps_head_kept which)
{
    const struct ps_head_span *span = &head->kept[which];
    if (span->at == 0)
        return PS_STR_NONE;
    return (struct ps_str){base + span->at, span->len};
}
