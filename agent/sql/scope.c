/*
 * Scopes: what the names of one SELECT, UPDATE or DELETE mean, and which rows
 * of its relations matter.
 *
 * A bound (source, column, values) says: rows of the source whose column is
 * none of the values cannot change what the scope yields. That is so for
 * conjuncts of WHERE, whatever the joins (a row they refuse, or one padded
 * with NULL instead of it, is refused in the end), for ON of an inner join,
 * and for ON of an outer join about its nullable side only: a row of the other
 * side is kept even if ON is false. An equality between two columns carries
 * a bound over in both directions; from ON of an outer join only towards the
 * nullable side. ON of a full join says nothing.
 *
 * A column without qualifier is bound in every relation of its own scope that
 * could have it: names are looked up from the inside out, and two relations
 * that both have it make the statement an error, unless USING made them one;
 * then nothing is said. Whoever uses a bound looks whether the relation has
 * such a column; of one that has not it says nothing. An equality of two
 * columns carries nothing over unless both are surely known. What resolves to
 * anything but a base relation says nothing.
 */
#include "agent/sql/parser.h"

enum {
    MAX_BOUNDS = 64,
    MAX_FACTS = 512, /* each is looked up among all sources */
    MAX_ROUNDS = 8
};

void
ps_sql_scope_push(struct ps_sql_parser *p, struct ps_sql_scope *scope,
                  struct ps_sql_scope *outer)
{
    *scope = (struct ps_sql_scope){.outer = outer};
    scope->sources_end = &scope->sources;
    p->scope = scope;
}

struct ps_sql_source *
ps_sql_scope_add(struct ps_sql_parser *p, struct ps_str alias, size_t relation)
{
    struct ps_sql_source *source = ps_sql_new(p, sizeof(*source));
    if (!source || !p->scope)
        return NULL;
    if (p->scope->n_sources == PS_SQL_MAX_RELATIONS) {
        ps_sql_fail_reason(p, PS_SQL_REASON_TOO_COMPLEX, ps_sql_peek(p));
        return NULL;
    }
    source->alias = alias;
    source->relation = relation;
    *p->scope->sources_end = source;
    p->scope->sources_end = &source->next;
    p->scope->n_sources++;
    return source;
}

struct ps_sql_source *
ps_sql_scope_find(const struct ps_sql_parser *p,
                  const struct ps_sql_scope *scope,
                  const struct ps_sql_column *column, size_t visible)
{
    struct ps_sql_source *found = NULL;
    size_t index = 0;

    if (!column->qualifier.ptr) {
        for (const struct ps_sql_scope *s = scope->outer; s; s = s->outer)
            if (s->n_sources)
                return NULL;
        if (scope->n_sources != 1)
            return NULL;
        found = scope->sources;
    } else {
        for (struct ps_sql_source *s = scope->sources; s; s = s->next) {
            if (index++ < visible || s->hidden ||
                !p->dialect->same_alias(s->alias, column->qualifier))
                continue;
            if (found)
                return NULL; /* ambiguous: the server will refuse it */
            found = s;
        }
    }
    if (!found || found->relation == PS_SQL_NO_RELATION || found->renamed ||
        found->hidden)
        return NULL;
    return found;
}

static size_t
index_of(const struct ps_sql_scope *scope, const struct ps_sql_source *source)
{
    size_t index = 0;
    for (const struct ps_sql_source *s = scope->sources; s != source;
         s = s->next)
        index++;
    return index;
}

static bool
binds(const struct ps_sql_scope *scope, const struct ps_sql_source *source,
      struct ps_sql_reach reach)
{
    if (reach.from == 0 && reach.to == SIZE_MAX)
        return true;
    size_t index = index_of(scope, source);
    return index >= reach.from && index < reach.to;
}

static void
add_bound(struct ps_sql_parser *p, struct ps_sql_scope *scope,
          const struct ps_sql_bound *bound)
{
    if (scope->n_bounds == MAX_BOUNDS)
        return; /* to know less is safe */
    struct ps_sql_bound *copy = ps_sql_new(p, sizeof(*copy));
    if (!copy)
        return;
    *copy = *bound;
    copy->next = scope->bounds;
    scope->bounds = copy;
    scope->n_bounds++;
}

/* In all that may have it. */
static void
bind_everywhere(struct ps_sql_parser *p, struct ps_sql_scope *scope,
                const struct ps_sql_fact *fact, struct ps_sql_reach reach)
{
    size_t index = 0;
    if (scope->merged)
        return;
    for (struct ps_sql_source *s = scope->sources; s; s = s->next, index++) {
        struct ps_sql_bound bound = {.source = s,
                                     .column = fact->column.name,
                                     .values = fact->values,
                                     .n_values = fact->n_values};
        bool whole = reach.from == 0 && reach.to == SIZE_MAX;
        if (index >= reach.visible && !s->hidden && !s->renamed &&
            s->relation != PS_SQL_NO_RELATION &&
            (whole || (index >= reach.from && index < reach.to)))
            add_bound(p, scope, &bound);
    }
}

void
ps_sql_scope_bind(struct ps_sql_parser *p, struct ps_sql_scope *scope,
                  struct ps_sql_fact *facts, struct ps_sql_reach reach)
{
    for (; facts && !p->failed && scope->n_bounds < MAX_BOUNDS &&
           scope->n_facts < MAX_FACTS;
         facts = facts->next, scope->n_facts++) {
        if (facts->n_values && !facts->column.qualifier.ptr) {
            bind_everywhere(p, scope, facts, reach);
            continue;
        }
        struct ps_sql_source *a =
            ps_sql_scope_find(p, scope, &facts->column, reach.visible);
        if (!a)
            continue;
        if (facts->n_values) {
            struct ps_sql_bound bound = {.source = a,
                                         .column = facts->column.name,
                                         .values = facts->values,
                                         .n_values = facts->n_values};
            if (binds(scope, a, reach))
                add_bound(p, scope, &bound);
            continue;
        }
        struct ps_sql_source *b =
            ps_sql_scope_find(p, scope, &facts->other, reach.visible);
        if (!b || a == b)
            continue;
        struct ps_sql_bound there = {.source = a,
                                     .column = facts->column.name,
                                     .to = b,
                                     .to_column = facts->other.name};
        struct ps_sql_bound back = {.source = b,
                                    .column = facts->other.name,
                                    .to = a,
                                    .to_column = facts->column.name};
        if (binds(scope, b, reach))
            add_bound(p, scope, &there);
        if (binds(scope, a, reach))
            add_bound(p, scope, &back);
    }
}

static bool
has_bound(const struct ps_sql_scope *scope, const struct ps_sql_source *source,
          struct ps_str column, const struct ps_sql_value *values)
{
    for (const struct ps_sql_bound *b = scope->bounds; b; b = b->next)
        if (b->source == source && b->values == values &&
            ps_str_eq(b->column, column))
            return true;
    return false;
}

/* Carries bounds over equalities until nothing new comes. */
static void
carry_over(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    bool more = true;
    for (int round = 0; more && round < MAX_ROUNDS; round++) {
        more = false;
        for (struct ps_sql_bound *eq = scope->bounds; eq; eq = eq->next) {
            if (!eq->to)
                continue;
            for (struct ps_sql_bound *b = scope->bounds; b; b = b->next) {
                if (b->to || b->source != eq->source ||
                    !ps_str_eq(b->column, eq->column) ||
                    has_bound(scope, eq->to, eq->to_column, b->values))
                    continue;
                struct ps_sql_bound carried = {.source = eq->to,
                                               .column = eq->to_column,
                                               .values = b->values,
                                               .n_values = b->n_values,
                                               .derived = true};
                add_bound(p, scope, &carried);
                more = scope->n_bounds < MAX_BOUNDS;
            }
        }
    }
}

/* The bounds of one source as an array. */
static void
write_predicates(struct ps_sql_parser *p, const struct ps_sql_scope *scope,
                 const struct ps_sql_source *source)
{
    size_t n = 0;
    for (const struct ps_sql_bound *b = scope->bounds; b; b = b->next)
        n += b->source == source && !b->to;
    if (n == 0)
        return;
    struct ps_sql_predicate *list = ps_sql_new(p, n * sizeof(*list));
    if (!list)
        return;
    size_t at = 0;
    for (int derived = 0; derived <= 1; derived++)
        for (const struct ps_sql_bound *b = scope->bounds; b; b = b->next)
            if (b->source == source && !b->to && b->derived == derived)
                list[at++] = (struct ps_sql_predicate){.column = b->column,
                                                       .values = b->values,
                                                       .n_values = b->n_values,
                                                       .derived = b->derived};
    struct ps_sql_relation *rel = &p->relations[source->relation];
    if (rel->use & PS_SQL_REL_WRITE) {
        rel->before = list;
        rel->n_before = n;
    } else {
        rel->predicates = list;
        rel->n_predicates = n;
    }
}

void
ps_sql_scope_finish(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    p->scope = scope->outer;
    if (p->failed || !scope->bounds || scope->any_row)
        return;
    if (!p->dialect->loose_equality)
        carry_over(p, scope);
    for (const struct ps_sql_source *s = scope->sources; s; s = s->next)
        if (s->relation != PS_SQL_NO_RELATION)
            write_predicates(p, scope, s);
}
