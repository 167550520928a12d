/* Bindings, rows and verdicts. See query.h. */
#include "cli/query.h"
#include "common/check.h"

#include <stdlib.h>

static json_t *
binding(const char *word)
{
    json_t *value = json_loads(word, JSON_DECODE_ANY, NULL);
    if (value && !json_is_object(value))
        return value;
    json_decref(value);
    return json_string(word);
}

json_t *
ps_query_bindings(char *const *words, int n)
{
    if (n == 1) {
        json_t *named = json_loads(words[0], 0, NULL);
        if (json_is_object(named))
            return named;
        json_decref(named);
    }
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        if (json_array_append_new(list, binding(words[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void
add_cell(struct ps_table *table, const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        ps_table_add(table, PS_TINT_DIM, "NULL");
        return;
    }
    char *text = ps_json_cell(value);
    ps_table_add(table, PS_TINT_NONE, text);
    free(text);
}

/* A column is to the right when the first value in it is a number. */
static bool
is_numeric(const json_t *rows, const char *column)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *value = json_object_get(json_array_get(rows, i), column);
        if (value && !json_is_null(value))
            return json_is_number(value);
    }
    return false;
}

struct ps_table *
ps_query_table(const json_t *rows)
{
    const char *key;
    json_t *value;
    json_t *first = json_array_get(rows, 0);
    size_t n = json_object_size(first), i = 0;
    if (n == 0)
        return NULL;
    struct ps_column *columns = calloc(n, sizeof(*columns));
    PS_CHECK(columns);
    json_object_foreach(first, key, value)
    {
        columns[i].title = key;
        columns[i++].right = is_numeric(rows, key);
    }
    struct ps_table *table = ps_table_new(columns, n);
    for (size_t row = 0; row < json_array_size(rows); row++)
        for (i = 0; i < n; i++)
            add_cell(table, json_object_get(json_array_get(rows, row),
                                            columns[i].title));
    free(columns);
    return table;
}

const char *
ps_query_verdict(const char *cache_status)
{
    static const struct {
        const char *part, *verdict;
    } known[] = {
        {"; hit",          "hit"   },
        {"; fwd=uri-miss", "miss"  },
        {"; fwd=stale",    "stale" },
        {"; fwd=bypass",   "bypass"}
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(known); i++)
        if (strstr(cache_status, known[i].part))
            return known[i].verdict;
    return "-";
}
