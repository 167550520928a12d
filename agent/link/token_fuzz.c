/*
 * A join token as somebody pasted it. Input: the token, or (without its
 * prefix) what is to be encoded into one.
 */
#include "agent/link/token.h"
#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

enum {
    TEXT_MAX = 1 << 16
};

static void
encode(struct ps_buf *out, struct ps_str in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < in.len; i++) {
        bits = bits << 8 | (unsigned char)in.ptr[i];
        for (have += 8; have >= 6; have -= 6)
            ps_buf_append_char(out, digits[bits >> (have - 6) & 63]);
    }
    if (have > 0)
        ps_buf_append_char(out, digits[bits << (6 - have) & 63]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str in = {size ? (const char *)data : "", size};
    struct ps_enroll_token token;
    struct ps_err err = {0};
    struct ps_buf text;
    ps_buf_init(&text, TEXT_MAX);
    if (in.len < 5 || memcmp(in.ptr, "psj1.", 5) != 0) {
        ps_buf_append_c(&text, "psj1.");
        encode(&text, in);
    } else {
        ps_buf_append_str(&text, in);
    }
    ps_buf_append_char(&text, '\0');
    if (ps_buf_rc(&text) == PS_OK) {
        if (ps_enroll_token_parse(&token, text.data, &err) == PS_OK) {
            FUZZ_CHECK(token.url && token.fingerprint && token.secret);
            ps_enroll_token_done(&token);
        } else {
            FUZZ_CHECK(err.message[0]);
        }
    }
    ps_buf_done(&text);
    return 0;
}
