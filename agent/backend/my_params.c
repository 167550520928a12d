/*
 * Parameters as mysql2 would write them into the text, but carried by the
 * protocol: whole numbers as BIGINT, numbers with a fraction as DECIMAL,
 * those with an exponent as DOUBLE, texts as texts, booleans as 0 and 1.
 * Arrays never get here: they are comma lists in the text (front/knex.c).
 */
#include "agent/backend/my.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PARAMS_MAX = 65535 /* the protocol counts them in 16 bits */
};

static bool
room_for(struct my_conn *self, size_t n)
{
    if (n <= self->binds_cap)
        return true;
    MYSQL_BIND *grown = reallocarray(self->binds, n, sizeof(*grown));
    if (!grown)
        return false;
    self->binds = grown;
    self->binds_cap = n;
    return true;
}

/* The number's type; integers that fit are put into value. */
static enum enum_field_types
number_type(struct ps_str text, int64_t *value, bool *is_unsigned)
{
    char copy[32], *end;
    if (memchr(text.ptr, 'e', text.len) || memchr(text.ptr, 'E', text.len))
        return MYSQL_TYPE_DOUBLE;
    if (memchr(text.ptr, '.', text.len) || text.len >= sizeof(copy))
        return MYSQL_TYPE_NEWDECIMAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *is_unsigned = copy[0] != '-';
    *value = *is_unsigned ? (int64_t)strtoull(copy, &end, 10)
                          : (int64_t)strtoll(copy, &end, 10);
    return errno == 0 && *end == '\0' ? MYSQL_TYPE_LONGLONG
                                      : MYSQL_TYPE_NEWDECIMAL;
}

/* Values are put into text first and pointed to when it no longer moves. */
static void
put_number(struct my_conn *self, struct ps_str text, MYSQL_BIND *bind)
{
    int64_t value = 0;
    bool is_unsigned = false;
    bind->buffer_type = number_type(text, &value, &is_unsigned);
    if (bind->buffer_type == MYSQL_TYPE_LONGLONG) {
        bind->is_unsigned = is_unsigned;
        ps_buf_append(&self->text, &value, sizeof(value));
    } else if (bind->buffer_type == MYSQL_TYPE_DOUBLE) {
        char copy[64] = "";
        memcpy(copy, text.ptr, PS_MIN(text.len, sizeof(copy) - 1));
        double number = strtod(copy, NULL);
        ps_buf_append(&self->text, &number, sizeof(number));
    } else {
        ps_buf_append_str(&self->text, text);
    }
}

static enum ps_rc
put_param(struct my_conn *self, const struct ps_param *param, MYSQL_BIND *bind)
{
    switch (param->kind) {
    case PS_PARAM_NULL:
        bind->buffer_type = MYSQL_TYPE_NULL;
        return PS_OK;
    case PS_PARAM_BOOL:
        bind->buffer_type = MYSQL_TYPE_TINY;
        ps_buf_append_char(&self->text, param->text.ptr[0] == 't');
        return PS_OK;
    case PS_PARAM_NUMBER:
        put_number(self, param->text, bind);
        return PS_OK;
    case PS_PARAM_TEXT:
        bind->buffer_type = MYSQL_TYPE_STRING;
        ps_buf_append_str(&self->text, param->text);
        return PS_OK;
    case PS_PARAM_ARRAY:
        break;
    }
    return PS_BAD_BINDINGS;
}

enum ps_rc
ps_my_params(struct my_conn *self, const struct ps_statement *statement)
{
    size_t n = statement->n_params;
    if (n > PARAMS_MAX)
        return PS_BAD_BINDINGS;
    if (!room_for(self, n))
        return PS_NO_MEMORY;
    memset(self->binds, 0, n * sizeof(*self->binds));
    ps_buf_clear(&self->text);
    for (size_t i = 0; i < n; i++) {
        MYSQL_BIND *bind = &self->binds[i];
        size_t before = self->text.len;
        enum ps_rc rc = put_param(self, &statement->params[i], bind);
        if (rc != PS_OK)
            return rc;
        bind->length_value = bind->buffer_length =
            (unsigned long)(self->text.len - before);
        /* Values of fixed size are read as such. */
        while (self->text.len % sizeof(double) != 0)
            ps_buf_append_char(&self->text, '\0');
    }
    if (ps_buf_rc(&self->text) != PS_OK)
        return ps_buf_rc(&self->text);
    char *at = self->text.data;
    for (size_t i = 0; i < n; i++) {
        MYSQL_BIND *bind = &self->binds[i];
        size_t len = bind->buffer_length;
        bind->buffer = at ? at : (char *)bind;
        bind->length = &bind->length_value;
        if (at)
            at += (len + sizeof(double) - 1) / sizeof(double) * sizeof(double);
    }
    return PS_OK;
}
