/*
 * A join token: "psj1." and base64url of the JSON object
 * {"u": URL of the control plane, "f": its CA's fingerprint, "t": secret}.
 */
#ifndef PS_AGENT_LINK_TOKEN_H
#define PS_AGENT_LINK_TOKEN_H

#include "common/err.h"

struct ps_enroll_token {
    struct json_t *root; /* owns the texts */
    const char *url, *fingerprint, *secret;
};

/* PS_BAD_FIELD when text is none. */
PS_MUST_USE enum ps_rc ps_enroll_token_parse(struct ps_enroll_token *token,
                                             const char *text,
                                             struct ps_err *err);
void ps_enroll_token_done(struct ps_enroll_token *token);

#endif
