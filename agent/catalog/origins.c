/* Which servers have a catalogue that is read, and how. */
#include "agent/catalog/catalog_private.h"

const struct ps_catalog_origin *
ps_catalog_origin_find(enum ps_provider provider)
{
    static const struct ps_catalog_origin postgres = {
        .dialect = PS_DIALECT_POSTGRES, .query = ps_catalog_pg_query};
    static const struct ps_catalog_origin mysql = {
        .dialect = PS_DIALECT_MYSQL, .query = ps_catalog_my_query};
    static const struct ps_catalog_origin mssql = {
        .dialect = PS_DIALECT_TSQL, .query = ps_catalog_ts_query};
    switch (provider) {
    case PS_PROVIDER_POSTGRES:
        return &postgres;
    case PS_PROVIDER_MYSQL:
    case PS_PROVIDER_MARIADB:
        return &mysql;
    case PS_PROVIDER_MSSQL:
        return &mssql;
    default:
        return NULL;
    }
}
