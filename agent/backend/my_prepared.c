/*
 * Statements that stay prepared on their connection: the most recently used
 * ones, found by their text. One that makes room for another is closed after
 * the statement under way.
 */
#include "agent/backend/my.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    KEPT_MAX = 64,
    KEPT_SQL_BYTES = 16384 /* longer texts are not kept */
};

static struct my_prepared *
prepared_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct my_prepared, link);
}

struct my_prepared *
ps_my_prepared_find(struct my_conn *self, struct ps_str sql)
{
    PS_LIST_FOREACH_SAFE(&self->prepared, it, next) {
        struct my_prepared *p = prepared_of(it);
        if (p->sql_len == sql.len && memcmp(p->sql, sql.ptr, sql.len) == 0) {
            ps_list_remove(&self->prepared, it);
            ps_list_push_front(&self->prepared, it);
            return p;
        }
    }
    return NULL;
}

struct my_prepared *
ps_my_prepared_new(struct my_conn *self, struct ps_str sql)
{
    struct my_prepared *p = calloc(1, sizeof(*p) + sql.len);
    if (!p)
        return NULL;
    ps_link_init(&p->link);
    p->stmt = mysql_stmt_init(self->my);
    if (!p->stmt) {
        free(p);
        return NULL;
    }
    p->sql_len = sql.len;
    memcpy(p->sql, sql.ptr, sql.len);
    ps_list_push_front(&self->prepared, &p->link);
    return p;
}

static void
take_out(struct my_conn *self, struct my_prepared *p)
{
    ps_list_remove(&self->prepared, &p->link);
    self->closing = p;
}

void
ps_my_prepared_keep(struct my_conn *self)
{
    if (self->closing)
        return;
    if (self->current->sql_len > KEPT_SQL_BYTES)
        take_out(self, self->current);
    else if (self->prepared.count > KEPT_MAX)
        take_out(self, prepared_of(self->prepared.head.prev));
}

void
ps_my_prepared_drop(struct my_conn *self)
{
    if (!self->closing)
        take_out(self, self->current);
}

/* Closing or resetting the connection has cut the statement off from it, so
 * this says no word to the server. */
static void
forget(struct my_prepared *p)
{
    PS_CHECK(!p->stmt->mysql);
    mysql_stmt_close(p->stmt);
    free(p);
}

void
ps_my_prepared_forget(struct my_conn *self)
{
    struct ps_link *link;
    while ((link = ps_list_pop_front(&self->prepared)))
        forget(prepared_of(link));
    if (self->closing)
        forget(self->closing);
    self->closing = self->current = NULL;
}

/* ---- the step ---- */

int
my_stmt_close_start(struct my_conn *self)
{
    return mysql_stmt_close_start(&self->stmt_failed, self->closing->stmt);
}

int
my_stmt_close_cont(struct my_conn *self, int ready)
{
    return mysql_stmt_close_cont(&self->stmt_failed, self->closing->stmt,
                                 ready);
}

enum my_next
my_stmt_close_done(struct my_conn *self)
{
    if (self->current == self->closing)
        self->current = NULL;
    free(self->closing); /* its statement freed itself */
    self->closing = NULL;
    return self->exec.again ? ps_my_exec_again(self)
                            : ps_my_exec_complete(self);
}
