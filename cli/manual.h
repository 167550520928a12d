/* The manual page of psctl, made from the command table. */
#ifndef PS_CLI_MANUAL_H
#define PS_CLI_MANUAL_H

#include "common/buf.h"

/* psctl(1) as troff with the man macros (groff_man(7)). Pure. */
void ps_manual(struct ps_buf *out);

#endif
