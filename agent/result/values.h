/*
 * How the values of one provider become JSON: that of the Node driver that
 * knex uses for it. The encoder asks once per column and then per value.
 */
#ifndef PS_AGENT_RESULT_VALUES_H
#define PS_AGENT_RESULT_VALUES_H

#include "agent/result/result.h"

struct ps_values {
    /* What the column's values are; a number of the provider's own. */
    uint32_t (*kind_of)(const struct ps_column *column);
    /*
     * Appends one value that is not NULL. scratch: emptied and used as the
     * provider likes. PS_ORIGIN_PROTOCOL when text is not what the kind's
     * values look like and the Node driver would throw.
     */
    enum ps_rc (*json)(struct ps_buf *out, uint32_t kind, struct ps_str text,
                       struct ps_buf *scratch);
    /* The rows of all result sets make one answer; else the last set's do. */
    bool all_sets;
    /*
     * NULL: of columns of one name the last value wins. Else, as in knex's
     * mssql dialect, such values become an array, from the first on that is
     * true to JavaScript, which is what this says of one that is not NULL.
     */
    bool (*is_true)(uint32_t kind, struct ps_str text);
};

extern const struct ps_values ps_pg_values;
extern const struct ps_values ps_tds_values;

/* Never NULL: a provider without values of its own has plain strings.
 * provider: enum ps_provider (agent/config), which this layer may not name. */
const struct ps_values *ps_values_of(int provider);

/* {"type":"Buffer","data":[...]}, as JSON.stringify writes a Node Buffer. */
void ps_values_bytes_json(struct ps_buf *out, struct ps_str bytes);

#endif
