/*
 * What TLS needs beside libpq: a look at bytes that OpenSSL has decoded
 * already (a descriptor that is not readable says nothing of them), and why a
 * certificate does not fit, of which libpq says no more than that it does not.
 */
#include "agent/backend/pg.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <pthread.h>

bool
ps_pg_tls_pending(PGconn *pg)
{
    SSL *ssl = PQsslStruct(pg, "OpenSSL");
    return ssl && SSL_pending(ssl) > 0;
}

/*
 * libpq makes its SSL and may run the whole handshake within one call, so
 * there is no moment from outside to look at it: OpenSSL tells of every SSL
 * that is made, and that one tells of the alert that it sends.
 */
static _Thread_local long *noted; /* NULL: no libpq at work on this thread */

static void
on_info(const SSL *ssl, int where, int value)
{
    (void)value;
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && noted)
        *noted = SSL_get_verify_result(ssl);
}

static void
on_new_ssl(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
           void *argp)
{
    (void)ptr, (void)data, (void)index, (void)argl, (void)argp;
    if (noted)
        SSL_set_info_callback(parent, on_info);
}

/* Without it (no memory) the reason is not known, nothing else. */
static void
listen_for_ssl(void)
{
    if (SSL_get_ex_new_index(0, NULL, on_new_ssl, NULL, NULL) < 0)
        ERR_clear_error();
}

PostgresPollingStatusType
ps_pg_tls_poll(PGconn *pg, long *verify_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, listen_for_ssl);
    noted = verify_error;
    PostgresPollingStatusType poll = PQconnectPoll(pg);
    noted = NULL;
    return poll;
}
