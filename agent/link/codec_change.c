/* What a write changed, and what is asked, to and from the wire. See codec.h.
 */
#include "agent/link/codec.h"
#include "common/tls.h"

#include <stdlib.h>

/* ---- from the wire ---- */

/* How much of everything a message holds. */
struct sizes {
    size_t columns, values;
};

static struct sizes
measure(const Portside__Invalidation *m)
{
    struct sizes n = {0};
    for (size_t i = 0; i < m->n_tables; i++) {
        n.columns += m->tables[i]->n_rows;
        for (size_t j = 0; j < m->tables[i]->n_rows; j++)
            n.values += m->tables[i]->rows[j]->n_values;
    }
    return n;
}

/* A column whose values make no sense is left out: nothing is known of it. */
static bool
take_values(const Portside__RowColumn *m, uint16_t *values)
{
    for (size_t i = 0; i < m->n_values; i++) {
        if (m->values[i] > UINT16_MAX)
            return false;
        values[i] = (uint16_t)m->values[i];
    }
    return true;
}

static void
take_rows(const Portside__Invalidation *m, struct ps_codec_change *out)
{
    struct ps_row_column *columns = out->columns;
    uint16_t *values = out->values;
    for (size_t i = 0; i < m->n_tables; i++) {
        const Portside__Table *table = m->tables[i];
        out->rows[i].columns = columns;
        for (size_t j = 0; j < table->n_rows; j++) {
            if (!take_values(table->rows[j], values))
                continue;
            *columns++ =
                (struct ps_row_column){.name = ps_str_of(table->rows[j]->name),
                                       .values = values,
                                       .n_values = table->rows[j]->n_values};
            out->rows[i].n_columns++;
            values += table->rows[j]->n_values;
        }
    }
}

static enum ps_rc
take_tables(const Portside__Invalidation *m, struct ps_codec_change *out)
{
    struct sizes n = measure(m);
    out->tables = calloc(m->n_tables + 1, sizeof(*out->tables));
    out->rows = calloc(m->n_tables + 1, sizeof(*out->rows));
    out->columns = calloc(n.columns + 1, sizeof(*out->columns));
    out->values = calloc(n.values + 1, sizeof(*out->values));
    if (!out->tables || !out->rows || !out->columns || !out->values)
        return PS_NO_MEMORY;
    for (size_t i = 0; i < m->n_tables; i++)
        out->tables[i] = (struct ps_table_name){ps_str_of(m->tables[i]->schema),
                                                ps_str_of(m->tables[i]->name)};
    take_rows(m, out);
    return PS_OK;
}

enum ps_rc
ps_codec_change(const Portside__Invalidation *m, struct ps_codec_change *out)
{
    if (m->cache_id[0] != '\0' && !ps_uuid_valid(ps_str_of(m->cache_id)))
        return PS_BAD_REQUEST;
    struct ps_codec_change change = {
        .change = {.cache_id = ps_str_of(m->cache_id),
                   .database = ps_str_of(m->database),
                   .n_tables = m->n_tables,
                   .catalog = m->catalog},
    };
    if (m->n_tables > 0 && take_tables(m, &change) != PS_OK) {
        ps_codec_change_done(&change);
        return PS_NO_MEMORY;
    }
    *out = change;
    out->change.tables = out->tables;
    out->change.rows = out->rows;
    /* An empty text on the wire is "absent" here. */
    if (out->change.cache_id.len == 0)
        out->change.cache_id = PS_STR_NONE;
    if (out->change.database.len == 0)
        out->change.database = PS_STR_NONE;
    return PS_OK;
}

void
ps_codec_change_done(struct ps_codec_change *change)
{
    free(change->tables);
    free(change->rows);
    free(change->columns);
    free(change->values);
    *change = (struct ps_codec_change){.tables = NULL};
}

enum ps_rc
ps_codec_purge(const Portside__Purge *m, struct ps_purge *out)
{
    /* proto3 gives numbers that this version has no name for. */
    if (!ps_uuid_valid(ps_str_of(m->cache_id)) ||
        (unsigned)m->kind >= PS_PURGE_KIND_COUNT ||
        (m->kind == PORTSIDE__PURGE_KIND__PURGE_TABLE && m->text[0] == '\0'))
        return PS_BAD_REQUEST;
    *out = (struct ps_purge){.cache_id = ps_str_of(m->cache_id),
                             .kind = (enum ps_purge_kind)m->kind,
                             .id = m->id};
    if (m->text[0] != '\0')
        out->text = ps_str_of(m->text);
    return PS_OK;
}

enum ps_rc
ps_codec_explain(const Portside__Explain *m, struct ps_uplink_explain *out)
{
    if (!ps_uuid_valid(ps_str_of(m->cache_id)) || m->sql[0] == '\0')
        return PS_BAD_REQUEST;
    *out = (struct ps_uplink_explain){.cache_id = ps_str_of(m->cache_id),
                                      .sql = ps_str_of(m->sql)};
    if (m->database[0] != '\0')
        out->database = ps_str_of(m->database);
    if (m->bindings[0] != '\0')
        out->bindings = ps_str_of(m->bindings);
    return PS_OK;
}

/* ---- to the wire ---- */

/* protobuf-c's own empty string is never freed by free_unpacked. */
static bool
put_text(char **to, struct ps_str text)
{
    if (text.len == 0)
        return true;
    char *copy = strndup(text.ptr, text.len);
    if (copy)
        *to = copy;
    return copy != NULL;
}

static bool
put_column(Portside__Table *t, const struct ps_row_column *column)
{
    Portside__RowColumn *m = malloc(sizeof(*m));
    if (!m)
        return false;
    portside__row_column__init(m);
    t->rows[t->n_rows++] = m;
    m->values = calloc(column->n_values + 1, sizeof(*m->values));
    if (!m->values)
        return false;
    for (size_t i = 0; i < column->n_values; i++)
        m->values[m->n_values++] = column->values[i];
    return put_text(&m->name, column->name);
}

static bool
put_rows(Portside__Table *t, const struct ps_row_set *rows)
{
    if (!rows || rows->n_columns == 0)
        return true;
    t->rows = calloc(rows->n_columns, sizeof(Portside__RowColumn *));
    for (size_t i = 0; t->rows && i < rows->n_columns; i++) {
        if (!put_column(t, &rows->columns[i]))
            return false;
    }
    return t->rows != NULL;
}

static bool
put_table(Portside__Invalidation *m, const struct ps_table_name *table,
          const struct ps_row_set *rows)
{
    Portside__Table *t = malloc(sizeof(*t));
    if (!t)
        return false;
    portside__table__init(t);
    m->tables[m->n_tables++] = t;
    return put_text(&t->schema, table->schema) &&
           put_text(&t->name, table->name) && put_rows(t, rows);
}

static bool
put_tables(Portside__Invalidation *m, const struct ps_change *change)
{
    if (change->n_tables == 0)
        return true;
    m->tables = calloc(change->n_tables, sizeof(*m->tables));
    for (size_t i = 0; m->tables && i < change->n_tables; i++) {
        if (!put_table(m, &change->tables[i],
                       change->rows ? &change->rows[i] : NULL))
            return false;
    }
    return m->tables != NULL;
}

Portside__Invalidation *
ps_codec_invalidation(const struct ps_change *change)
{
    Portside__Invalidation *m = malloc(sizeof(*m));
    if (!m)
        return NULL;
    portside__invalidation__init(m);
    m->catalog = change->catalog;
    if (!put_text(&m->cache_id, change->cache_id) ||
        !put_text(&m->database, change->database) || !put_tables(m, change)) {
        portside__invalidation__free_unpacked(m, NULL);
        return NULL;
    }
    return m;
}
