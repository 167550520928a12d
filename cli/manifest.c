/* Reads a file of caches. See manifest.h. */
#include "cli/manifest.h"

#include "cli/cache_fields.h"
#include "common/check.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_document_t doc;
    const char *where;
    struct ps_fault *fault;
    size_t n_rules; /* so far; an alias may repeat a list */
};

/* ---- failing ---- */

static enum ps_exit fail(struct reader *r, size_t line, const char *fmt, ...)
    PS_PRINTF(3, 4);
static enum ps_exit
fail(struct reader *r, size_t line, const char *fmt, ...)
{
    char text[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ps_fault_set(r->fault, "bad_file", "%s:%zu: %s", r->where, line, text);
    return PS_EXIT_FAILED;
}

static size_t
line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

/* ---- nodes ---- */

/* A member of a mapping: its key and what it has. */
struct member {
    const char *key;
    size_t line;
    yaml_node_t *value;
};

static const char *
scalar_text(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(text) != node->data.scalar.length ||
        (plain && (*text == '\0' || strcmp(text, "~") == 0 ||
                   strcmp(text, "null") == 0)))
        return NULL;
    return text;
}

/* The text of a member that must have one. */
static enum ps_exit
take_text(struct reader *r, const struct member *m, const char **out)
{
    if (m->value->type != YAML_SCALAR_NODE)
        return fail(r, m->line, "`%s` must be one value", m->key);
    *out = scalar_text(m->value);
    return *out ? PS_EXIT_OK : fail(r, m->line, "`%s` has no value", m->key);
}

typedef enum ps_exit member_fn(struct reader *r, const struct member *m,
                               void *arg);

static enum ps_exit
each_member(struct reader *r, yaml_node_t *map, const char *what, member_fn *fn,
            void *arg)
{
    if (map->type != YAML_MAPPING_NODE)
        return fail(r, line_of(map), "%s must be names with values", what);
    yaml_node_pair_t *at = map->data.mapping.pairs.start;
    for (; at < map->data.mapping.pairs.top; at++) {
        yaml_node_t *key = yaml_document_get_node(&r->doc, at->key);
        struct member m = {.value = yaml_document_get_node(&r->doc, at->value)};
        m.line = line_of(key);
        m.key = key->type == YAML_SCALAR_NODE ? scalar_text(key) : NULL;
        if (m.key == NULL)
            return fail(r, m.line, "%s: a name is expected here", what);
        enum ps_exit rc = fn(r, &m, arg);
        if (rc != PS_EXIT_OK)
            return rc;
    }
    return PS_EXIT_OK;
}

typedef enum ps_exit item_fn(struct reader *r, yaml_node_t *item, void *arg);

static enum ps_exit
each_item(struct reader *r, const struct member *m, item_fn *fn, void *arg)
{
    if (m->value->type != YAML_SEQUENCE_NODE)
        return fail(r, m->line, "`%s` must be a list", m->key);
    yaml_node_item_t *at = m->value->data.sequence.items.start;
    for (; at < m->value->data.sequence.items.top; at++) {
        enum ps_exit rc = fn(r, yaml_document_get_node(&r->doc, *at), arg);
        if (rc != PS_EXIT_OK)
            return rc;
    }
    return PS_EXIT_OK;
}

static enum ps_exit
twice(struct reader *r, const struct member *m)
{
    return fail(r, m->line, "`%s` is there twice", m->key);
}

static enum ps_exit
unknown(struct reader *r, const struct member *m, const char *of,
        struct ps_nearest *nearest)
{
    const char *best = ps_nearest_take(nearest);
    return fail(r, m->line, "%s has no `%.64s`%s%s%s", of, m->key,
                best ? "; did you mean `" : "", best ? best : "",
                best ? "`?" : "");
}

/* Puts a value that was parsed into object, unless it is there. */
static enum ps_exit
put(struct reader *r, const struct member *m,
    const struct ps_cache_field *field, json_t *object)
{
    const char *text;
    json_t *value;
    if (json_object_get(object, field->field))
        return twice(r, m);
    enum ps_exit rc = take_text(r, m, &text);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *right = ps_cache_field_parse(field, text, &value);
    if (right)
        return fail(r, m->line, "`%.64s` is not right for %s: give %s", text,
                    m->key, right);
    json_object_set_new(object, field->field, value);
    return PS_EXIT_OK;
}

/* ---- rules ---- */

/* A rule's members but for its key, as REST fields. */
/* clang-format off */
static const struct ps_cache_field rule_fields[] = {
    {"name", "name", PS_FIELD_TEXT, NULL},
    {"mode", "mode", PS_FIELD_CHOICE, "auto|ttl|never"},
    {"ttl", "ttlMs", PS_FIELD_DURATION, NULL},
    {"stale-if-error", "staleIfErrorMs", PS_FIELD_DURATION, NULL},
    {"stale-while-revalidate", "staleWhileRevalidateMs", PS_FIELD_DURATION,
     NULL},
};
/* clang-format on */
static const char *const rule_types[] = {"query", "template", "table"};

static enum ps_exit
rule_member(struct reader *r, const struct member *m, void *arg)
{
    json_t *rule = arg;
    struct ps_nearest nearest;
    const char *text;
    ps_nearest_init(&nearest, m->key);
    for (size_t i = 0; i < PS_ARRAY_LEN(rule_fields); i++) {
        if (strcmp(rule_fields[i].option, m->key) == 0)
            return put(r, m, &rule_fields[i], rule);
        ps_nearest_try(&nearest, rule_fields[i].option);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(rule_types); i++) {
        ps_nearest_try(&nearest, rule_types[i]);
        if (strcmp(rule_types[i], m->key) != 0)
            continue;
        if (json_object_get(rule, "type"))
            return fail(r, m->line,
                        "a rule has one of query, template and table");
        enum ps_exit rc = take_text(r, m, &text);
        json_object_set_new(rule, "type", json_string(m->key));
        if (rc == PS_EXIT_OK)
            json_object_set_new(rule, "key", json_string(text));
        return rc;
    }
    return unknown(r, m, "a rule", &nearest);
}

static enum ps_exit
complete_rule(struct reader *r, size_t line, json_t *rule)
{
    if (json_object_get(rule, "type") == NULL)
        return fail(r, line, "a rule has one of query, template and table");
    bool timed = json_object_get(rule, "ttlMs") != NULL;
    if (json_object_get(rule, "mode") == NULL) {
        if (!timed)
            return fail(r, line,
                        "the rule does not say how long: give ttl or mode");
        json_object_set_new(rule, "mode", json_string("ttl"));
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(rule_fields); i++) {
        const struct ps_cache_field *field = &rule_fields[i];
        bool text = field->kind == PS_FIELD_TEXT;
        if (json_object_get(rule, field->field) == NULL)
            json_object_set_new(rule, field->field,
                                text ? json_string("") : json_integer(0));
    }
    if (strcmp(ps_json_text(rule, "mode"), "ttl") == 0 &&
        ps_json_int(rule, "ttlMs") == 0)
        return fail(r, line, "a rule of the mode ttl needs a ttl");
    return PS_EXIT_OK;
}

/* Rules of one cache, and which there are: "type key". */
struct rules {
    json_t *list, *seen;
};

static enum ps_exit
rule_item(struct reader *r, yaml_node_t *item, void *arg)
{
    struct rules *rules = arg;
    json_t *rule = json_object();
    char *name = NULL;
    json_array_append_new(rules->list, rule);
    if (++r->n_rules > PS_MANIFEST_RULES_MAX)
        return fail(r, line_of(item), "the file has more than %d rules",
                    PS_MANIFEST_RULES_MAX);
    enum ps_exit rc = each_member(r, item, "a rule", rule_member, rule);
    if (rc == PS_EXIT_OK)
        rc = complete_rule(r, line_of(item), rule);
    if (rc != PS_EXIT_OK)
        return rc;
    PS_CHECK(asprintf(&name, "%s %s", ps_json_text(rule, "type"),
                      ps_json_text(rule, "key")) >= 0);
    const json_t *before = json_object_get(rules->seen, name);
    if (before)
        rc = fail(r, line_of(item),
                  "the cache has two rules for this %s; the other is in line "
                  "%" JSON_INTEGER_FORMAT,
                  ps_json_text(rule, "type"), json_integer_value(before));
    json_object_set_new(rules->seen, name,
                        json_integer((json_int_t)line_of(item)));
    free(name);
    return rc;
}

static enum ps_exit
read_rules(struct reader *r, const struct member *m, struct ps_wanted *cache)
{
    if (cache->rules)
        return twice(r, m);
    cache->rules = json_array();
    struct rules rules = {.list = cache->rules, .seen = json_object()};
    enum ps_exit rc = each_item(r, m, rule_item, &rules);
    json_decref(rules.seen);
    return rc;
}

/* ---- caches ---- */

static enum ps_exit
read_name(struct reader *r, const struct member *m, struct ps_wanted *cache)
{
    const char *text;
    if (cache->name)
        return twice(r, m);
    enum ps_exit rc = take_text(r, m, &text);
    if (rc != PS_EXIT_OK)
        return rc;
    if (*text == '\0')
        return fail(r, m->line, "`name` has no value");
    cache->name = strdup(text);
    PS_CHECK(cache->name);
    return PS_EXIT_OK;
}

static enum ps_exit
read_absent(struct reader *r, const struct member *m, struct ps_wanted *cache)
{
    const char *text;
    enum ps_exit rc = take_text(r, m, &text);
    if (rc == PS_EXIT_OK && !ps_value_bool(text, &cache->absent))
        return fail(r, m->line, "`%.64s` is not right for absent: give true",
                    text);
    return rc;
}

static enum ps_exit
cache_member(struct reader *r, const struct member *m, void *arg)
{
    struct ps_wanted *cache = arg;
    static const char *const others[] = {"name", "type", "absent", "rules"};
    struct ps_nearest nearest;
    ps_nearest_init(&nearest, m->key);
    if (strcmp(m->key, "name") == 0)
        return read_name(r, m, cache);
    if (strcmp(m->key, "type") == 0)
        return put(r, m, &ps_cache_type_field, cache->fields);
    if (strcmp(m->key, "absent") == 0)
        return read_absent(r, m, cache);
    if (strcmp(m->key, "rules") == 0)
        return read_rules(r, m, cache);
    for (size_t i = 0; i < ps_cache_field_count; i++) {
        if (strcmp(ps_cache_fields[i].option, m->key) == 0)
            return put(r, m, &ps_cache_fields[i], cache->fields);
        ps_nearest_try(&nearest, ps_cache_fields[i].option);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(others); i++)
        ps_nearest_try(&nearest, others[i]);
    return unknown(r, m, "a cache", &nearest);
}

static enum ps_exit
check_cache(struct reader *r, const struct ps_manifest *manifest, size_t i)
{
    const struct ps_wanted *cache = &manifest->caches[i];
    if (cache->name == NULL)
        return fail(r, cache->line, "the cache has no name");
    if (cache->absent && (json_object_size(cache->fields) > 0 || cache->rules))
        return fail(r, cache->line,
                    "`%.64s` is to be absent: then it has nothing but its "
                    "name",
                    cache->name);
    for (size_t j = 0; j < i; j++)
        if (strcmp(manifest->caches[j].name, cache->name) == 0)
            return fail(r, cache->line,
                        "`%.64s` is there twice; the other is in line %zu",
                        cache->name, manifest->caches[j].line);
    return PS_EXIT_OK;
}

static enum ps_exit
cache_item(struct reader *r, yaml_node_t *item, void *arg)
{
    struct ps_manifest *manifest = arg;
    size_t i = manifest->count;
    if (i == PS_MANIFEST_CACHES_MAX)
        return fail(r, line_of(item), "the file has more than %d caches",
                    PS_MANIFEST_CACHES_MAX);
    struct ps_wanted *list =
        realloc(manifest->caches, (i + 1) * sizeof(*manifest->caches));
    PS_CHECK(list);
    manifest->caches = list;
    list[i] =
        (struct ps_wanted){.line = line_of(item), .fields = json_object()};
    manifest->count++;
    enum ps_exit rc = each_member(r, item, "a cache", cache_member, &list[i]);
    return rc == PS_EXIT_OK ? check_cache(r, manifest, i) : rc;
}

/* ---- the file ---- */

struct top {
    struct ps_manifest *manifest;
    bool version, caches;
};

static enum ps_exit
top_member(struct reader *r, const struct member *m, void *arg)
{
    struct top *top = arg;
    struct ps_nearest nearest;
    const char *text;
    if (strcmp(m->key, "version") == 0) {
        if (top->version)
            return twice(r, m);
        top->version = true;
        enum ps_exit rc = take_text(r, m, &text);
        if (rc == PS_EXIT_OK && strcmp(text, "1") != 0)
            return fail(r, m->line,
                        "this psctl reads files of version 1, not %.64s", text);
        return rc;
    }
    if (strcmp(m->key, "caches") == 0) {
        if (top->caches)
            return twice(r, m);
        top->caches = true;
        return each_item(r, m, cache_item, top->manifest);
    }
    ps_nearest_init(&nearest, m->key);
    ps_nearest_try(&nearest, "version");
    ps_nearest_try(&nearest, "caches");
    return unknown(r, m, "the file", &nearest);
}

static enum ps_exit
read_document(struct reader *r, struct ps_manifest *out)
{
    struct top top = {.manifest = out};
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (root == NULL)
        return fail(r, 1, "the file is empty; see `psctl apply --help`");
    enum ps_exit rc = each_member(r, root, "the file", top_member, &top);
    if (rc == PS_EXIT_OK && !top.caches)
        return fail(r, line_of(root), "the file has no `caches`");
    return rc;
}

static enum ps_exit
syntax(struct reader *r, const yaml_parser_t *parser)
{
    if (parser->error == YAML_READER_ERROR)
        return fail(r, parser->mark.line + 1, "this cannot be read as text: %s",
                    parser->problem ? parser->problem : "bad encoding");
    return fail(r, parser->problem_mark.line + 1, "not YAML or JSON: %s%s%s",
                parser->problem ? parser->problem : "out of memory",
                parser->context ? " " : "",
                parser->context ? parser->context : "");
}

/* There must be no second document. */
static enum ps_exit
check_end(struct reader *r, yaml_parser_t *parser)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return syntax(r, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    size_t line = root ? line_of(root) : 0;
    yaml_document_delete(&next);
    return root ? fail(r, line, "a file has one document; join them")
                : PS_EXIT_OK;
}

static enum ps_exit
read_yaml(struct ps_str text, const char *where, struct ps_manifest *out,
          struct ps_fault *fault)
{
    yaml_parser_t parser;
    struct reader r = {.where = where, .fault = fault};
    *out = (struct ps_manifest){.caches = NULL};
    PS_CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(
        &parser, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
    enum ps_exit rc;
    if (!yaml_parser_load(&parser, &r.doc)) {
        rc = syntax(&r, &parser);
    } else {
        rc = read_document(&r, out);
        yaml_document_delete(&r.doc);
        if (rc == PS_EXIT_OK)
            rc = check_end(&r, &parser);
    }
    yaml_parser_delete(&parser);
    if (rc != PS_EXIT_OK)
        ps_manifest_done(out);
    return rc;
}

/* ---- JSON ---- */

/* The length of the character at text[at], and its number; what is not UTF-8
 * is left to libyaml. */
static size_t
next_char(struct ps_str text, size_t at, unsigned *code)
{
    const unsigned char *c = (const unsigned char *)text.ptr + at;
    size_t left = text.len - at;
    *code = c[0];
    if (left >= 2 && (c[0] & 0xe0) == 0xc0) {
        *code = (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu);
        return 2;
    }
    if (left >= 3 && (c[0] & 0xf0) == 0xe0) {
        *code = (c[0] & 0xfu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
        return 3;
    }
    return 1;
}

/* A character that is escaped in halves at text[at]: 12 bytes and what it is;
 * else 0. */
static size_t
surrogates(struct ps_str text, size_t at, unsigned *code)
{
    char part[13], *end;
    if (text.len - at < 12)
        return 0;
    memcpy(part, text.ptr + at, 12);
    part[12] = '\0';
    char *middle = part + 6;
    if (part[1] != 'u' || middle[0] != '\\' || middle[1] != 'u')
        return 0;
    middle[0] = '\0';
    unsigned high = (unsigned)strtoul(part + 2, &end, 16);
    unsigned low = (unsigned)strtoul(middle + 2, NULL, 16);
    if (end != middle || high < 0xd800 || high > 0xdbff || low < 0xdc00 ||
        low > 0xdfff)
        return 0;
    *code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/* May stand in a JSON string; ends a line in YAML, or is refused there. */
static bool
is_odd(unsigned code, size_t len)
{
    return code == 0x7f || (len == 2 && code >= 0x80 && code <= 0x9f) ||
           code == 0x2028 || code == 0x2029 || code == 0xfeff ||
           code == 0xfffe || code == 0xffff;
}

/*
 * JSON is YAML but for two things: some characters that may stand in a JSON
 * string as they are, and characters above U+FFFF that are escaped in halves.
 * Outside of strings neither can occur.
 */
static void
json_as_yaml(struct ps_str text, struct ps_buf *out)
{
    unsigned code;
    size_t len;
    for (size_t at = 0; at < text.len; at += len) {
        bool escape = text.ptr[at] == '\\';
        len = escape ? surrogates(text, at, &code) : 0;
        if (len > 0) {
            ps_buf_printf(out, "\\U%08x", code);
            continue;
        }
        len = escape ? PS_MIN(text.len - at, (size_t)2)
                     : next_char(text, at, &code);
        if (!escape && is_odd(code, len))
            ps_buf_printf(out, "\\u%04x", code);
        else
            ps_buf_append(out, text.ptr + at, len);
    }
}

enum ps_exit
ps_manifest_read(struct ps_str text, const char *where, struct ps_manifest *out,
                 struct ps_fault *fault)
{
    struct ps_buf yaml;
    size_t at = 0;
    while (at < text.len && strchr(" \t\r\n", text.ptr[at]))
        at++;
    if (at == text.len || text.ptr[at] != '{')
        return read_yaml(text, where, out, fault);
    ps_buf_init(&yaml, (size_t)PS_MANIFEST_MAX * 6 + 16);
    json_as_yaml(text, &yaml);
    PS_CHECK(ps_buf_rc(&yaml) == PS_OK);
    enum ps_exit rc = read_yaml(ps_buf_str(&yaml), where, out, fault);
    ps_buf_done(&yaml);
    return rc;
}

void
ps_manifest_done(struct ps_manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        free(manifest->caches[i].name);
        json_decref(manifest->caches[i].fields);
        json_decref(manifest->caches[i].rules);
    }
    free(manifest->caches);
    *manifest = (struct ps_manifest){.caches = NULL};
}
