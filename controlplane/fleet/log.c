/* Entries are kept packed: their size is known, and a fetch is rare. */
#include "controlplane/fleet/log.h"

#include "common/check.h"

#include <stdlib.h>

enum {
    ILOG_MAGIC = 0x7073494c,
    /* What an entry costs beside its bytes (slot, allocator). */
    ENTRY_OVERHEAD = 32
};

struct slot {
    uint8_t *bytes;
    size_t len;
};

struct ps_ilog {
    unsigned magic;
    size_t max_entries, max_bytes;
    struct slot *ring; /* number n is in slot n % max_entries */
    uint64_t newest;
    uint64_t oldest;
    size_t bytes;
};

struct ps_ilog *
ps_ilog_new(size_t max_entries, size_t max_bytes)
{
    PS_CHECK(max_entries > 0);
    struct ps_ilog *log = calloc(1, sizeof(*log));
    struct slot *ring = calloc(max_entries, sizeof(*ring));
    if (!log || !ring) {
        free(log);
        free(ring);
        return NULL;
    }
    *log = (struct ps_ilog){
        .magic = ILOG_MAGIC,
        .max_entries = max_entries,
        .max_bytes = max_bytes,
        .ring = ring,
        .oldest = 1,
    };
    return log;
}

static struct slot *
slot_of(const struct ps_ilog *log, uint64_t number)
{
    return &log->ring[number % log->max_entries];
}

static void
drop_oldest(struct ps_ilog *log)
{
    struct slot *slot = slot_of(log, log->oldest++);
    log->bytes -= slot->len + ENTRY_OVERHEAD;
    free(slot->bytes);
    *slot = (struct slot){NULL, 0};
}

void
ps_ilog_free(struct ps_ilog **logp)
{
    struct ps_ilog *log = *logp;
    if (!log)
        return;
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    while (log->oldest <= log->newest)
        drop_oldest(log);
    free(log->ring);
    log->magic = 0;
    free(log);
    *logp = NULL;
}

uint64_t
ps_ilog_newest(const struct ps_ilog *log)
{
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    return log->newest;
}

uint64_t
ps_ilog_oldest(const struct ps_ilog *log)
{
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    return log->oldest;
}

size_t
ps_ilog_bytes(const struct ps_ilog *log)
{
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    return log->bytes;
}

/* Says less, so that it means more, until it is small enough. */
static void
coarsen(Portside__Invalidation *item)
{
    static char nothing[1];
    if (portside__invalidation__get_packed_size(item) > PS_ILOG_ENTRY_MAX) {
        item->n_tables = 0;
        item->tables = NULL;
    }
    if (portside__invalidation__get_packed_size(item) > PS_ILOG_ENTRY_MAX)
        item->database = nothing;
    if (portside__invalidation__get_packed_size(item) > PS_ILOG_ENTRY_MAX)
        item->cache_id = nothing;
}

static bool
pack(const struct ps_ilog_batch *batch, size_t index, uint64_t number,
     struct slot *out)
{
    static char nothing[1];
    Portside__Invalidation item = *batch->items[index];
    Portside__Purge purge = PORTSIDE__PURGE__INIT;
    /* protobuf-c has char * in its structs, but only reads them to pack. */
    union {
        const char *in;
        char *out;
    } agent_id = {.in = batch->agent_id ? batch->agent_id : nothing};
    coarsen(&item);
    if (batch->purge)
        purge = *batch->purge;
    Portside__LogEntry entry = PORTSIDE__LOG_ENTRY__INIT;
    entry.number = number;
    entry.agent_id = agent_id.out;
    entry.invalidation = &item;
    entry.ack_wanted = batch->ack_wanted;
    if (batch->purge)
        entry.purge = &purge;
    out->len = portside__log_entry__get_packed_size(&entry);
    out->bytes = malloc(out->len);
    if (!out->bytes)
        return false;
    portside__log_entry__pack(&entry, out->bytes);
    return true;
}

static void
insert(struct ps_ilog *log, struct slot slot)
{
    if (log->newest + 1 - log->oldest == log->max_entries)
        drop_oldest(log);
    *slot_of(log, ++log->newest) = slot;
    log->bytes += slot.len + ENTRY_OVERHEAD;
    while (log->bytes > log->max_bytes && log->oldest < log->newest)
        drop_oldest(log);
}

enum ps_rc
ps_ilog_append(struct ps_ilog *log, const struct ps_ilog_batch *batch,
               uint64_t *first)
{
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    PS_CHECK(batch->count > 0);
    struct slot *slots = calloc(batch->count, sizeof(*slots));
    if (!slots)
        return PS_NO_MEMORY;
    size_t made = 0;
    while (made < batch->count &&
           pack(batch, made, log->newest + 1 + made, &slots[made]))
        made++;
    if (made < batch->count) {
        while (made > 0)
            free(slots[--made].bytes);
        free(slots);
        return PS_NO_MEMORY;
    }
    *first = log->newest + 1;
    for (size_t i = 0; i < made; i++)
        insert(log, slots[i]);
    free(slots);
    return PS_OK;
}

struct ps_str
ps_ilog_get(const struct ps_ilog *log, uint64_t number)
{
    PS_CHECK_OBJ(log, ILOG_MAGIC);
    if (number < log->oldest || number > log->newest)
        return PS_STR_NONE;
    const struct slot *slot = slot_of(log, number);
    return (struct ps_str){.ptr = (const char *)slot->bytes, .len = slot->len};
}
