/* See token.h. */
#include "agent/link/token.h"

#include <jansson.h>

#include <stdlib.h>

enum {
    TOKEN_MAX = 4096
};

static int
digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* base64url without padding (RFC 4648 section 5) to a NUL-terminated text of
 * the caller's; NULL when it is none. */
static char *
decode_base64url(const char *in)
{
    char *out = malloc(strlen(in) + 1);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (; out && *in; in++) {
        int digit = digit_of(*in);
        if (digit < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have & 0xff);
        }
    }
    if (out)
        out[n] = '\0';
    return out;
}

enum ps_rc
ps_enroll_token_parse(struct ps_enroll_token *out, const char *text,
                      struct ps_err *err)
{
    struct ps_enroll_token token = {0};
    char *json = NULL;
    if (strlen(text) < TOKEN_MAX && strncmp(text, "psj1.", 5) == 0)
        json = decode_base64url(text + 5);
    token.root = json ? json_loads(json, 0, NULL) : NULL;
    free(json);
    token.url = json_string_value(json_object_get(token.root, "u"));
    token.fingerprint = json_string_value(json_object_get(token.root, "f"));
    token.secret = json_string_value(json_object_get(token.root, "t"));
    if (token.url && token.fingerprint && token.secret) {
        *out = token;
        return PS_OK;
    }
    ps_enroll_token_done(&token);
    return ps_err_set(err, PS_BAD_FIELD,
                      "this is not a join token; make one with `psctl agent "
                      "join-token --region NAME` and paste it whole");
}

void
ps_enroll_token_done(struct ps_enroll_token *token)
{
    json_decref(token->root);
    *token = (struct ps_enroll_token){0};
}
