/*
 * What a request's headers say about versions and repetition (RFC 9110
 * section 13.1, draft-ietf-httpapi-idempotency-key-header): pure functions on
 * bytes that anybody may have sent.
 */
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* An entity tag off the front: the opaque part with its quotes, and whether it
 * is weak. False: there is none. */
static bool
next_tag(struct ps_str *at, struct ps_str *tag, bool *weak)
{
    size_t i = 0;
    *weak = at->len > 2 && at->ptr[0] == 'W' && at->ptr[1] == '/';
    if (*weak)
        i = 2;
    size_t from = i;
    if (i >= at->len || at->ptr[i++] != '"')
        return false;
    while (i < at->len && (unsigned char)at->ptr[i] > ' ' &&
           at->ptr[i] != '"' && at->ptr[i] != 0x7F)
        i++;
    if (i >= at->len || at->ptr[i] != '"')
        return false;
    *tag = (struct ps_str){at->ptr + from, i + 1 - from};
    *at = (struct ps_str){at->ptr + i + 1, at->len - i - 1};
    return true;
}

static void
skip_blanks(struct ps_str *at)
{
    while (at->len && is_blank(at->ptr[0]))
        *at = (struct ps_str){at->ptr + 1, at->len - 1};
}

/* A tag without its last quote, or what is behind a dot. */
static struct ps_str
stem(struct ps_str tag)
{
    const char *dot = tag.len ? memchr(tag.ptr, '.', tag.len) : NULL;
    if (dot)
        tag.len = (size_t)(dot - tag.ptr);
    else if (tag.len)
        tag.len--;
    return tag;
}

bool
api_etag_listed(struct ps_str header, struct ps_str etag, bool strong,
                bool *listed)
{
    struct ps_str tag;
    bool weak, found = false;
    while (header.len && is_blank(header.ptr[header.len - 1]))
        header.len--;
    skip_blanks(&header);
    if (ps_str_eq(header, PS_STR("*"))) {
        *listed = true;
        return true;
    }
    for (;;) {
        if (!next_tag(&header, &tag, &weak))
            return false;
        found |= strong ? !weak && ps_str_eq(stem(tag), stem(etag))
                        : ps_str_eq(tag, etag);
        skip_blanks(&header);
        if (header.len == 0)
            break;
        if (header.ptr[0] != ',')
            return false;
        header = (struct ps_str){header.ptr + 1, header.len - 1};
        skip_blanks(&header);
    }
    *listed = found;
    return true;
}

bool
api_read_key(struct ps_str header, struct ps_str *key)
{
    struct ps_str k = header;
    if (k.len >= 2 && k.ptr[0] == '"' && k.ptr[k.len - 1] == '"')
        k = (struct ps_str){k.ptr + 1, k.len - 2};
    if (k.len == 0 || k.len > API_KEY_MAX)
        return false;
    for (size_t i = 0; i < k.len; i++)
        if (k.ptr[i] <= ' ' || k.ptr[i] >= 0x7F || k.ptr[i] == '"' ||
            k.ptr[i] == '\\')
            return false;
    *key = k;
    return true;
}

void
api_tag_revision(struct api_request *request, int64_t revision)
{
    snprintf(request->etag, sizeof(request->etag), "\"%lld%s\"",
             (long long)revision, request->moment);
}

void
api_tag_moment(struct api_request *request, size_t from)
{
    unsigned char hash[PS_DB_HASH_LEN];
    char hex[2 * PS_DB_HASH_LEN + 1];
    struct ps_str part = {request->out.data + from, request->out.len - from};
    request->moment[0] = '\0';
    if (part.len == 0)
        return;
    ps_sha256(part, hash);
    ps_hex(hash, sizeof(hash), hex);
    snprintf(request->moment, sizeof(request->moment), ".%.8s", hex);
}

void
api_tag_reply(struct api_request *request)
{
    unsigned char hash[PS_DB_HASH_LEN];
    char hex[2 * PS_DB_HASH_LEN + 1];
    ps_sha256(ps_buf_str(&request->out), hash);
    ps_hex(hash, sizeof(hash), hex);
    snprintf(request->etag, sizeof(request->etag), "\"%.32s\"", hex);
}

static enum ps_rc
bad_tag(const char *header, struct ps_err *err)
{
    return ps_err_set(err, PS_BAD_REQUEST,
                      "%s must be the ETag of an earlier reply, quotes "
                      "included, a list of them by comma, or *",
                      header);
}

enum ps_rc
api_check_match(const struct api_request *request, const char *etag,
                struct ps_err *err)
{
    bool listed;
    if (!request->if_match)
        return PS_OK;
    if (!api_etag_listed(ps_str_of(request->if_match), ps_str_of(etag), true,
                         &listed))
        return bad_tag("If-Match", err);
    if (listed)
        return PS_OK;
    return ps_err_set(err, PS_PRECONDITION,
                      "this was changed since it was read; nothing was "
                      "changed now. Read it again, decide anew and send the "
                      "ETag of that reply");
}

enum ps_rc
api_check_none_match(const struct api_request *request, const char *etag,
                     bool *listed, struct ps_err *err)
{
    *listed = false;
    if (request->if_none_match &&
        !api_etag_listed(ps_str_of(request->if_none_match), ps_str_of(etag),
                         false, listed))
        return bad_tag("If-None-Match", err);
    return PS_OK;
}
