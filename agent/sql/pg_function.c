/*
 * Names that PostgreSQL knows by itself: functions (generated table),
 * operators, system relations.
 *
 * Default deny: what is not here is unknown and left to the catalogue.
 */
#include "agent/sql/pg.h"
#include "agent/sql/pg_functions.inc"

static enum ps_sql_function_kind
kind_of(char letter)
{
    switch (letter) {
    case 'I':
    case 'i':
        return PS_FN_IMMUTABLE;
    case 'S':
        return PS_FN_STABLE;
    case 'V':
        return PS_FN_VOLATILE;
    case 'E':
        return PS_FN_SESSION;
    default:
        return PS_FN_WRITES;
    }
}

struct ps_sql_function_info
ps_sql_pg_function(struct ps_str name, size_t n_args)
{
    struct ps_sql_function_info info = {.kind = PS_FN_UNKNOWN};
    uint32_t hash = PS_SQL_HASH_START;

    for (size_t i = 0; i < name.len; i++)
        hash = ps_sql_hash_step(hash, (unsigned char)name.ptr[i]);
    for (uint32_t at = hash & (FUNCTION_SLOTS - 1); function_slots[at];
         at = (at + 1) & (FUNCTION_SLOTS - 1)) {
        const char *found = function_names[function_slots[at] - 1];
        if (strlen(found + 1) != name.len ||
            memcmp(found + 1, name.ptr, name.len) != 0)
            continue;
        info.kind = kind_of(found[0]);
        info.set_returning = found[0] == 'i';
        break;
    }
    /* age(x) counts from today. */
    if (n_args == 1 && ps_str_eq(name, PS_STR("age")))
        info.kind = PS_FN_STABLE;
    if (ps_str_eq(name, PS_STR("nextval")) || ps_str_eq(name, PS_STR("setval")))
        info.writes = true;
    return info;
}

/* All operators of pg_operator (12 to 17); none is volatile, and those that
 * are stable depend on TimeZone only, which the canonical session fixes. */
bool
ps_sql_pg_operator(struct ps_str text)
{
    static const char list[] =
        " !! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= "
        "*> *>= + - -> ->> -|- / < <-> << <<= <<| <= <> != <@ <^ = > >= >> "
        ">>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> || "
        "||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~* !~~ !~~* ";
    char needle[8];

    if (text.len == 1)
        return strchr("+-*/<>=~!@#%^&|?", text.ptr[0]) && text.ptr[0] != '!';
    if (text.len > sizeof(needle) - 2)
        return false;
    needle[0] = ' ';
    memcpy(needle + 1, text.ptr, text.len);
    needle[text.len + 1] = ' ';
    return memmem(list, sizeof(list) - 1, needle, text.len + 2);
}

static bool
has_prefix(struct ps_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.ptr, prefix, n) == 0;
}

enum ps_sql_reason
ps_sql_pg_relation_reason(struct ps_str schema, struct ps_str name)
{
    if (schema.ptr) {
        if (has_prefix(schema, "pg_temp"))
            return PS_SQL_REASON_TEMPORARY_TABLE;
        if (has_prefix(schema, "pg_") ||
            ps_str_eq(schema, PS_STR("information_schema")))
            return PS_SQL_REASON_SYSTEM_CATALOG;
        return PS_SQL_REASON_NONE;
    }
    /* pg_catalog is searched first: an unqualified pg_class is the system's. A
     * table of one's own may be called pg_something; not worth the doubt. */
    return has_prefix(name, "pg_") ? PS_SQL_REASON_SYSTEM_CATALOG
                                   : PS_SQL_REASON_NONE;
}
