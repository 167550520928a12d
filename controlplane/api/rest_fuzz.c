/*
 * What a request says in headers and parameters that this API gave out before:
 * versions, keys, cursors, keys of rules in a path. The first byte chooses
 * which.
 */
#include "common/utf8.h"
#include "controlplane/api/api_private.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

/* The text, ended by a NUL; it lives until the next call. */
static const char *
text_of(struct ps_str in)
{
    static char *text;
    free(text);
    text = malloc(in.len + 1);
    FUZZ_CHECK(text);
    if (in.len)
        memcpy(text, in.ptr, in.len);
    text[in.len] = '\0';
    return text;
}

/* A header that holds a version lists it, however many others it has; an empty
 * version is in no list. */
static void
feed_tags(struct ps_str header)
{
    char more[4096];
    bool listed = false, strong = false;
    bool list = api_etag_listed(header, PS_STR("\"7\""), false, &listed);
    FUZZ_CHECK(list == api_etag_listed(header, PS_STR("\"7\""), true, &strong));
    if (!list || header.len > sizeof(more) - 8)
        return;
    int n =
        snprintf(more, sizeof(more), "%.*s,\"7\"", (int)header.len, header.ptr);
    bool now = false;
    if (api_etag_listed((struct ps_str){more, (size_t)n}, PS_STR("\"7\""), true,
                        &now))
        FUZZ_CHECK(now);
}

static void
feed_key(struct ps_str header)
{
    struct ps_str key, again;
    if (!api_read_key(header, &key))
        return;
    FUZZ_CHECK(key.len >= 1 && key.len <= API_KEY_MAX);
    FUZZ_CHECK(key.ptr >= header.ptr &&
               key.ptr + key.len <= header.ptr + header.len);
    FUZZ_CHECK(api_read_key(key, &again) && ps_str_eq(key, again));
}

/* What is read is written the same. */
static void
feed_cursor(const char *text)
{
    static const char *const lists[] = {"caches", "rules", "agents"};
    for (size_t i = 0; i < PS_ARRAY_LEN(lists); i++) {
        for (size_t keys = 0; keys <= 3; keys++) {
            struct api_cursor cursor;
            char again[API_CURSOR_TEXT];
            if (!api_cursor_read(text, lists[i], keys, &cursor))
                continue;
            FUZZ_CHECK(api_cursor_write(again, lists[i], cursor.key, keys));
            FUZZ_CHECK(strcmp(again, text) == 0);
        }
    }
}

/* Parameters by the list's own reader, NUL-free and bounded. */
static void
feed_query(const char *query)
{
    struct api_request request = {.query = query};
    struct api_list list = {.name = "rules", .keys = 3};
    if (api_list_begin(&request, &list, NULL) != PS_OK)
        return;
    FUZZ_CHECK(list.page.limit >= 2 && list.page.limit <= API_PAGE_MAX + 1);
    if (list.page.behind)
        FUZZ_CHECK(strlen(list.page.text[2]) < API_CURSOR_MAX);
}

static void
feed_path(struct ps_str segment)
{
    char key[PS_DB_RULE_KEY_MAX + 1];
    if (!api_decode(segment, false, key, sizeof(key)))
        return;
    struct ps_str got = ps_str_of(key);
    FUZZ_CHECK(got.len <= segment.len && ps_utf8_check(got) == got.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    unsigned which = fuzz_byte(&in);
    struct ps_str rest = fuzz_rest(&in);
    switch (which % 5) {
    case 0:
        feed_tags(rest);
        break;
    case 1:
        feed_key(rest);
        break;
    case 2:
        feed_cursor(text_of(rest));
        break;
    case 3:
        feed_query(text_of(rest));
        break;
    default:
        feed_path(rest);
        break;
    }
    return 0;
}
