/*
 * The encoder of rows: JSON objects as in the PolyScale format, or what another
 * style makes of them. Once per result set the columns are
 * turned into slots: names escaped and quoted, duplicates merged, order that
 * of a JavaScript object. A row is then one pass over the slots, appending
 * to one buffer; nothing is allocated per row or cell but that buffer's
 * growth and, for arrays, that of one scratch buffer.
 *
 * node-pg makes a row by assigning its values to the keys of an object in
 * order of the columns. Hence: of equal names the last value wins, at the
 * place of the first (knex's mssql dialect makes an array of them, see
 * values.h); names that are array indexes ("0", "17") come before the others
 * in ascending order; `__proto__` is a key like any other.
 *
 * One thread at a time: the encoder belongs to the request.
 */
#include "agent/result/result.h"
#include "agent/result/values.h"
#include "common/check.h"

#include <stdlib.h>

enum {
    ENCODER_MAGIC = 0x726a736e,
    NAMES_MAX_BYTES = 16 << 20,
    ERROR_MAX_BYTES = 64 << 10
};

struct slot {
    struct ps_str name; /* while the slots are made: as the column has it */
    size_t key_at;      /* then: offset of "name": in the names buffer */
    size_t key_len;
    size_t first;     /* column: of the place */
    uint64_t index;   /* the name as array index, or UINT64_MAX */
    size_t source;    /* place among the sources, of the only value or */
    size_t n_sources; /* of the first of those that become an array */
};

struct source {
    size_t column;
    uint32_t kind; /* of the values, as self->values has it */
};

struct ps_rows_json {
    unsigned magic;
    struct ps_sink sink;
    struct ps_buf body;
    struct ps_buf names;   /* "a":"b":"c": */
    struct ps_buf scratch; /* elements of arrays */
    struct slot *slots;
    struct source *sources; /* by name, then by column */
    size_t n_slots, slots_cap;
    size_t n_columns;
    uint64_t count;
    bool any_set;
    int provider;
    const struct ps_values *values;
    const struct ps_rows_style *style;
    struct ps_result_end end;
    char command[64];    /* of end */
    struct ps_buf error; /* as style->error has it */
};

/* ---- the PolyScale form ---- */

static void
polyscale_begin(struct ps_buf *out, int provider,
                const struct ps_column *columns, size_t n)
{
    (void)provider;
    (void)columns;
    (void)n;
    ps_buf_append_char(out, '[');
}

static void
polyscale_end(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
              uint64_t n_rows)
{
    (void)end;
    (void)any_set;
    (void)n_rows;
    ps_buf_append_char(out, ']');
}

static const struct ps_rows_style polyscale = {
    .begin = polyscale_begin, .between = ",", .end = polyscale_end};

static enum ps_rc
rc_of(const struct ps_buf *buf)
{
    enum ps_rc rc = ps_buf_rc(buf);
    return rc == PS_TOO_BIG ? PS_RESULT_TOO_BIG : rc;
}

/* ECMA-262 "array index": canonical decimal below 2^32 - 1. */
static uint64_t
array_index(struct ps_str name)
{
    if (name.len == 0 || name.len > 10 || (name.ptr[0] == '0' && name.len > 1))
        return UINT64_MAX;
    uint64_t value = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            return UINT64_MAX;
        value = value * 10 + (uint64_t)(name.ptr[i] - '0');
    }
    return value < UINT32_MAX ? value : UINT64_MAX;
}

static int
by_name(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;
    size_t n = PS_MIN(a->name.len, b->name.len);
    int order = n ? memcmp(a->name.ptr, b->name.ptr, n) : 0;
    if (order != 0)
        return order;
    if (a->name.len != b->name.len)
        return a->name.len < b->name.len ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int
by_place(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* Slots sorted by name: equal ones become one. */
static void
merge_duplicates(struct ps_rows_json *self, const struct ps_column *columns)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n_slots; i++) {
        struct slot *slot = &self->slots[i];
        self->sources[i].column = slot->first;
        self->sources[i].kind = self->values->kind_of(&columns[slot->first]);
        if (n == 0 || !ps_str_eq(self->slots[n - 1].name, slot->name)) {
            self->slots[n] = *slot;
            self->slots[n].source = i;
            self->slots[n++].n_sources = 1;
        } else if (self->values->is_true && self->style == &polyscale) {
            self->slots[n - 1].n_sources++;
        } else {
            self->slots[n - 1].source = i;
        }
    }
    self->n_slots = n;
}

static bool
grow(struct ps_rows_json *self, size_t count)
{
    if (count <= self->slots_cap)
        return true;
    struct slot *slots = reallocarray(self->slots, count, sizeof(*self->slots));
    if (slots)
        self->slots = slots;
    struct source *sources =
        reallocarray(self->sources, count, sizeof(*self->sources));
    if (sources)
        self->sources = sources;
    if (!slots || !sources)
        return false;
    self->slots_cap = count;
    return true;
}

/* Rows without names: each column is a slot. */
static void
make_places(struct ps_rows_json *self, const struct ps_column *columns,
            size_t count)
{
    self->n_slots = self->n_columns = count;
    for (size_t i = 0; i < count; i++) {
        self->slots[i] = (struct slot){.source = i, .n_sources = 1};
        self->sources[i] = (struct source){
            .column = i, .kind = self->values->kind_of(&columns[i])};
    }
}

static enum ps_rc
make_slots(struct ps_rows_json *self, const struct ps_column *columns,
           size_t count)
{
    if (!grow(self, count))
        return PS_NO_MEMORY;
    if (self->style->arrays || self->style->row) {
        make_places(self, columns, count);
        return PS_OK;
    }
    self->n_slots = self->n_columns = count;
    for (size_t i = 0; i < count; i++) {
        self->slots[i] = (struct slot){
            .name = columns[i].name,
            .first = i,
            .index = array_index(columns[i].name),
        };
    }
    if (count > 0) {
        qsort(self->slots, count, sizeof(*self->slots), by_name);
        merge_duplicates(self, columns);
        qsort(self->slots, self->n_slots, sizeof(*self->slots), by_place);
    }
    return PS_OK;
}

/* The keys, ready to be copied into every row. */
static enum ps_rc
make_keys(struct ps_rows_json *self)
{
    ps_buf_clear(&self->names);
    for (size_t i = 0; i < self->n_slots; i++) {
        struct slot *slot = &self->slots[i];
        slot->key_at = self->names.len;
        if (i > 0)
            ps_buf_append_char(&self->names, ',');
        if (self->style->arrays || self->style->row) {
            slot->key_len = self->names.len - slot->key_at;
            continue;
        }
        ps_buf_append_json(&self->names, slot->name);
        ps_buf_append_char(&self->names, ':');
        slot->key_len = self->names.len - slot->key_at;
        slot->name = PS_STR_NONE; /* the caller's; gone after this call */
    }
    return rc_of(&self->names);
}

static enum ps_rc
on_columns(struct ps_sink *sink, const struct ps_column *columns, size_t count)
{
    struct ps_rows_json *self =
        PS_CONTAINER_OF(sink, struct ps_rows_json, sink);
    PS_CHECK_OBJ(self, ENCODER_MAGIC);
    bool begin =
        !self->any_set || !self->values->all_sets || self->style != &polyscale;
    if (begin) {
        ps_buf_clear(&self->body);
        self->count = 0;
    }
    self->any_set = true;
    enum ps_rc rc = make_slots(self, columns, count);
    if (rc == PS_OK)
        rc = make_keys(self);
    if (begin)
        self->style->begin(&self->body, self->provider, columns, count);
    return rc == PS_OK ? rc_of(&self->body) : rc;
}

static enum ps_rc
put_value(struct ps_rows_json *self, const struct source *source,
          const struct ps_cell *cells)
{
    const struct ps_cell *cell = &cells[source->column];
    if (!cell->ptr) {
        ps_buf_append(&self->body, "null", 4);
        return PS_OK;
    }
    return self->values->json(&self->body, source->kind,
                              (struct ps_str){cell->ptr, cell->len},
                              &self->scratch);
}

/* Several values of one name; see values.h. */
static enum ps_rc
put_values(struct ps_rows_json *self, const struct slot *slot,
           const struct ps_cell *cells)
{
    const struct source *source = &self->sources[slot->source];
    const struct source *last = source + slot->n_sources - 1;
    for (; source < last; source++) {
        const struct ps_cell *cell = &cells[source->column];
        if (cell->ptr &&
            self->values->is_true(source->kind,
                                  (struct ps_str){cell->ptr, cell->len}))
            break;
    }
    if (source == last)
        return put_value(self, source, cells);
    enum ps_rc rc = PS_OK;
    for (char mark = '['; rc == PS_OK && source <= last; source++) {
        ps_buf_append_char(&self->body, mark);
        rc = put_value(self, source, cells);
        mark = ',';
    }
    ps_buf_append_char(&self->body, ']');
    return rc;
}

static enum ps_rc
on_row(struct ps_sink *sink, const struct ps_cell *cells, size_t count)
{
    struct ps_rows_json *self =
        PS_CONTAINER_OF(sink, struct ps_rows_json, sink);
    PS_CHECK_OBJ(self, ENCODER_MAGIC);
    PS_CHECK(self->any_set && count == self->n_columns);
    struct ps_buf *body = &self->body;
    if (self->count++ > 0)
        ps_buf_append_c(body, self->style->between);
    if (self->style->row) {
        self->style->row(body, cells, count);
        return rc_of(body);
    }
    ps_buf_append_char(body, self->style->arrays ? '[' : '{');
    for (size_t i = 0; i < self->n_slots; i++) {
        const struct slot *slot = &self->slots[i];
        ps_buf_append(body, self->names.data + slot->key_at, slot->key_len);
        enum ps_rc rc =
            slot->n_sources == 1
                ? put_value(self, &self->sources[slot->source], cells)
                : put_values(self, slot, cells);
        if (rc != PS_OK)
            return rc == PS_TOO_BIG ? PS_RESULT_TOO_BIG : rc;
    }
    ps_buf_append_char(body, self->style->arrays ? ']' : '}');
    if (self->style->behind)
        ps_buf_append_c(body, self->style->behind);
    return rc_of(body);
}

static void
on_error(struct ps_sink *sink, const struct ps_origin_error *error)
{
    struct ps_rows_json *self =
        PS_CONTAINER_OF(sink, struct ps_rows_json, sink);
    PS_CHECK_OBJ(self, ENCODER_MAGIC);
    ps_buf_clear(&self->error);
    if (self->style->error)
        self->style->error(&self->error, error);
}

struct ps_rows_json *
ps_rows_json_new(size_t max_bytes)
{
    struct ps_rows_json *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->magic = ENCODER_MAGIC;
    self->sink.columns = on_columns;
    self->sink.row = on_row;
    self->sink.error = on_error;
    self->values = &ps_pg_values;
    self->style = &polyscale;
    ps_buf_init(&self->body, max_bytes);
    ps_buf_init(&self->scratch, max_bytes);
    ps_buf_init(&self->names, NAMES_MAX_BYTES);
    ps_buf_init(&self->error, ERROR_MAX_BYTES);
    return self;
}

void
ps_rows_json_free(struct ps_rows_json **encoder)
{
    struct ps_rows_json *old = *encoder;
    *encoder = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, ENCODER_MAGIC);
    old->magic = 0;
    ps_buf_done(&old->body);
    ps_buf_done(&old->names);
    ps_buf_done(&old->scratch);
    ps_buf_done(&old->error);
    free(old->slots);
    free(old->sources);
    free(old);
}

struct ps_sink *
ps_rows_json_sink(struct ps_rows_json *encoder)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    return &encoder->sink;
}

void
ps_rows_json_set_provider(struct ps_rows_json *encoder, int provider)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    PS_CHECK(!encoder->any_set);
    encoder->provider = provider;
    encoder->values = encoder->style->values ? encoder->style->values
                                             : ps_values_of(provider);
}

void
ps_rows_json_set_style(struct ps_rows_json *encoder,
                       const struct ps_rows_style *style)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    PS_CHECK(!encoder->any_set);
    encoder->style = style;
    if (style->values)
        encoder->values = style->values;
}

void
ps_rows_json_set_end(struct ps_rows_json *encoder,
                     const struct ps_result_end *end)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    size_t n = PS_MIN(end->command.len, sizeof(encoder->command));
    encoder->end = *end;
    memcpy(encoder->command, n ? end->command.ptr : "", n);
    encoder->end.command = (struct ps_str){encoder->command, n};
}

struct ps_str
ps_rows_json_error(const struct ps_rows_json *encoder)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    if (encoder->error.len == 0 || ps_buf_rc(&encoder->error) != PS_OK)
        return PS_STR_NONE;
    return ps_buf_str(&encoder->error);
}

enum ps_rc
ps_rows_json_take(struct ps_rows_json *encoder, char **body, size_t *len)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    if (!encoder->any_set)
        encoder->style->begin(&encoder->body, encoder->provider, NULL, 0);
    encoder->style->end(&encoder->body, &encoder->end, encoder->any_set,
                        encoder->count);
    enum ps_rc rc = rc_of(&encoder->body);
    if (rc != PS_OK)
        return rc;
    *body = ps_buf_take(&encoder->body, len);
    return PS_OK;
}

struct ps_str
ps_rows_json_so_far(const struct ps_rows_json *encoder)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    return ps_buf_str(&encoder->body);
}

void
ps_rows_json_drop(struct ps_rows_json *encoder)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    PS_CHECK(encoder->count > 0 && ps_buf_rc(&encoder->body) == PS_OK);
    ps_buf_clear(&encoder->body);
}

uint64_t
ps_rows_json_count(const struct ps_rows_json *encoder)
{
    PS_CHECK_OBJ(encoder, ENCODER_MAGIC);
    return encoder->count;
}
