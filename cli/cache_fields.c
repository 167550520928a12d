/* A cache's settings between options, JSON and people. */
#include "cli/cache_fields.h"

#include "common/check.h"
#include "common/file.h"
#include "common/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE_TYPES "postgres|mysql|mariadb|mssql"

const struct ps_cache_field ps_cache_fields[] = {
#define X(option, field, kind, value, help) \
    {option, field, PS_FIELD_##kind, value},
    PS_CACHE_FIELDS(X)
#undef X
};
const size_t ps_cache_field_count = PS_ARRAY_LEN(ps_cache_fields);
const struct ps_cache_field ps_cache_type_field = {
    "type", "database", PS_FIELD_CHOICE, CACHE_TYPES};

#define X(option, field, kind, what, text) \
    {.name = (option), .value = (what), .help = (text)},
/* clang-format off */
const struct ps_option ps_cache_create_options[] = {
    {.name = "name", .value = "NAME", .required = true,
     .help = "of the cache, unique"},
    {.name = "type", .value = CACHE_TYPES, .required = true,
     .help = "of the database"},
    PS_CACHE_FIELDS(X)
    {.name = "wait", .help = "follow the reachability test; the default"},
    {.name = "no-wait", .help = "do not wait for the reachability test"},
    {.name = NULL},
};
const struct ps_option ps_cache_update_options[] = {
    {.name = "name", .value = "NAME", .help = "the new name"},
    PS_CACHE_FIELDS(X)
    {.name = NULL},
};
/* clang-format on */
#undef X

/* Is text one of "a|b|c"? */
static bool
is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        size_t n = strcspn(choices, "|");
        if (n == len && memcmp(choices, text, n) == 0)
            return true;
        if (choices[n] == '\0')
            break;
        choices += n + 1;
    }
    return false;
}

const char *
ps_cache_field_parse(const struct ps_cache_field *field, const char *text,
                     json_t **out)
{
    int64_t number;
    bool on;
    switch (field->kind) {
    case PS_FIELD_FILE:
        if (*text && !strstr(text, "-----BEGIN CERTIFICATE-----"))
            return "a certificate in PEM form";
        *out = json_string(text);
        return *out ? NULL : "a certificate in PEM form";
    case PS_FIELD_TEXT:
        *out = json_string(text);
        return *out ? NULL : "valid UTF-8";
    case PS_FIELD_CHOICE:
        *out = is_choice(field->value, text) ? json_string(text) : NULL;
        return *out ? NULL : field->value;
    case PS_FIELD_SWITCH:
        if (!ps_value_bool(text, &on))
            return field->value;
        *out = json_boolean(on);
        return NULL;
    case PS_FIELD_INT:
        if (!ps_value_int(text, &number))
            return "a whole number";
        break;
    case PS_FIELD_DURATION:
        if (!ps_value_duration_ms(text, &number))
            return "a duration like 500ms, 30s, 5m, 1h, 7d";
        break;
    case PS_FIELD_BYTES:
        if (!ps_value_bytes(text, &number))
            return "a size like 4096, 64k, 10M, 1G";
        break;
    }
    *out = json_integer(number);
    return NULL;
}

char *
ps_cache_field_text(const struct ps_cache_field *field, const json_t *value)
{
    char text[PS_VALUE_MAX];
    const char *from = text;
    int64_t number = json_integer_value(value);
    switch (field->kind) {
    case PS_FIELD_TEXT:
    case PS_FIELD_CHOICE:
    case PS_FIELD_FILE:
        from = json_string_value(value);
        break;
    case PS_FIELD_SWITCH:
        from = json_is_true(value) ? "on" : "off";
        break;
    case PS_FIELD_INT:
        snprintf(text, sizeof(text), "%" PRId64, number);
        break;
    case PS_FIELD_DURATION:
        ps_value_format_duration(number, text);
        break;
    case PS_FIELD_BYTES:
        ps_value_format_bytes(number, text);
        break;
    }
    char *out = strdup(from ? from : "");
    PS_CHECK(out);
    return out;
}

static enum ps_exit
read_field(struct ps_ctl *ctl, const struct ps_cache_field *field,
           const char *text, json_t **out)
{
    struct ps_err err;
    char *file = NULL;
    size_t len;
    if (field->kind == PS_FIELD_FILE &&
        ps_file_read(text, 65536, &file, &len, &err) != PS_OK)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage", "%s", err.message);
    const char *right = ps_cache_field_parse(field, file ? file : text, out);
    bool empty = file && *file == '\0';
    free(file);
    if (field->kind == PS_FIELD_FILE && (right || empty))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "%s holds no certificate in PEM form", text);
    return right ? ps_ctl_bad_value(ctl, field->option, right) : PS_EXIT_OK;
}

enum ps_exit
ps_cache_fields_read(struct ps_ctl *ctl, json_t *body)
{
    const char *name = ps_ctl_value(ctl, "name");
    if (name)
        json_object_set_new(body, "name", json_string(name));
    for (size_t i = 0; i < ps_cache_field_count; i++) {
        const struct ps_cache_field *field = &ps_cache_fields[i];
        const char *text = ps_ctl_value(ctl, field->option);
        json_t *value = NULL;
        if (text == NULL)
            continue;
        enum ps_exit rc = read_field(ctl, field, text, &value);
        if (rc != PS_EXIT_OK)
            return rc;
        PS_CHECK(json_object_set_new(body, field->field, value) == 0);
    }
    return PS_EXIT_OK;
}

enum ps_exit
ps_cache_type_read(struct ps_ctl *ctl, json_t *body)
{
    const char *type = ps_ctl_value(ctl, "type");
    if (!is_choice(CACHE_TYPES, type))
        return ps_ctl_bad_value(ctl, "type", CACHE_TYPES);
    json_object_set_new(body, "database", json_string(type));
    return PS_EXIT_OK;
}

void
ps_cache_fields_show(const json_t *cache, struct ps_table *table)
{
    for (size_t i = 0; i < ps_cache_field_count; i++) {
        const struct ps_cache_field *field = &ps_cache_fields[i];
        const json_t *value = json_object_get(cache, field->field);
        if (value == NULL || json_is_null(value))
            continue;
        char *text = ps_cache_field_text(field, value);
        bool file = field->kind == PS_FIELD_FILE;
        ps_table_add(table, PS_TINT_DIM, field->option);
        ps_table_add(table, PS_TINT_NONE,
                     !file   ? text
                     : *text ? "given"
                             : "the system's bundle");
        free(text);
    }
}
