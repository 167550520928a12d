/* Writes a file of caches. See manifest.h. */
#include "cli/cache_fields.h"
#include "cli/manifest.h"
#include "common/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <yaml.h>

/* ---- content ---- */

static void
put_duration(json_t *object, const char *name, int64_t ms)
{
    char text[PS_VALUE_MAX];
    if (ms == 0)
        return;
    ps_value_format_duration(ms, text);
    json_object_set_new(object, name, json_string(text));
}

static void
put_times(json_t *out, const json_t *rule)
{
    put_duration(out, "ttl", ps_json_int(rule, "ttlMs"));
    put_duration(out, "stale-if-error", ps_json_int(rule, "staleIfErrorMs"));
    put_duration(out, "stale-while-revalidate",
                 ps_json_int(rule, "staleWhileRevalidateMs"));
}

static json_t *
content_of_rule(const json_t *rule)
{
    json_t *out = json_object();
    json_object_set_new(out, ps_json_text(rule, "type"),
                        json_string(ps_json_text(rule, "key")));
    json_object_set_new(out, "mode", json_string(ps_json_text(rule, "mode")));
    put_times(out, rule);
    if (*ps_json_text(rule, "name"))
        json_object_set_new(out, "name",
                            json_string(ps_json_text(rule, "name")));
    return out;
}

/* Numbers and switches as such, the rest as text. */
static void
put_field(json_t *out, const struct ps_cache_field *field,
          const json_t *definition)
{
    json_t *value = json_object_get(definition, field->field);
    if (value == NULL || json_is_null(value))
        return;
    if (field->kind == PS_FIELD_INT || field->kind == PS_FIELD_SWITCH) {
        json_object_set(out, field->option, value);
        return;
    }
    char *text = ps_cache_field_text(field, value);
    json_object_set_new(out, field->option, json_string(text));
    free(text);
}

static json_t *
content_of_cache(const json_t *definition)
{
    json_t *out = json_object(), *rules = json_array();
    const json_t *all = json_object_get(definition, "rules");
    json_object_set_new(out, "name",
                        json_string(ps_json_text(definition, "name")));
    put_field(out, &ps_cache_type_field, definition);
    for (size_t i = 0; i < ps_cache_field_count; i++)
        put_field(out, &ps_cache_fields[i], definition);
    for (size_t i = 0; i < json_array_size(all); i++)
        json_array_append_new(rules, content_of_rule(json_array_get(all, i)));
    json_object_set_new(out, "rules", rules);
    return out;
}

json_t *
ps_manifest_of(const json_t *definitions)
{
    json_t *caches = json_array();
    for (size_t i = 0; i < json_array_size(definitions); i++)
        json_array_append_new(caches,
                              content_of_cache(json_array_get(definitions, i)));
    json_t *out = json_pack("{s:i,s:o}", "version", 1, "caches", caches);
    PS_CHECK(out);
    return out;
}

char *
ps_rule_text(const json_t *rule)
{
    struct ps_buf out;
    json_auto_t *times = json_object();
    const char *mode = ps_json_text(rule, "mode");
    bool timed = strcmp(mode, "ttl") == 0;
    ps_buf_init(&out, 4096);
    put_times(times, rule);
    if (!timed)
        ps_buf_append_c(&out, mode);
    for (void *it = json_object_iter(times); it;
         it = json_object_iter_next(times, it))
        ps_buf_printf(&out, "%s%s %s", out.len ? ", " : "",
                      json_object_iter_key(it),
                      json_string_value(json_object_iter_value(it)));
    if (*ps_json_text(rule, "name"))
        ps_buf_printf(&out, ", named %s", ps_json_text(rule, "name"));
    ps_buf_append_char(&out, '\0');
    PS_CHECK(ps_buf_rc(&out) == PS_OK);
    return ps_buf_take(&out, NULL);
}

/* ---- YAML ---- */

static int
on_write(void *arg, unsigned char *bytes, size_t n)
{
    ps_buf_append(arg, bytes, n);
    return ps_buf_rc(arg) == PS_OK;
}

static void
emit(yaml_emitter_t *emitter, yaml_event_t *event, int made)
{
    PS_CHECK(made);
    PS_CHECK(yaml_emitter_emit(emitter, event));
}

static void
emit_scalar(yaml_emitter_t *emitter, const char *text,
            yaml_scalar_style_t style)
{
    yaml_event_t event;
    bool plain = style == YAML_PLAIN_SCALAR_STYLE;
    emit(emitter, &event,
         yaml_scalar_event_initialize(&event, NULL, NULL,
                                      (const yaml_char_t *)text,
                                      (int)strlen(text), plain, !plain, style));
}

/* Nobody reads it as a number, a truth or nothing, and it needs no quotes. */
static bool
is_word(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char more[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    static const char *const taken[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    size_t len = strlen(text);
    if (strspn(text, letters) == 0 || strspn(text, more) != len)
        return false;
    for (size_t i = 0; i < PS_ARRAY_LEN(taken); i++)
        if (strcasecmp(text, taken[i]) == 0)
            return false;
    return true;
}

/* "30s", "64k": a number with a unit, which is text everywhere. */
static bool
is_measure(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    size_t unit = strspn(text + digits, "smhdkMG");
    return digits && unit && unit <= 2 && text[digits + unit] == '\0';
}

/* Only plain lines may stand as a block: what is read back must be the same. */
static bool
is_block(const char *text)
{
    const char *line = strchr(text, '\n');
    if (line == NULL || *text == ' ' || *text == '\n')
        return false;
    for (const char *c = text; *c; c++)
        if ((*c < ' ' && *c != '\n') || *c > '~' ||
            (*c == ' ' && (c[1] == '\n' || c[1] == '\0')))
            return false;
    return true;
}

static void
emit_text(yaml_emitter_t *emitter, const char *text)
{
    yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (is_word(text) || is_measure(text))
        style = YAML_PLAIN_SCALAR_STYLE;
    else if (is_block(text))
        style = YAML_LITERAL_SCALAR_STYLE;
    emit_scalar(emitter, text, style);
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value);

static void
emit_object(yaml_emitter_t *emitter, const json_t *value)
{
    /* jansson iterates over objects that are not const only. */
    union {
        const json_t *in;
        json_t *out;
    } object = {.in = value};
    yaml_event_t event;
    emit(emitter, &event,
         yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                             YAML_BLOCK_MAPPING_STYLE));
    for (void *it = json_object_iter(object.out); it;
         it = json_object_iter_next(object.out, it)) {
        emit_scalar(emitter, json_object_iter_key(it), YAML_PLAIN_SCALAR_STYLE);
        emit_value(emitter, json_object_iter_value(it));
    }
    emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static void
emit_array(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    emit(emitter, &event,
         yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                              YAML_BLOCK_SEQUENCE_STYLE));
    for (size_t i = 0; i < json_array_size(value); i++)
        emit_value(emitter, json_array_get(value, i));
    emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static void
emit_value(yaml_emitter_t *emitter, const json_t *value)
{
    char number[32];
    if (json_is_object(value)) {
        emit_object(emitter, value);
    } else if (json_is_array(value)) {
        emit_array(emitter, value);
    } else if (json_is_string(value)) {
        emit_text(emitter, json_string_value(value));
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        emit_scalar(emitter, number, YAML_PLAIN_SCALAR_STYLE);
    } else {
        emit_scalar(emitter,
                    json_is_true(value)    ? "true"
                    : json_is_false(value) ? "false"
                                           : "null",
                    YAML_PLAIN_SCALAR_STYLE);
    }
}

void
ps_manifest_yaml(const json_t *content, struct ps_buf *out)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    PS_CHECK(yaml_emitter_initialize(&emitter));
    yaml_emitter_set_output(&emitter, on_write, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_indent(&emitter, 2);
    yaml_emitter_set_width(&emitter, -1);
    emit(&emitter, &event,
         yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&emitter, &event,
         yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    emit_value(&emitter, content);
    emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1));
    emit(&emitter, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&emitter);
}
