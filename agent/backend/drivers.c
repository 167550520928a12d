/* The one place that knows every driver of this build. */
#include "agent/backend/backend_private.h"

const struct ps_driver *
ps_driver_find(enum ps_provider provider)
{
    return provider == PS_PROVIDER_POSTGRES ? &ps_pg_driver : NULL;
}
