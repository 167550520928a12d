/*
 * Two passes over the text, as in knex: replace() works on the bindings'
 * shape and leaves ? for each value; position() gives the ? the dialect's
 * numbered form and turns \? into ?. Where no pass has anything to do the
 * statement is the client's own text, uncopied.
 *
 * Two differences to knex, both on purpose: names are looked up among the
 * object's own members only (knex finds `toString` in the prototype), and $
 * in an identifier given by name is a plain character (knex hands the quoted
 * identifier to String.replace, which reads $$ and $& as commands).
 */
#include "agent/front/knex.h"

#include "agent/front/knex_private.h"

#include <stdlib.h>

enum {
    MAX_SQL_BYTES = 32 << 20,
    LINEAR_LOOKUP = 8 /* bindings; more are sorted by name */
};

struct replacement {
    const struct ps_knex_dialect *dialect;
    const struct ps_knex_bindings *bindings;
    struct ps_arena *arena;
    struct ps_buf sql;
    struct ps_param *params; /* room for max_params */
    size_t n_params, max_params;
    const struct ps_knex_binding **sorted; /* OBJECT with many members */
};

static bool
add_param(struct replacement *r, const struct ps_param *value)
{
    if (r->n_params == r->max_params) {
        size_t room = r->max_params ? 2 * r->max_params : 8;
        struct ps_param *grown =
            ps_arena_alloc(r->arena, room * sizeof(*grown));
        if (!grown)
            return false;
        if (r->n_params > 0)
            memcpy(grown, r->params, r->n_params * sizeof(*grown));
        r->params = grown;
        r->max_params = room;
    }
    r->params[r->n_params++] = *value;
    return true;
}

/* ---- bindings by position ---- */

/* An array as mysql2 writes it: its values with commas between. */
static bool
put_list(struct replacement *r, const struct ps_param *array)
{
    for (size_t i = 0; i < array->n_items; i++) {
        ps_buf_append_c(&r->sql, i > 0 ? ", ?" : "?");
        if (!add_param(r, &array->items[i]))
            return false;
    }
    return true;
}

static bool
put_value(struct replacement *r, const struct ps_param *value, bool identifier)
{
    if (identifier) {
        ps_knex_identifiers(r->dialect, value, &r->sql);
        return true;
    }
    if (r->dialect->lists && value->kind == PS_PARAM_ARRAY)
        return put_list(r, value);
    ps_buf_append_char(&r->sql, '?');
    return add_param(r, value);
}

static enum ps_rc
wrong_count(size_t seen, size_t given, struct ps_err *err)
{
    return ps_err_set(err, PS_BAD_BINDINGS,
                      "Expected %zu bindings, saw %zu: the statement has %zu "
                      "placeholders (? or ??; write \\? for a literal question "
                      "mark) and bindings has %zu values",
                      given, seen, seen, given);
}

/* One match of knex's /\\?\?\??/ after another. */
static enum ps_rc
replace_array(struct replacement *r, struct ps_str sql, struct ps_err *err)
{
    const struct ps_knex_bindings *b = r->bindings;
    size_t seen = 0;
    const char *p = sql.ptr, *end = sql.ptr + sql.len, *mark;
    while (p < end && (mark = memchr(p, '?', (size_t)(end - p))) != NULL) {
        bool slash = mark > p && mark[-1] == '\\';
        bool twice = mark + 1 < end && mark[1] == '?';
        if (slash && !twice) { /* literal: position() takes the \ away */
            ps_buf_append(&r->sql, p, (size_t)(mark + 1 - p));
            p = mark + 1;
            continue;
        }
        /* \?? is neither \? nor ??, and so a value to knex. */
        ps_buf_append(&r->sql, p, (size_t)(mark - slash - p));
        if (seen < b->count &&
            !put_value(r, &b->list[seen].value, twice && !slash))
            return ps_err_set(err, PS_TOO_BIG, NULL);
        seen++;
        p = mark + 1 + twice;
    }
    ps_buf_append(&r->sql, p, (size_t)(end - p));
    return seen == b->count ? PS_OK : wrong_count(seen, b->count, err);
}

/* ---- bindings by name ---- */

static int
name_compare(struct ps_str a, struct ps_str b)
{
    size_t n = PS_MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

/* By name, then by place, so that the last of equal names stands last. */
static int
binding_compare(const void *left, const void *right)
{
    const struct ps_knex_binding *a =
        *(const struct ps_knex_binding *const *)left;
    const struct ps_knex_binding *b =
        *(const struct ps_knex_binding *const *)right;
    int order = name_compare(a->name, b->name);
    return order ? order : (a > b) - (a < b);
}

static bool
sort_names(struct replacement *r)
{
    const struct ps_knex_bindings *b = r->bindings;
    if (b->count <= LINEAR_LOOKUP)
        return true;
    r->sorted = ps_arena_alloc(r->arena, b->count * sizeof(*r->sorted));
    if (!r->sorted)
        return false;
    for (size_t i = 0; i < b->count; i++)
        r->sorted[i] = &b->list[i];
    qsort(r->sorted, b->count, sizeof(*r->sorted), binding_compare);
    return true;
}

/* The last binding of this name, or NULL. */
static const struct ps_param *
find_name(const struct replacement *r, struct ps_str name)
{
    const struct ps_knex_bindings *b = r->bindings;
    if (!r->sorted) {
        for (size_t i = b->count; i > 0; i--) {
            if (ps_str_eq(b->list[i - 1].name, name))
                return &b->list[i - 1].value;
        }
        return NULL;
    }
    size_t low = 0, high = b->count; /* first that is greater than name */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (name_compare(r->sorted[middle]->name, name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !ps_str_eq(r->sorted[low - 1]->name, name))
        return NULL;
    return &r->sorted[low - 1]->value;
}

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_';
}

/*
 * One match of knex's /\\?(:(\w+):(?=::)|:(\w+):(?!:)|:(\w+))/ at a colon: the
 * name, and whether the closing colon of an identifier belongs to it.
 */
static bool
match_name(const char *colon, const char *end, struct ps_str *name,
           bool *identifier)
{
    const char *p = colon + 1;
    while (p < end && is_word(*p))
        p++;
    *name = (struct ps_str){colon + 1, (size_t)(p - colon - 1)};
    if (name->len == 0)
        return false;
    *identifier = false;
    if (p < end && *p == ':') {
        bool second = p + 1 < end && p[1] == ':';
        bool third = p + 2 < end && p[2] == ':';
        *identifier = !second || third;
    }
    return true;
}

static enum ps_rc
replace_object(struct replacement *r, struct ps_str sql, struct ps_err *err)
{
    const char *p = sql.ptr, *end = sql.ptr + sql.len;
    if (!sort_names(r))
        return ps_err_set(err, PS_TOO_BIG, NULL);
    while (p < end) {
        const char *colon = memchr(p, ':', (size_t)(end - p));
        struct ps_str name;
        bool identifier;
        if (!colon) {
            ps_buf_append(&r->sql, p, (size_t)(end - p));
            break;
        }
        if (!match_name(colon, end, &name, &identifier)) {
            ps_buf_append(&r->sql, p, (size_t)(colon + 1 - p));
            p = colon + 1;
            continue;
        }
        const char *after = name.ptr + name.len + identifier;
        bool escaped = colon > p && colon[-1] == '\\';
        const struct ps_param *value = escaped ? NULL : find_name(r, name);
        ps_buf_append(&r->sql, p, (size_t)(colon - escaped - p));
        if (!value)
            ps_buf_append(&r->sql, colon, (size_t)(after - colon));
        else if (!put_value(r, value, identifier))
            return ps_err_set(err, PS_TOO_BIG, NULL);
        p = after;
    }
    return PS_OK;
}

/* ---- ? to the dialect's own form ---- */

/* Is the ? at mark escaped, and if so, where does the escape begin? */
static bool
escaped_mark(const struct ps_knex_dialect *dialect, const char *text,
             const char *mark, const char **begin)
{
    size_t slashes = 0;
    while (mark - slashes > text && mark[-1 - (ptrdiff_t)slashes] == '\\')
        slashes++;
    *begin = mark;
    if (dialect->escape == PS_KNEX_ESCAPE_ONE) {
        *begin = mark - (slashes > 0);
        return slashes > 0;
    }
    /* All backslashes before the ? vanish, it is literal when their count is
     * odd. */
    *begin = mark - slashes;
    return slashes % 2 == 1;
}

static void
position(const struct ps_knex_dialect *dialect, struct ps_str sql,
         struct ps_buf *out)
{
    const char *p = sql.ptr, *end = sql.ptr + sql.len;
    uint64_t number = dialect->first_number;
    while (p < end) {
        const char *mark = memchr(p, '?', (size_t)(end - p)), *begin;
        if (!mark) {
            ps_buf_append(out, p, (size_t)(end - p));
            return;
        }
        bool literal = escaped_mark(dialect, p, mark, &begin);
        ps_buf_append(out, p, (size_t)(begin - p));
        if (literal) {
            ps_buf_append_char(out, '?');
        } else {
            ps_buf_append_c(out, dialect->placeholder);
            ps_buf_append_u64(out, number++);
        }
        p = mark + 1;
    }
}

/* ---- both ---- */

/* Into the arena, with the dialect's placeholders; absent when it is full. */
static struct ps_str
positioned(struct replacement *r, struct ps_str sql)
{
    bool marks = sql.len > 0 && memchr(sql.ptr, '?', sql.len) != NULL;
    if (!r->dialect->placeholder || !marks)
        return r->bindings->shape == PS_KNEX_NONE ? sql
                                                  : ps_arena_str(r->arena, sql);
    struct ps_buf out;
    ps_buf_init(&out, MAX_SQL_BYTES);
    position(r->dialect, sql, &out);
    sql = PS_STR_NONE;
    if (ps_buf_rc(&out) == PS_OK)
        sql = ps_arena_str(r->arena, ps_buf_str(&out));
    ps_buf_done(&out);
    return sql;
}

static enum ps_rc
replace(struct replacement *r, struct ps_str *sql, struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    struct ps_str text = *sql;
    if (r->bindings->shape == PS_KNEX_ARRAY)
        rc = replace_array(r, text, err);
    else if (r->bindings->shape == PS_KNEX_OBJECT)
        rc = replace_object(r, text, err);
    if (rc != PS_OK)
        return rc;
    if (ps_buf_rc(&r->sql) != PS_OK)
        return ps_err_set(err, PS_TOO_BIG, NULL);
    if (r->n_params > r->dialect->max_params)
        return ps_err_set(err, PS_BAD_BINDINGS,
                          "the statement has %zu values, this kind of "
                          "database takes at most %zu; pass a list as one "
                          "array",
                          r->n_params, r->dialect->max_params);
    if (r->bindings->shape != PS_KNEX_NONE)
        text = ps_buf_str(&r->sql);
    text = positioned(r, text);
    if (!text.ptr)
        return ps_err_set(err, PS_TOO_BIG, NULL);
    *sql = text;
    return PS_OK;
}

enum ps_rc
ps_knex_prepare(enum ps_dialect dialect, struct ps_str sql,
                const struct ps_knex_bindings *bindings, struct ps_arena *arena,
                struct ps_statement *out, struct ps_err *err)
{
    struct replacement r = {.dialect = ps_knex_dialect_of(dialect),
                            .bindings = bindings,
                            .arena = arena};
    ps_buf_init(&r.sql, MAX_SQL_BYTES);
    enum ps_rc rc = replace(&r, &sql, err);
    ps_buf_done(&r.sql);
    if (rc != PS_OK)
        return rc;
    out->sql = sql;
    out->params = r.params;
    out->n_params = r.n_params;
    return PS_OK;
}

/* ---- the key ---- */

static const char kind_tags[] = {
    [PS_PARAM_NULL] = 'z', [PS_PARAM_BOOL] = 'b',  [PS_PARAM_NUMBER] = 'n',
    [PS_PARAM_TEXT] = 't', [PS_PARAM_ARRAY] = 'a',
};

static size_t
key_size(const struct ps_param *value)
{
    size_t n = 1 + sizeof(uint64_t) + value->text.len;
    for (size_t i = 0; i < value->n_items; i++)
        n += key_size(&value->items[i]);
    return n;
}

static char *
key_put(char *at, char tag, uint64_t len, struct ps_str bytes)
{
    *at++ = tag;
    memcpy(at, &len, sizeof(len));
    at += sizeof(len);
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

static char *
key_put_value(char *at, const struct ps_param *value)
{
    if (value->kind != PS_PARAM_ARRAY)
        return key_put(at, kind_tags[value->kind], value->text.len,
                       value->text);
    at = key_put(at, kind_tags[PS_PARAM_ARRAY], value->n_items, PS_STR(""));
    for (size_t i = 0; i < value->n_items; i++)
        at = key_put_value(at, &value->items[i]);
    return at;
}

struct ps_str
ps_knex_key(const struct ps_knex_bindings *bindings, struct ps_arena *arena)
{
    const size_t frame = 1 + sizeof(uint64_t);
    bool names = bindings->shape == PS_KNEX_OBJECT;
    size_t size = frame;
    if (bindings->shape == PS_KNEX_NONE)
        return PS_STR("");
    for (size_t i = 0; i < bindings->count; i++) {
        size += key_size(&bindings->list[i].value);
        if (names)
            size += frame + bindings->list[i].name.len;
    }
    char *key = ps_arena_alloc(arena, size);
    if (!key)
        return PS_STR_NONE;
    char *at = key_put(key, names ? 'O' : 'L', bindings->count, PS_STR(""));
    for (size_t i = 0; i < bindings->count; i++) {
        const struct ps_knex_binding *b = &bindings->list[i];
        if (names)
            at = key_put(at, 'k', b->name.len, b->name);
        at = key_put_value(at, &b->value);
    }
    return (struct ps_str){key, size};
}
