/*
 * The form of PlanetScale's serverless API, which is that of Vitess' protobuf
 * messages as JSON (query.proto: Field, Row, QueryResult): 64-bit numbers are
 * strings, zero numbers and empty strings are left out.
 */
#include "agent/result/styles.h"
#include "agent/result/type_names.h"

static void
text_field(struct ps_buf *out, const char *key, struct ps_str text)
{
    if (text.len == 0)
        return;
    ps_buf_append_c(out, key);
    ps_buf_append_json(out, text);
}

static void
number_field(struct ps_buf *out, const char *key, uint64_t value)
{
    if (value == 0)
        return;
    ps_buf_append_c(out, key);
    ps_buf_append_u64(out, value);
}

/* "varchar(50)", "bigint unsigned": without the width of numbers, which only
 * tells how wide they are printed. */
static void
column_type(struct ps_buf *out, const struct ps_column *column)
{
    enum {
        BINARY = 63
    };
    const char *name = ps_my_type_name(column);
    const char *vitess = ps_vitess_type(column);
    /* utf8mb4: the length is counted in bytes, four for a character. */
    uint32_t width = column->charset == BINARY ? 1 : 4;
    ps_buf_append_c(out, ",\"columnType\":\"");
    ps_buf_append_c(out, name);
    if (strstr(name, "char") || strstr(name, "binary"))
        ps_buf_printf(out, "(%u)", (unsigned)column->type_size / width);
    if (vitess && vitess[0] == 'U')
        ps_buf_append_c(out, " unsigned");
    ps_buf_append_char(out, '"');
}

static void
field(struct ps_buf *out, const struct ps_column *c)
{
    const char *type = ps_vitess_type(c);
    ps_buf_append_c(out, "{\"name\":");
    ps_buf_append_json(out, c->name);
    if (type) {
        ps_buf_append_c(out, ",\"type\":\"");
        ps_buf_append_c(out, type);
        ps_buf_append_char(out, '"');
    }
    text_field(out, ",\"table\":", c->table_name);
    text_field(out, ",\"orgTable\":", c->org_table);
    text_field(out, ",\"database\":", c->database);
    text_field(out, ",\"orgName\":", c->org_name);
    number_field(out, ",\"columnLength\":", (uint32_t)c->type_size);
    number_field(out, ",\"charset\":", c->charset);
    number_field(out, ",\"decimals\":", (uint32_t)c->type_modifier);
    number_field(out, ",\"flags\":", c->flags);
    if (c->org_table.len > 0)
        column_type(out, c);
    ps_buf_append_char(out, '}');
}

static void
begin(struct ps_buf *out, int provider, const struct ps_column *columns,
      size_t n)
{
    (void)provider;
    ps_buf_append_char(out, '{');
    if (n == 0)
        return;
    ps_buf_append_c(out, "\"fields\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            ps_buf_append_char(out, ',');
        field(out, &columns[i]);
    }
    ps_buf_append_c(out, "],\"rows\":[");
}

static void
end(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
    uint64_t n_rows)
{
    (void)n_rows;
    const char *comma = "";
    if (any_set) {
        ps_buf_append_char(out, ']');
    } else {
        if (end->rows > 0) {
            ps_buf_append_c(out, "\"rowsAffected\":\"");
            ps_buf_append_u64(out, end->rows);
            ps_buf_append_char(out, '"');
            comma = ",";
        }
        if (end->insert_id > 0) {
            ps_buf_append_c(out, comma);
            ps_buf_append_c(out, "\"insertId\":\"");
            ps_buf_append_u64(out, end->insert_id);
            ps_buf_append_char(out, '"');
        }
    }
    ps_buf_append_char(out, '}');
}

/* ---- rows: all values of one joined and written in base64 ---- */

struct base64 {
    struct ps_buf *out;
    uint32_t bits;
    unsigned have; /* bytes in bits */
};

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *
put_group(char *at, uint32_t bits)
{
    at[0] = digits[bits >> 18 & 63];
    at[1] = digits[bits >> 12 & 63];
    at[2] = digits[bits >> 6 & 63];
    at[3] = digits[bits & 63];
    return at + 4;
}

static void
base64_add(struct base64 *b, const char *bytes, size_t n)
{
    char *start = ps_buf_reserve(b->out, (n + b->have) / 3 * 4 + 4),
         *at = start;
    if (!start)
        return;
    for (size_t i = 0; i < n; i++) {
        b->bits = b->bits << 8 | (unsigned char)bytes[i];
        if (++b->have == 3) {
            at = put_group(at, b->bits & 0xFFFFFF);
            b->have = 0;
            b->bits = 0;
        }
    }
    b->out->len += (size_t)(at - start);
}

static void
base64_end(struct base64 *b)
{
    char text[4];
    if (b->have == 0)
        return;
    put_group(text, b->bits << (b->have == 1 ? 16 : 8));
    memcpy(text + b->have + 1, "==", 3 - b->have);
    ps_buf_append(b->out, text, 4);
}

static void
row(struct ps_buf *out, const struct ps_cell *cells, size_t n)
{
    struct base64 values = {.out = out};
    ps_buf_append_c(out, "{\"lengths\":[");
    for (size_t i = 0; i < n; i++) {
        ps_buf_append_c(out, i > 0 ? ",\"" : "\"");
        if (cells[i].ptr)
            ps_buf_append_u64(out, cells[i].len);
        else
            ps_buf_append_c(out, "-1");
        ps_buf_append_char(out, '"');
    }
    ps_buf_append_c(out, "],\"values\":\"");
    for (size_t i = 0; i < n; i++) {
        if (cells[i].ptr)
            base64_add(&values, cells[i].ptr, cells[i].len);
    }
    base64_end(&values);
    ps_buf_append_c(out, "\"}");
}

/* Vitess' code (vtrpc.proto: enum Code) of what MySQL said. */
static const char *
code_of(unsigned number)
{
    switch (number) {
    case 1007:
    case 1050:
    case 1062:
        return "ALREADY_EXISTS";
    case 1044:
    case 1142:
    case 1143:
    case 1227:
        return "PERMISSION_DENIED";
    case 1049:
    case 1054:
    case 1146:
        return "NOT_FOUND";
    case 1064:
    case 1366:
    case 1406:
        return "INVALID_ARGUMENT";
    case 1205:
    case 1213:
        return "ABORTED";
    case 1048:
    case 1451:
    case 1452:
        return "FAILED_PRECONDITION";
    default:
        return "UNKNOWN";
    }
}

/* MySQL says it in this way itself; ORMs read number and state from the end of
 * the text. */
static void
error(struct ps_buf *out, const struct ps_origin_error *error)
{
    const char *message = error->fields[PS_ORIGIN_ERROR_MESSAGE];
    const char *state = error->fields[PS_ORIGIN_ERROR_CODE];
    ps_buf_append_c(out, "{\"code\":\"");
    ps_buf_append_c(out, code_of(error->number));
    ps_buf_append_c(out, "\",\"message\":");
    ps_origin_text_json(out, message ? message : "");
    if (out->len > 0)
        out->len--; /* the quote */
    ps_buf_printf(out, " (errno %u) (sqlstate %.5s)\"}", error->number,
                  state && state[0] ? state : "HY000");
}

const struct ps_rows_style ps_planetscale_style = {
    .begin = begin, .between = ",", .end = end, .row = row, .error = error};

static void
silent_begin(struct ps_buf *out, int provider, const struct ps_column *columns,
             size_t n)
{
    (void)out;
    (void)provider;
    (void)columns;
    (void)n;
}

static void
silent_row(struct ps_buf *out, const struct ps_cell *cells, size_t n)
{
    (void)out;
    (void)cells;
    (void)n;
}

static void
silent_end(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
           uint64_t n_rows)
{
    (void)end;
    (void)any_set;
    (void)n_rows;
    ps_buf_append_c(out, "{}");
}

const struct ps_rows_style ps_planetscale_silent_style = {.begin = silent_begin,
                                                          .between = "",
                                                          .end = silent_end,
                                                          .row = silent_row,
                                                          .error = error};
