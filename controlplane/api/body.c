/* Reading the fields of bodies. */
#include "controlplane/api/api_private.h"

enum ps_rc
api_only_fields(const json_t *body, const char *const *names,
                struct ps_err *err)
{
    /* jansson iterates over objects that are not const only. */
    union {
        const json_t *in;
        json_t *out;
    } object = {.in = body};
    for (void *it = json_object_iter(object.out); it;
         it = json_object_iter_next(object.out, it)) {
        const char *key = json_object_iter_key(it);
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return ps_err_set(err, PS_BAD_FIELD,
                              "\"%.64s\" is not a field of this request", key);
    }
    return PS_OK;
}

enum ps_rc
api_text(const json_t *body, const char *name, size_t min, size_t max,
         const char **out, struct ps_err *err)
{
    const json_t *value = json_object_get(body, name);
    if (!value) {
        if (min > 0)
            return ps_err_set(err, PS_MISSING_FIELD, "%s is missing", name);
        *out = "";
        return PS_OK;
    }
    if (!json_is_string(value))
        return ps_err_set(err, PS_BAD_FIELD, "%s must be a string", name);
    size_t len = json_string_length(value);
    if (len == 0 && min > 0)
        return ps_err_set(err, PS_MISSING_FIELD, "%s is empty", name);
    if (len < min || len > max)
        return ps_err_set(err, PS_BAD_FIELD, "%s must have %zu to %zu bytes",
                          name, min, max);
    *out = json_string_value(value);
    return PS_OK;
}

enum ps_rc
api_int(const json_t *body, const char *name, int64_t min, int64_t max,
        int64_t *out, struct ps_err *err)
{
    const json_t *value = json_object_get(body, name);
    if (!value)
        return PS_OK;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return ps_err_set(err, PS_BAD_FIELD,
                          "%s must be a whole number from %lld to %lld", name,
                          (long long)min, (long long)max);
    *out = json_integer_value(value);
    return PS_OK;
}

enum ps_rc
api_bool(const json_t *body, const char *name, int64_t *out, struct ps_err *err)
{
    const json_t *value = json_object_get(body, name);
    if (!value)
        return PS_OK;
    if (!json_is_boolean(value))
        return ps_err_set(err, PS_BAD_FIELD, "%s must be true or false", name);
    *out = json_is_true(value);
    return PS_OK;
}

enum ps_rc
api_region_name(const json_t *body, const char *field, const char **out,
                struct ps_err *err)
{
    enum ps_rc rc = api_text(body, field, 1, 32, out, err);
    for (const char *c = *out; rc == PS_OK && *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '-')
            rc = ps_err_set(err, PS_BAD_FIELD,
                            "%s may hold lower-case letters, digits and \"-\" "
                            "only, e.g. eu-west",
                            field);
    return rc;
}
