#include "agent/sql/disjoint.h"

/* Where a value comes from, and so how far it can be trusted. */
enum origin {
    PLAIN,
    /* Of a parameter, whose type may be a floating one, or concluded from
     * another column, whose type may be, or text, which MySQL may compare as
     * a floating number: exact below 2^53 only. */
    LOOSE
};

#define EXACT_INTEGERS ((int64_t)1 << 53)

/* Decimal digits with a sign before and space around them, as every server
 * reads an integer; anything else is not told. */
static bool
parse_integer(struct ps_str text, int64_t *out)
{
    size_t i = 0, end = text.len;
    int64_t value = 0;
    bool negative;

    while (i < end && text.ptr[i] == ' ')
        i++;
    while (end > i && text.ptr[end - 1] == ' ')
        end--;
    negative = i < end && text.ptr[i] == '-';
    if (i < end && (text.ptr[i] == '-' || text.ptr[i] == '+'))
        i++;
    if (i == end || end - i > 18)
        return false;
    for (; i < end; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 digits, with or without the four usual hyphens, perhaps in braces. */
static bool
parse_uuid(struct ps_str text, unsigned char out[16])
{
    size_t n = 0;
    if (text.len >= 2 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}')
        text = (struct ps_str){.ptr = text.ptr + 1, .len = text.len - 2};
    if (text.len != 32 && text.len != 36)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool hyphen =
            text.len == 36 && (i == 8 || i == 13 || i == 18 || i == 23);
        int digit = hex_digit(text.ptr[i]);
        if (hyphen ? text.ptr[i] != '-' : digit < 0)
            return false;
        if (hyphen)
            continue;
        out[n / 2] = (unsigned char)(n % 2 ? out[n / 2] << 4 | digit : digit);
        n++;
    }
    return true;
}

static bool
parse_boolean(struct ps_str text, int64_t *out)
{
    static const struct {
        struct ps_str text;
        bool value;
    } words[] = {
        {PS_STR("true"),  true },
        {PS_STR("false"), false},
        {PS_STR("t"),     true },
        {PS_STR("f"),     false},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(words); i++)
        if (ps_str_eq_nocase(text, words[i].text)) {
            *out = words[i].value;
            return true;
        }
    return false;
}

/* A cast to the column's own kind, or to text that is read again, leaves the
 * value alone. */
static bool
cast_is_harmless(struct ps_str cast, enum ps_sql_column_type type)
{
    static const struct {
        struct ps_str name;
        enum ps_sql_column_type type;
    } casts[] = {
        {PS_STR("int"),      PS_SQL_COLUMN_INT },
        {PS_STR("int2"),     PS_SQL_COLUMN_INT },
        {PS_STR("int4"),     PS_SQL_COLUMN_INT },
        {PS_STR("int8"),     PS_SQL_COLUMN_INT },
        {PS_STR("integer"),  PS_SQL_COLUMN_INT },
        {PS_STR("bigint"),   PS_SQL_COLUMN_INT },
        {PS_STR("smallint"), PS_SQL_COLUMN_INT },
        {PS_STR("uuid"),     PS_SQL_COLUMN_UUID},
        {PS_STR("bool"),     PS_SQL_COLUMN_BOOL},
        {PS_STR("boolean"),  PS_SQL_COLUMN_BOOL},
    };
    if (cast.len == 0)
        return true;
    for (size_t i = 0; i < PS_ARRAY_LEN(casts); i++)
        if (ps_str_eq(cast, casts[i].name))
            return casts[i].type == type;
    return false;
}

static bool
value_of(const struct ps_sql_value *v, enum ps_sql_column_type type,
         enum origin origin, struct ps_sql_row_value *out)
{
    *out = (struct ps_sql_row_value){.type = type};
    switch (type) {
    case PS_SQL_COLUMN_INT:
        if (v->kind == PS_SQL_VALUE_INT)
            out->integer = v->integer;
        else if (v->kind != PS_SQL_VALUE_STRING ||
                 !parse_integer(v->text, &out->integer))
            return false;
        else
            origin = LOOSE;
        return origin == PLAIN || (out->integer < EXACT_INTEGERS &&
                                   out->integer > -EXACT_INTEGERS);
    case PS_SQL_COLUMN_UUID:
        return v->kind == PS_SQL_VALUE_STRING && parse_uuid(v->text, out->uuid);
    case PS_SQL_COLUMN_BOOL:
        if (v->kind == PS_SQL_VALUE_BOOL)
            out->integer = v->boolean;
        else
            return v->kind == PS_SQL_VALUE_STRING &&
                   parse_boolean(v->text, &out->integer);
        return true;
    default:
        return false;
    }
}

/* Adds the values of one predicate; NULL is none. False: not all are known. */
static bool
add_values(const struct ps_sql_predicate *p, enum ps_sql_column_type type,
           const struct ps_sql_bindings *b, struct ps_sql_row_values *out)
{
    for (size_t i = 0; i < p->n_values; i++) {
        const struct ps_sql_value *v = &p->values[i];
        enum origin origin = p->derived ? LOOSE : PLAIN;
        if (!cast_is_harmless(v->cast, type))
            return false;
        if (v->kind == PS_SQL_VALUE_PARAM) {
            if (!b || v->index < 0 || (size_t)v->index >= b->n)
                return false;
            v = &b->values[v->index];
            origin = LOOSE;
        }
        if (v->kind == PS_SQL_VALUE_NULL && !p->draws)
            continue;
        if (out->n == PS_SQL_ROW_VALUES ||
            !value_of(v, type, origin, &out->at[out->n]) ||
            (p->draws && type == PS_SQL_COLUMN_INT &&
             out->at[out->n].integer == 0))
            return false;
        out->n++;
    }
    return true;
}

static const struct ps_sql_predicate *
find_predicate(const struct ps_sql_predicate *list, size_t n,
               struct ps_str column)
{
    for (size_t i = 0; i < n; i++)
        if (ps_str_eq(list[i].column, column))
            return &list[i];
    return NULL;
}

bool
ps_sql_read_values(const struct ps_sql_predicate *predicate,
                   enum ps_sql_column_type type,
                   const struct ps_sql_bindings *bindings,
                   struct ps_sql_row_values *out)
{
    out->n = 0;
    return type != PS_SQL_COLUMN_OTHER &&
           add_values(predicate, type, bindings, out);
}

bool
ps_sql_written_values(const struct ps_sql_relation *write, struct ps_str column,
                      enum ps_sql_column_type type,
                      const struct ps_sql_bindings *bindings,
                      struct ps_sql_row_values *out)
{
    const struct ps_sql_predicate *before, *after;

    out->n = 0;
    if (type == PS_SQL_COLUMN_OTHER || !write->rows_known)
        return false;
    before = find_predicate(write->before, write->n_before, column);
    after = find_predicate(write->after, write->n_after, column);
    if (!write->insert_only &&
        (!before || !add_values(before, type, bindings, out)))
        return false;
    return write->delete_only ||
           (after && add_values(after, type, bindings, out));
}

static bool
have_common(const struct ps_sql_row_values *a,
            const struct ps_sql_row_values *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (a->at[i].integer == b->at[k].integer &&
                memcmp(a->at[i].uuid, b->at[k].uuid, sizeof(a->at[i].uuid)) ==
                    0)
                return true;
    return false;
}

bool
ps_sql_may_change(const struct ps_sql_relation *read,
                  const struct ps_sql_bindings *read_bindings,
                  const struct ps_sql_relation *write,
                  const struct ps_sql_bindings *write_bindings,
                  ps_sql_type_fn type, void *arg)
{
    struct ps_sql_row_values wanted, changed;

    for (size_t i = 0; i < read->n_predicates; i++) {
        const struct ps_sql_predicate *p = &read->predicates[i];
        enum ps_sql_column_type t = type(arg, p->column);
        if (ps_sql_read_values(p, t, read_bindings, &wanted) &&
            ps_sql_written_values(write, p->column, t, write_bindings,
                                  &changed) &&
            !have_common(&wanted, &changed))
            return false;
    }
    return true;
}
