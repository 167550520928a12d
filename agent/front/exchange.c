/* Exchanges: their pool, and the three kinds of replies. */
#include "agent/front/exchange.h"

#include "agent/front/protocol.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    EXCHANGE_MAGIC = 0x45584348,
    MAX_FREE = 256,
    MAX_TEXT_BYTES = 64 << 10,
    SMALL_ARENA_BYTES = 64 << 10 /* not worth counting */
};

void
ps_exchanges_init(struct ps_exchanges *exchanges, struct ps_buffers *buffers,
                  size_t arena_bytes)
{
    *exchanges =
        (struct ps_exchanges){.buffers = buffers, .arena_bytes = arena_bytes};
}

static void
exchange_free(struct ps_exchange *x)
{
    x->magic = 0;
    ps_arena_free(&x->arena);
    ps_buf_done(&x->text);
    free(x);
}

void
ps_exchanges_done(struct ps_exchanges *exchanges)
{
    PS_CHECK(exchanges->n_used == 0);
    while (exchanges->free) {
        struct ps_exchange *x = exchanges->free;
        exchanges->free = x->next_free;
        exchange_free(x);
    }
    exchanges->n_free = 0;
}

static struct ps_exchange *
exchange_new(size_t arena_bytes)
{
    struct ps_exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->magic = EXCHANGE_MAGIC;
    x->arena = ps_arena_new(arena_bytes);
    ps_buf_init(&x->text, MAX_TEXT_BYTES);
    ps_list_init(&x->parts);
    if (!x->arena) {
        free(x);
        return NULL;
    }
    return x;
}

struct ps_exchange *
ps_exchange_take(struct ps_exchanges *exchanges, struct ps_http *http)
{
    struct ps_exchange *x = exchanges->free;
    if (x) {
        exchanges->free = x->next_free;
        exchanges->n_free--;
    } else {
        x = exchange_new(exchanges->arena_bytes);
        if (!x)
            return NULL;
    }
    exchanges->n_used++;
    x->http = http;
    x->state = PS_EXCHANGE_NEW;
    x->started = x->head_only = x->last = x->keep_alive_1_0 = false;
    x->charged = x->head_len = x->written = 0;
    x->body = x->before = x->after = PS_STR_NONE;
    x->protocol = NULL;
    x->batch = NULL;
    x->abandoned = false;
    x->takes_parts = x->streaming = x->ended = x->unframed = false;
    x->content_type = NULL;
    return x;
}

void
ps_exchange_give(struct ps_exchanges *exchanges, struct ps_exchange *x)
{
    PS_CHECK_OBJ(x, EXCHANGE_MAGIC);
    PS_CHECK(x->state != PS_EXCHANGE_RUNNING && exchanges->n_used > 0);
    if (x->started)
        ps_req_done(&x->request.req);
    ps_batch_free(&x->batch);
    ps_exchange_drop_parts(x);
    ps_buffers_discharge(exchanges->buffers, x->charged);
    exchanges->n_used--;
    if (exchanges->n_free == MAX_FREE) {
        exchange_free(x);
        return;
    }
    ps_arena_reset(x->arena);
    ps_buf_clear(&x->text);
    x->next_free = exchanges->free;
    exchanges->free = x;
    exchanges->n_free++;
}

bool
ps_exchange_charge(struct ps_exchanges *exchanges, struct ps_exchange *x)
{
    size_t bytes = ps_arena_used(x->arena);
    if (PS_LIKELY(bytes <= SMALL_ARENA_BYTES && !x->takes_parts))
        return true;
    if (x->takes_parts)
        bytes += PS_STREAM_WINDOW_BYTES;
    if (!ps_buffers_charge(exchanges->buffers, bytes))
        return false;
    x->charged = bytes;
    return true;
}

static void
ready(struct ps_exchange *x, struct ps_reply_head *head)
{
    head->body_len = x->before.len + x->body.len + x->after.len;
    head->content_type = x->content_type;
    if (x->last)
        head->connection = PS_REPLY_CONNECTION_CLOSE;
    else if (x->keep_alive_1_0)
        head->connection = PS_REPLY_CONNECTION_KEEP_ALIVE;
    x->head_len = ps_reply_head_write(x->head, head);
    if (x->head_only)
        x->body.len = x->before.len = x->after.len = 0;
    x->state = PS_EXCHANGE_READY;
}

/* What the database itself refused keeps its own code (SQLSTATE), by which
 * applications tell a duplicate key from a typing error. */
static const char *
code_of(const struct ps_err *err)
{
    return err->rc == PS_ORIGIN_SQL && err->sqlstate[0]
               ? err->sqlstate
               : ps_err_info(err->rc)->code;
}

/* text becomes the JSON of an error; its status is returned. reply: of the
 * engine, or NULL. */
static int
write_error(struct ps_exchange *x, const struct ps_err *err,
            const struct ps_reply *reply)
{
    const struct ps_err_info *info = ps_err_info(err->rc);
    struct ps_str message =
        ps_str_of(err->message[0] ? err->message : info->sentence);
    int status = info->http_status;
    ps_buf_clear(&x->text);
    x->content_type = NULL;
    if (x->protocol && x->protocol->error)
        status = x->protocol->error(x, err, reply, &x->text);
    else
        ps_reply_error_body(&x->text, status, code_of(err), message);
    x->body = ps_buf_str(&x->text);
    if (ps_buf_rc(&x->text) != PS_OK) { /* without memory: fewer words */
        x->body = PS_STR("{\"statusCode\":503,\"code\":\"no_memory\","
                         "\"error\":\"Service Unavailable\","
                         "\"message\":\"not enough memory\"}");
        status = 503;
    }
    return status;
}

/* What the protocol puts around the engine's bytes. */
static enum ps_rc
frame(struct ps_exchange *x)
{
    size_t split;
    ps_buf_clear(&x->text);
    if (x->protocol->before)
        x->protocol->before(x, &x->text);
    split = x->text.len;
    if (x->protocol->after)
        x->protocol->after(x, &x->text);
    if (ps_buf_rc(&x->text) != PS_OK)
        return PS_NO_MEMORY;
    x->before = (struct ps_str){x->text.data, split};
    x->after = (struct ps_str){x->text.data ? x->text.data + split : NULL,
                               x->text.len - split};
    return PS_OK;
}

void
ps_exchange_reply_engine(struct ps_exchange *x)
{
    const struct ps_reply *reply = &x->request.req.reply;
    struct ps_reply_head head = {
        .status = 200, .reply = reply, .retry_after_ms = reply->retry_after_ms};
    enum ps_rc rc = reply->rc;
    if (PS_LIKELY(rc == PS_OK)) {
        x->body = reply->body;
        if (x->protocol && (x->protocol->before || x->protocol->after))
            rc = frame(x);
    }
    if (PS_UNLIKELY(rc != PS_OK)) {
        struct ps_err err = reply->err;
        err.rc = rc;
        if (reply->rc == PS_OK)
            ps_err_set(&err, rc, NULL);
        if (rc == PS_SHUTTING_DOWN)
            x->last = true;
        head.status = write_error(x, &err, reply);
    }
    ready(x, &head);
}

void
ps_exchange_reply_error(struct ps_exchange *x, const struct ps_err *err,
                        const char *extra)
{
    struct ps_reply_head head = {.status = write_error(x, err, NULL),
                                 .extra = extra};
    if (ps_err_info(err->rc)->http_status == 503)
        head.retry_after_ms = 1000;
    ready(x, &head);
}

void
ps_exchange_reply_text(struct ps_exchange *x, int status, struct ps_str body,
                       const char *extra)
{
    struct ps_reply_head head = {
        .status = status, .extra = extra, .no_body = status == 204};
    x->body = body;
    ready(x, &head);
}
