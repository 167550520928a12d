/*
 * The reader of JSON and jansson: the same texts are JSON for both, and the
 * same values stand in them. (jansson is asked for less depth by what it is
 * given here, and refuses numbers beyond a double, which ours leaves to who
 * reads them.)
 */
#include "agent/front/json_in.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum {
    ARENA_BYTES = 64 << 20
};

static void agree(const struct ps_json *ours, const json_t *theirs);

static void
agree_object(const struct ps_json *ours, json_t *theirs)
{
    const char *key;
    size_t n;
    json_t *value;
    FUZZ_CHECK(ours->kind == PS_JSON_OBJECT);
    FUZZ_CHECK(ours->count >= json_object_size(theirs));
    json_object_keylen_foreach(theirs, key, n, value)
    {
        (void)n;
        const struct ps_json *mine = ps_json_get(ours, key);
        FUZZ_CHECK(mine);
        agree(mine, value);
    }
}

static void
agree_array(const struct ps_json *ours, const json_t *theirs)
{
    const struct ps_json *m = ours->first;
    FUZZ_CHECK(ours->kind == PS_JSON_ARRAY);
    FUZZ_CHECK(ours->count == json_array_size(theirs));
    for (size_t i = 0; m; m = m->next)
        agree(m, json_array_get(theirs, i++));
}

static void
agree(const struct ps_json *ours, const json_t *theirs)
{
    switch (json_typeof(theirs)) {
    case JSON_OBJECT:
        agree_object(ours, (json_t *)(uintptr_t)theirs);
        return;
    case JSON_ARRAY:
        agree_array(ours, theirs);
        return;
    case JSON_STRING:
        FUZZ_CHECK(ours->kind == PS_JSON_STRING);
        FUZZ_CHECK(
            ps_str_eq(ours->text, (struct ps_str){json_string_value(theirs),
                                                  json_string_length(theirs)}));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        FUZZ_CHECK(ours->kind == PS_JSON_NUMBER && ours->text.len > 0);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        FUZZ_CHECK(ours->kind == PS_JSON_BOOL);
        FUZZ_CHECK(ours->boolean == json_is_true(theirs));
        return;
    case JSON_NULL:
        FUZZ_CHECK(ours->kind == PS_JSON_NULL);
        return;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str text = {size ? (const char *)data : "", size};
    struct ps_json tree;
    struct ps_err err = {.rc = PS_OK};
    json_error_t error;
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    FUZZ_CHECK(arena);
    enum ps_rc rc = ps_json_read(text, arena, &tree, &err);
    FUZZ_CHECK(rc == PS_OK || err.message[0]);
    json_t *theirs = json_loadb(
        text.ptr, text.len,
        JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    /* Theirs ends at the character NUL behind a value, which is no JSON. */
    bool nul = size && memchr(text.ptr, '\0', size);
    FUZZ_CHECK(!nul || rc != PS_OK);
    /* A key with NUL is ours alone. */
    if (theirs) {
        FUZZ_CHECK(rc == PS_OK || nul ||
                   strstr(err.message, "nested too deeply") != NULL);
        if (rc == PS_OK)
            agree(&tree, theirs);
    } else if (rc == PS_OK) {
        enum json_error_code code = json_error_code(&error);
        FUZZ_CHECK(code == json_error_numeric_overflow ||
                   code == json_error_null_byte_in_key ||
                   code == json_error_null_character);
    }
    json_decref(theirs);
    ps_arena_free(&arena);
    return 0;
}
