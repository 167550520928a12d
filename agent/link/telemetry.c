/*
 * What was counted, told to the control plane: every interval the collector is
 * asked, and what it has is cut into batches of a few hundred templates. Each
 * has a number; it is sent again under the same one until it is answered, so
 * it counts once. Nothing new is collected before all of it is told: what is
 * counted meanwhile is added up in the tally, whose size is bounded.
 *
 *   timer -> collect -> batches 7, 8, 9 -> 7 sent ... answered -> 8 sent ...
 *
 * A template's text goes along the first time, and again when the control
 * plane says that it does not know it.
 */
#include "agent/link/uplink_private.h"
#include "common/log.h"
#include "common/tls.h"

#include <stdlib.h>

enum {
    ITEMS_MAX = 500,
    BYTES_MAX = 1 << 20, /* of one batch, about */
    /* Then it is given up: a control plane that cannot take it must not keep
     * the rest from being told. */
    TRIES_MAX = 20
};

struct batch {
    struct ps_link link;
    uint64_t number, collected_us;
    Portside__TemplateUsage *items[ITEMS_MAX];
    uint32_t ids[ITEMS_MAX];
    size_t n, bytes;
    unsigned tries;
};

struct ps_teller {
    struct ps_uplink *uplink;
    struct ps_timer timer;
    struct ps_collect_wait wait;
    bool collecting, again, in_flight;
    char stream[37];
    uint64_t number;
    struct ps_list batches;
    /* At the end: what is called when all is told. */
    void (*done)(struct ps_uplink *uplink);
};

/* ------------------------------------------------------------- batches */

static void
item_free(Portside__TemplateUsage *item)
{
    if (!item)
        return;
    free(item->cache_id);
    free(item->text);
    free(item->usage.data);
    free(item);
}

static void
batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        item_free(batch->items[i]);
    free(batch);
}

/* NULL without memory. */
static Portside__TemplateUsage *
make_item(const struct ps_tally_template *t, struct ps_str text,
          const struct ps_usage *usage)
{
    Portside__TemplateUsage *item = malloc(sizeof(*item));
    struct ps_buf packed;
    if (!item)
        return NULL;
    portside__template_usage__init(item);
    ps_buf_init(&packed, 1 << 16);
    ps_usage_pack(usage, &packed);
    item->cache_id = strdup(t->cache_id);
    item->text = ps_str_dup(t->told ? PS_STR("") : text);
    item->fingerprint = t->fingerprint;
    bool made = item->cache_id && item->text && ps_buf_rc(&packed) == PS_OK;
    item->usage.data = (uint8_t *)ps_buf_take(&packed, &item->usage.len);
    ps_buf_done(&packed);
    if (made)
        return item;
    item_free(item);
    return NULL;
}

static struct batch *
batch_new(struct ps_teller *teller)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->number = ++teller->number;
    batch->collected_us =
        ps_clock_now_us(ps_loop_clock(teller->uplink->conf.loop));
    ps_list_push_back(&teller->batches, &batch->link);
    return batch;
}

static void
fill_batches(struct ps_teller *teller)
{
    struct ps_tally *tally = ps_collector_tally(teller->uplink->conf.collector);
    struct ps_tally_template t;
    struct ps_usage *usage;
    struct batch *batch = NULL;
    struct ps_buf text;
    size_t at = 0;
    ps_buf_init(&text, PS_TALLY_TEXT_MAX);
    while ((usage = ps_tally_take(tally, &at, &t, &text))) {
        if (!batch || batch->n == ITEMS_MAX || batch->bytes > BYTES_MAX)
            batch = batch_new(teller);
        Portside__TemplateUsage *item =
            batch ? make_item(&t, ps_buf_str(&text), usage) : NULL;
        if (!item) { /* another time */
            ps_tally_put_back(tally, t.id, usage);
            break;
        }
        batch->ids[batch->n] = t.id;
        batch->items[batch->n++] = item;
        batch->bytes += item->usage.len + text.len + 64;
        free(usage);
    }
    ps_buf_done(&text);
}

/* ------------------------------------------------------------- sending */

static void send_next(struct ps_teller *teller);

static void
note_texts(struct ps_teller *teller, const struct batch *batch,
           const Portside__TelemetryReply *reply)
{
    struct ps_tally *tally = ps_collector_tally(teller->uplink->conf.collector);
    for (size_t i = 0; i < batch->n; i++)
        ps_tally_told(tally, batch->ids[i], true);
    for (size_t i = 0; i < reply->n_unknown; i++)
        if (reply->unknown[i] < batch->n)
            ps_tally_told(tally, batch->ids[reply->unknown[i]], false);
}

static void
on_told(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_teller *teller = call->uplink->teller;
    struct ps_link *link = ps_list_first(&teller->batches);
    PS_CHECK(link && teller->in_flight);
    struct batch *batch = PS_CONTAINER_OF(link, struct batch, link);
    teller->in_flight = false;
    if (reply && reply->body_case == PORTSIDE__REPLY__BODY_TELEMETRY)
        note_texts(teller, batch, reply->telemetry);
    else if (++batch->tries < TRIES_MAX)
        return; /* with the next tick of the timer */
    else
        ps_warn("link",
                "statistics of %zu templates were not taken and are "
                "given up",
                batch->n);
    ps_list_remove(&teller->batches, link);
    batch_free(batch);
    send_next(teller);
}

static void
send_next(struct ps_teller *teller)
{
    struct ps_uplink *u = teller->uplink;
    struct ps_link *link = ps_list_first(&teller->batches);
    if (!link && teller->done && !teller->collecting) {
        void (*done)(struct ps_uplink *) = teller->done;
        teller->done = NULL;
        done(u);
        return;
    }
    if (!link || teller->in_flight || atomic_load(&u->state) != PS_UPLINK_LIVE)
        return;
    struct batch *batch = PS_CONTAINER_OF(link, struct batch, link);
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(u->conf.loop));
    Portside__Telemetry body;
    portside__telemetry__init(&body);
    Portside__Call call;
    portside__call__init(&call);
    body.stream = teller->stream;
    body.number = batch->number;
    body.age_ms = (now_us - batch->collected_us) / 1000;
    body.usages = batch->items;
    body.n_usages = batch->n;
    call.body_case = PORTSIDE__CALL__BODY_TELEMETRY;
    call.telemetry = &body;
    teller->in_flight = true;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, on_told);
}

static void collect(struct ps_teller *teller);

static void
on_collected(struct ps_collect_wait *wait)
{
    struct ps_teller *teller = PS_CONTAINER_OF(wait, struct ps_teller, wait);
    teller->collecting = false;
    if (teller->again) {
        teller->again = false;
        collect(teller);
        return;
    }
    fill_batches(teller);
    send_next(teller);
}

static void
collect(struct ps_teller *teller)
{
    if (teller->collecting)
        return;
    teller->collecting = true;
    teller->wait.fn = on_collected;
    ps_collector_collect(teller->uplink->conf.collector, &teller->wait);
}

static void
on_timer(void *arg)
{
    struct ps_teller *teller = arg;
    struct ps_uplink *u = teller->uplink;
    ps_timer_start_ms(&teller->timer, u->conf.telemetry_ms);
    if (teller->batches.count > 0)
        send_next(teller);
    else if (atomic_load(&u->state) == PS_UPLINK_LIVE)
        collect(teller);
}

/* ---------------------------------------------------------- life cycle */

struct ps_teller *
ps_teller_new(struct ps_uplink *uplink)
{
    struct ps_teller *teller = calloc(1, sizeof(*teller));
    if (!teller)
        return NULL;
    teller->uplink = uplink;
    ps_list_init(&teller->batches);
    ps_uuid_make(teller->stream);
    ps_timer_init(&teller->timer, uplink->conf.loop, on_timer, teller);
    return teller;
}

void
ps_teller_start(struct ps_teller *teller)
{
    if (teller && teller->uplink->conf.telemetry_ms > 0)
        ps_timer_start_ms(&teller->timer, teller->uplink->conf.telemetry_ms);
}

void
ps_teller_finish(struct ps_teller *teller,
                 void (*done)(struct ps_uplink *uplink))
{
    struct ps_uplink *u = teller ? teller->uplink : NULL;
    PS_CHECK(u);
    if (u->conf.telemetry_ms == 0 || atomic_load(&u->state) != PS_UPLINK_LIVE) {
        done(u);
        return;
    }
    teller->done = done;
    ps_timer_stop(&teller->timer);
    /* A round that has begun may have missed the last requests. */
    teller->again = teller->collecting;
    collect(teller);
}

void
ps_teller_free(struct ps_teller **tellerp)
{
    struct ps_teller *teller = *tellerp;
    struct ps_link *link;
    if (!teller)
        return;
    *tellerp = NULL;
    ps_timer_stop(&teller->timer);
    while ((link = ps_list_pop_front(&teller->batches)))
        batch_free(PS_CONTAINER_OF(link, struct batch, link));
    free(teller);
}
