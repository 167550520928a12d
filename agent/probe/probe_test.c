/*
 * Each stage and code against a server thread that says given bytes: real
 * sockets on loopback, no provider's server needed. TLS with a certificate
 * made here.
 */
#include "agent/probe/probe.h"
#include "agent/probe/probe_private.h"
#include "common/tls.h"
#include "tests/unit.h"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    int listener;
    uint16_t port;
    const unsigned char *says_first; /* before anything was read */
    size_t n_first;
    size_t reads; /* then this many bytes are read, */
    const unsigned char *answers;
    size_t n_answers; /* and this is said */
    SSL_CTX *tls;     /* then a handshake, when not NULL */
    bool silent;
    pthread_t thread;
};

static void
talk(struct server *s, int fd)
{
    char sink[512];
    if (s->n_first)
        assert_int_equal(send(fd, s->says_first, s->n_first, MSG_NOSIGNAL),
                         s->n_first);
    for (size_t n = 0; n < s->reads;) {
        ssize_t r = recv(fd, sink, s->reads - n, 0);
        if (r <= 0)
            return;
        n += (size_t)r;
    }
    if (s->n_answers)
        assert_int_equal(send(fd, s->answers, s->n_answers, MSG_NOSIGNAL),
                         s->n_answers);
    if (s->tls) {
        SSL *ssl = SSL_new(s->tls);
        SSL_set_fd(ssl, fd);
        SSL_accept(ssl);
        SSL_free(ssl);
    }
    while (s->silent && recv(fd, sink, sizeof(sink), 0) > 0)
        continue;
}

static void *
serve(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    if (fd >= 0) {
        talk(s, fd);
        close(fd);
    }
    return NULL;
}

static void
server_start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    getsockname(s->listener, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static struct ps_cache_conf *
conf_for(enum ps_provider provider, const char *host, uint16_t port)
{
    struct ps_cache_conf *c =
        ps_cache_conf_new("0b0e5f2a-0000-4000-8000-00000000000a", "c", host);
    c->provider = provider;
    c->port = port;
    return c;
}

static struct ps_probe_report
run(struct server *s, enum ps_provider provider, enum ps_tls_mode mode,
    uint64_t timeout_ms)
{
    struct ps_probe_report r;
    server_start(s);
    struct ps_cache_conf *c = conf_for(provider, "127.0.0.1", s->port);
    c->tls_mode = mode;
    ps_probe_run(c, timeout_ms, NULL, NULL, &r);
    ps_cache_conf_unref(&c);
    server_stop(s);
    assert_true(r.done);
    assert_true(r.advice[0] != '\0');
    return r;
}

static void
a_bad_name_fails_at_resolve(void **state)
{
    (void)state;
    struct ps_probe_report r;
    struct ps_cache_conf *c =
        conf_for(PS_PROVIDER_POSTGRES, "no such host", 5432);
    ps_probe_run(c, 2000, NULL, NULL, &r);
    assert_int_equal(r.rc, PS_ORIGIN_HOST);
    assert_int_equal(r.n_steps, 1);
    ps_cache_conf_unref(&c);
}

static void
a_closed_port_is_refused_and_the_source_address_is_known(void **state)
{
    (void)state;
    struct ps_probe_report r;
    struct server s = {0};
    server_start(&s);
    server_stop(&s); /* the port was free a moment ago */
    struct ps_cache_conf *c =
        conf_for(PS_PROVIDER_POSTGRES, "127.0.0.1", s.port);
    ps_probe_run(c, 2000, NULL, NULL, &r);
    assert_int_equal(r.rc, PS_ORIGIN_REFUSED);
    assert_int_equal(r.n_steps, 2);
    assert_string_equal(r.source_address, "127.0.0.1");
    assert_non_null(strstr(r.advice, "host all all 127.0.0.1/32"));
    ps_cache_conf_unref(&c);
}

static void
postgres_without_tls(void **state)
{
    (void)state;
    struct server s = {
        .reads = 8, .answers = (const unsigned char *)"N", .n_answers = 1};
    struct ps_probe_report r =
        run(&s, PS_PROVIDER_POSTGRES, PS_TLS_PREFER, 2000);
    assert_int_equal(r.rc, PS_OK);
    assert_int_equal(r.n_steps, 4);
    assert_true(r.steps[PS_PROBE_TLS].skipped);
    struct server again = {
        .reads = 8, .answers = (const unsigned char *)"N", .n_answers = 1};
    r = run(&again, PS_PROVIDER_POSTGRES, PS_TLS_REQUIRE, 2000);
    assert_int_equal(r.rc, PS_ORIGIN_TLS);
    assert_false(r.steps[PS_PROBE_TLS].skipped);
}

static void
another_protocol_is_named(void **state)
{
    (void)state;
    struct server s = {.reads = 8,
                       .answers = (const unsigned char *)"HTTP/1.1 400 Bad",
                       .n_answers = 16};
    struct ps_probe_report r =
        run(&s, PS_PROVIDER_POSTGRES, PS_TLS_PREFER, 2000);
    assert_int_equal(r.rc, PS_ORIGIN_PROTOCOL);
    struct server closes = {.reads = 8};
    r = run(&closes, PS_PROVIDER_MSSQL, PS_TLS_PREFER, 2000);
    assert_int_equal(r.rc, PS_ORIGIN_PROTOCOL);
    static const unsigned char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian\r\n";
    struct server talks = {.says_first = ssh, .n_first = sizeof(ssh) - 1};
    r = run(&talks, PS_PROVIDER_MYSQL, PS_TLS_PREFER, 2000);
    assert_int_equal(r.rc, PS_ORIGIN_PROTOCOL);
}

static void
silence_is_a_time_out(void **state)
{
    (void)state;
    struct server s = {.silent = true};
    struct ps_probe_report r =
        run(&s, PS_PROVIDER_POSTGRES, PS_TLS_PREFER, 100);
    assert_int_equal(r.rc, PS_ORIGIN_TIMEOUT);
    assert_int_equal(r.n_steps, 3);
}

static const unsigned char mysql_hello[] = "\x2d\0\0\0"
                                           "\x0a"
                                           "10.11.6-MariaDB\0"
                                           "\x01\0\0\0"
                                           "abcdefgh\0"
                                           "\xfe\xff"
                                           "\x2d"
                                           "\x02\0"
                                           "\0\0"
                                           "\x15"
                                           "0000000000";

static void
mysql_greets_first(void **state)
{
    (void)state;
    struct server s = {
        .says_first = mysql_hello, .n_first = 4 + 0x2d, .silent = true};
    struct ps_probe_report r =
        run(&s, PS_PROVIDER_MARIADB, PS_TLS_DISABLE, 2000);
    assert_int_equal(r.rc, PS_OK);
    assert_string_equal(r.server_version, "10.11.6-MariaDB");
    static const unsigned char denied[] = "\x17\0\0\0\xff\x6a\x04"
                                          "Host is not allowed ";
    struct server no = {.says_first = denied, .n_first = 4 + 0x17};
    r = run(&no, PS_PROVIDER_MYSQL, PS_TLS_DISABLE, 2000);
    assert_int_equal(r.rc, PS_ORIGIN_REFUSED);
    assert_non_null(strstr(r.steps[PS_PROBE_GREETING].detail, "1130"));
}

static void
sql_server_answers_prelogin(void **state)
{
    (void)state;
    static const unsigned char answer[] = {
        4, 1, 0,  8 + 18, 0, 0,    1,  0, 0, 0,    11, 0, 6,
        1, 0, 17, 0,      1, 0xff, 16, 0, 4, 0x32, 0,  0, 2};
    struct server s = {
        .reads = 26, .answers = answer, .n_answers = sizeof(answer)};
    struct ps_probe_report r = run(&s, PS_PROVIDER_MSSQL, PS_TLS_PREFER, 2000);
    assert_int_equal(r.rc, PS_OK);
    assert_string_equal(r.server_version, "16.0.1074");
    assert_true(r.steps[PS_PROBE_TLS].skipped); /* NOT_SUP */
}

static void
tls_is_tried_and_certificates_are_checked(void **state)
{
    (void)state;
    char *ca_key, *ca, *key, *csr, *cert;
    const char *const ip[] = {"127.0.0.1", NULL};
    struct ps_err err;
    assert_int_equal(ps_tls_make_key(&ca_key, &err), PS_OK);
    assert_int_equal(ps_tls_make_ca(ca_key, "test", 2, &ca, &err), PS_OK);
    assert_int_equal(ps_tls_make_key(&key, &err), PS_OK);
    assert_int_equal(ps_tls_make_csr(key, "db", &csr, &err), PS_OK);
    const struct ps_tls_sign sign = {.ca_cert_pem = ca,
                                     .ca_key_pem = ca_key,
                                     .csr_pem = csr,
                                     .common_name = "db",
                                     .ip = ip,
                                     .days = 2,
                                     .server = true};
    assert_int_equal(ps_tls_sign_csr(&sign, &cert, &err), PS_OK);
    SSL_CTX *ctx = NULL;
    assert_int_equal(ps_tls_server_ctx(cert, key, &ctx, &err), PS_OK);
    const struct {
        enum ps_tls_mode mode;
        const char *ca;
        enum ps_rc rc;
    } cases[] = {
        {PS_TLS_REQUIRE,     NULL, PS_OK         },
        {PS_TLS_PREFER,      NULL, PS_OK         },
        {PS_TLS_VERIFY_FULL, ca,   PS_OK         },
        {PS_TLS_VERIFY_FULL, NULL, PS_ORIGIN_CERT},
        {PS_TLS_VERIFY_CA,   NULL, PS_ORIGIN_CERT},
        {PS_TLS_VERIFY_CA,   ca,   PS_OK         },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct server s = {.reads = 8,
                           .answers = (const unsigned char *)"S",
                           .n_answers = 1,
                           .tls = ctx};
        struct ps_probe_report r;
        server_start(&s);
        struct ps_cache_conf *c =
            conf_for(PS_PROVIDER_POSTGRES, "127.0.0.1", s.port);
        c->tls_mode = cases[i].mode;
        c->tls_ca_pem = cases[i].ca ? strdup(cases[i].ca) : NULL;
        ps_probe_run(c, 5000, NULL, NULL, &r);
        assert_int_equal(r.rc, cases[i].rc);
        assert_int_equal(r.n_steps, 4);
        ps_cache_conf_unref(&c);
        server_stop(&s);
    }
    ps_tls_ctx_free(&ctx);
    free(ca_key);
    free(ca);
    free(key);
    free(csr);
    free(cert);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_name_fails_at_resolve),
        cmocka_unit_test(
            a_closed_port_is_refused_and_the_source_address_is_known),
        cmocka_unit_test(postgres_without_tls),
        cmocka_unit_test(another_protocol_is_named),
        cmocka_unit_test(silence_is_a_time_out),
        cmocka_unit_test(mysql_greets_first),
        cmocka_unit_test(sql_server_answers_prelogin),
        cmocka_unit_test(tls_is_tried_and_certificates_are_checked),
    };
    signal(SIGPIPE, SIG_IGN); /* the server threads use SSL_accept */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
