/*
 * Reachability of an origin, stage by stage, without a login:
 *
 *   resolve -> connect -> greeting -> tls
 *
 * Each stage has a time and a stable code of the error table; the first that
 * fails ends the test and decides the advice: one sentence that says what to
 * do. The greeting is the first answer that only a server of this
 * provider gives (PostgreSQL: reply to SSLRequest, protocol section 55.2.10;
 * MySQL: initial handshake packet; SQL Server: PRELOGIN response, MS-TDS
 * 2.2.6.5). Nothing is sent that could change anything at the origin.
 *
 * Blocking, with deadlines (except getaddrinfo's own): for a thread of its
 * own, never for a loop.
 */
#ifndef PS_AGENT_PROBE_PROBE_H
#define PS_AGENT_PROBE_PROBE_H

#include "agent/config/config.h"
#include "common/err.h"
#include "common/tls_peer.h"

/* X(name, text) */
#define PS_PROBE_STAGE_TABLE(X) \
    X(RESOLVE, "resolve")       \
    X(CONNECT, "connect")       \
    X(GREETING, "greeting")     \
    X(TLS, "tls")

enum ps_probe_stage {
#define X(name, text) PS_PROBE_##name,
    PS_PROBE_STAGE_TABLE(X)
#undef X
    PS_PROBE_STAGE_COUNT
};
const char *ps_probe_stage_text(enum ps_probe_stage stage);

struct ps_probe_step {
    enum ps_rc rc;
    /* TLS only: the stage did not take place, and that is right (tls
     * disabled, or preferred and not offered); rc is PS_OK. */
    bool skipped;
    uint64_t time_us;
    char detail[256]; /* for people; UTF-8 */
};

struct ps_probe_report {
    struct ps_probe_step steps[PS_PROBE_STAGE_COUNT];
    size_t n_steps; /* how many have been done */
    bool done;
    enum ps_rc rc;           /* of the first failed stage, else PS_OK */
    char source_address[64]; /* own end of the connection; "" unknown */
    char target_address[80]; /* address:port that was reached or tried */
    char server_version[64];
    enum ps_tls_fault fault; /* with PS_ORIGIN_CERT: what does not fit */
    char advice[768];
};

/* progress (may be NULL) runs on this thread after each stage and at the end,
 * with done set the last time only. stage_timeout_ms bounds each stage. */
void ps_probe_run(const struct ps_cache_conf *conf, uint64_t stage_timeout_ms,
                  void (*progress)(void *arg,
                                   const struct ps_probe_report *report),
                  void *arg, struct ps_probe_report *report);

/* The sentence for a finished report: what to do about its code, with the
 * snippet that allows source_address. */
void ps_probe_advise(const struct ps_cache_conf *conf,
                     struct ps_probe_report *report);

#endif
