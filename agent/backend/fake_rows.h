/* Result sets written as text, for the scripted driver (fake.h). */
#ifndef PS_AGENT_BACKEND_FAKE_ROWS_H
#define PS_AGENT_BACKEND_FAKE_ROWS_H

#include "agent/backend/fake.h"

/* One block with everything in it (free()); NULL when text is not rows. */
struct ps_fake_rows *ps_fake_rows_parse(const char *text);

#endif
