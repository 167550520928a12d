/*
 * What the control plane sends, as the agent reads it: replies, events and the
 * snapshot on disk. Definitions and changes either make sense or are refused,
 * and a change survives the way out and back.
 *
 * Input: which message, then its bytes.
 */
#include "agent/link/codec.h"
#include "tests/fuzz/fuzz.h"

static void
check_back(const struct ps_change *change)
{
    struct ps_codec_change back;
    Portside__Invalidation *m = ps_codec_invalidation(change);
    FUZZ_CHECK(m);
    FUZZ_CHECK(ps_codec_change(m, &back) == PS_OK);
    FUZZ_CHECK(ps_str_eq(back.change.cache_id, change->cache_id));
    FUZZ_CHECK(ps_str_eq(back.change.database, change->database));
    FUZZ_CHECK(back.change.n_tables == change->n_tables);
    FUZZ_CHECK(back.change.catalog == change->catalog);
    for (size_t i = 0; i < change->n_tables; i++)
        FUZZ_CHECK(ps_str_eq(back.tables[i].name, change->tables[i].name) &&
                   ps_str_eq(back.tables[i].schema, change->tables[i].schema));
    ps_codec_change_done(&back);
    portside__invalidation__free_unpacked(m, NULL);
}

static void
check_change(const Portside__Invalidation *m)
{
    struct ps_codec_change change;
    if (!m || ps_codec_change(m, &change) != PS_OK)
        return;
    check_back(&change.change);
    ps_codec_change_done(&change);
}

static void
check_entries(Portside__LogEntry *const *entries, size_t n)
{
    struct ps_purge purge;
    for (size_t i = 0; i < n; i++) {
        check_change(entries[i]->invalidation);
        if (entries[i]->purge &&
            ps_codec_purge(entries[i]->purge, &purge) == PS_OK)
            FUZZ_CHECK(purge.kind < PS_PURGE_KIND_COUNT &&
                       purge.cache_id.len == 36 &&
                       (purge.text.ptr || purge.kind != PS_PURGE_TABLE));
    }
}

static void
check_snapshot(const Portside__Snapshot *s)
{
    for (size_t i = 0; i < s->n_caches; i++) {
        struct ps_cache_conf *conf = ps_codec_cache(s->caches[i]);
        if (!conf)
            continue;
        FUZZ_CHECK(conf->port > 0);
        FUZZ_CHECK(conf->provider < PS_PROVIDER_COUNT);
        ps_cache_conf_unref(&conf);
    }
}

static void
check_reply(const uint8_t *data, size_t size)
{
    Portside__Reply *reply = portside__reply__unpack(NULL, size, data);
    if (!reply)
        return;
    if (reply->body_case == PORTSIDE__REPLY__BODY_SNAPSHOT)
        check_snapshot(reply->snapshot);
    if (reply->body_case == PORTSIDE__REPLY__BODY_FETCH)
        check_entries(reply->fetch->entries, reply->fetch->n_entries);
    portside__reply__free_unpacked(reply, NULL);
}

static void
check_event(const uint8_t *data, size_t size)
{
    Portside__Event *event = portside__event__unpack(NULL, size, data);
    char *packed;
    size_t len;
    if (!event)
        return;
    if (event->body_case == PORTSIDE__EVENT__BODY_ENTRY)
        check_entries(&event->entry, 1);
    if (event->body_case == PORTSIDE__EVENT__BODY_PROBE &&
        event->probe->cache) {
        struct ps_cache_conf *conf = ps_codec_cache(event->probe->cache);
        if (conf)
            ps_cache_conf_unref(&conf);
    }
    struct ps_uplink_explain ask;
    if (event->body_case == PORTSIDE__EVENT__BODY_ASK &&
        event->ask->body_case == PORTSIDE__ASK__BODY_EXPLAIN &&
        ps_codec_explain(event->ask->explain, &ask) == PS_OK)
        FUZZ_CHECK(ask.cache_id.len == 36 && ask.sql.len > 0);
    FUZZ_CHECK(ps_codec_pack(&event->base, &packed, &len) == PS_OK);
    free(packed);
    portside__event__free_unpacked(event, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        check_reply(data + 1, size - 1);
        return 0;
    case 1:
        check_event(data + 1, size - 1);
        return 0;
    default:
        break;
    }
    Portside__Snapshot *s =
        portside__snapshot__unpack(NULL, size - 1, data + 1);
    if (s)
        check_snapshot(s);
    portside__snapshot__free_unpacked(s, NULL);
    return 0;
}
