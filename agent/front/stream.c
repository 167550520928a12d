/*
 * A reply in parts: rows go to the client as the engine gives them, as chunks
 * (HTTP/1.0: as they are), and behind the last one what the protocol says of
 * how it ended. Each part is written like a reply of its own: its size, its
 * bytes, the end of the line.
 */
#include "agent/front/front_private.h"
#include "agent/front/protocol.h"
#include "common/check.h"

#include <stdio.h>

static void
begin(struct ps_exchange *x, const struct ps_reply *reply, bool http_1_0)
{
    x->streaming = true;
    x->unframed = http_1_0;
    if (http_1_0)
        x->last = true;
    const struct ps_reply_head head = {
        .status = 200,
        .reply = reply,
        .content_type = x->content_type,
        .chunked = !http_1_0,
        .unframed = http_1_0,
        .connection =
            x->last ? PS_REPLY_CONNECTION_CLOSE : PS_REPLY_CONNECTION_DEFAULT,
    };
    x->head_len = ps_reply_head_write(x->head, &head);
    x->written = 0;
    x->before = x->body = x->after = PS_STR_NONE;
}

void
ps_exchange_part(struct ps_exchange *x, const struct ps_reply *reply,
                 struct ps_part *part, bool http_1_0)
{
    PS_CHECK(x->state == PS_EXCHANGE_RUNNING);
    if (!x->streaming)
        begin(x, reply, http_1_0);
    ps_list_push_back(&x->parts, &part->link);
}

/* The size of the chunk, unless there are none. */
static void
frame(struct ps_exchange *x, size_t bytes)
{
    x->written = x->head_len = 0;
    if (!x->unframed)
        x->head_len =
            (size_t)snprintf(x->head, PS_CHUNK_HEAD_MAX, "%zx\r\n", bytes);
}

static bool
next_part(struct ps_exchange *x)
{
    struct ps_link *link = ps_list_pop_front(&x->parts);
    if (!link)
        return false;
    x->part = PS_CONTAINER_OF(link, struct ps_part, link);
    frame(x, x->part->bytes.len);
    x->body = x->part->bytes;
    if (!x->unframed)
        x->after = PS_STR("\r\n");
    return true;
}

/* What of the answer no part had, and how it ended. */
static void
last_part(struct ps_exchange *x)
{
    const struct ps_reply *reply = &x->request.req.reply;
    struct ps_str rest = PS_STR_NONE;
    x->ended = true;
    ps_buf_clear(&x->text);
    if (reply->rc == PS_OK) {
        rest.ptr = reply->body.ptr + reply->given_bytes;
        rest.len = reply->body.len - reply->given_bytes;
        x->protocol->after(x, &x->text);
    } else {
        x->protocol->broken(x, &reply->err, reply, &x->text);
    }
    frame(x, rest.len + x->text.len);
    if (!x->unframed)
        ps_buf_append_c(&x->text, "\r\n0\r\n\r\n");
    x->body = rest;
    x->after = ps_buf_str(&x->text);
    /* Without memory for a few words: without its end it is not whole. */
    if (ps_buf_rc(&x->text) != PS_OK) {
        x->head_len = 0;
        x->body = x->after = PS_STR_NONE;
        x->last = true;
    }
}

bool
ps_exchange_next(struct ps_exchange *x)
{
    PS_CHECK(x->streaming);
    ps_part_free(&x->part);
    x->body = x->after = PS_STR_NONE;
    x->written = x->head_len = 0;
    if (next_part(x))
        return true;
    if (x->state != PS_EXCHANGE_READY || x->ended)
        return false;
    last_part(x);
    return true;
}

void
ps_exchange_end(struct ps_exchange *x)
{
    x->state = PS_EXCHANGE_READY;
}

void
ps_exchange_drop_parts(struct ps_exchange *x)
{
    struct ps_link *link;
    ps_part_free(&x->part);
    while ((link = ps_list_pop_front(&x->parts)) != NULL) {
        struct ps_part *part = PS_CONTAINER_OF(link, struct ps_part, link);
        ps_part_free(&part);
    }
}
