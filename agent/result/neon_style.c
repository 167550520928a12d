/*
 * The form of Neon's SQL over HTTP. Values that are not raw text: bool, int2,
 * int4, finite floats, json and arrays as JSON has them, the rest as strings
 * of PostgreSQL's own text.
 */
#include "agent/result/js_number.h"
#include "agent/result/json_copy.h"
#include "agent/result/pg_values.h"
#include "agent/result/styles.h"
#include "agent/result/values.h"

/* ---- values ---- */

enum kind {
    KIND_TEXT,
    KIND_BOOL,
    KIND_NUMBER,
    KIND_JSON,
    KIND_ARRAY = 16 /* + the kind of its elements */
};

static const struct {
    uint32_t oid;
    uint32_t kind;
} kinds[] = {
    {16,   KIND_BOOL               },
    {21,   KIND_NUMBER             }, /* int2 */
    {23,   KIND_NUMBER             }, /* int4 */
    {700,  KIND_NUMBER             }, /* float4 */
    {701,  KIND_NUMBER             }, /* float8 */
    {114,  KIND_JSON               },
    {3802, KIND_JSON               }, /* jsonb */
    {1000, KIND_ARRAY | KIND_BOOL  },
    {1005, KIND_ARRAY | KIND_NUMBER},
    {1007, KIND_ARRAY | KIND_NUMBER},
    {1021, KIND_ARRAY | KIND_NUMBER},
    {1022, KIND_ARRAY | KIND_NUMBER},
    {199,  KIND_ARRAY | KIND_JSON  },
    {3807, KIND_ARRAY | KIND_JSON  },
    {143,  KIND_ARRAY              }, /* xml */
    {651,  KIND_ARRAY              }, /* cidr */
    {1001, KIND_ARRAY              }, /* bytea */
    {1009, KIND_ARRAY              }, /* text */
    {1014, KIND_ARRAY              }, /* bpchar */
    {1015, KIND_ARRAY              }, /* varchar */
    {1016, KIND_ARRAY              }, /* int8 */
    {1028, KIND_ARRAY              }, /* oid */
    {1041, KIND_ARRAY              }, /* inet */
    {1115, KIND_ARRAY              }, /* timestamp */
    {1182, KIND_ARRAY              }, /* date */
    {1183, KIND_ARRAY              }, /* time */
    {1185, KIND_ARRAY              }, /* timestamptz */
    {1187, KIND_ARRAY              }, /* interval */
    {1231, KIND_ARRAY              }, /* numeric */
    {2951, KIND_ARRAY              }, /* uuid */
};

static uint32_t
kind_of(const struct ps_column *column)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(kinds); i++) {
        if (kinds[i].oid == column->type)
            return kinds[i].kind;
    }
    return KIND_TEXT;
}

/* NaN and the infinities have no number in JSON. */
static void
number_json(struct ps_buf *out, struct ps_str text)
{
    char number[PS_JS_NUMBER_MAX];
    size_t n = ps_js_number(text, true, number);
    if (ps_str_eq((struct ps_str){number, n}, PS_STR("null")))
        ps_buf_append_json(out, text);
    else
        ps_buf_append(out, number, n);
}

static enum ps_rc
scalar_json(struct ps_buf *out, uint32_t kind, struct ps_str text)
{
    switch (kind) {
    case KIND_BOOL:
        ps_buf_append_c(out, ps_str_eq(text, PS_STR("t")) ? "true" : "false");
        return PS_OK;
    case KIND_NUMBER:
        number_json(out, text);
        return PS_OK;
    case KIND_JSON:
        return ps_json_copy(out, text) == PS_OK ? PS_OK : PS_ORIGIN_PROTOCOL;
    default:
        ps_buf_append_json(out, text);
        return PS_OK;
    }
}

/* ---- array literals (PostgreSQL: array_out) ---- */

struct literal {
    const char *p, *end;
    uint32_t kind; /* of the elements */
    struct ps_buf *out, *scratch;
};

/* One element between commas; quoted ones are never NULL. */
static enum ps_rc
element(struct literal *l)
{
    bool quoted = *l->p == '"';
    ps_buf_clear(l->scratch);
    if (quoted)
        l->p++;
    while (l->p < l->end &&
           (quoted ? *l->p != '"' : *l->p != ',' && *l->p != '}')) {
        if (*l->p == '\\' && ++l->p == l->end)
            return PS_ORIGIN_PROTOCOL;
        ps_buf_append_char(l->scratch, *l->p++);
    }
    if (quoted && l->p++ == l->end)
        return PS_ORIGIN_PROTOCOL;
    struct ps_str text = ps_buf_str(l->scratch);
    if (!quoted && ps_str_eq(text, PS_STR("NULL"))) {
        ps_buf_append_c(l->out, "null");
        return ps_buf_rc(l->scratch);
    }
    enum ps_rc rc = scalar_json(l->out, l->kind, text);
    return rc == PS_OK ? ps_buf_rc(l->scratch) : rc;
}

/* "[1:2][0:1]={...}": bounds are left out. Nesting becomes nesting. */
static enum ps_rc
array_json(struct literal *l)
{
    unsigned depth = 0;
    const char *equals = l->p < l->end && *l->p == '['
                             ? memchr(l->p, '=', (size_t)(l->end - l->p))
                             : NULL;
    if (equals)
        l->p = equals + 1;
    while (l->p < l->end) {
        char c = *l->p;
        enum ps_rc rc = PS_OK;
        if (c == '{' || c == '}' || c == ',') {
            ps_buf_append_char(l->out, c == '{' ? '[' : c == '}' ? ']' : ',');
            l->p++;
            depth += c == '{';
            if (c == '}' && depth-- == 0)
                return PS_ORIGIN_PROTOCOL;
            if (depth == 0)
                break;
        } else if (depth == 0) {
            return PS_ORIGIN_PROTOCOL;
        } else {
            rc = element(l);
        }
        if (rc != PS_OK)
            return rc;
    }
    return l->p == l->end && depth == 0 ? PS_OK : PS_ORIGIN_PROTOCOL;
}

static enum ps_rc
json(struct ps_buf *out, uint32_t kind, struct ps_str text,
     struct ps_buf *scratch)
{
    if (!(kind & KIND_ARRAY))
        return scalar_json(out, kind, text);
    struct literal l = {.p = text.ptr,
                        .end = text.ptr + text.len,
                        .kind = kind & ~(uint32_t)KIND_ARRAY,
                        .out = out,
                        .scratch = scratch};
    return array_json(&l);
}

static const struct ps_values values = {.kind_of = kind_of, .json = json};

static uint32_t
raw_kind_of(const struct ps_column *column)
{
    (void)column;
    return KIND_TEXT;
}

static const struct ps_values raw_values = {.kind_of = raw_kind_of,
                                            .json = json};

/* ---- around the rows ---- */

static void
number_field(struct ps_buf *out, const char *key, int64_t value)
{
    ps_buf_append_c(out, key);
    ps_buf_append_i64(out, value);
}

static void
begin(struct ps_buf *out, int provider, const struct ps_column *columns,
      size_t n)
{
    (void)provider;
    ps_buf_append_c(out, "{\"fields\":[");
    for (size_t i = 0; i < n; i++) {
        const struct ps_column *c = &columns[i];
        ps_buf_append_c(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        ps_buf_append_json(out, c->name);
        number_field(out, ",\"dataTypeID\":", c->type);
        number_field(out, ",\"tableID\":", c->table);
        number_field(out, ",\"columnID\":", c->table_column);
        number_field(out, ",\"dataTypeSize\":", c->type_size);
        number_field(out, ",\"dataTypeModifier\":", c->type_modifier);
        ps_buf_append_c(out, ",\"format\":\"text\"}");
    }
    ps_buf_append_c(out, "],\"rows\":[");
}

/* Commands whose tag carries a count. */
static bool
has_count(struct ps_str command)
{
    static const char *const words[] = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                        "MERGE",  "MOVE",   "FETCH",  "COPY"};
    for (size_t i = 0; i < PS_ARRAY_LEN(words); i++) {
        if (ps_str_eq(command, ps_str_of(words[i])))
            return true;
    }
    return false;
}

/* command is the first word of the tag, as in node-pg. */
static void
end_common(struct ps_buf *out, const struct ps_result_end *end, bool arrays)
{
    struct ps_str first = end->command;
    const char *space = first.len ? memchr(first.ptr, ' ', first.len) : NULL;
    if (space)
        first.len = (size_t)(space - first.ptr);
    ps_buf_append_c(out, "],\"command\":");
    ps_buf_append_json(out, first);
    ps_buf_append_c(out, ",\"rowCount\":");
    if (has_count(end->command))
        ps_buf_append_u64(out, end->rows);
    else
        ps_buf_append_c(out, "null");
    ps_buf_append_c(out, arrays ? ",\"rowAsArray\":true}"
                                : ",\"rowAsArray\":false}");
}

static void
end_arrays(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
           uint64_t n_rows)
{
    (void)any_set;
    (void)n_rows;
    end_common(out, end, true);
}

static void
end_objects(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
            uint64_t n_rows)
{
    (void)any_set;
    (void)n_rows;
    end_common(out, end, false);
}

static void
error(struct ps_buf *out, const struct ps_origin_error *error)
{
    static const char *const keys[] = {
#define X(name, key) "\"" key "\":",
        PS_ORIGIN_ERROR_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < PS_ORIGIN_ERROR_COUNT; i++) {
        ps_buf_append_char(out, i == 0 ? '{' : ',');
        ps_buf_append_c(out, keys[i]);
        ps_origin_text_json(out, error->fields[i]);
    }
    ps_buf_append_char(out, '}');
}

#define STYLE(array, ending, forms)                                         \
    {                                                                       \
        .begin = begin, .between = ",", .end = (ending), .arrays = (array), \
        .values = (forms), .error = error                                   \
    }

const struct ps_rows_style ps_neon_style[2][2] = {
    {STYLE(false, end_objects, &values),
     STYLE(false,                                    end_objects, &raw_values)},
    {STYLE(true,  end_arrays,  &values), STYLE(true, end_arrays,  &raw_values)}
};
