/*
 * Entries: one block of memory, immutable but for its place in the store.
 * Whoever drops the last reference frees it, on whatever thread.
 */
#include "agent/cache/entry.h"

#include "common/check.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    FORMAT_MASK = 0x7f
};

/* False when a length does not fit its field. */
static bool
entry_size(const struct ps_entry_spec *spec, size_t *size)
{
    size_t n_slots = spec->snapshot ? spec->snapshot->n_slots : 0;
    if (spec->key->format > FORMAT_MASK || spec->key->sql.len > UINT32_MAX ||
        spec->key->bindings.len > UINT32_MAX || spec->body.len > UINT32_MAX)
        return false;
    /* The bytes begin within the header's padding. */
    *size = PS_MAX(sizeof(struct ps_entry),
                   offsetof(struct ps_entry, bytes) +
                       n_slots * sizeof(uint16_t) + spec->key->sql.len +
                       spec->key->bindings.len + spec->body.len);
    return true;
}

static char *
put_bytes(char *to, const void *bytes, size_t n)
{
    if (n)
        memcpy(to, bytes, n);
    return to + n;
}

struct ps_entry *
ps_entry_new(const struct ps_entry_spec *spec)
{
    const struct ps_snapshot *snapshot = spec->snapshot;
    size_t size;
    if (!entry_size(spec, &size))
        return NULL;
    struct ps_entry *entry = malloc(size);
    if (!entry)
        return NULL;
    *entry = (struct ps_entry){
        .magic = PS_ENTRY_MAGIC,
        .refs = 1,
        .hash = spec->key->hash.lo,
        .born_us = spec->born_us,
        .expires_us = spec->expires_us,
        .revision = (uint32_t)spec->revision,
        .stale_while_revalidate_ms = (uint32_t)PS_MIN(
            spec->stale_while_revalidate_ms, (uint64_t)UINT32_MAX),
        .principal = spec->key->principal,
        .format = (uint8_t)(spec->key->format & FORMAT_MASK),
        .sql_len = (uint32_t)spec->key->sql.len,
        .bindings_len = (uint32_t)spec->key->bindings.len,
        .body_len = (uint32_t)spec->body.len,
        .tally = spec->tally,
        .rows = spec->rows,
    };
    char *at = entry->bytes;
    if (snapshot) {
        entry->space = ps_space_ref(snapshot->space);
        entry->sum = snapshot->sum;
        entry->n_slots = snapshot->n_slots;
        entry->every_table = snapshot->every_table;
        at = put_bytes(at, snapshot->slots,
                       snapshot->n_slots * sizeof(snapshot->slots[0]));
    }
    at = put_bytes(at, spec->key->sql.ptr, spec->key->sql.len);
    at = put_bytes(at, spec->key->bindings.ptr, spec->key->bindings.len);
    put_bytes(at, spec->body.ptr, spec->body.len);
    return entry;
}

struct ps_entry *
ps_entry_ref(struct ps_entry *entry)
{
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    uint32_t before =
        atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    PS_CHECK(before > 0);
    return entry;
}

void
ps_entry_unref(struct ps_entry **entryp)
{
    struct ps_entry *entry = *entryp;
    if (!entry)
        return;
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    *entryp = NULL;
    uint32_t before =
        atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel);
    PS_CHECK(before > 0);
    if (before > 1)
        return;
    PS_CHECK(entry->queue == PS_QUEUE_NONE);
    ps_space_unref(&entry->space);
    entry->magic = 0;
    free(entry);
}

struct ps_str
ps_entry_body(const struct ps_entry *entry)
{
    return (struct ps_str){ps_entry_key_bytes(entry) + entry->sql_len +
                               entry->bindings_len,
                           entry->body_len};
}

uint64_t
ps_entry_born_us(const struct ps_entry *entry)
{
    return entry->born_us;
}

uint64_t
ps_entry_expires_us(const struct ps_entry *entry)
{
    return entry->expires_us;
}

uint32_t
ps_entry_tally(const struct ps_entry *entry)
{
    return entry->tally;
}

uint32_t
ps_entry_rows(const struct ps_entry *entry)
{
    return entry->rows;
}

uint64_t
ps_entry_stale_while_revalidate_us(const struct ps_entry *entry)
{
    return (uint64_t)entry->stale_while_revalidate_ms * 1000;
}

bool
ps_entry_claim(struct ps_entry *entry)
{
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    return !atomic_exchange_explicit(&entry->claimed, true,
                                     memory_order_relaxed);
}

void
ps_entry_unclaim(struct ps_entry *entry)
{
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    atomic_store_explicit(&entry->claimed, false, memory_order_relaxed);
}

size_t
ps_entry_bytes(const struct ps_entry *entry)
{
    /* The allocator's own word before the block counts as well. */
    union {
        const struct ps_entry *in;
        void *out;
    } block = {.in = entry};
    return malloc_usable_size(block.out) + sizeof(size_t);
}

enum ps_entry_state
ps_entry_check(const struct ps_entry *entry, uint64_t now_us, uint64_t revision)
{
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    if (!ps_entry_valid(entry)) {
        if (entry->space &&
            ps_space_committing(entry->space, entry->every_table,
                                ps_entry_slots(entry), entry->n_slots))
            return PS_ENTRY_COMMITTING;
        return PS_ENTRY_INVALIDATED;
    }
    if (entry->revision != (uint32_t)revision)
        return PS_ENTRY_REDEFINED;
    return now_us < entry->expires_us ? PS_ENTRY_FRESH : PS_ENTRY_EXPIRED;
}
