/* Compares field by field; bindings by name count only their last member. */
#include "agent/front/polyscale_agree.h"

#include "agent/front/polyscale_body.h"

static bool
same_param(const struct ps_param *a, const struct ps_param *b)
{
    if (a->kind != b->kind || !ps_str_eq(a->text, b->text) ||
        a->n_items != b->n_items)
        return false;
    for (size_t i = 0; i < a->n_items; i++) {
        if (!same_param(&a->items[i], &b->items[i]))
            return false;
    }
    return true;
}

static const struct ps_param *
last_named(const struct ps_knex_bindings *b, struct ps_str name)
{
    for (size_t i = b->count; i > 0; i--) {
        if (ps_str_eq(b->list[i - 1].name, name))
            return &b->list[i - 1].value;
    }
    return NULL;
}

/* Has every member of a its equal in b? */
static bool
all_in(const struct ps_knex_bindings *a, const struct ps_knex_bindings *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct ps_param *mine = &a->list[i].value, *other;
        if (a->shape == PS_KNEX_OBJECT) {
            mine = last_named(a, a->list[i].name);
            other = last_named(b, a->list[i].name);
        } else {
            other = i < b->count ? &b->list[i].value : NULL;
        }
        if (!other || !same_param(mine, other))
            return false;
    }
    return true;
}

static const char *
compare(const struct ps_polyscale_body *scanned,
        const struct ps_polyscale_body *loaded)
{
    for (int id = 0; id < PS_POLYSCALE_FIELD_COUNT; id++) {
        if (scanned->fields[id].kind != loaded->fields[id].kind)
            return "kind of a field";
        if (!ps_str_eq(scanned->fields[id].text, loaded->fields[id].text))
            return "text of a field";
    }
    if (scanned->bindings.shape != loaded->bindings.shape)
        return "shape of bindings";
    if (!all_in(&scanned->bindings, &loaded->bindings) ||
        !all_in(&loaded->bindings, &scanned->bindings))
        return "a binding";
    return NULL;
}

const char *
ps_polyscale_agree(struct ps_str body)
{
    struct ps_polyscale_body scanned, loaded;
    struct ps_arena *one = ps_arena_new(16 << 20);
    struct ps_arena *two = ps_arena_new(16 << 20);
    struct ps_err err;
    const char *difference = NULL;
    if (!one || !two)
        difference = "no memory";
    else if (ps_polyscale_body_scan(body, one, &scanned, NULL))
        difference = ps_polyscale_body_load(body, two, &loaded, &err) == PS_OK
                         ? compare(&scanned, &loaded)
                         : "jansson refuses what the scanner accepts";
    ps_arena_free(&one);
    ps_arena_free(&two);
    return difference;
}
