/*
 * One HTTP exchange with the control plane or an agent, on libcurl (whose only
 * user this is): JSON in, JSON out, with time-outs and a limit on the size of
 * the reply. Blocking; the connection stays open for the next call.
 *
 * The control plane's certificate is checked against the CA that the login
 * pinned and nothing else; an agent's against the given CA or the system's
 * bundle. Redirects are not followed: a token goes where it was meant to go.
 */
#ifndef PS_CLI_REST_H
#define PS_CLI_REST_H

#include "cli/command.h"
#include "common/buf.h"

#include <jansson.h>

struct ps_rest;

/* What went wrong, for people and for --json. */
struct ps_fault {
    char code[64]; /* of the server's error table, or one of psctl's own */
    char message[1024];
};

struct ps_rest_call {
    const char *method; /* "GET" */
    const char *base;   /* "https://host:7600", no slash at the end */
    const char *path;   /* "/v1/status" */
    const char *token;  /* NULL: no Authorization */
    const char *ca_pem; /* NULL: the system's bundle */
    bool insecure;      /* the certificate is not checked */
    const json_t *body; /* NULL: none */
    const char *if_match, *idempotency_key; /* headers, or NULL */
    uint64_t timeout_ms;
    size_t max_bytes; /* of the reply */
};

/* Headers that tell how an agent answered; "" when absent. */
struct ps_rest_reply {
    long status;
    json_t *json;     /* owned; NULL when the reply is not JSON or empty */
    uint64_t time_us; /* from the request being sent to the last byte */
    char cache_status[256], reason[64], age[24], server_timing[256];
    char etag[80];
};

struct ps_rest *ps_rest_new(void);
void ps_rest_free(struct ps_rest **rest);
/* When *flag becomes true (a signal), a call under way ends with
 * PS_EXIT_INTERRUPTED. */
void ps_rest_set_stop(struct ps_rest *rest, const volatile bool *flag);

/*
 * PS_EXIT_OK: there is a reply, of whatever status; free its json. Else
 * PS_EXIT_CONNECT, PS_EXIT_FAILED or PS_EXIT_INTERRUPTED with the fault set.
 */
PS_MUST_USE enum ps_exit ps_rest_send(struct ps_rest *rest,
                                      const struct ps_rest_call *call,
                                      struct ps_rest_reply *reply,
                                      struct ps_fault *fault);
/* Judges a reply: PS_EXIT_OK for 2xx; else the fault is the server's own. */
PS_MUST_USE enum ps_exit ps_rest_judge(const struct ps_rest_call *call,
                                       const struct ps_rest_reply *reply,
                                       struct ps_fault *fault);
void ps_rest_reply_done(struct ps_rest_reply *reply);

void ps_fault_set(struct ps_fault *fault, const char *code, const char *fmt,
                  ...) PS_PRINTF(3, 4);

#endif
