/*
 * Lists in pages. A cursor names the last row that was shown by its sort keys,
 * so that what is added or removed in between neither repeats nor hides
 * another row: base64url of the list's name and the keys, NUL behind each.
 */
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789-_";

size_t
api_base64url(const unsigned char *in, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)in[i] << 16;
        if (left > 1)
            bits |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            bits |= in[i + 2];
        out[len++] = digits[bits >> 18];
        out[len++] = digits[bits >> 12 & 63];
        if (left > 1)
            out[len++] = digits[bits >> 6 & 63];
        if (left > 2)
            out[len++] = digits[bits & 63];
    }
    out[len] = '\0';
    return len;
}

/* False: it is not base64url, has bits that mean nothing, or does not fit. */
static bool
decode(const char *text, char *out, size_t size, size_t *len)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    for (; *text; text++) {
        const char *at = strchr(digits, *text);
        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - digits);
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (n >= size)
            return false;
        out[n++] = (char)(bits >> held);
        bits &= (1u << held) - 1;
    }
    *len = n;
    return held < 6 && bits == 0;
}

bool
api_cursor_read(const char *text, const char *list, size_t keys,
                struct api_cursor *cursor)
{
    size_t len, at = 0;
    if (!decode(text, cursor->text, sizeof(cursor->text), &len) || len == 0 ||
        cursor->text[len - 1] != '\0' || strcmp(cursor->text, list) != 0)
        return false;
    at = strlen(list) + 1;
    for (size_t i = 0; i < keys; i++) {
        if (at >= len)
            return false;
        cursor->key[i] = cursor->text + at;
        at += strlen(cursor->key[i]) + 1;
    }
    return at == len;
}

bool
api_cursor_write(char out[API_CURSOR_TEXT], const char *list,
                 const char *const *keys, size_t n)
{
    struct ps_buf raw;
    ps_buf_init(&raw, API_CURSOR_MAX);
    ps_buf_append(&raw, list, strlen(list) + 1);
    for (size_t i = 0; i < n; i++)
        ps_buf_append(&raw, keys[i], strlen(keys[i]) + 1);
    bool fits = ps_buf_rc(&raw) == PS_OK;
    if (fits)
        api_base64url((const unsigned char *)raw.data, raw.len, out);
    ps_buf_done(&raw);
    return fits;
}

/* Decimal, positive, nothing else. */
static bool
read_number(const char *text, int64_t max, int64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 18)
        return false;
    *out = strtoll(text, &end, 10);
    return *end == '\0' && *out >= 1 && *out <= max;
}

enum ps_rc
api_read_number(const struct api_request *request, const char *name,
                int64_t max, int64_t *out, struct ps_err *err)
{
    char text[24];
    bool given;
    enum ps_rc rc = api_param(request, name, text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    if (!read_number(text, max, out))
        return ps_err_set(err, PS_BAD_FIELD,
                          "%s must be a number from 1 to %lld", name,
                          (long long)max);
    return PS_OK;
}

static enum ps_rc
read_cursor(struct api_list *list, struct ps_err *err)
{
    char text[API_CURSOR_TEXT];
    bool given, good;
    enum ps_rc rc =
        api_param(list->request, "cursor", text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    size_t keys = list->by_number ? 1 : list->keys;
    good = api_cursor_read(text, list->name, keys, &list->cursor);
    if (good && list->by_number)
        good = read_number(list->cursor.key[0], INT64_MAX, &list->page.number);
    if (!good)
        return ps_err_set(err, PS_BAD_FIELD,
                          "cursor must be the \"next\" of a page of this list; "
                          "without it the list starts again");
    for (size_t i = 0; i < keys; i++)
        list->page.text[i] = list->cursor.key[i];
    list->page.behind = true;
    return PS_OK;
}

enum ps_rc
api_list_begin(struct api_request *request, struct api_list *list,
               struct ps_err *err)
{
    static const char *const names[] = {"limit", "cursor", NULL};
    int64_t limit = API_PAGE_DEFAULT;
    list->request = request;
    list->shown = 0;
    list->next[0] = '\0';
    enum ps_rc rc = PS_OK;
    if (!list->more_params)
        rc = api_only_params(request, names, err);
    if (rc == PS_OK)
        rc = api_read_number(request, "limit", API_PAGE_MAX, &limit, err);
    if (rc == PS_OK)
        rc = read_cursor(list, err);
    if (rc != PS_OK)
        return rc;
    /* One more tells whether there is a next page. */
    list->page.limit = limit + 1;
    return PS_OK;
}

void
api_list_open(struct api_list *list)
{
    api_open(&list->request->out, NULL, '{');
    api_open(&list->request->out, "items", '[');
}

bool
api_list_row(struct api_list *list, const char *const *keys)
{
    if (list->shown + 1 == list->page.limit) {
        list->more = true;
        return false;
    }
    list->shown++;
    if (!api_cursor_write(list->next, list->name, keys,
                          list->by_number ? 1 : list->keys))
        list->request->out.rc = PS_TOO_BIG;
    return true;
}

bool
api_list_row_number(struct api_list *list, int64_t number)
{
    char text[24];
    const char *key = text;
    snprintf(text, sizeof(text), "%lld", (long long)number);
    return api_list_row(list, &key);
}

void
api_list_close(struct api_list *list)
{
    struct ps_buf *out = &list->request->out;
    api_close(out, ']');
    api_put_text_or_null(out, "next", list->more ? list->next : "");
    api_close(out, '}');
}
