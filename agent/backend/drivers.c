/* The one place that knows every driver of this build, and what client
 * libraries must not find in the environment. */
#include "agent/backend/backend_private.h"

#include <stdlib.h>

extern char **environ;

const struct ps_driver *
ps_driver_find(enum ps_provider provider)
{
    switch (provider) {
    case PS_PROVIDER_POSTGRES:
        return &ps_pg_driver;
    case PS_PROVIDER_MYSQL:
    case PS_PROVIDER_MARIADB:
        return &ps_my_driver;
    case PS_PROVIDER_MSSQL:
        return &ps_tds_driver;
    default:
        return NULL;
    }
}

/* The first variable whose name begins with PG, copied; false: none. */
static bool
find_pg(char *name, size_t size)
{
    for (char **at = environ; at && *at; at++) {
        size_t len = strcspn(*at, "=");
        if (strncmp(*at, "PG", 2) == 0 && len < size) {
            memcpy(name, *at, len);
            name[len] = '\0';
            return true;
        }
    }
    return false;
}

void
ps_backend_init(void)
{
    char name[128];
    while (find_pg(name, sizeof(name)) && unsetenv(name) == 0)
        ;
}
