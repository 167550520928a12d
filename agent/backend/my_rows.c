/*
 * Columns and rows for the sink. A text result's cells are the library's own;
 * a binary one's are asked for as text, cell by cell, into one buffer: numbers
 * and dates then look as in a text result, whose form is what mysql2 reads.
 */
#include "agent/backend/my.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    CELL_GUESS = 64 /* bytes of room for a cell at first */
};

static bool
grow_columns(struct my_conn *self, size_t n)
{
    if (n <= self->columns_cap)
        return true;
    void **arrays[] = {(void **)&self->columns, (void **)&self->cells,
                       (void **)&self->outs, (void **)&self->lengths,
                       (void **)&self->nulls};
    const size_t sizes[] = {sizeof(*self->columns), sizeof(*self->cells),
                            sizeof(*self->outs), sizeof(*self->lengths),
                            sizeof(*self->nulls)};
    for (size_t i = 0; i < PS_ARRAY_LEN(arrays); i++) {
        void *grown = reallocarray(*arrays[i], n, sizes[i]);
        if (!grown)
            return false;
        *arrays[i] = grown;
    }
    self->columns_cap = n;
    return true;
}

/* The sink wants no more: so does nobody. */
static void
refuse(struct my_conn *self, enum ps_rc rc)
{
    if (rc != PS_OK)
        ps_my_exec_cancel(self, rc);
}

/* MariaDB's JSON is text with a word about its format. */
static unsigned
type_of(const MYSQL_FIELD *field)
{
    MARIADB_CONST_STRING format = {NULL, 0};
    if (field->type != MYSQL_TYPE_JSON &&
        mariadb_field_attr(&format, field, MARIADB_FIELD_ATTR_FORMAT_NAME) ==
            0 &&
        ps_str_eq((struct ps_str){format.str, format.length}, PS_STR("json")))
        return MYSQL_TYPE_JSON;
    return field->type;
}

bool
ps_my_take_columns(struct my_conn *self, const MYSQL_FIELD *fields, unsigned n)
{
    struct my_exec *e = &self->exec;
    self->n_columns = 0;
    if (!grow_columns(self, n))
        return false;
    self->n_columns = n;
    for (unsigned i = 0; i < n; i++) {
        self->columns[i] = (struct ps_column){
            .name = {fields[i].name,      fields[i].name_length     },
            .type = type_of(&fields[i]),
            .type_modifier = (int32_t)fields[i].decimals,
            .type_size = (int32_t)PS_MIN(fields[i].length, INT32_MAX),
            .flags = fields[i].flags,
            .charset = fields[i].charsetnr,
            .table_name = {fields[i].table,     fields[i].table_length    },
            .org_table = {fields[i].org_table, fields[i].org_table_length},
            .database = {fields[i].db,        fields[i].db_length       },
            .org_name = {fields[i].org_name,  fields[i].org_name_length },
        };
    }
    if (e->sink && e->why == PS_OK)
        refuse(self, e->sink->columns(e->sink, self->columns, n));
    return true;
}

void
ps_my_give_row(struct my_conn *self, const unsigned long *lengths)
{
    struct my_exec *e = &self->exec;
    if (!e->sink || e->why != PS_OK)
        return;
    for (size_t i = 0; i < self->n_columns; i++)
        self->cells[i] = (struct ps_cell){self->row[i], lengths[i]};
    refuse(self, e->sink->row(e->sink, self->cells, self->n_columns));
}

/* ---- binary results ---- */

bool
ps_my_bind_row(struct my_conn *self)
{
    memset(self->outs, 0, self->n_columns * sizeof(*self->outs));
    for (size_t i = 0; i < self->n_columns; i++) {
        /* No room: a fetch only tells lengths. */
        self->outs[i].buffer_type = MYSQL_TYPE_STRING;
        self->outs[i].length = &self->lengths[i];
        self->outs[i].is_null = &self->nulls[i];
    }
    return !mysql_stmt_bind_result(self->current->stmt, self->outs);
}

/* One cell at the end of wide; its length is known only afterwards. */
static bool
fetch_cell(struct my_conn *self, size_t i, size_t room)
{
    my_bool is_null = 0, error = 0;
    unsigned long length = 0;
    char *at = ps_buf_reserve(&self->wide, room);
    if (!at)
        return false;
    MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_STRING,
                       .buffer = at,
                       .buffer_length = room,
                       .length = &length,
                       .is_null = &is_null,
                       .error = &error};
    if (mysql_stmt_fetch_column(self->current->stmt, &bind, (unsigned)i, 0))
        return false;
    if (length > room)
        return fetch_cell(self, i, length);
    self->lengths[i] = length;
    self->wide.len += length;
    return true;
}

void
ps_my_give_stmt_row(struct my_conn *self)
{
    struct my_exec *e = &self->exec;
    if (!e->sink || e->why != PS_OK)
        return;
    ps_buf_clear(&self->wide);
    for (size_t i = 0; i < self->n_columns; i++) {
        size_t guess = PS_MAX((size_t)self->lengths[i], (size_t)CELL_GUESS);
        if (!self->nulls[i] && !fetch_cell(self, i, guess)) {
            refuse(self, PS_NO_MEMORY);
            return;
        }
    }
    const char *at = self->wide.data;
    for (size_t i = 0; i < self->n_columns; i++) {
        bool null = self->nulls[i];
        self->cells[i] = (struct ps_cell){null ? NULL
                                          : at ? at
                                               : "",
                                          null ? 0 : self->lengths[i]};
        if (!null && at)
            at += self->lengths[i];
    }
    refuse(self, e->sink->row(e->sink, self->cells, self->n_columns));
}
