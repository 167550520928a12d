/*
 * Cache definitions. Their SQL is made from the field table, so that a new
 * field is one line there and one migration. Every change raises the version
 * of the configuration in the same transaction.
 */
#include "common/buf.h"
#include "controlplane/store/db_private.h"

#include <stdlib.h>

static void
list_columns(struct ps_buf *sql, const char *suffix)
{
    size_t count;
    const struct ps_def_field *fields = ps_def_fields(&count);
    for (size_t i = 0; i < count; i++)
        ps_buf_printf(sql, "%s%s%s", i ? ", " : "", fields[i].column, suffix);
}

char *
db_cache_sql(enum stmt_id id)
{
    struct ps_buf sql;
    size_t count;
    ps_def_fields(&count);
    ps_buf_init(&sql, 16384);
    switch (id) {
    case STMT_CACHE_INSERT:
        ps_buf_append_c(&sql, "INSERT INTO caches (");
        list_columns(&sql, "");
        ps_buf_append_c(&sql, ") VALUES (");
        for (size_t i = 0; i < count; i++)
            ps_buf_append_c(&sql, i ? ", ?" : "?");
        ps_buf_append_c(&sql, ")");
        break;
    case STMT_CACHE_UPDATE:
        ps_buf_append_c(&sql, "UPDATE caches SET ");
        list_columns(&sql, " = ?");
        ps_buf_append_c(&sql, " WHERE id = ?");
        break;
    default:
        ps_buf_append_c(&sql, "SELECT ");
        list_columns(&sql, "");
        ps_buf_append_c(&sql, id == STMT_CACHE_GET
                                  ? " FROM caches WHERE id = ?"
                                  : " FROM caches WHERE (?1 = 0 OR name > ?2) "
                                    "AND (?4 = '' OR instr(?4, id)) "
                                    "ORDER BY name LIMIT ?3");
        break;
    }
    ps_buf_append_char(&sql, '\0');
    if (ps_buf_rc(&sql) != PS_OK) {
        ps_buf_done(&sql);
        return NULL;
    }
    return ps_buf_take(&sql, &(size_t){0});
}

static void
bind_def(struct query *q, const struct ps_cache_def *def)
{
    size_t count;
    const struct ps_def_field *fields = ps_def_fields(&count);
    for (size_t i = 0; i < count; i++) {
        const struct ps_def_field *f = &fields[i];
        int64_t number = 0;
        switch (f->kind) {
        case PS_DEF_TEXT:
        case PS_DEF_LONG_TEXT:
            query_text(q, ps_def_text(f, def));
            break;
        case PS_DEF_CHOICE:
            memcpy(&number, (const char *)def + f->offset, sizeof(number));
            query_text(q, ps_def_choice_text(f->choices, number));
            break;
        default:
            memcpy(&number, (const char *)def + f->offset, sizeof(number));
            query_int(q, number);
            break;
        }
    }
}

static enum ps_rc
read_text(struct query *q, const struct ps_def_field *f,
          struct ps_cache_def *def)
{
    struct ps_str text = {
        .ptr = (const char *)sqlite3_column_text(q->stmt, q->column)};
    text.len = (size_t)sqlite3_column_bytes(q->stmt, q->column++);
    if (f->kind == PS_DEF_CHOICE)
        return ps_def_choice_find(f->choices, text, ps_def_number(f, def))
                   ? PS_OK
                   : PS_DATABASE;
    return ps_def_set_text(f, def, text);
}

static enum ps_rc
read_def(struct query *q, struct ps_cache_def *def)
{
    size_t count;
    const struct ps_def_field *fields = ps_def_fields(&count);
    for (size_t i = 0; i < count; i++) {
        const struct ps_def_field *f = &fields[i];
        enum ps_rc rc = PS_OK;
        if (f->kind == PS_DEF_TEXT || f->kind == PS_DEF_LONG_TEXT ||
            f->kind == PS_DEF_CHOICE)
            rc = read_text(q, f, def);
        else
            *ps_def_number(f, def) = column_int(q);
        if (rc != PS_OK)
            return ps_err_set(q->err, rc == PS_NO_MEMORY ? rc : PS_DATABASE,
                              "the stored value of %s cannot be used",
                              f->column);
    }
    return PS_OK;
}

/* Inside the transaction: all definitions still fit one message, and the
 * configuration has a new version. */
static enum ps_rc
changed(struct ps_db *db, struct ps_err *err)
{
    struct query q;
    int64_t bytes = 0;
    query_begin(&q, db, STMT_CACHE_BYTES, err);
    if (query_row(&q))
        bytes = column_int(&q);
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK && bytes > PS_DB_DEFS_MAX)
        rc = ps_err_set(err, PS_TOO_BIG,
                        "all definitions together would exceed %d MiB; "
                        "shorten tlsCa or delete caches",
                        PS_DB_DEFS_MAX >> 20);
    if (rc != PS_OK)
        return rc;
    query_begin(&q, db, STMT_CONFIG_BUMP, err);
    return query_run(&q, NULL);
}

enum ps_rc
db_end_definitions(struct ps_db *db, enum ps_rc rc, struct ps_err *err)
{
    if (rc == PS_OK)
        rc = changed(db, err);
    rc = db_end(db, rc, err);
    if (rc == PS_OK)
        db->config_version++;
    return rc;
}

static enum ps_rc
not_found(struct ps_err *err)
{
    return ps_err_set(err, PS_CACHE_NOT_FOUND, NULL);
}

enum ps_rc
db_write_cache(struct ps_db *db, const struct ps_cache_def *def, bool fresh,
               struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, fresh ? STMT_CACHE_INSERT : STMT_CACHE_UPDATE, err);
    bind_def(&q, def);
    if (!fresh)
        query_text(&q, def->id);
    enum ps_rc rc = query_run(&q, &changes);
    return rc == PS_OK && !changes ? not_found(err) : rc;
}

enum ps_rc
ps_db_cache_insert(struct ps_db *db, const struct ps_cache_def *def,
                   struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    return db_end_definitions(db, db_write_cache(db, def, true, err), err);
}

enum ps_rc
ps_db_cache_update(struct ps_db *db, const struct ps_cache_def *def,
                   struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    return db_end_definitions(db, db_write_cache(db, def, false, err), err);
}

enum ps_rc
ps_db_cache_delete(struct ps_db *db, const char *id, struct ps_err *err)
{
    int changes = 0;
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_CACHE_DELETE, err);
    query_text(&q, id);
    rc = query_run(&q, &changes);
    if (rc == PS_OK && !changes)
        rc = not_found(err);
    return db_end_definitions(db, rc, err);
}

enum ps_rc
ps_db_cache_get(struct ps_db *db, const char *id, struct ps_cache_def *def,
                struct ps_err *err)
{
    struct query q;
    struct ps_cache_def found;
    enum ps_rc rc = PS_CACHE_NOT_FOUND;
    ps_def_init(&found);
    query_begin(&q, db, STMT_CACHE_GET, err);
    query_text(&q, id);
    if (query_row(&q))
        rc = read_def(&q, &found);
    else if (q.rc == PS_OK)
        rc = not_found(err);
    enum ps_rc ended = query_end(&q);
    if (ended != PS_OK)
        rc = ended;
    if (rc == PS_OK)
        *def = found;
    else
        ps_def_done(&found);
    return rc;
}

enum ps_rc
ps_db_cache_each(struct ps_db *db, const struct ps_page *page, const char *ids,
                 enum ps_rc (*fn)(void *arg, const struct ps_cache_def *def),
                 void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_CACHE_EACH, err);
    query_page(&q, page, 1);
    query_text(&q, ids);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_cache_def def;
        ps_def_init(&def);
        rc = read_def(&q, &def);
        if (rc == PS_OK) {
            rc = fn(arg, &def);
            if (rc != PS_OK)
                ps_err_set(err, rc, NULL);
        }
        ps_def_done(&def);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

enum ps_rc
ps_db_cache_count(struct ps_db *db, int64_t *count, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_CACHE_COUNT, err);
    if (query_row(&q))
        *count = column_int(&q);
    return query_end(&q);
}

uint64_t
ps_db_config_version(const struct ps_db *db)
{
    PS_CHECK_OBJ(db, PS_DB_MAGIC);
    return db->config_version;
}
