#include "agent/cache/flight.h"

#include "common/check.h"

#include <stdlib.h>

enum {
    FLIGHTS_MAGIC = 0x57ace506,
    FLIGHT_MAGIC = 0x57ace507,
    N_BUCKETS = 256
};

struct ps_flight {
    uint32_t magic;
    bool sent;           /* newcomers are checked against snapshot */
    struct ps_link link; /* in its bucket, while newcomers can find it */
    struct ps_flights *flights;
    struct ps_list waiters;
    struct ps_key key; /* sql and bindings lie in bytes */
    struct ps_snapshot snapshot;
    char bytes[];
};

struct ps_flights {
    uint32_t magic;
    unsigned max_waiters;
    size_t count;
    struct ps_list buckets[N_BUCKETS];
};

struct ps_flights *
ps_flights_new(unsigned max_waiters)
{
    struct ps_flights *flights = calloc(1, sizeof(*flights));
    if (!flights)
        return NULL;
    flights->magic = FLIGHTS_MAGIC;
    flights->max_waiters = max_waiters;
    for (size_t i = 0; i < N_BUCKETS; i++)
        ps_list_init(&flights->buckets[i]);
    return flights;
}

void
ps_flights_free(struct ps_flights **flightsp)
{
    struct ps_flights *flights = *flightsp;
    if (!flights)
        return;
    PS_CHECK_OBJ(flights, FLIGHTS_MAGIC);
    PS_CHECK(flights->count == 0);
    *flightsp = NULL;
    flights->magic = 0;
    free(flights);
}

size_t
ps_flights_count(const struct ps_flights *flights)
{
    return flights->count;
}

static struct ps_list *
bucket_of(struct ps_flights *flights, const struct ps_key *key)
{
    return &flights->buckets[key->hash.lo % N_BUCKETS];
}

void
ps_flight_hide(struct ps_flight *flight)
{
    PS_CHECK_OBJ(flight, FLIGHT_MAGIC);
    if (ps_link_linked(&flight->link))
        ps_list_remove(bucket_of(flight->flights, &flight->key), &flight->link);
}

static struct ps_flight *
flight_find(struct ps_flights *flights, const struct ps_key *key)
{
    PS_LIST_FOREACH_SAFE(bucket_of(flights, key), it, next) {
        struct ps_flight *flight = PS_CONTAINER_OF(it, struct ps_flight, link);
        if (flight->key.hash.lo == key->hash.lo &&
            flight->key.hash.hi == key->hash.hi &&
            ps_key_equal(&flight->key, key))
            return flight;
    }
    return NULL;
}

static struct ps_flight *
flight_new(struct ps_flights *flights, const struct ps_key *key)
{
    struct ps_flight *flight =
        malloc(sizeof(*flight) + key->sql.len + key->bindings.len);
    if (!flight)
        return NULL;
    flight->magic = FLIGHT_MAGIC;
    flight->sent = false;
    flight->flights = flights;
    flight->key = *key;
    flight->key.sql.ptr = flight->bytes;
    flight->key.bindings.ptr = flight->bytes + key->sql.len;
    memcpy(flight->bytes, key->sql.ptr, key->sql.len);
    if (key->bindings.len)
        memcpy(flight->bytes + key->sql.len, key->bindings.ptr,
               key->bindings.len);
    ps_list_init(&flight->waiters);
    ps_link_init(&flight->link);
    ps_list_push_back(bucket_of(flights, key), &flight->link);
    flights->count++;
    return flight;
}

enum ps_flight_role
ps_flight_enter(struct ps_flights *flights, const struct ps_key *key,
                struct ps_flight_waiter *waiter, struct ps_flight **flightp)
{
    PS_CHECK_OBJ(flights, FLIGHTS_MAGIC);
    struct ps_flight *flight = flight_find(flights, key);
    waiter->flight = NULL;
    if (flight && flight->sent && !ps_snapshot_valid(&flight->snapshot)) {
        ps_flight_hide(flight);
        flight = NULL;
    }
    if (!flight) {
        flight = flight_new(flights, key);
        if (!flight)
            return PS_FLIGHT_ALONE;
        *flightp = flight;
        return PS_FLIGHT_LEAD;
    }
    if (flight->waiters.count >= flights->max_waiters)
        return PS_FLIGHT_ALONE;
    waiter->flight = flight;
    ps_link_init(&waiter->link);
    ps_list_push_back(&flight->waiters, &waiter->link);
    return PS_FLIGHT_WAIT;
}

void
ps_flight_sent(struct ps_flight *flight, const struct ps_snapshot *snapshot)
{
    PS_CHECK_OBJ(flight, FLIGHT_MAGIC);
    if (!snapshot) {
        ps_flight_hide(flight);
        return;
    }
    /* Only the slots in use. */
    memcpy(&flight->snapshot, snapshot,
           offsetof(struct ps_snapshot, slots) +
               snapshot->n_slots * sizeof(snapshot->slots[0]));
    flight->sent = true;
}

size_t
ps_flight_waiters(const struct ps_flight *flight)
{
    PS_CHECK_OBJ(flight, FLIGHT_MAGIC);
    return flight->waiters.count;
}

void
ps_flight_finish(struct ps_flight **flightp, struct ps_entry *entry,
                 enum ps_rc rc, const struct ps_err *err)
{
    struct ps_flight *flight = *flightp;
    PS_CHECK_OBJ(flight, FLIGHT_MAGIC);
    *flightp = NULL;
    ps_flight_hide(flight);
    /* A waiter's fn may make others leave, or enter a new flight. */
    struct ps_link *link;
    while ((link = ps_list_pop_front(&flight->waiters)) != NULL) {
        struct ps_flight_waiter *waiter =
            PS_CONTAINER_OF(link, struct ps_flight_waiter, link);
        waiter->flight = NULL;
        waiter->fn(waiter, entry, rc, err);
    }
    flight->flights->count--;
    flight->magic = 0;
    free(flight);
}

void
ps_flight_leave(struct ps_flight_waiter *waiter)
{
    if (!waiter->flight)
        return;
    PS_CHECK_OBJ(waiter->flight, FLIGHT_MAGIC);
    ps_list_remove(&waiter->flight->waiters, &waiter->link);
    waiter->flight = NULL;
}
