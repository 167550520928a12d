/*
 * Names to addresses off the loops: a small number of threads call
 * getaddrinfo() (so /etc/hosts, nsswitch and search domains count), answers
 * are kept for a short time. libpq resolves names with a blocking call;
 * drivers therefore resolve here first and connect by address.
 */
#ifndef PS_COMMON_IO_RESOLVER_H
#define PS_COMMON_IO_RESOLVER_H

#include "common/err.h"
#include "common/io/loop.h"

struct ps_resolver;

enum {
    PS_RESOLVER_ADDRESS_MAX = 8,
    PS_RESOLVER_TEXT_MAX = 64
};
struct ps_addresses {
    size_t count;
    /* Numeric, "192.0.2.1" or "2001:db8::1", in getaddrinfo's order. */
    char text[PS_RESOLVER_ADDRESS_MAX][PS_RESOLVER_TEXT_MAX];
};

/* keep_ms: how long answers are kept (failures 1 s at most); 0 keeps none.
 * NULL without memory or threads. */
struct ps_resolver *ps_resolver_new(unsigned threads, uint64_t keep_ms);
/* Nothing may be under way: cancel first. Never waits for a name server. */
void ps_resolver_free(struct ps_resolver **resolver);

/* Embed; valid until fn ran or ps_resolve_cancel returned. */
struct ps_resolve {
    struct ps_task task;
    struct ps_loop *loop;
    /* addresses is NULL when rc != PS_OK (PS_ORIGIN_HOST). */
    void (*fn)(struct ps_resolve *self, enum ps_rc rc,
               const struct ps_addresses *addresses);
    void *opaque; /* the resolver's */
};
/* fn always runs later, on loop, exactly once unless cancelled. host is
 * copied. A numeric address needs no thread. */
void ps_resolve_start(struct ps_resolver *resolver, struct ps_resolve *op,
                      struct ps_loop *loop, const char *host,
                      void (*fn)(struct ps_resolve *, enum ps_rc,
                                 const struct ps_addresses *));
/* On the loop's thread; fn will not run any more. Does nothing when fn has
 * already run, provided that op was not freed; op zeroed: nothing under way. */
void ps_resolve_cancel(struct ps_resolver *resolver, struct ps_resolve *op);

#endif
