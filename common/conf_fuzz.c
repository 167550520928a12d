/*
 * A settings file. Input: its text, or behind a zero byte the words of a
 * command line, separated by zero bytes.
 */
#include "common/conf.h"
#include "tests/fuzz/fuzz.h"

enum {
    WORDS_MAX = 16
};

struct settings {
    char *text, *other;
    bool flag;
    int64_t number, bytes, duration;
};

#define AT(member) offsetof(struct settings, member)

static const struct ps_conf_item items[] = {
    {"text",     PS_CONF_TEXT,     AT(text),     "a b", 0,  0,       "text"    },
    {"other",    PS_CONF_TEXT,     AT(other),    NULL,  0,  0,       "other"   },
    {"a-flag",   PS_CONF_BOOL,     AT(flag),     "yes", 0,  0,       "flag"    },
    {"number",   PS_CONF_INT,      AT(number),   "7",   -9, 9000,    "number"  },
    {"bytes",    PS_CONF_BYTES,    AT(bytes),    "4k",  1,  1 << 30, "bytes"   },
    {"duration", PS_CONF_DURATION, AT(duration), "2s",  0,  0,       "duration"},
};

static void
check_result(enum ps_rc rc, const struct settings *s, const struct ps_err *err)
{
    if (rc != PS_OK)
        FUZZ_CHECK(err->message[0]);
    FUZZ_CHECK(s->number >= -9 && s->number <= 9000);
    FUZZ_CHECK(s->bytes >= 1 && s->bytes <= 1 << 30);
    FUZZ_CHECK(s->duration >= 0);
}

static enum ps_rc
read_words(struct settings *s, struct ps_str text, struct ps_err *err)
{
    char program[] = "program", *argv[WORDS_MAX + 2] = {program};
    int argc = 1;
    char *copy = malloc(text.len + 1), *at = copy;
    FUZZ_CHECK(copy);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    for (; argc <= WORDS_MAX && at < copy + text.len; at += strlen(at) + 1)
        argv[argc++] = at;
    int before = argc;
    enum ps_rc rc =
        ps_conf_arguments(items, PS_ARRAY_LEN(items), s, &argc, argv, err);
    FUZZ_CHECK(argc >= 1 && argc <= before);
    free(copy);
    return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str text = {size ? (const char *)data : "", size};
    struct settings s = {0};
    struct ps_err err = {0};
    enum ps_rc rc = ps_conf_defaults(items, PS_ARRAY_LEN(items), &s, &err);
    FUZZ_CHECK(rc == PS_OK);
    if (text.len > 0 && text.ptr[0] == '\0')
        rc = read_words(&s, (struct ps_str){text.ptr + 1, text.len - 1}, &err);
    else
        rc = ps_conf_text(items, PS_ARRAY_LEN(items), &s, text, "fuzz", &err);
    check_result(rc, &s, &err);
    ps_conf_done(items, PS_ARRAY_LEN(items), &s);
    return 0;
}
