/* See change.h. A copy is one piece of memory: the change, then its arrays,
 * those of the widest members first so that each is aligned, then texts. */
#include "agent/cache/change.h"

#include <stdlib.h>
#include <string.h>

struct sizes {
    size_t columns, values, text;
};

static struct sizes
measure(const struct ps_change *change)
{
    struct sizes n = {.text = change->cache_id.len + change->database.len};
    for (size_t i = 0; i < change->n_tables; i++) {
        n.text += change->tables[i].schema.len + change->tables[i].name.len;
        for (size_t j = 0; change->rows && j < change->rows[i].n_columns; j++) {
            n.columns++;
            n.values += change->rows[i].columns[j].n_values;
            n.text += change->rows[i].columns[j].name.len;
        }
    }
    return n;
}

/* Where the next of each kind goes. */
struct room {
    struct ps_row_column *columns;
    uint16_t *values;
    char *text;
};

/* An absent string stays absent. */
static struct ps_str
put_text(struct room *room, struct ps_str text)
{
    struct ps_str out = {.ptr = text.ptr ? room->text : NULL, .len = text.len};
    if (text.len > 0)
        memcpy(room->text, text.ptr, text.len);
    room->text += text.len;
    return out;
}

static struct ps_row_set
put_rows(struct room *room, const struct ps_row_set *rows)
{
    struct ps_row_set out = {.columns = room->columns,
                             .n_columns = rows->n_columns};
    for (size_t i = 0; i < rows->n_columns; i++) {
        const struct ps_row_column *from = &rows->columns[i];
        *room->columns++ =
            (struct ps_row_column){.name = put_text(room, from->name),
                                   .values = room->values,
                                   .n_values = from->n_values};
        for (size_t j = 0; j < from->n_values; j++)
            *room->values++ = from->values[j];
    }
    return out;
}

struct ps_change *
ps_change_copy(const struct ps_change *change)
{
    struct sizes n = measure(change);
    size_t n_rows = change->rows ? change->n_tables : 0;
    size_t tables_at = sizeof(*change);
    size_t rows_at =
        tables_at + change->n_tables * sizeof(struct ps_table_name);
    size_t columns_at = rows_at + n_rows * sizeof(struct ps_row_set);
    size_t values_at = columns_at + n.columns * sizeof(struct ps_row_column);
    size_t text_at = values_at + n.values * sizeof(uint16_t);
    char *memory = malloc(text_at + n.text + 1);
    if (!memory)
        return NULL;
    struct ps_change *out = (void *)memory;
    struct ps_table_name *tables = (void *)(memory + tables_at);
    struct ps_row_set *rows = (void *)(memory + rows_at);
    struct room room = {.columns = (void *)(memory + columns_at),
                        .values = (void *)(memory + values_at),
                        .text = memory + text_at};
    *out = *change;
    out->cache_id = put_text(&room, change->cache_id);
    out->database = put_text(&room, change->database);
    out->tables = change->n_tables > 0 ? tables : NULL;
    out->rows = n_rows > 0 ? rows : NULL;
    for (size_t i = 0; i < change->n_tables; i++) {
        tables[i].schema = put_text(&room, change->tables[i].schema);
        tables[i].name = put_text(&room, change->tables[i].name);
        if (n_rows > 0)
            rows[i] = put_rows(&room, &change->rows[i]);
    }
    return out;
}

bool
ps_table_named(const struct ps_table_name *table, struct ps_str key)
{
    size_t schema = table->schema.len;
    if (ps_str_eq_nocase(key, table->name))
        return true;
    if (key.len != schema + 1 + table->name.len || key.ptr[schema] != '.')
        return false;
    return ps_str_eq_nocase((struct ps_str){key.ptr, schema}, table->schema) &&
           ps_str_eq_nocase(
               (struct ps_str){key.ptr + schema + 1, table->name.len},
               table->name);
}
