/*
 * The CA in a directory of its own: made once, found again, refused when half
 * of it is missing or foreign; and what it signs.
 */
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/ca/ca.h"
#include "tests/unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    char dir[64], key[80], crt[80];
    struct ps_ca *ca;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    snprintf(w->dir, sizeof(w->dir), "/tmp/portside-ca-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->key, sizeof(w->key), "%s/ca.key", w->dir);
    snprintf(w->crt, sizeof(w->crt), "%s/ca.crt", w->dir);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    ps_ca_close(&w->ca);
    unlink(w->key);
    unlink(w->crt);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

static mode_t
mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void
made_once_and_found_again(void **state)
{
    struct world *w = *state;
    char *cert = strdup(ps_ca_certificate(w->ca)), fingerprint[65], again[65];
    snprintf(fingerprint, sizeof(fingerprint), "%s", ps_ca_fingerprint(w->ca));
    assert_int_equal(mode_of(w->key), 0600);
    ps_ca_close(&w->ca);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    assert_string_equal(ps_ca_certificate(w->ca), cert);
    assert_string_equal(ps_ca_fingerprint(w->ca), fingerprint);
    assert_int_equal(ps_tls_fingerprint(cert, again, NULL), PS_OK);
    assert_string_equal(again, fingerprint);
    free(cert);
}

static void
a_key_alone_is_completed_a_certificate_alone_is_refused(void **state)
{
    struct world *w = *state;
    struct ps_ca *other = NULL;
    struct ps_err err;
    char aside[96];
    snprintf(aside, sizeof(aside), "%s.aside", w->key);
    /* A crash between the two files. */
    unlink(w->crt);
    assert_int_equal(ps_ca_open(&other, w->dir, NULL), PS_OK);
    ps_ca_close(&other);
    assert_int_equal(rename(w->key, aside), 0);
    assert_int_equal(ps_ca_open(&other, w->dir, &err), PS_TLS);
    assert_null(other);
    assert_non_null(strstr(err.message, "backup"));
    assert_int_not_equal(access(w->key, F_OK), 0);
    assert_int_equal(rename(aside, w->key), 0);
}

/* A key that the service manager has is neither made nor written here. */
static void
a_key_that_is_handed_over_stays_where_it_is(void **state)
{
    struct world *w = *state;
    char given[64], path[96], before[65];
    snprintf(given, sizeof(given), "/tmp/portside-cred-XXXXXX");
    assert_non_null(mkdtemp(given));
    snprintf(path, sizeof(path), "%s/ca.key", given);
    snprintf(before, sizeof(before), "%s", ps_ca_fingerprint(w->ca));
    ps_ca_close(&w->ca);
    assert_int_equal(rename(w->key, path), 0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", given, 1), 0);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    assert_string_equal(ps_ca_fingerprint(w->ca), before);
    ps_ca_close(&w->ca);
    /* A first start with such a key. */
    unlink(w->crt);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    assert_int_equal(access(w->crt, F_OK), 0);
    assert_int_not_equal(access(w->key, F_OK), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
    struct ps_ca *other = NULL;
    assert_int_equal(ps_ca_open(&other, w->dir, NULL), PS_TLS);
    assert_int_equal(rename(path, w->key), 0);
    assert_int_equal(rmdir(given), 0);
}

static void
a_foreign_or_damaged_key_is_refused(void **state)
{
    struct world *w = *state;
    struct ps_ca *other = NULL;
    char *key = NULL;
    assert_int_equal(ps_tls_make_key(&key, NULL), PS_OK);
    assert_int_equal(ps_file_write(w->key, ps_str_of(key), 0600, NULL), PS_OK);
    assert_int_equal(ps_ca_open(&other, w->dir, NULL), PS_TLS);
    assert_int_equal(ps_file_write(w->key, PS_STR("junk"), 0600, NULL), PS_OK);
    assert_int_equal(ps_ca_open(&other, w->dir, NULL), PS_TLS);
    assert_null(other);
    free(key);
}

static void
servers_get_a_fresh_key_for_all_their_names(void **state)
{
    struct world *w = *state;
    const char *const names[] = {"cp.example.com", "127.0.0.1", "::1", NULL};
    char *cert[2] = {NULL}, *key[2] = {NULL};
    struct ssl_ctx_st *ctx = NULL;
    int64_t left_s = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            ps_ca_issue_server(w->ca, names, &cert[i], &key[i], NULL), PS_OK);
    assert_string_not_equal(key[0], key[1]);
    assert_int_equal(ps_tls_server_ctx(cert[0], key[0], &ctx, NULL), PS_OK);
    ps_tls_ctx_free(&ctx);
    assert_int_not_equal(ps_tls_server_ctx(cert[0], key[1], &ctx, NULL), PS_OK);
    assert_int_equal(ps_tls_expires_in_s(cert[0], &left_s, NULL), PS_OK);
    assert_true(left_s > (PS_CA_SERVER_DAYS - 1) * 86400LL);
    for (int i = 0; i < 2; i++) {
        free(cert[i]);
        free(key[i]);
    }
}

static void
agents_get_a_certificate_for_a_good_request_only(void **state)
{
    struct world *w = *state;
    char *key = NULL, *csr = NULL, *cert = NULL;
    struct ssl_ctx_st *ctx = NULL;
    int64_t expires_ms = 0;
    assert_int_equal(ps_tls_make_key(&key, NULL), PS_OK);
    assert_int_equal(ps_tls_make_csr(key, "anything", &csr, NULL), PS_OK);
    assert_int_equal(
        ps_ca_issue_agent(w->ca, csr, "agent-id", &cert, &expires_ms, NULL),
        PS_OK);
    int64_t days = (expires_ms - ps_wall_ms()) / 86400000;
    assert_in_range(days, PS_CA_AGENT_DAYS - 1, PS_CA_AGENT_DAYS);
    assert_int_equal(ps_tls_server_ctx(cert, key, &ctx, NULL), PS_OK);
    ps_tls_ctx_free(&ctx);
    free(cert);
    cert = NULL;
    /* One changed digit of its signature. */
    char *digit = csr + strlen(csr) - 60;
    *digit = *digit == 'A' ? 'B' : 'A';
    assert_int_equal(
        ps_ca_issue_agent(w->ca, csr, "agent-id", &cert, &expires_ms, NULL),
        PS_BAD_FIELD);
    assert_int_equal(
        ps_ca_issue_agent(w->ca, "", "agent-id", &cert, &expires_ms, NULL),
        PS_BAD_FIELD);
    assert_null(cert);
    free(key);
    free(csr);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(made_once_and_found_again),
        TEST(a_key_alone_is_completed_a_certificate_alone_is_refused),
        TEST(a_key_that_is_handed_over_stays_where_it_is),
        TEST(a_foreign_or_damaged_key_is_refused),
        TEST(servers_get_a_fresh_key_for_all_their_names),
        TEST(agents_get_a_certificate_for_a_good_request_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
