/*
 * What tls mode "auto" means for a host: names that strangers could answer
 * for are verified in full; inside a private network most databases have
 * self-made certificates, so TLS is used where offered.
 */
#include "agent/config/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool
private_v4(uint32_t a)
{
    return a >> 24 == 127 || a >> 24 == 10 || a >> 20 == (172u << 4 | 1) ||
           a >> 16 == (192u << 8 | 168) || a >> 16 == (169u << 8 | 254);
}

static bool
private_v6(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a))
        return private_v4((uint32_t)a->s6_addr[12] << 24 |
                          (uint32_t)a->s6_addr[13] << 16 |
                          (uint32_t)a->s6_addr[14] << 8 | a->s6_addr[15]);
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
           (a->s6_addr[0] & 0xfe) == 0xfc;
}

static bool
ends_with(struct ps_str name, struct ps_str end)
{
    struct ps_str tail = {name.ptr + name.len - PS_MIN(name.len, end.len),
                          PS_MIN(name.len, end.len)};
    return ps_str_eq_nocase(tail, end);
}

static bool
private_name(struct ps_str name)
{
    static const struct ps_str ends[] = {
        {".local",     6 },
        {".internal",  9 },
        {".lan",       4 },
        {".localhost", 10}
    };
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (memchr(name.ptr, '.', name.len) == NULL)
        return true;
    for (size_t i = 0; i < PS_ARRAY_LEN(ends); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

enum ps_tls_mode
ps_cache_conf_tls_mode(const struct ps_cache_conf *conf)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (conf->tls_mode != PS_TLS_AUTO)
        return conf->tls_mode;
    bool is_private;
    if (inet_pton(AF_INET, conf->host, &v4) == 1)
        is_private = private_v4(ntohl(v4.s_addr));
    else if (inet_pton(AF_INET6, conf->host, &v6) == 1)
        is_private = private_v6(&v6);
    else
        is_private = private_name(ps_str_of(conf->host));
    return is_private ? PS_TLS_PREFER : PS_TLS_VERIFY_FULL;
}
