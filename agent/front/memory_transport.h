/*
 * A transport that a test drives by hand: bytes in, bytes out, writes of
 * limited size, end of input, failure.
 */
#ifndef PS_AGENT_FRONT_MEMORY_TRANSPORT_H
#define PS_AGENT_FRONT_MEMORY_TRANSPORT_H

#include "agent/front/transport.h"
#include "common/buf.h"

struct ps_memory {
    struct ps_transport base;
    struct ps_buf in, out;
    unsigned interest;
    size_t max_write; /* bytes one writev takes */
    size_t window;    /* bytes that can be written altogether before AGAIN */
    bool eof, broken; /* of the input; every call */
    bool finished;    /* the connection will write no more */
    bool freed;       /* the connection closed it */
};

/* memory stays the test's; it is only marked as freed. */
struct ps_transport *ps_memory_init(struct ps_memory *memory);
void ps_memory_done(struct ps_memory *memory);
/* Gives bytes to the connection as long as it wants them; what it does not
 * take yet stays. */
void ps_memory_feed(struct ps_memory *memory, struct ps_str bytes);
/* Calls ready while the connection wants what there is. */
void ps_memory_pump(struct ps_memory *memory);

#endif
