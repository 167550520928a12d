/*
 * The table of types is pg-types 2 lib/textParsers.js, entry by entry: what
 * it registers no parser for (numeric, uuid, inet, enum, composite, range,
 * box[] ...) stays a string. Domains arrive with the OID of their base type.
 */
#include "agent/result/pg_values.h"

#include "agent/result/js_number.h"
#include "agent/result/json_copy.h"
#include "agent/result/pg_time.h"
#include "agent/result/values.h"

#include <stdio.h>

#define SCALAR(kind) \
    {                \
        kind, false  \
    }
#define ARRAY(kind) \
    {               \
        kind, true  \
    }

/* By OID (pg_type.dat); a hole is a string. */
static const struct ps_pg_type types[] = {
    [16] = SCALAR(PS_PG_BOOL),       [17] = SCALAR(PS_PG_BYTEA),
    [21] = SCALAR(PS_PG_INT),     /* int2 */
    [23] = SCALAR(PS_PG_INT),     /* int4 */
    [26] = SCALAR(PS_PG_INT),     /* oid */
    [114] = SCALAR(PS_PG_JSON),   /* json */
    [199] = ARRAY(PS_PG_JSON),    /* json[] */
    [600] = SCALAR(PS_PG_POINT),  /* point */
    [651] = ARRAY(PS_PG_TEXT),    /* cidr[] */
    [700] = SCALAR(PS_PG_FLOAT),  /* float4 */
    [701] = SCALAR(PS_PG_FLOAT),  /* float8 */
    [718] = SCALAR(PS_PG_CIRCLE), /* circle */
    [791] = ARRAY(PS_PG_TEXT),    /* money[] */
    [1000] = ARRAY(PS_PG_BOOL),   /* bool[] */
    [1001] = ARRAY(PS_PG_BYTEA),  /* bytea[] */
    [1005] = ARRAY(PS_PG_INT),    /* int2[] */
    [1007] = ARRAY(PS_PG_INT),    /* int4[] */
    [1008] = ARRAY(PS_PG_TEXT),   /* regproc[] */
    [1009] = ARRAY(PS_PG_TEXT),   /* text[] */
    [1014] = ARRAY(PS_PG_TEXT),   /* bpchar[] */
    [1015] = ARRAY(PS_PG_TEXT),   /* varchar[] */
    [1016] = ARRAY(PS_PG_TEXT),   /* int8[]: strings, as int8 itself */
    [1017] = ARRAY(PS_PG_POINT),  /* point[] */
    [1021] = ARRAY(PS_PG_FLOAT),  /* float4[] */
    [1022] = ARRAY(PS_PG_FLOAT),  /* float8[] */
    [1028] = ARRAY(PS_PG_INT),    /* oid[] */
    [1040] = ARRAY(PS_PG_TEXT),   /* macaddr[] */
    [1041] = ARRAY(PS_PG_TEXT),   /* inet[] */
    [1082] = SCALAR(PS_PG_DATE),  /* date */
    [1114] = SCALAR(PS_PG_DATE),  /* timestamp */
    [1115] = ARRAY(PS_PG_DATE),   /* timestamp[] */
    [1182] = ARRAY(PS_PG_DATE),   /* date[] */
    [1183] = ARRAY(PS_PG_TEXT),   /* time[] */
    [1184] = SCALAR(PS_PG_DATE),  /* timestamptz */
    [1185] = ARRAY(PS_PG_DATE),   /* timestamptz[] */
    [1186] = SCALAR(PS_PG_INTERVAL), [1187] = ARRAY(PS_PG_INTERVAL),
    [1231] = ARRAY(PS_PG_DIGITS), /* numeric[] */
    [1270] = ARRAY(PS_PG_TEXT),   /* timetz[] */
    [2951] = ARRAY(PS_PG_TEXT),   /* uuid[] */
    [3802] = SCALAR(PS_PG_JSON),  /* jsonb */
    [3807] = ARRAY(PS_PG_JSON),   /* jsonb[] */
    [3907] = ARRAY(PS_PG_TEXT),   /* numrange[] */
};

struct ps_pg_type
ps_pg_type_of(uint32_t oid)
{
    if (oid < PS_ARRAY_LEN(types))
        return types[oid];
    return (struct ps_pg_type)SCALAR(PS_PG_TEXT);
}

static void
bool_json(struct ps_buf *out, struct ps_str text)
{
    static const char *const truths[] = {"t",   "true", "TRUE", "y",
                                         "yes", "on",   "1"};
    for (size_t i = 0; i < PS_ARRAY_LEN(truths); i++) {
        if (ps_str_eq(text, ps_str_of(truths[i]))) {
            ps_buf_append(out, "true", 4);
            return;
        }
    }
    ps_buf_append(out, "false", 5);
}

static void
number_json(struct ps_buf *out, struct ps_str text, bool exact)
{
    char number[PS_JS_NUMBER_MAX];
    ps_buf_append(out, number, ps_js_number(text, exact, number));
}

/* Integers of at most 32 bits are written alike by both. */
static void
int_json(struct ps_buf *out, struct ps_str text)
{
    size_t first = text.len > 0 && *text.ptr == '-' ? 1 : 0;
    bool plain = text.len > first && text.len <= 11 &&
                 (text.ptr[first] != '0' || text.len == 1);
    for (size_t i = first; plain && i < text.len; i++)
        plain = text.ptr[i] >= '0' && text.ptr[i] <= '9';
    if (plain)
        ps_buf_append_str(out, text);
    else
        number_json(out, text, false);
}

/* ---------------------------------------------------------------- bytea */

/* Bytes as "1,2,255," through a small buffer. */
struct byte_list {
    struct ps_buf *out;
    bool any;
    size_t n;
    char text[1024];
};

static void
list_flush(struct byte_list *list)
{
    ps_buf_append(list->out, list->text, list->n);
    list->n = 0;
}

static void
list_add(struct byte_list *list, unsigned char byte)
{
    if (list->n + 4 > sizeof(list->text))
        list_flush(list);
    if (list->any)
        list->text[list->n++] = ',';
    list->any = true;
    if (byte >= 100)
        list->text[list->n++] = (char)('0' + byte / 100);
    if (byte >= 10)
        list->text[list->n++] = (char)('0' + byte / 10 % 10);
    list->text[list->n++] = (char)('0' + byte % 10);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* bytea_output = hex; ends at the first pair that is none, as Buffer.from. */
static void
hex_bytes(struct byte_list *list, struct ps_str text)
{
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return;
        list_add(list, (unsigned char)(high << 4 | low));
    }
}

static bool
is_octal(const char *at)
{
    for (int i = 0; i < 3; i++) {
        if (at[i] < '0' || at[i] > '7')
            return false;
    }
    return true;
}

/* bytea_output = escape: \\ and \ooo. */
static void
escaped_bytes(struct byte_list *list, struct ps_str text)
{
    for (size_t i = 0; i < text.len;) {
        const char *at = text.ptr + i;
        if (*at != '\\') {
            list_add(list, (unsigned char)*at);
            i++;
        } else if (text.len - i >= 4 && is_octal(at + 1)) {
            list_add(list, (unsigned char)((at[1] - '0') << 6 |
                                           (at[2] - '0') << 3 | (at[3] - '0')));
            i += 4;
        } else {
            list_add(list, '\\');
            i += 2;
        }
    }
}

static void
bytea_json(struct ps_buf *out, struct ps_str text)
{
    struct byte_list list;
    list.out = out;
    list.any = false;
    list.n = 0;
    ps_buf_append_c(out, "{\"type\":\"Buffer\",\"data\":[");
    if (text.len >= 2 && memcmp(text.ptr, "\\x", 2) == 0)
        hex_bytes(&list, (struct ps_str){text.ptr + 2, text.len - 2});
    else
        escaped_bytes(&list, text);
    list_flush(&list);
    ps_buf_append(out, "]}", 2);
}

/* --------------------------------------------------------------- geometry */

/* "x,y" without parentheses, as two members. */
static void
xy_json(struct ps_buf *out, struct ps_str pair)
{
    const char *comma = pair.len ? memchr(pair.ptr, ',', pair.len) : NULL;
    size_t first = comma ? (size_t)(comma - pair.ptr) : pair.len;
    struct ps_str y = {pair.ptr + first, pair.len - first};
    if (comma) {
        y.ptr++;
        y.len--;
    }
    ps_buf_append_c(out, "\"x\":");
    number_json(out, (struct ps_str){pair.ptr, first}, true);
    ps_buf_append_c(out, ",\"y\":");
    number_json(out, y, true);
}

/* (x,y) */
static void
point_json(struct ps_buf *out, struct ps_str text)
{
    if (text.len < 2 || text.ptr[0] != '(') {
        ps_buf_append(out, "null", 4);
        return;
    }
    ps_buf_append_char(out, '{');
    xy_json(out, (struct ps_str){text.ptr + 1, text.len - 2});
    ps_buf_append_char(out, '}');
}

/* <(x,y),r> */
static void
circle_json(struct ps_buf *out, struct ps_str text)
{
    const char *close = text.len ? memchr(text.ptr, ')', text.len) : NULL;
    if (text.len < 4 || text.ptr[0] != '<' || text.ptr[1] != '(' || !close) {
        ps_buf_append(out, "null", 4);
        return;
    }
    const char *center = text.ptr + 2, *end = text.ptr + text.len;
    const char *radius = close + 1;
    if (radius < end && *radius == ',')
        radius++;
    ps_buf_append_char(out, '{');
    xy_json(out, (struct ps_str){center, (size_t)(close - center)});
    ps_buf_append_c(out, ",\"radius\":");
    number_json(out, (struct ps_str){radius, (size_t)(end - radius)}, true);
    ps_buf_append_char(out, '}');
}

/* ------------------------------------------------------------------- all */

enum ps_rc
ps_pg_value_json(struct ps_buf *out, struct ps_pg_type type, struct ps_str text,
                 struct ps_buf *scratch)
{
    if (type.array)
        return ps_pg_array_json(out, (enum ps_pg_kind)type.kind, text, scratch);
    switch ((enum ps_pg_kind)type.kind) {
    case PS_PG_BOOL:
        bool_json(out, text);
        break;
    case PS_PG_INT:
        int_json(out, text);
        break;
    case PS_PG_FLOAT:
        number_json(out, text, true);
        break;
    case PS_PG_DIGITS:
        number_json(out, text, false);
        break;
    case PS_PG_BYTEA:
        bytea_json(out, text);
        break;
    case PS_PG_JSON:
        return ps_json_copy(out, text) == PS_OK ? PS_OK : PS_ORIGIN_PROTOCOL;
    case PS_PG_DATE:
        ps_pg_date_json(out, text);
        break;
    case PS_PG_INTERVAL:
        ps_pg_interval_json(out, text);
        break;
    case PS_PG_POINT:
        point_json(out, text);
        break;
    case PS_PG_CIRCLE:
        circle_json(out, text);
        break;
    case PS_PG_TEXT:
    case PS_PG_KIND_COUNT:
        ps_buf_append_json(out, text);
        break;
    }
    return PS_OK;
}

/* ---- for the encoder ---- */

static uint32_t
kind_of(const struct ps_column *column)
{
    struct ps_pg_type type = ps_pg_type_of(column->type);
    return (uint32_t)type.kind | (uint32_t)type.array << 8;
}

static enum ps_rc
json(struct ps_buf *out, uint32_t kind, struct ps_str text,
     struct ps_buf *scratch)
{
    struct ps_pg_type type = {.kind = (unsigned char)kind,
                              .array = kind >> 8 != 0};
    return ps_pg_value_json(out, type, text, scratch);
}

const struct ps_values ps_pg_values = {.kind_of = kind_of, .json = json};
