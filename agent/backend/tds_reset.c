/*
 * TDS's RESETCONNECTION is a bit in the header of a request's first packet, and
 * FreeTDS has no way to set it. But its packets leave it through two functions
 * of other libraries, and a program's own functions come before those of its
 * libraries: so every packet passes here on its way out.
 *
 *   FreeTDS --packet--> gnutls_record_send (here) --> GnuTLS --> send -->
 * socket
 *      `----packet, in the clear--------------------------------> send (here)
 *
 * Armed while nothing is under way, for the next request. Whether the bit
 * was set is told, so that a FreeTDS that sends otherwise is noticed.
 *
 * The same way one learns whether a TLS handshake went well, which FreeTDS
 * tells nobody.
 */
#include "agent/backend/tds_odbc.h"
#include "agent/backend/tds_wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    PACKET_HEAD = 8,
    STATUS_AT = 1,
    RESETCONNECTION = 0x08,
    GNUTLS_INTERNAL_ERROR = -59,
    SQL_BATCH = 1,
    RPC = 3
};

int gnutls_handshake(void *session);

static atomic_bool armed;
static atomic_bool went_well;

void
ps_tds_reset_arm(void)
{
    armed = true;
}

bool
ps_tds_reset_sent(void)
{
    return !atomic_exchange(&armed, false);
}

/* The packet with the bit, to be freed; NULL: as it is. */
static char *
with_bit(const void *data, size_t size)
{
    const char *packet = data;
    if (!armed || size < PACKET_HEAD ||
        (packet[0] != SQL_BATCH && packet[0] != RPC))
        return NULL;
    char *copy = malloc(size);
    if (!copy)
        return NULL; /* stays armed: not sent */
    memcpy(copy, data, size);
    copy[STATUS_AT] |= RESETCONNECTION;
    armed = false;
    return copy;
}

/* What was not sent at all comes again. */
static ssize_t
sent(char *copy, ssize_t n)
{
    int error = errno;
    if (copy && n < 0)
        armed = true;
    free(copy);
    errno = error;
    return n;
}

/* GnuTLS's own function of this name. */
static void *
find_real(const char *name)
{
    void *library = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_NOLOAD);
    return library ? dlsym(library, name) : NULL;
}

ssize_t
gnutls_record_send(void *session, const void *data, size_t size)
{
    static ssize_t (*real)(void *, const void *, size_t);
    if (!real) {
        void *found = find_real("gnutls_record_send");
        if (!found) {
            errno = EIO;
            return -1;
        }
        memcpy(&real, &found, sizeof(real)); /* C has no cast for this */
    }
    char *copy = with_bit(data, size);
    return sent(copy, real(session, copy ? copy : data, size));
}

int
gnutls_handshake(void *session)
{
    static int (*real)(void *);
    if (!real) {
        void *found = find_real("gnutls_handshake");
        if (!found)
            return GNUTLS_INTERNAL_ERROR;
        memcpy(&real, &found, sizeof(real));
    }
    int result = real(session);
    went_well = went_well || result == 0;
    return result;
}

bool
ps_tds_handshake_went_well(void)
{
    return went_well;
}

ssize_t
send(int fd, const void *data, size_t size, int flags)
{
    char *copy = fd == PS_TDS_WORKER_FD ? NULL : with_bit(data, size);
    return sent(copy, sendto(fd, copy ? copy : data, size, flags, NULL, 0));
}
