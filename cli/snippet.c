/* Client code to paste. See snippet.h. */
#include "cli/snippet.h"

/* What a reader replaces is in capitals; the password comes from the
 * environment, since pasted code ends up in repositories. */
static const char javascript[] =
    "\nJavaScript (npm install @polyscale/serverless-js):\n\n"
    "    import {Client} from \"@polyscale/serverless-js\";\n\n"
    "    const db = new Client(\"%s\", {\n"
    "        cacheId: \"%s\",\n"
    "        provider: \"%s\",\n"
    "        username: \"USER\",\n"
    "        password: process.env.DB_PASSWORD,\n"
    "        database: \"DATABASE\",\n"
    "    });\n"
    "    const rows = await db.query(\"SELECT ? AS greeting\", [\"hello\"]);\n";

static const char curl[] =
    "\ncurl:\n\n"
    "    curl -sS -i %s/sql \\\n"
    "        -H 'Content-Type: application/json' -d '{\n"
    "          \"cacheId\": \"%s\",\n"
    "          \"provider\": \"%s\", \"username\": \"USER\",\n"
    "          \"password\": \"'\"$DB_PASSWORD\"'\", \"database\": "
    "\"DATABASE\",\n"
    "          \"sql\": \"SELECT 1 AS one\"}'\n";

void
ps_snippet_render(const char *cache_id, const char *type, const char *endpoint,
                  struct ps_buf *out)
{
    const char *url = endpoint ? endpoint : "https://AGENT";
    ps_buf_printf(out, javascript, url, cache_id, type);
    ps_buf_printf(out, curl, url, cache_id, type);
}
