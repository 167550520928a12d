/*
 * Where a connection goes and as whom: what open needs, and the KILL QUERY of
 * another connection later on. It holds the password for as long as the
 * connection lives (the library does so too), and wipes it.
 */
#include "agent/backend/my.h"
#include "agent/backend/trust.h"
#include "common/check.h"

#include <errmsg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    THREADS_MAX = 32
};

static void
thread_begin(void)
{
    mysql_thread_init();
}

struct ps_jobs ps_my_jobs =
    PS_JOBS_INIT(ps_my_jobs, THREADS_MAX, thread_begin, mysql_thread_end);

struct my_target *
ps_my_target_new(const struct ps_conn_open *open)
{
    struct my_target *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->conf = ps_cache_conf_ref(open->conf);
    t->tls_mode = ps_cache_conf_tls_mode(open->conf);
    t->ca_fd = -1;
    t->user = ps_str_dup(open->login.user);
    t->password = ps_str_dup(open->login.password);
    t->password_len = open->login.password.len;
    t->database = ps_str_dup(open->login.database);
    snprintf(t->program, sizeof(t->program), "%s",
             open->application_name ? open->application_name : "");
    if (t->conf->tls_ca_pem)
        t->ca_fd = ps_trust_file(t->conf->tls_ca_pem, t->ca_path);
    if (!t->user || !t->password || !t->database)
        ps_my_target_unref(&t);
    return t;
}

struct my_target *
ps_my_target_ref(struct my_target *target)
{
    atomic_fetch_add(&target->refs, 1);
    return target;
}

void
ps_my_target_unref(struct my_target **target)
{
    struct my_target *t = *target;
    *target = NULL;
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    if (t->ca_fd >= 0)
        close(t->ca_fd);
    if (t->password)
        explicit_bzero(t->password, t->password_len);
    free(t->password);
    free(t->user);
    free(t->database);
    ps_cache_conf_unref(&t->conf);
    free(t);
}

static enum ps_rc
set_trust(const struct my_target *t, MYSQL *my, struct ps_err *err)
{
    const char *ca;
    if (!t->conf->tls_ca_pem)
        ca = ps_trust_system_bundle();
    else
        ca = t->ca_fd < 0 ? NULL : t->ca_path;
    if (!ca)
        return ps_err_set(err, PS_ORIGIN_CERT,
                          "this agent has no bundle of trusted certificates; "
                          "install ca-certificates or give the cache its CA");
    mysql_options(my, MYSQL_OPT_SSL_CA, ca);
    return PS_OK;
}

static bool
verifies(const struct my_target *t)
{
    return t->tls_mode == PS_TLS_VERIFY_CA || t->tls_mode == PS_TLS_VERIFY_FULL;
}

static enum ps_rc
set_tls(const struct my_target *t, MYSQL *my, bool tls, struct ps_err *err)
{
    my_bool yes = 1, names = t->tls_mode == PS_TLS_VERIFY_FULL;
    if (!tls)
        return PS_OK;
    mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &yes);
    mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &names);
    if (verifies(t))
        return set_trust(t, my, err);
    return PS_OK;
}

/* A handle with every option set. */
static MYSQL *
make_handle(const struct my_target *t, bool tls, unsigned timeout_s,
            struct ps_err *err)
{
    static const unsigned max_packet = PS_ROW_MAX_BYTES;
    unsigned no = 0, tcp = MYSQL_PROTOCOL_TCP;
    MYSQL *my = mysql_init(NULL);
    if (!my) {
        ps_err_set(err, PS_NO_MEMORY, NULL);
        return NULL;
    }
    /* Otherwise "localhost" is a socket in the file system. */
    mysql_options(my, MYSQL_OPT_PROTOCOL, &tcp);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    /* The server may not ask for the agent's files. */
    mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &no);
    /* Nor for the password itself. */
    mysql_options(my, MARIADB_OPT_RESTRICTED_AUTH,
                  "mysql_native_password,caching_sha2_password,"
                  "client_ed25519,sha256_password");
    mysql_options(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &max_packet);
    mysql_options(my, MYSQL_OPT_CONNECT_ATTR_RESET, NULL);
    mysql_options4(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", t->program);
    if (set_tls(t, my, tls, err) == PS_OK)
        return my;
    mysql_close(my);
    return NULL;
}

/* prefer: the server has no TLS. */
static bool
without_tls(const struct my_target *t, MYSQL *my)
{
    return t->tls_mode == PS_TLS_PREFER &&
           mysql_errno(my) == CR_SSL_CONNECTION_ERROR &&
           strstr(mysql_error(my), "does not support");
}

static MYSQL *
try_connect(const struct my_target *t, bool *tls, unsigned timeout_s,
            struct ps_err *err)
{
    MYSQL *my = make_handle(t, *tls, timeout_s, err);
    if (!my)
        return NULL;
    if (mysql_real_connect(my, t->conf->host, t->user, t->password,
                           t->database[0] ? t->database : NULL, t->conf->port,
                           NULL, 0))
        return my;
    ps_my_connect_error(my, verifies(t), err);
    if (*tls && without_tls(t, my))
        *tls = false;
    mysql_close(my);
    return NULL;
}

MYSQL *
ps_my_target_connect(const struct my_target *t, unsigned timeout_s,
                     struct ps_err *err)
{
    bool tls = t->tls_mode != PS_TLS_DISABLE, tried = tls;
    MYSQL *my = try_connect(t, &tls, timeout_s, err);
    if (!my && tls != tried)
        my = try_connect(t, &tls, timeout_s, err);
    return my;
}
