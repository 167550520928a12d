/* Acting as the user who owns a directory: what root writes there must be
 * readable by the service that runs as that user. */
#ifndef PS_AGENT_OWNER_H
#define PS_AGENT_OWNER_H

#include "common/err.h"

/* Root, with a dir that is another user's: becomes that user, for good.
 * Anybody else, or a dir that is not there or is root's: nothing. PS_IO when
 * it cannot. Before any thread. */
PS_MUST_USE enum ps_rc ps_owner_become(const char *dir, struct ps_err *err);

#endif
