#include "agent/sql/testing.h"

static void
render_value(const struct ps_sql_value *v, struct ps_buf *out)
{
    switch (v->kind) {
    case PS_SQL_VALUE_NULL:
        ps_buf_append_c(out, "null");
        break;
    case PS_SQL_VALUE_BOOL:
        ps_buf_append_c(out, v->boolean ? "true" : "false");
        break;
    case PS_SQL_VALUE_INT:
        ps_buf_append_i64(out, v->integer);
        break;
    case PS_SQL_VALUE_NUMBER:
        ps_buf_append_str(out, v->text);
        break;
    case PS_SQL_VALUE_STRING:
        ps_buf_append_json(out, v->text);
        break;
    case PS_SQL_VALUE_PARAM:
        if (v->index >= 0)
            ps_buf_printf(out, "$%d", v->index + 1);
        else
            ps_buf_printf(out, ":%.*s", PS_STR_ARG(v->text));
        break;
    }
    if (v->cast.len)
        ps_buf_printf(out, "::%.*s", PS_STR_ARG(v->cast));
}

static void
render_predicates(const char *what, const struct ps_sql_predicate *list,
                  size_t n, struct ps_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        ps_buf_printf(out, "%s%s%.*s%s", i ? ", " : " ", i ? "" : what,
                      PS_STR_ARG(list[i].column),
                      list[i].derived ? " ~ " : " = ");
        for (size_t k = 0; k < list[i].n_values; k++) {
            if (k)
                ps_buf_append_c(out, "|");
            render_value(&list[i].values[k], out);
        }
    }
}

static void
render_relation(const struct ps_sql_relation *r, struct ps_buf *out)
{
    ps_buf_append_c(out, "table:");
    if (r->use & PS_SQL_REL_READ)
        ps_buf_append_c(out, " read");
    if (r->use & PS_SQL_REL_WRITE)
        ps_buf_append_c(out, " write");
    if (r->use & PS_SQL_REL_DDL)
        ps_buf_append_c(out, " ddl");
    ps_buf_append_c(out, " ");
    if (r->database.ptr)
        ps_buf_printf(out, "%.*s.", PS_STR_ARG(r->database));
    if (r->schema.ptr)
        ps_buf_printf(out, "%.*s.", PS_STR_ARG(r->schema));
    ps_buf_append_str(out, r->name);
    render_predicates("where ", r->predicates, r->n_predicates, out);
    if (r->use & PS_SQL_REL_WRITE) {
        ps_buf_append_c(out, r->insert_only   ? " insert"
                             : r->delete_only ? " delete"
                                              : " change");
        if (!r->rows_known)
            ps_buf_append_c(out, " any row");
    }
    render_predicates("before ", r->before, r->n_before, out);
    render_predicates("after ", r->after, r->n_after, out);
    for (size_t i = 0; i < r->n_assigned; i++)
        ps_buf_printf(out, "%s%.*s", i ? " " : " assigns ",
                      PS_STR_ARG(r->assigned[i]));
    ps_buf_append_c(out, "\n");
}

void
ps_sql_render(const struct ps_sql_analysis *a, struct ps_str text,
              struct ps_buf *out)
{
    const struct {
        bool on;
        const char *name;
    } effects[] = {
        {a->writes_all,        "writes_all"       },
        {a->touches_session,   "touches_session"  },
        {a->asks_session,      "asks_session"     },
        {a->may_write,         "may_write"        },
        {a->changes_catalog,   "changes_catalog"  },
        {a->opens_transaction, "opens_transaction"},
        {a->ends_transaction,  "ends_transaction" },
    };
    bool first = true;

    ps_buf_printf(out, "class: %s\nreason: %s", ps_sql_class_text(a->cls),
                  ps_sql_reason_code(a->reason));
    if (a->reason_len)
        ps_buf_printf(out, " at %.*s", (int)PS_MIN(a->reason_len, (size_t)40),
                      text.ptr + a->reason_offset);
    ps_buf_printf(out, "\ntemplate: %.*s\n", PS_STR_ARG(a->template_text));
    for (size_t i = 0; i < a->n_relations; i++)
        render_relation(&a->relations[i], out);
    for (size_t i = 0; i < a->n_functions; i++) {
        const struct ps_sql_function *f = &a->functions[i];
        ps_buf_printf(out, "function: %.*s%s%.*s\n", PS_STR_ARG(f->schema),
                      f->schema.ptr ? "." : "", PS_STR_ARG(f->name));
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(effects); i++) {
        if (!effects[i].on)
            continue;
        ps_buf_printf(out, "%s%s", first ? "effects: " : " ", effects[i].name);
        first = false;
    }
    if (!first)
        ps_buf_append_c(out, "\n");
}
