/* See trust.h. */
#include "agent/backend/trust.h"

#include "common/base.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

const char *
ps_trust_system_bundle(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
        "/etc/ssl/ca-bundle.pem",             /* openSUSE */
        "/etc/ssl/cert.pem",
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(places); i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
    }
    return NULL;
}

int
ps_trust_file(const char *pem, char path[32])
{
    int fd = memfd_create("portside-ca", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    for (size_t left = strlen(pem); left > 0;) {
        ssize_t n = write(fd, pem, left);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        pem += n;
        left -= (size_t)n;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}
