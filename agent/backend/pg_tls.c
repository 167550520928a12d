/*
 * What TLS needs beside libpq: a look at bytes that OpenSSL has decoded
 * already (a descriptor that is not readable says nothing of them), and why a
 * certificate does not fit, of which libpq says no more than that it does not.
 */
#include "agent/backend/pg.h"

#include <openssl/ssl.h>

#include <pthread.h>

bool
ps_pg_tls_pending(PGconn *pg)
{
    SSL *ssl = PQsslStruct(pg, "OpenSSL");
    return ssl && SSL_pending(ssl) > 0;
}

static int note_index = -1; /* of an SSL's pointer to where its error goes */

static void
make_note_index(void)
{
    note_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* What OpenSSL decides stands; only noted is why. */
static int
note_error(int good, X509_STORE_CTX *ctx)
{
    SSL *ssl =
        X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    long *note = ssl ? SSL_get_ex_data(ssl, note_index) : NULL;
    if (!good && note)
        *note = X509_STORE_CTX_get_error(ctx);
    return good;
}

void
ps_pg_tls_note(PGconn *pg, long *verify_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL *ssl = PQsslStruct(pg, "OpenSSL");
    if (!ssl || pthread_once(&once, make_note_index) != 0 || note_index < 0 ||
        SSL_get_ex_data(ssl, note_index) == verify_error)
        return;
    if (SSL_set_ex_data(ssl, note_index, verify_error) == 1)
        SSL_set_verify(ssl, SSL_get_verify_mode(ssl), note_error);
}
