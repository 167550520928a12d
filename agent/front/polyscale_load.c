/*
 * The careful reader: jansson. Slower by an order of magnitude and so only for
 * bodies that the scanner gives up on, nearly all of which are wrong. The only
 * file that includes jansson here.
 */
#include "agent/front/js_number.h"
#include "agent/front/polyscale_body.h"

#include <jansson.h>

struct load {
    struct ps_arena *arena;
    struct ps_polyscale_body *body;
    struct ps_err *err;
    enum ps_polyscale_field_id field;
    size_t number;
};

/* jansson's own text quotes the body and may hold a password, so only its
 * code is used. */
static const char *
what_is_wrong(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_stack_overflow:
        return "it is nested too deeply";
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something follows behind its end";
    case json_error_null_byte_in_key:
        return "a key holds the character NUL";
    case json_error_numeric_overflow:
        return "a number is too large";
    default:
        return "it is not valid JSON";
    }
}

static enum ps_rc
load_text(const struct load *l, const json_t *value, struct ps_str *out)
{
    struct ps_str text = {json_string_value(value), json_string_length(value)};
    if (memchr(text.ptr, '\0', text.len))
        return ps_polyscale_bad_text(l->field, l->number, false, l->err);
    *out = ps_arena_str(l->arena, text);
    return out->ptr ? PS_OK : ps_err_set(l->err, PS_BODY_TOO_BIG, NULL);
}

static enum ps_rc load_items(struct load *l, const json_t *array,
                             struct ps_param *out);

static enum ps_rc
load_binding(struct load *l, const json_t *value, bool nested,
             struct ps_param *out)
{
    char printed[PS_JS_NUMBER_MAX];
    switch (json_typeof(value)) {
    case JSON_STRING:
        out->kind = PS_PARAM_TEXT;
        return load_text(l, value, &out->text);
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = PS_PARAM_BOOL;
        out->text = json_is_true(value) ? PS_STR("true") : PS_STR("false");
        return PS_OK;
    case JSON_NULL:
        out->kind = PS_PARAM_NULL;
        return PS_OK;
    case JSON_INTEGER:
    case JSON_REAL:
        out->kind = PS_PARAM_NUMBER;
        out->text.len = ps_js_number_print(json_number_value(value), printed);
        out->text.ptr = printed;
        out->text = ps_arena_str(l->arena, out->text);
        return out->text.ptr ? PS_OK
                             : ps_err_set(l->err, PS_BODY_TOO_BIG, NULL);
    case JSON_ARRAY:
        if (nested)
            return ps_polyscale_bad_value(l->number, "an array within an array",
                                          l->err);
        return load_items(l, value, out);
    case JSON_OBJECT:
        break;
    }
    return ps_polyscale_bad_value(l->number, "an object", l->err);
}

static enum ps_rc
load_items(struct load *l, const json_t *array, struct ps_param *out)
{
    struct ps_polyscale_items items = {.kind = PS_PARAM_NULL};
    enum ps_rc rc = PS_OK;
    out->kind = PS_PARAM_ARRAY;
    for (size_t i = 0; i < json_array_size(array) && rc == PS_OK; i++) {
        struct ps_param item = {.kind = PS_PARAM_NULL};
        rc = load_binding(l, json_array_get(array, i), true, &item);
        if (rc == PS_OK)
            rc = ps_polyscale_add_item(l->body, l->arena, &items, &item,
                                       l->number, l->err);
    }
    out->items = items.list;
    out->n_items = items.count;
    return rc;
}

static enum ps_rc
add_binding(struct load *l, struct ps_str name, const json_t *value)
{
    struct ps_param param = {.kind = PS_PARAM_NULL};
    l->number = l->body->bindings.count + 1;
    enum ps_rc rc = load_binding(l, value, false, &param);
    if (rc != PS_OK)
        return rc;
    struct ps_knex_binding *b = ps_polyscale_add(l->body, l->arena, l->err);
    if (!b)
        return PS_BODY_TOO_BIG;
    b->value = param;
    b->name = ps_arena_str(l->arena, name);
    return b->name.ptr ? PS_OK : ps_err_set(l->err, PS_BODY_TOO_BIG, NULL);
}

/* An array or an object; of anything else there are no members. */
static enum ps_rc
load_bindings(struct load *l, json_t *value)
{
    enum ps_rc rc = PS_OK;
    for (size_t i = 0; i < json_array_size(value) && rc == PS_OK; i++)
        rc = add_binding(l, PS_STR(""), json_array_get(value, i));
    for (void *it = json_object_iter(value); it && rc == PS_OK;
         it = json_object_iter_next(value, it))
        rc = add_binding(l, ps_str_of(json_object_iter_key(it)),
                         json_object_iter_value(it));
    return rc;
}

static enum ps_json_kind
kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return PS_JSON_OBJECT;
    case JSON_ARRAY:
        return PS_JSON_ARRAY;
    case JSON_STRING:
        return PS_JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return PS_JSON_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return PS_JSON_BOOL;
    case JSON_NULL:
        break;
    }
    return PS_JSON_NULL;
}

static enum ps_rc
load_field(struct load *l, const json_t *root, enum ps_polyscale_field_id id)
{
    json_t *value = json_object_get(root, ps_polyscale_key(id));
    struct ps_polyscale_field *field = &l->body->fields[id];
    if (!value)
        return PS_OK;
    l->field = id;
    l->number = 0;
    ps_polyscale_set(l->body, id, kind_of(value));
    if (id == PS_POLYSCALE_BINDINGS)
        return load_bindings(l, value);
    return field->kind == PS_JSON_STRING ? load_text(l, value, &field->text)
                                         : PS_OK;
}

enum ps_rc
ps_polyscale_body_load(struct ps_str body, struct ps_arena *arena,
                       struct ps_polyscale_body *out, struct ps_err *err)
{
    struct load l = {.arena = arena, .body = out, .err = err};
    json_error_t error;
    enum ps_rc rc = PS_OK;
    memset(out, 0, sizeof(*out));
    json_t *root = json_loadb(body.ptr ? body.ptr : "", body.len,
                              JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!root)
        return ps_err_set(err, PS_BAD_JSON,
                          "the body cannot be read: %s (near byte %d); send "
                          "{\"cacheId\":...,\"sql\":...}",
                          what_is_wrong(&error), error.position);
    if (!json_is_object(root))
        rc = ps_err_set(err, PS_BAD_JSON, NULL);
    for (int id = 0; id < PS_POLYSCALE_FIELD_COUNT && rc == PS_OK; id++)
        rc = load_field(&l, root, (enum ps_polyscale_field_id)id);
    json_decref(root);
    return rc;
}
