/*
 * Questions to the person at the terminal, always through /dev/tty so that
 * standard input and output stay free for data.
 */
#ifndef PS_CLI_PROMPT_H
#define PS_CLI_PROMPT_H

#include "common/base.h"

/* Is there a person to ask? Both standard input and error are terminals. */
bool ps_prompt_possible(void);
/* One line without echo, owned by the caller (ps_secret_free); NULL: no
 * terminal, end of input or Ctrl-C. */
char *ps_prompt_secret(const char *question);
/* y or yes. */
bool ps_prompt_yes(const char *question);

#endif
