/*
 * The first words of each provider's server.
 *
 * PostgreSQL answers an SSLRequest with one byte: S, N, or E (an error from a
 * server that is too busy or too old to negotiate).
 * MySQL and MariaDB speak first: packet header (3 bytes length, 1 sequence),
 * then protocol version 10, the version text, ...; or 0xff with an error.
 * TLS is asked for by a short handshake response with CLIENT_SSL.
 * SQL Server answers a PRELOGIN (packet type 0x12) with type 0x04.
 */
#include "agent/probe/probe_private.h"

#include <stdio.h>

enum {
    MYSQL_CLIENT_PROTOCOL_41 = 0x200,
    MYSQL_CLIENT_SSL = 0x800,
    MYSQL_CLIENT_SECURE_CONNECTION = 0x8000,
    MYSQL_PACKET_MAX = 4096,
    TDS_HEADER = 8,
    TDS_PRELOGIN = 0x12,
    TDS_RESPONSE = 0x04,
    TDS_PACKET_MAX = 4096
};

/* Server text for people: printable ASCII only, cut to fit. */
static void
copy_text(char *out, size_t size, const unsigned char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < size && text[i] != 0; i++)
        out[n++] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '?';
    out[n] = '\0';
}

static enum ps_rc
not_this_protocol(struct ps_probe_greeting *g, const char *expected)
{
    snprintf(g->detail, sizeof(g->detail),
             "what answers at this port is not %s", expected);
    return PS_ORIGIN_PROTOCOL;
}

static enum ps_rc
greet_postgres(struct ps_probe_socket *s, bool want_tls,
               struct ps_probe_greeting *g)
{
    /* Length 8, request code 80877103: asked for even where TLS is disabled,
     * because it is the question that only PostgreSQL understands. */
    static const unsigned char request[8] = {0, 0, 0, 8, 4, 210, 22, 47};
    unsigned char answer = 0;
    (void)want_tls;
    enum ps_rc rc = ps_probe_write(s, request, sizeof(request));
    if (rc == PS_OK)
        rc = ps_probe_read(s, &answer, 1);
    if (rc == PS_ORIGIN_LOST)
        return not_this_protocol(g, "PostgreSQL (it closed the connection)");
    if (rc != PS_OK)
        return rc;
    if (answer == 'E') {
        snprintf(g->detail, sizeof(g->detail),
                 "the server refused to talk, it may be out of connections");
        return PS_ORIGIN_UNAVAILABLE;
    }
    if (answer != 'S' && answer != 'N')
        return not_this_protocol(g, "PostgreSQL");
    g->tls_offered = answer == 'S';
    snprintf(g->detail, sizeof(g->detail), "PostgreSQL, TLS %s",
             g->tls_offered ? "offered" : "not offered");
    return PS_OK;
}

static enum ps_rc
mysql_error(const unsigned char *p, size_t len, struct ps_probe_greeting *g)
{
    if (len < 3)
        return not_this_protocol(g, "MySQL or MariaDB");
    unsigned code = p[1] | (unsigned)p[2] << 8;
    char text[160];
    copy_text(text, sizeof(text), p + 3, len - 3);
    snprintf(g->detail, sizeof(g->detail), "error %u: %s", code, text);
    /* 1040 too many connections; 1130 host not allowed; 1129 host blocked */
    if (code == 1040)
        return PS_ORIGIN_TOO_MANY;
    return PS_ORIGIN_REFUSED;
}

/* Offset behind the version text of an initial handshake packet, 0 when it is
 * none. */
static size_t
mysql_version_end(const unsigned char *p, size_t len)
{
    if (len < 2 || p[0] != 10)
        return 0;
    const unsigned char *end = memchr(p + 1, 0, len - 1);
    return end ? (size_t)(end - p) + 1 : 0;
}

static enum ps_rc
greet_mysql(struct ps_probe_socket *s, bool want_tls,
            struct ps_probe_greeting *g)
{
    unsigned char head[4], p[MYSQL_PACKET_MAX];
    enum ps_rc rc = ps_probe_read(s, head, sizeof(head));
    if (rc != PS_OK)
        return rc == PS_ORIGIN_LOST ? not_this_protocol(g, "MySQL or MariaDB")
                                    : rc;
    size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (len == 0 || len > sizeof(p) || head[3] != 0)
        return not_this_protocol(g, "MySQL or MariaDB");
    rc = ps_probe_read(s, p, len);
    if (rc != PS_OK)
        return rc;
    if (p[0] == 0xff)
        return mysql_error(p, len, g);
    size_t at = mysql_version_end(p, len);
    /* thread id 4, scramble 8, filler 1, lower capabilities 2 */
    if (at == 0 || at + 15 > len)
        return not_this_protocol(g, "MySQL or MariaDB");
    copy_text(g->version, sizeof(g->version), p + 1, at - 1);
    unsigned capabilities = p[at + 13] | (unsigned)p[at + 14] << 8;
    g->tls_offered = (capabilities & MYSQL_CLIENT_SSL) != 0;
    snprintf(g->detail, sizeof(g->detail), "%s, TLS %s", g->version,
             g->tls_offered ? "offered" : "not offered");
    if (!want_tls || !g->tls_offered)
        return PS_OK;
    unsigned flags = MYSQL_CLIENT_PROTOCOL_41 | MYSQL_CLIENT_SSL |
                     MYSQL_CLIENT_SECURE_CONNECTION;
    unsigned char request[36] = {32, 0, 0, 1};
    request[4] = flags & 0xff;
    request[5] = flags >> 8 & 0xff;
    request[11] = 1;  /* maximum packet 2^24 */
    request[12] = 45; /* utf8mb4_general_ci */
    return ps_probe_write(s, request, sizeof(request));
}

static enum ps_rc
greet_mssql(struct ps_probe_socket *s, bool want_tls,
            struct ps_probe_greeting *g)
{
    /* Options: VERSION at 11 (6 bytes), ENCRYPTION at 17 (1 byte), end. */
    unsigned char request[TDS_HEADER + 18] = {TDS_PRELOGIN,
                                              1,
                                              0,
                                              TDS_HEADER + 18,
                                              0,
                                              0,
                                              1,
                                              0,
                                              0,
                                              0,
                                              11,
                                              0,
                                              6,
                                              1,
                                              0,
                                              17,
                                              0,
                                              1,
                                              0xff,
                                              0,
                                              0,
                                              0,
                                              0,
                                              0,
                                              0,
                                              1};
    request[TDS_HEADER + 17] = want_tls ? 1 : 0;
    unsigned char head[TDS_HEADER], p[TDS_PACKET_MAX];
    enum ps_rc rc = ps_probe_write(s, request, sizeof(request));
    if (rc == PS_OK)
        rc = ps_probe_read(s, head, sizeof(head));
    if (rc == PS_ORIGIN_LOST)
        return not_this_protocol(g, "SQL Server");
    if (rc != PS_OK)
        return rc;
    size_t len = (size_t)head[2] << 8 | head[3];
    if (head[0] != TDS_RESPONSE || len <= TDS_HEADER || len > sizeof(p))
        return not_this_protocol(g, "SQL Server");
    len -= TDS_HEADER;
    rc = ps_probe_read(s, p, len);
    if (rc != PS_OK)
        return rc;
    for (size_t at = 0; at + 5 <= len && p[at] != 0xff; at += 5) {
        size_t offset = (size_t)p[at + 1] << 8 | p[at + 2];
        size_t size = (size_t)p[at + 3] << 8 | p[at + 4];
        if (offset + size > len)
            return not_this_protocol(g, "SQL Server");
        if (p[at] == 0 && size >= 4)
            snprintf(g->version, sizeof(g->version), "%u.%u.%u", p[offset],
                     p[offset + 1],
                     (unsigned)p[offset + 2] << 8 | p[offset + 3]);
        if (p[at] == 1 && size >= 1)
            g->tls_offered = p[offset] != 2; /* NOT_SUP */
    }
    g->tds_wrapped = true;
    snprintf(g->detail, sizeof(g->detail), "SQL Server %s, TLS %s", g->version,
             g->tls_offered ? "offered" : "not offered");
    return PS_OK;
}

enum ps_rc
ps_probe_greet(enum ps_provider provider, struct ps_probe_socket *s,
               bool want_tls, struct ps_probe_greeting *g)
{
    memset(g, 0, sizeof(*g));
    switch (provider) {
    case PS_PROVIDER_POSTGRES:
        return greet_postgres(s, want_tls, g);
    case PS_PROVIDER_MYSQL:
    case PS_PROVIDER_MARIADB:
        return greet_mysql(s, want_tls, g);
    case PS_PROVIDER_MSSQL:
        return greet_mssql(s, want_tls, g);
    case PS_PROVIDER_COUNT:
        break;
    }
    return PS_UNSUPPORTED;
}
