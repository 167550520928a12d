/* Which provider has which values, and what several of them share. */
#include "agent/result/values.h"

#include "agent/result/my_values.h"

enum {
    /* enum ps_provider; a test checks that the numbers agree. */
    PROVIDER_POSTGRES = 0,
    PROVIDER_MYSQL = 1,
    PROVIDER_MARIADB = 2,
    PROVIDER_MSSQL = 3
};

static uint32_t
string_kind(const struct ps_column *column)
{
    (void)column;
    return 0;
}

static enum ps_rc
string_json(struct ps_buf *out, uint32_t kind, struct ps_str text,
            struct ps_buf *scratch)
{
    (void)kind;
    (void)scratch;
    ps_buf_append_json(out, text);
    return PS_OK;
}

static const struct ps_values strings = {.kind_of = string_kind,
                                         .json = string_json};

const struct ps_values *
ps_values_of(int provider)
{
    switch (provider) {
    case PROVIDER_POSTGRES:
        return &ps_pg_values;
    case PROVIDER_MYSQL:
    case PROVIDER_MARIADB:
        return &ps_my_values;
    case PROVIDER_MSSQL:
        return &ps_tds_values;
    default:
        return &strings;
    }
}

void
ps_values_bytes_json(struct ps_buf *out, struct ps_str bytes)
{
    char text[1024];
    size_t n = 0;
    ps_buf_append_c(out, "{\"type\":\"Buffer\",\"data\":[");
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned byte = (unsigned char)bytes.ptr[i];
        if (n + 4 > sizeof(text)) {
            ps_buf_append(out, text, n);
            n = 0;
        }
        if (i > 0)
            text[n++] = ',';
        if (byte >= 100)
            text[n++] = (char)('0' + byte / 100);
        if (byte >= 10)
            text[n++] = (char)('0' + byte / 10 % 10);
        text[n++] = (char)('0' + byte % 10);
    }
    ps_buf_append(out, text, n);
    ps_buf_append(out, "]}", 2);
}
