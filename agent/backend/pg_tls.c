/* What TLS needs beside libpq: a look at bytes that OpenSSL has decoded
 * already (a descriptor that is not readable says nothing of them). */
#include "agent/backend/pg.h"

#include <openssl/ssl.h>

bool
ps_pg_tls_pending(PGconn *pg)
{
    SSL *ssl = PQsslStruct(pg, "OpenSSL");
    return ssl && SSL_pending(ssl) > 0;
}
