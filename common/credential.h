/* Files that a service manager hands over (systemd.exec(5), LoadCredential=),
 * so that only it has to be able to read the original. */
#ifndef PS_COMMON_CREDENTIAL_H
#define PS_COMMON_CREDENTIAL_H

#include "common/base.h"

/* The file to read for path: the one of the same last name in
 * $CREDENTIALS_DIRECTORY if there is one, else path itself. buf holds the
 * former; the result is valid as long as both. */
const char *ps_credential_path(const char *path, char *buf, size_t size);

#endif
