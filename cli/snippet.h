/*
 * Client code to paste: JavaScript with @polyscale/serverless-js (its README
 * and types are what this follows) and curl. Pure.
 */
#ifndef PS_CLI_SNIPPET_H
#define PS_CLI_SNIPPET_H

#include "common/buf.h"

/* endpoint NULL: a placeholder. type is the cache's database type. */
void ps_snippet_render(const char *cache_id, const char *type,
                       const char *endpoint, struct ps_buf *out);

#endif
