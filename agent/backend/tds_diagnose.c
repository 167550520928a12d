/*
 * Why did the connection fail? FreeTDS says "unable to connect" of everything
 * between a wrong name and a certificate it does not trust. So, only after a
 * failure, the same way is gone once more by hand, as far as PRELOGIN:
 *
 *   resolve -> connect -> PRELOGIN: does the server speak TDS, and offer TLS?
 *   -> handshake: what is wrong with its certificate?
 *
 * When all of that works the failure was in the login.
 */
#include "agent/backend/tds_odbc.h"
#include "common/tls_peer.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STEP_MS = 5000,
    PRELOGIN = 0x12,
    REPLY = 0x04,
    OPTION_ENCRYPTION = 1,
    ENCRYPT_NOT_SUP = 2,
    SAYS_NOTHING = -1,
    SPEAKS_OTHERWISE = -2
};

static enum ps_rc
errno_rc(int number)
{
    switch (number) {
    case ECONNREFUSED:
    case ECONNRESET:
        return PS_ORIGIN_REFUSED;
    case ETIMEDOUT:
    case EINPROGRESS:
        return PS_ORIGIN_TIMEOUT;
    default:
        return PS_ORIGIN_UNREACHABLE;
    }
}

static bool
wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, STEP_MS) == 1;
}

static enum ps_rc
connect_one(const struct addrinfo *ai, int *fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    *fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                 0);
    if (*fd < 0)
        return PS_ORIGIN_UNREACHABLE;
    if (connect(*fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return PS_OK;
    enum ps_rc rc = errno_rc(errno);
    if (errno == EINPROGRESS && wait_for(*fd, POLLOUT) &&
        getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0)
        rc = error ? errno_rc(error) : PS_OK;
    if (rc != PS_OK)
        close(*fd);
    return rc;
}

static enum ps_rc
connect_any(const struct ps_tds_target *target, int *fd)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)target->port);
    if (getaddrinfo(target->host, port, &hints, &list) != 0)
        return PS_ORIGIN_HOST;
    enum ps_rc rc = PS_ORIGIN_HOST;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        rc = connect_one(ai, fd);
        if (rc == PS_OK)
            break;
    }
    freeaddrinfo(list);
    return rc;
}

/* The server's ENCRYPTION, or what is wrong. */
static int
ask_encryption(int fd)
{
    static const unsigned char hello[] = {
        PRELOGIN, 1,    0,  26, 0, 0, 0, 0, /* header */
        0,        0,    11, 0,  6,          /* VERSION */
        1,        0,    17, 0,  1,          /* ENCRYPTION */
        0xff,     0x0f, 0,  0,  0, 0, 0, 1,
    };
    unsigned char in[512];
    size_t n = 0;
    if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello))
        return SAYS_NOTHING;
    while (n < 8 || (n < sizeof(in) && n < (size_t)(in[2] << 8 | in[3]))) {
        if (!wait_for(fd, POLLIN))
            return SAYS_NOTHING;
        ssize_t got = recv(fd, in + n, sizeof(in) - n, 0);
        if (got <= 0)
            return SAYS_NOTHING;
        n += (size_t)got;
        if (in[0] != REPLY)
            return SPEAKS_OTHERWISE;
    }
    for (size_t at = 8; at + 5 <= n && in[at] != 0xff; at += 5) {
        size_t place = 8 + (size_t)(in[at + 1] << 8 | in[at + 2]);
        if (in[at] == OPTION_ENCRYPTION && place < n)
            return in[place];
    }
    return SPEAKS_OTHERWISE;
}

static enum ps_rc
read_some(void *arg, void *out, size_t max, size_t *got)
{
    const int *fd = arg;
    if (!wait_for(*fd, POLLIN))
        return PS_ORIGIN_TIMEOUT;
    ssize_t n = recv(*fd, out, max, 0);
    if (n <= 0)
        return PS_ORIGIN_LOST;
    *got = (size_t)n;
    return PS_OK;
}

static enum ps_rc
write_all(void *arg, const void *data, size_t n)
{
    const int *fd = arg;
    const char *at = data;
    while (n > 0) {
        if (!wait_for(*fd, POLLOUT))
            return PS_ORIGIN_TIMEOUT;
        ssize_t sent = send(*fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return PS_ORIGIN_LOST;
        at += sent;
        n -= (size_t)sent;
    }
    return PS_OK;
}

/* The handshake, behind PRELOGIN; err is set where it fails. */
static enum ps_rc
try_tls(const struct ps_tds_target *target, int fd, struct ps_err *err)
{
    const struct ps_tls_peer peer = {
        .host = target->host,
        .ca_pem = target->ca_pem,
        .verify = target->tls == PS_TLS_VERIFY_CA ||
                  target->tls == PS_TLS_VERIFY_FULL,
        .verify_host = target->tls == PS_TLS_VERIFY_FULL,
        .tds = true,
    };
    const struct ps_tls_pipe pipe = {
        .arg = &fd, .read = read_some, .write = write_all};
    struct ps_tls_report report;
    enum ps_rc rc = ps_tls_try(&peer, &pipe, &report);
    if (rc == PS_ORIGIN_CERT)
        return ps_err_set(err, rc, "%s", ps_tls_fault_sentence(report.fault));
    if (rc != PS_OK)
        return ps_err_set(err, PS_ORIGIN_TLS, NULL);
    return PS_OK;
}

enum ps_rc
ps_tds_diagnose(const struct ps_tds_target *target, struct ps_err *err)
{
    int fd = -1;
    enum ps_rc rc = connect_any(target, &fd);
    if (rc != PS_OK)
        return ps_err_set(err, rc, NULL);
    int encryption = ask_encryption(fd);
    bool has_tls = encryption >= 0 && encryption != ENCRYPT_NOT_SUP;
    if (has_tls && target->tls != PS_TLS_DISABLE)
        rc = try_tls(target, fd, err);
    close(fd);
    if (rc != PS_OK)
        return rc;
    if (encryption == SPEAKS_OTHERWISE)
        return ps_err_set(err, PS_ORIGIN_PROTOCOL, NULL);
    if (encryption == SAYS_NOTHING || target->tls == PS_TLS_DISABLE ||
        ps_tds_handshake_went_well())
        return ps_err_set(err, PS_ORIGIN_LOST,
                          "the database closed the connection before the "
                          "login was done");
    if (encryption == ENCRYPT_NOT_SUP)
        return ps_err_set(err, PS_ORIGIN_TLS,
                          "the database does not offer TLS, which this "
                          "cache's tls setting requires");
    /* FreeTDS is of another opinion than OpenSSL. */
    if (target->tls != PS_TLS_VERIFY_CA && target->tls != PS_TLS_VERIFY_FULL)
        return ps_err_set(err, PS_ORIGIN_TLS, NULL);
    return ps_err_set(err, PS_ORIGIN_CERT, "%s",
                      ps_tls_fault_sentence(PS_TLS_FAULT_OTHER));
}
