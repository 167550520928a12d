/*
 * The stages in order, their times and codes.
 */
#include "agent/probe/probe.h"

#include "agent/probe/probe_private.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct probe {
    const struct ps_cache_conf *conf;
    enum ps_tls_mode mode;
    uint64_t stage_timeout_ms;
    struct ps_probe_report *report;
    struct addrinfo *addresses;
    struct ps_probe_socket socket;
    struct ps_probe_greeting greeting;
};

const char *
ps_probe_stage_text(enum ps_probe_stage stage)
{
    static const char *const texts[] = {
#define X(name, text) [PS_PROBE_##name] = (text),
        PS_PROBE_STAGE_TABLE(X)
#undef X
    };
    return texts[stage];
}

static enum ps_rc
stage_resolve(struct probe *p, struct ps_probe_step *step)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", p->conf->port);
    int e = getaddrinfo(p->conf->host, port, &hints, &list);
    if (e != 0 || !list) {
        snprintf(step->detail, sizeof(step->detail), "%s",
                 e ? gai_strerror(e) : "no address");
        return PS_ORIGIN_HOST;
    }
    p->addresses = list;
    char text[64] = "";
    size_t n = 0;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        n++;
    getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL, 0,
                NI_NUMERICHOST);
    snprintf(step->detail, sizeof(step->detail),
             n > 1 ? "%s and %zu more" : "%s", text, n - 1);
    return PS_OK;
}

static void
name_ends(struct probe *p, const struct addrinfo *a)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof(own);
    char host[64] = "";
    if (getsockname(p->socket.fd, (struct sockaddr *)&own, &len) == 0)
        getnameinfo((struct sockaddr *)&own, len, p->report->source_address,
                    sizeof(p->report->source_address), NULL, 0, NI_NUMERICHOST);
    getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), NULL, 0,
                NI_NUMERICHOST);
    snprintf(p->report->target_address, sizeof(p->report->target_address),
             a->ai_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
             p->conf->port);
}

static enum ps_rc
code_of_errno(int e)
{
    switch (e) {
    case ECONNREFUSED:
        return PS_ORIGIN_REFUSED;
    case ETIMEDOUT:
        return PS_ORIGIN_TIMEOUT;
    default:
        return PS_ORIGIN_UNREACHABLE;
    }
}

static enum ps_rc
connect_one(struct probe *p, const struct addrinfo *a,
            struct ps_probe_step *step)
{
    int fd =
        socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return PS_IO;
    p->socket.fd = fd;
    int e = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    /* The kernel knows the own address from here on, reached or not. */
    name_ends(p, a);
    enum ps_rc rc = PS_OK;
    if (e == EINPROGRESS) {
        rc = ps_probe_wait(&p->socket, POLLOUT);
        socklen_t len = sizeof(e);
        if (rc == PS_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
            e = errno;
    }
    if (rc == PS_OK && e != 0)
        rc = code_of_errno(e);
    if (rc == PS_OK) {
        step->detail[0] = '\0';
        return PS_OK;
    }
    snprintf(step->detail, sizeof(step->detail), "%s: %s",
             p->report->target_address,
             rc == PS_ORIGIN_TIMEOUT ? "no answer" : strerror(e));
    close(fd);
    p->socket.fd = -1;
    return rc;
}

static enum ps_rc
stage_connect(struct probe *p, struct ps_probe_step *step)
{
    enum ps_rc rc = PS_ORIGIN_UNREACHABLE;
    for (struct addrinfo *a = p->addresses; a; a = a->ai_next) {
        rc = connect_one(p, a, step);
        if (rc == PS_OK || rc == PS_ORIGIN_TIMEOUT)
            break;
    }
    return rc;
}

static enum ps_rc
stage_greeting(struct probe *p, struct ps_probe_step *step)
{
    enum ps_rc rc = ps_probe_greet(p->conf->provider, &p->socket,
                                   p->mode != PS_TLS_DISABLE, &p->greeting);
    snprintf(step->detail, sizeof(step->detail), "%s", p->greeting.detail);
    snprintf(p->report->server_version, sizeof(p->report->server_version), "%s",
             p->greeting.version);
    if (rc == PS_ORIGIN_TIMEOUT)
        snprintf(step->detail, sizeof(step->detail),
                 "connected, but nothing was said");
    return rc;
}

static enum ps_rc
stage_tls(struct probe *p, struct ps_probe_step *step)
{
    if (p->mode == PS_TLS_DISABLE) {
        step->skipped = true;
        snprintf(step->detail, sizeof(step->detail), "switched off");
        return PS_OK;
    }
    if (!p->greeting.tls_offered) {
        snprintf(step->detail, sizeof(step->detail), "not offered");
        step->skipped = p->mode == PS_TLS_PREFER;
        return step->skipped ? PS_OK : PS_ORIGIN_TLS;
    }
    struct ps_tls_report report;
    enum ps_rc rc = ps_probe_tls(p->conf, p->mode, &p->socket,
                                 p->greeting.tds_wrapped, &report);
    memcpy(step->detail, report.detail, sizeof(step->detail));
    p->report->fault = report.fault;
    if (rc == PS_ORIGIN_TIMEOUT)
        snprintf(step->detail, sizeof(step->detail),
                 "the handshake was not answered in time");
    return rc;
}

static enum ps_rc
run_stage(struct probe *p, enum ps_probe_stage stage)
{
    static enum ps_rc (*const stages[])(struct probe *,
                                        struct ps_probe_step *) = {
        [PS_PROBE_RESOLVE] = stage_resolve,
        [PS_PROBE_CONNECT] = stage_connect,
        [PS_PROBE_GREETING] = stage_greeting,
        [PS_PROBE_TLS] = stage_tls,
    };
    struct ps_probe_step *step = &p->report->steps[stage];
    uint64_t begin = ps_clock_now_us(ps_clock_real());
    p->socket.deadline_us = begin + p->stage_timeout_ms * 1000;
    step->rc = stages[stage](p, step);
    step->time_us = ps_clock_now_us(ps_clock_real()) - begin;
    p->report->n_steps = (size_t)stage + 1;
    return step->rc;
}

void
ps_probe_run(const struct ps_cache_conf *conf, uint64_t stage_timeout_ms,
             void (*progress)(void *arg, const struct ps_probe_report *report),
             void *arg, struct ps_probe_report *report)
{
    memset(report, 0, sizeof(*report));
    struct probe p = {.conf = conf,
                      .mode = ps_cache_conf_tls_mode(conf),
                      .stage_timeout_ms = stage_timeout_ms,
                      .report = report,
                      .socket = {.fd = -1}};
    for (int s = 0; s < PS_PROBE_STAGE_COUNT && report->rc == PS_OK; s++) {
        report->rc = run_stage(&p, (enum ps_probe_stage)s);
        bool last = s + 1 == PS_PROBE_STAGE_COUNT || report->rc != PS_OK;
        if (!last && progress)
            progress(arg, report);
    }
    if (p.socket.fd >= 0)
        close(p.socket.fd);
    if (p.addresses)
        freeaddrinfo(p.addresses);
    ps_probe_advise(conf, report);
    report->done = true;
    if (progress)
        progress(arg, report);
}
