/* What may follow on a command line, from the command table: shells ask
 * `psctl completion words -- WORD...`. Pure. */
#ifndef PS_CLI_COMPLETE_H
#define PS_CLI_COMPLETE_H

#include "common/buf.h"

/* words: what stands after "psctl"; the last one (n >= 1) is being typed and
 * may be empty. Appends a line for each candidate, "word TAB description";
 * none where a file or a free text belongs. */
void ps_complete(char *const *words, int n, struct ps_buf *out);

/* A script that makes a shell ask; NULL when shell is none of bash, zsh and
 * fish. */
const char *ps_complete_script(const char *shell);

#endif
