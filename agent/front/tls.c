/*
 * TLS with OpenSSL over the non-blocking socket. What OpenSSL wants to wait
 * for (a read may need to write and the other way round) is added to what the
 * connection wants. A reply's head and body go into one record where they
 * fit, through a buffer on the stack: encryption copies them anyway.
 */
#include "agent/front/socket.h"
#include "common/check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdlib.h>
#include <sys/socket.h>

enum {
    RECORD_BYTES = 16 << 10
};

struct tls {
    struct ps_socket socket;
    SSL *ssl;
    unsigned wanted;  /* by the connection */
    unsigned blocked; /* by OpenSSL: what it waits for, 0: nothing */
    bool established;
    bool broken; /* no close_notify: the state is not usable */
};

static struct tls *
tls_of(struct ps_transport *transport)
{
    return PS_CONTAINER_OF(transport, struct tls, socket.base);
}

static void
apply_interest(struct tls *tls)
{
    ps_socket_want(&tls->socket, tls->wanted ? tls->wanted | tls->blocked : 0);
    /* What OpenSSL has decrypted already makes no socket readable. */
    if ((tls->wanted & PS_IO_READ) && SSL_pending(tls->ssl) > 0)
        event_active(&tls->socket.read_event, EV_READ, 0);
}

/* The result of a call that returned n <= 0. */
static int
failure(struct tls *tls, int n)
{
    int error = SSL_get_error(tls->ssl, n);
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_WANT_READ:
        tls->blocked = PS_IO_READ;
        apply_interest(tls);
        return PS_TRANSPORT_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        tls->blocked = PS_IO_WRITE;
        apply_interest(tls);
        return PS_TRANSPORT_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0; /* close_notify */
    default:
        tls->broken = true;
        return PS_TRANSPORT_BROKEN;
    }
}

static int
tls_handshake(struct ps_transport *transport)
{
    struct tls *tls = tls_of(transport);
    tls->blocked = 0;
    ERR_clear_error();
    int n = SSL_accept(tls->ssl);
    if (n == 1) {
        tls->established = true;
        return 0;
    }
    n = failure(tls, n);
    return n == 0 ? PS_TRANSPORT_BROKEN : n;
}

static ssize_t
tls_read(struct ps_transport *transport, void *buf, size_t n)
{
    struct tls *tls = tls_of(transport);
    tls->blocked = 0;
    ERR_clear_error();
    int got = SSL_read(tls->ssl, buf, (int)PS_MIN(n, (size_t)INT32_MAX));
    return got > 0 ? got : failure(tls, got);
}

static ssize_t
tls_writev(struct ps_transport *transport, const struct iovec *iov, int count)
{
    struct tls *tls = tls_of(transport);
    char record[RECORD_BYTES];
    const char *bytes = record;
    size_t n = 0;
    if (count == 1 || iov[0].iov_len >= sizeof(record)) {
        bytes = iov[0].iov_base;
        n = PS_MIN(iov[0].iov_len, sizeof(record));
    } else {
        for (int i = 0; i < count && n < sizeof(record); i++) {
            size_t part = PS_MIN(iov[i].iov_len, sizeof(record) - n);
            memcpy(record + n, iov[i].iov_base, part);
            n += part;
        }
    }
    if (n == 0)
        return 0;
    tls->blocked = 0;
    ERR_clear_error();
    int put = SSL_write(tls->ssl, bytes, (int)n);
    if (put > 0)
        return put;
    put = failure(tls, put);
    return put == 0 ? PS_TRANSPORT_BROKEN : put;
}

static bool
tls_pending(const struct ps_transport *transport)
{
    const struct tls *tls = (const struct tls *)(const void *)transport;
    return SSL_pending(tls->ssl) > 0;
}

static void
tls_want(struct ps_transport *transport, unsigned interest)
{
    struct tls *tls = tls_of(transport);
    tls->wanted = interest;
    apply_interest(tls);
}

static void
tls_finish(struct ps_transport *transport)
{
    struct tls *tls = tls_of(transport);
    if (tls->established && !tls->broken) {
        ERR_clear_error();
        (void)SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
    (void)shutdown(tls->socket.fd, SHUT_WR);
}

static void
tls_free(struct ps_transport *transport)
{
    struct tls *tls = tls_of(transport);
    tls_finish(transport);
    ps_socket_done(&tls->socket);
    SSL_free(tls->ssl);
    free(tls);
}

static const struct ps_transport_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .writev = tls_writev,
    .pending = tls_pending,
    .want = tls_want,
    .finish = tls_finish,
    .free = tls_free,
};

struct ps_transport *
ps_transport_tls(struct ps_loop *loop, int fd, struct ssl_ctx_st *ctx)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return NULL;
    tls->ssl = SSL_new(ctx);
    if (!tls->ssl || SSL_set_fd(tls->ssl, fd) != 1) {
        ERR_clear_error();
        SSL_free(tls->ssl);
        free(tls);
        return NULL;
    }
    SSL_set_mode(tls->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    SSL_set_options(tls->ssl, SSL_OP_NO_RENEGOTIATION);
    PS_CHECK(offsetof(struct tls, socket) == 0 &&
             offsetof(struct ps_socket, base) == 0);
    ps_socket_init(&tls->socket, &tls_ops, loop, fd);
    return &tls->socket.base;
}
