/*
 * What both sides of the fabric share, and the dealings with nng 1.5.2, which
 * has three defects that a long-running program meets:
 *
 *  1. A listener stops accepting for ever when a peer goes at a certain moment
 *     of the TLS handshake: sendmsg(2) gives EPIPE, which nng translates to
 *     "closed" and then takes for the closing of the listener itself (its
 *     issue 1518). A port scanner is enough. Remedy: sendmsg() below, which
 *     nng finds instead of libc's, says ECONNRESET, after which nng goes on.
 *  2. A connection that is closed while one of its transfers is between two
 *     steps is never taken apart: nng_close() hangs, and since one thread of
 *     nng does that for all connections, so does everything after it, the
 *     reconnecting of dialers included. Remedy: sockets are closed on a
 *     thread nobody waits for (bus_close), and the client starts over with
 *     new sockets when nothing comes through the old ones (bus_client.c).
 *  3. Cancelling a receive on a sub socket while a message arrives may crash
 *     (its issue 1523). Remedy: never cancelled, only closed.
 *
 * Threads: nng completes on threads of its own. Completions only note what
 * happened and post to the loop; all else is done there.
 */
#include "common/check.h"
#include "common/io/bus_private.h"
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Defect 1. For all of the process, which no other code minds: the connection
 * is gone either way. */
ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    long n = syscall(SYS_sendmsg, fd, message, flags);
    if (n < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return (ssize_t)n;
}

enum ps_rc
bus_fail(struct ps_err *err, enum ps_rc rc, const char *what, const char *name,
         int code)
{
    return ps_err_set(err, rc, "%s %s: %s", what, name, nng_strerror(code));
}

void
bus_block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &all, before) == 0);
}

void
bus_restore_signals(const sigset_t *before)
{
    PS_CHECK(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

enum ps_rc
bus_make_tls(const struct ps_bus_tls *tls, nng_tls_mode mode,
             nng_tls_config **out, struct ps_err *err)
{
    nng_tls_config *config;
    int code = nng_tls_config_alloc(&config, mode);
    if (code != 0)
        return bus_fail(err, PS_TLS, "cannot set up TLS of", "the fabric",
                        code);
    const char *what = "CA";
    code = nng_tls_config_ca_chain(config, tls->ca_pem, NULL);
    if (code == 0) {
        what = "certificate and key";
        code =
            nng_tls_config_own_cert(config, tls->cert_pem, tls->key_pem, NULL);
    }
    if (code == 0)
        code = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    if (code == 0 && mode == NNG_TLS_MODE_CLIENT)
        code = nng_tls_config_server_name(config, PS_BUS_SERVER_NAME);
    if (code != 0) {
        nng_tls_config_free(config);
        return bus_fail(err, PS_TLS, "cannot use the fabric's", what, code);
    }
    *out = config;
    return PS_OK;
}

bool
bus_make_url(enum bus_family family, const char *address, char url[BUS_URL_MAX])
{
    static const char *const schemes[] = {
        [BUS_ANY] = "tls+tcp",
        [BUS_V4] = "tls+tcp4",
        [BUS_V6] = "tls+tcp6",
    };
    int n = snprintf(url, BUS_URL_MAX, "%s://%s", schemes[family], address);
    return n > 0 && n < BUS_URL_MAX;
}

struct ps_str
bus_body(nng_msg *msg)
{
    return (struct ps_str){nng_msg_body(msg), nng_msg_len(msg)};
}

nng_msg *
bus_message(struct ps_str body)
{
    nng_msg *msg;
    if (nng_msg_alloc(&msg, 0) != 0)
        return NULL;
    if (body.len > 0 && nng_msg_append(msg, body.ptr, body.len) != 0) {
        nng_msg_free(msg);
        return NULL;
    }
    return msg;
}

nng_msg *
bus_take_message(nng_aio *aio)
{
    nng_msg *msg = nng_aio_get_msg(aio);
    nng_aio_set_msg(aio, NULL);
    return msg;
}

void
bus_end_aio(struct ps_loop *loop, nng_aio **aio, struct ps_task *task)
{
    if (!*aio)
        return;
    nng_aio_stop(*aio);
    ps_loop_unpost(loop, task);
    nng_msg *msg = bus_take_message(*aio);
    if (msg)
        nng_msg_free(msg);
    nng_aio_free(*aio);
    *aio = NULL;
}

/* ---- closing ---- */

/* Shared by the thread that closes and the one that waits; the last frees. */
struct closing {
    nng_socket sockets[2];
    void (*after)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done, left; /* closed; nobody waits any more */
};

static void
closing_free(struct closing *closing)
{
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
}

static void *
close_sockets(void *arg)
{
    struct closing *closing = arg;
    for (size_t i = 0; i < PS_ARRAY_LEN(closing->sockets); i++) {
        if (closing->sockets[i].id != 0)
            nng_close(closing->sockets[i]);
    }
    if (closing->after)
        closing->after(closing->arg);
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool last = closing->left;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->lock);
    if (last)
        closing_free(closing);
    return NULL;
}

static bool
start_closing(struct closing *closing)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t before;
    PS_CHECK(pthread_attr_init(&attributes) == 0);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bus_block_signals(&before);
    bool ok = pthread_create(&thread, &attributes, close_sockets, closing) == 0;
    bus_restore_signals(&before);
    pthread_attr_destroy(&attributes);
    return ok;
}

static void
wait_for_closing(struct closing *closing, unsigned wait_ms)
{
    struct timespec until;
    PS_CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&closing->lock);
    int rc = 0;
    while (wait_ms > 0 && !closing->done && rc == 0)
        rc = pthread_cond_timedwait(&closing->changed, &closing->lock, &until);
    bool last = closing->done;
    closing->left = true;
    pthread_mutex_unlock(&closing->lock);
    if (rc != 0 && !last)
        ps_warn("bus", "sockets of the fabric do not close; left behind");
    if (last)
        closing_free(closing);
}

void
bus_close(nng_socket a, nng_socket b, void (*after)(void *arg), void *arg,
          unsigned wait_ms)
{
    struct closing *closing = calloc(1, sizeof(*closing));
    PS_CHECK(closing != NULL);
    closing->sockets[0] = a;
    closing->sockets[1] = b;
    closing->after = after;
    closing->arg = arg;
    pthread_condattr_t attributes;
    PS_CHECK(pthread_condattr_init(&attributes) == 0);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&closing->lock, NULL);
    pthread_cond_init(&closing->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!start_closing(closing)) {
        /* Without a thread there is nothing better than to try here. */
        close_sockets(closing);
        wait_ms = 0;
    }
    wait_for_closing(closing, wait_ms);
}
