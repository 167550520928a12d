/* See credential.h. */
#include "common/credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *
ps_credential_path(const char *path, char *buf, size_t size)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!dir || !dir[0] || !name[0])
        return path;
    int n = snprintf(buf, size, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= size || access(buf, R_OK) != 0)
        return path;
    return buf;
}
