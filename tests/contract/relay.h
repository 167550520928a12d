/*
 * Between a driver and its server, on the rig's own loop: passes bytes on, and
 * misbehaves as told. Each connection to it gets one to the server.
 */
#ifndef PS_TESTS_CONTRACT_RELAY_H
#define PS_TESTS_CONTRACT_RELAY_H

#include "common/io/loop.h"

struct relay_conf {
    uint16_t server_port; /* 0: no server, `says` only */
    /* After so many bytes from the server: the connection is cut, or (stall)
     * goes silent. SIZE_MAX: never. */
    size_t cut_after;
    bool stall;
    struct ps_str says; /* instead of the server, once it was spoken to */
    bool first;         /* `says`, or cut_after 0, without being spoken to */
    bool silent;        /* accepts, and that is all */
    struct ps_str look_for; /* in what the client sends */
};

struct relay;
struct relay *relay_new(struct ps_loop *loop, const struct relay_conf *conf);
void relay_free(struct relay **relay);
uint16_t relay_port(const struct relay *relay);
/* From the server, all connections together. */
size_t relay_bytes(const struct relay *relay);
/* Was look_for sent, in one piece? */
bool relay_saw(const struct relay *relay);
/* From now on nothing more is passed on from the server. */
void relay_stall(struct relay *relay);

#endif
