/* The rules for fields and bindings, and which reader reads a body. */
#include "agent/front/polyscale_body.h"

#include "common/utf8.h"

static const struct {
    const char *key;
    const char *expected;
} fields[PS_POLYSCALE_FIELD_COUNT] = {
#define X(name, text, what) {text, what},
    PS_POLYSCALE_FIELD_TABLE(X)
#undef X
};

static const char *const kind_names[] = {
    [PS_JSON_ABSENT] = "missing",   [PS_JSON_NULL] = "null",
    [PS_JSON_BOOL] = "a boolean",   [PS_JSON_NUMBER] = "a number",
    [PS_JSON_STRING] = "a string",  [PS_JSON_ARRAY] = "an array",
    [PS_JSON_OBJECT] = "an object",
};

const char *
ps_polyscale_key(enum ps_polyscale_field_id id)
{
    return fields[id].key;
}

/* Lengths and bytes are constants here, so each comparison is a few
 * instructions and no call. */
enum ps_polyscale_field_id
ps_polyscale_find(struct ps_str key)
{
#define X(name, text, what)                           \
    if (key.len == sizeof(text) - 1 &&                \
        memcmp(key.ptr, text, sizeof(text) - 1) == 0) \
        return PS_POLYSCALE_##name;
    PS_POLYSCALE_FIELD_TABLE(X)
#undef X
    return PS_POLYSCALE_FIELD_COUNT;
}

void
ps_polyscale_set(struct ps_polyscale_body *body, enum ps_polyscale_field_id id,
                 enum ps_json_kind kind)
{
    body->fields[id] = (struct ps_polyscale_field){.kind = kind};
    if (id != PS_POLYSCALE_BINDINGS)
        return;
    body->bindings.count = 0;
    body->bindings.shape = kind == PS_JSON_ARRAY    ? PS_KNEX_ARRAY
                           : kind == PS_JSON_OBJECT ? PS_KNEX_OBJECT
                                                    : PS_KNEX_NONE;
}

/* ---- bindings ---- */

static enum ps_rc
count_value(struct ps_polyscale_body *body, struct ps_err *err)
{
    if (++body->n_values <= PS_POLYSCALE_MAX_VALUES)
        return PS_OK;
    return ps_err_set(err, PS_BODY_TOO_BIG,
                      "bindings has more than %d values; send fewer at a time",
                      (int)PS_POLYSCALE_MAX_VALUES);
}

/* Doubles an array in the arena when it is full; false without memory. */
static bool
grow(struct ps_arena *arena, void **list, size_t count, size_t *room,
     size_t size)
{
    if (count < *room)
        return true;
    size_t wanted = *room ? 2 * *room : 8;
    void *grown = ps_arena_alloc(arena, wanted * size);
    if (!grown)
        return false;
    if (count > 0)
        memcpy(grown, *list, count * size);
    *list = grown;
    *room = wanted;
    return true;
}

struct ps_knex_binding *
ps_polyscale_add(struct ps_polyscale_body *body, struct ps_arena *arena,
                 struct ps_err *err)
{
    struct ps_knex_bindings *b = &body->bindings;
    void *list = b->list;
    if (count_value(body, err) != PS_OK)
        return NULL;
    if (!grow(arena, &list, b->count, &body->room, sizeof(*b->list))) {
        ps_err_set(err, PS_BODY_TOO_BIG, NULL);
        return NULL;
    }
    b->list = list;
    memset(&b->list[b->count], 0, sizeof(*b->list));
    return &b->list[b->count++];
}

enum ps_rc
ps_polyscale_add_item(struct ps_polyscale_body *body, struct ps_arena *arena,
                      struct ps_polyscale_items *items,
                      const struct ps_param *item, size_t number,
                      struct ps_err *err)
{
    void *list = items->list;
    enum ps_rc rc = count_value(body, err);
    if (rc != PS_OK)
        return rc;
    if (item->kind == PS_PARAM_ARRAY)
        return ps_polyscale_bad_value(number, "an array within an array", err);
    if (item->kind != PS_PARAM_NULL) {
        if (items->kind != PS_PARAM_NULL && items->kind != item->kind)
            return ps_err_set(err, PS_BAD_BINDINGS,
                              "value %zu of bindings is an array of several "
                              "types; all its members must be strings, "
                              "numbers or booleans",
                              number);
        items->kind = item->kind;
    }
    if (!grow(arena, &list, items->count, &items->room, sizeof(*item)))
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    items->list = list;
    items->list[items->count++] = *item;
    return PS_OK;
}

enum ps_rc
ps_polyscale_bad_value(size_t number, const char *what, struct ps_err *err)
{
    return ps_err_set(err, PS_BAD_BINDINGS,
                      "value %zu of bindings is %s; send a string, a number, a "
                      "boolean, null or an array of one of these (JSON as "
                      "text)",
                      number, what);
}

enum ps_rc
ps_polyscale_bad_text(enum ps_polyscale_field_id id, size_t number,
                      bool surrogate, struct ps_err *err)
{
    const char *what = surrogate ? "half of a surrogate pair (\\ud800 to "
                                   "\\udfff), which is no character"
                                 : "the character NUL (\\u0000), which "
                                   "databases do not take in text";
    enum ps_rc rc = surrogate ? PS_BAD_UTF8 : PS_BAD_FIELD;
    if (number > 0)
        return ps_err_set(err, rc, "value %zu of bindings holds %s", number,
                          what);
    return ps_err_set(err, rc, "%s holds %s", fields[id].key, what);
}

/* ---- field rules ---- */

static enum ps_rc
check_text(const struct ps_polyscale_body *body, enum ps_polyscale_field_id id,
           struct ps_err *err)
{
    const struct ps_polyscale_field *field = &body->fields[id];
    if (field->kind == PS_JSON_STRING && field->text.len > 0)
        return PS_OK;
    if (field->kind == PS_JSON_STRING || field->kind == PS_JSON_ABSENT)
        return ps_err_set(err, PS_MISSING_FIELD, "%s is %s: send %s",
                          fields[id].key,
                          field->kind == PS_JSON_STRING ? "empty" : "missing",
                          fields[id].expected);
    return ps_err_set(err, PS_BAD_FIELD, "%s is %s, not a string: send %s",
                      fields[id].key, kind_names[field->kind],
                      fields[id].expected);
}

static enum ps_rc
check_provider(const struct ps_polyscale_field *field, struct ps_err *err)
{
    enum ps_provider provider;
    if (field->kind == PS_JSON_ABSENT ||
        (field->kind == PS_JSON_STRING &&
         ps_provider_parse(field->text, &provider)))
        return PS_OK;
    return ps_err_set(err, PS_BAD_FIELD, "provider is %s: send %s",
                      field->kind == PS_JSON_STRING ? "not known"
                                                    : kind_names[field->kind],
                      fields[PS_POLYSCALE_PROVIDER].expected);
}

enum ps_rc
ps_polyscale_body_check(const struct ps_polyscale_body *body,
                        struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    for (int id = 0; id < PS_POLYSCALE_PROVIDER && rc == PS_OK; id++)
        rc = check_text(body, (enum ps_polyscale_field_id)id, err);
    if (rc == PS_OK)
        rc = check_provider(&body->fields[PS_POLYSCALE_PROVIDER], err);
    if (rc != PS_OK)
        return rc;
    switch (body->fields[PS_POLYSCALE_BINDINGS].kind) {
    case PS_JSON_ABSENT:
    case PS_JSON_NULL:
    case PS_JSON_ARRAY:
    case PS_JSON_OBJECT:
        return PS_OK;
    default:
        return ps_err_set(err, PS_BAD_FIELD, "bindings is %s: send %s",
                          kind_names[body->fields[PS_POLYSCALE_BINDINGS].kind],
                          fields[PS_POLYSCALE_BINDINGS].expected);
    }
}

/* ---- all of it ---- */

/* The byte at offset is not UTF-8: in which field does it stand? */
static enum ps_rc
bad_utf8(struct ps_str body, size_t offset, struct ps_arena *arena,
         struct ps_polyscale_body *out, struct ps_err *err)
{
    const char *where = "the body";
    if (ps_polyscale_body_scan(body, arena, out, NULL)) {
        for (int id = 0; id < PS_POLYSCALE_FIELD_COUNT; id++) {
            const struct ps_polyscale_field *field = &out->fields[id];
            if (field->at <= offset && offset < field->end)
                where = fields[id].key;
        }
    }
    return ps_err_set(err, PS_BAD_UTF8,
                      "%s is not valid UTF-8 (at byte %zu of the body); send "
                      "text as UTF-8",
                      where, offset);
}

enum ps_rc
ps_polyscale_body_read(struct ps_str body, struct ps_arena *arena,
                       struct ps_polyscale_body *out, struct ps_err *err)
{
    struct ps_err hint = {.rc = PS_OK};
    size_t valid = ps_utf8_check(body);
    if (valid < body.len)
        return bad_utf8(body, valid, arena, out, err);
    if (PS_UNLIKELY(!ps_polyscale_body_scan(body, arena, out, &hint))) {
        if (body.len > PS_POLYSCALE_MAX_UNUSUAL_BYTES) {
            if (hint.rc == PS_OK)
                return ps_err_set(err, PS_BAD_JSON, NULL);
            *err = hint;
            return hint.rc;
        }
        enum ps_rc rc = ps_polyscale_body_load(body, arena, out, err);
        if (rc == PS_BAD_JSON && hint.rc != PS_OK) {
            *err = hint;
            return hint.rc;
        }
        if (rc != PS_OK)
            return rc;
    }
    return ps_polyscale_body_check(out, err);
}
