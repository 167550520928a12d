/*
 * The REST API: HTTPS on evhttp with OpenSSL bufferevents, on the control
 * plane's one loop. The contract is proto/openapi.yaml.
 *
 *   TLS connection (server.c: limits, deadlines)
 *     -> request -> route table (routes.c) -> bearer token -> JSON body
 *     -> handler (caches.c, fleet.c, tokens.c, status.c)
 *     -> JSON reply, or the one error shape
 */
#ifndef PS_CONTROLPLANE_API_API_H
#define PS_CONTROLPLANE_API_API_H

#include "common/err.h"
#include "common/io/loop.h"
#include "controlplane/ca/ca.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/rollup/rollup.h"
#include "controlplane/store/db.h"

struct ps_api;

enum {
    PS_API_BODY_MAX = 1 << 20,
    PS_API_HEAD_MAX = 16 << 10,
    PS_API_CONNECTIONS_MAX = 128,
    PS_API_HANDSHAKE_MS = 10000,
    /* A connection that has not completed a request for this long is shut:
     * bounds slow senders, slow readers and idle ones alike. */
    PS_API_REQUEST_MS = 60000
};

struct ps_api_conf {
    struct ps_loop *loop;
    struct ps_db *db;
    const struct ps_ca *ca;
    struct ps_fleet *fleet;
    struct ps_rollup *rollup; /* NULL: there are no statistics */
    const char *address;      /* "127.0.0.1:7600"; port 0: any */
    const char *const *names; /* of this server, NULL-terminated; the first
                                 is in join tokens */
    /* Where agents find the fabric, given to them at enrolment. */
    const char *call_address, *event_address;
    uint64_t handshake_ms, request_ms; /* PS_API_*_MS */
};

/* What conf points to must outlive the API. */
PS_MUST_USE enum ps_rc ps_api_start(struct ps_api **api,
                                    const struct ps_api_conf *conf,
                                    struct ps_err *err);
/* Requests that wait for agents are answered with PS_SHUTTING_DOWN. True: there
 * were some, and the loop must turn until the replies have left. */
bool ps_api_end_held(struct ps_api *api);
void ps_api_stop(struct ps_api **api);
/* Replies since the start by the first digit of their status, 1 to 5; 6
 * numbers. */
const uint64_t *ps_api_replies(const struct ps_api *api);
/* The port really bound. */
int ps_api_port(const struct ps_api *api);

/* A new token: text gets "psk_" and 43 characters, token what is stored. */
enum {
    PS_API_TOKEN_TEXT = 48
};
void ps_api_make_token(const char *name, struct ps_api_token *token,
                       char text[PS_API_TOKEN_TEXT]);

#endif
