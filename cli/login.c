/*
 * psctl login | logout.
 *
 * A login pins the control plane's CA: from a file, by a fingerprint, or by
 * a person who compares the fingerprint. The CA is fetched over a connection
 * that is not verified; nothing secret is sent before it has been checked.
 */
#include "cli/ctl.h"
#include "cli/prompt.h"
#include "common/check.h"
#include "common/file.h"
#include "common/tls.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_CA = 1 << 20
};

/* "AB:CD..." or "abcd..." as 64 lower-case digits. */
static bool
normal_fingerprint(const char *text, char out[65])
{
    size_t n = 0;
    if (strncasecmp(text, "sha256:", 7) == 0)
        text += 7;
    for (; *text; text++) {
        if (*text == ':' || *text == ' ')
            continue;
        if (n == 64 || !isxdigit((unsigned char)*text))
            return false;
        out[n++] = (char)tolower((unsigned char)*text);
    }
    out[n] = '\0';
    return n == 64;
}

static enum ps_exit
fetch_ca(struct ps_ctl *ctl, const char *url, char **pem, char fingerprint[65])
{
    struct ps_rest_reply reply;
    struct ps_err err;
    struct ps_rest_call call = {.method = "GET",
                                .base = url,
                                .path = "/v1/ca",
                                .insecure = true,
                                .timeout_ms = ctl->timeout_ms,
                                .max_bytes = MAX_CA};
    enum ps_exit rc = ps_rest_send(ctl->rest, &call, &reply, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_rest_judge(&call, &reply, &ctl->fault);
    const char *text = ps_json_text(reply.json, "certificate");
    if (rc == PS_EXIT_OK && *text == '\0')
        rc = ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_portside",
                         "%s/v1/ca has no certificate; is this the control "
                         "plane's address?",
                         url);
    if (rc == PS_EXIT_OK &&
        ps_tls_fingerprint(text, fingerprint, &err) != PS_OK)
        rc = ps_ctl_fail(ctl, PS_EXIT_FAILED, "bad_ca",
                         "%s/v1/ca sent something that is not a certificate",
                         url);
    if (rc == PS_EXIT_OK) {
        *pem = strdup(text);
        PS_CHECK(*pem);
    }
    ps_rest_reply_done(&reply);
    return rc;
}

/* Asks a person; without one, says how to do it. */
static enum ps_exit
accept_fingerprint(struct ps_ctl *ctl, const char *url, const char *found)
{
    char question[512];
    const char *wanted = ps_ctl_value(ctl, "ca-fingerprint");
    if (wanted) {
        char normal[65];
        if (!normal_fingerprint(wanted, normal))
            return ps_ctl_bad_value(ctl, "ca-fingerprint", "64 hex digits");
        if (strcmp(normal, found) == 0)
            return PS_EXIT_OK;
        return ps_ctl_fail(ctl, PS_EXIT_CONNECT, "ca_mismatch",
                           "the CA of %s has the fingerprint %s, which is not "
                           "the one you gave: you may be talking to somebody "
                           "else, or the control plane has a new CA",
                           url, found);
    }
    if (!ps_prompt_possible())
        return ps_ctl_fail(
            ctl, PS_EXIT_CONNECT, "ca_unknown",
            "the CA of %s must be checked: give --ca-file (ca.crt of the "
            "control plane's data directory) or --ca-fingerprint (`openssl "
            "x509 -noout -fingerprint -sha256 -in ca.crt`)",
            url);
    snprintf(question, sizeof(question),
             "%s has a CA with the SHA-256 fingerprint\n  %s\nIs it that of "
             "ca.crt in the control plane's data directory?",
             url, found);
    if (ps_prompt_yes(question))
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_CONNECT, "ca_refused",
                       "the CA was not accepted; nothing was sent or saved");
}

static enum ps_exit
get_ca(struct ps_ctl *ctl, const char *url, char **pem)
{
    char found[65];
    struct ps_err err;
    const char *file = ps_ctl_value(ctl, "ca-file");
    if (file && ps_ctl_value(ctl, "ca-fingerprint"))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give --ca-file or --ca-fingerprint, not both");
    if (file == NULL) {
        enum ps_exit rc = fetch_ca(ctl, url, pem, found);
        return rc == PS_EXIT_OK ? accept_fingerprint(ctl, url, found) : rc;
    }
    if (ps_file_read(file, MAX_CA, pem, &(size_t){0}, &err) != PS_OK)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage", "%s", err.message);
    if (ps_tls_fingerprint(*pem, found, &err) != PS_OK)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "%s holds no certificate in PEM form", file);
    return PS_EXIT_OK;
}

/* What ps shows of the command line no longer holds it then. */
static char *
take_from_argv(const char *text)
{
    char *copy = strdup(text);
    PS_CHECK(copy);
    memset((char *)(uintptr_t)text, 'x', strlen(text));
    return copy;
}

static bool
is_token(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)text[i]))
            return false;
    return len >= 1 && len <= 400;
}

static enum ps_exit
get_token(struct ps_ctl *ctl, char **token)
{
    const char *file = ps_ctl_value(ctl, "token-file");
    const char *typed = ps_ctl_value(ctl, "token");
    const char *environment = getenv("PORTSIDE_TOKEN");
    enum ps_exit rc = PS_EXIT_OK;
    if (file && typed)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give --token-file or --token, not both");
    if (typed)
        *token = take_from_argv(typed);
    else if (file)
        rc = ps_secret_read(file, token, &ctl->fault);
    else if (environment && *environment)
        PS_CHECK((*token = strdup(environment)) != NULL);
    else if (ps_prompt_possible())
        *token = ps_prompt_secret("API token: ");
    else
        rc = ps_secret_read("-", token, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (*token == NULL || !is_token(*token))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "what was given is not an API token; it begins "
                           "with psk_");
    return PS_EXIT_OK;
}

static enum ps_exit
check_url(struct ps_ctl *ctl, char **url)
{
    const char *typed = ps_ctl_value(ctl, "url");
    if (typed == NULL)
        typed = getenv("PORTSIDE_URL");
    if (typed == NULL || *typed == '\0')
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "--url URL is missing; for instance --url "
                           "https://portside.example.com:7600");
    *url = ps_url_normal(typed);
    if (strncmp(*url, "https://", 8) == 0 && (*url)[8])
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                       "`%s` is not right for --url: give https://HOST:7600",
                       typed);
}

/* Fills url, CA and token from the command line. */
static enum ps_exit
gather(struct ps_ctl *ctl, struct ps_settings *s)
{
    const char *ca = getenv("PORTSIDE_CA");
    struct ps_err err;
    enum ps_exit rc = check_url(ctl, &s->url);
    if (rc == PS_EXIT_OK)
        rc = get_token(ctl, &s->token);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ca && *ca && !ps_ctl_value(ctl, "ca-file") &&
        !ps_ctl_value(ctl, "ca-fingerprint")) {
        if (ps_file_read(ca, MAX_CA, &s->ca_pem, &(size_t){0}, &err) == PS_OK)
            return PS_EXIT_OK;
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage", "%s", err.message);
    }
    return get_ca(ctl, s->url, &s->ca_pem);
}

/* Which login this is: --context, PORTSIDE_CONTEXT, or the current one. */
static enum ps_exit
name_context(struct ps_ctl *ctl, struct ps_settings *s)
{
    const char *name = ps_ctl_value(ctl, "context");
    if (name == NULL)
        name = ps_context_of_environment();
    if (name == NULL)
        return PS_EXIT_OK;
    s->context = strdup(name);
    PS_CHECK(s->context);
    return ps_context_name_check(name, &ctl->fault);
}

static enum ps_exit
login(struct ps_ctl *ctl)
{
    json_auto_t *status = NULL;
    struct ps_settings *s = &ctl->settings;
    enum ps_exit rc = gather(ctl, s);
    if (rc != PS_EXIT_OK)
        return rc;
    ctl->settings_loaded = true;
    s->path = ps_settings_path();
    rc = name_context(ctl, s);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_ctl_call(ctl, "GET", "/v1/status", NULL, &status);
    if (rc == PS_EXIT_OK)
        rc = ps_settings_save(s, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done =
            json_pack("{s:s,s:s,s:s}", "url", s->url, "file", s->path,
                      "version", ps_json_text(status, "version"));
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "Logged in to %s (version %s); kept in %s%s%s%s.", s->url,
                ps_json_text(status, "version"), s->path,
                s->context ? " as `" : "", s->context ? s->context : "",
                s->context ? "`" : "");
    return PS_EXIT_OK;
}

static enum ps_exit
logout(struct ps_ctl *ctl)
{
    bool had;
    ctl->settings.path = ps_settings_path();
    enum ps_exit rc = name_context(ctl, &ctl->settings);
    if (rc == PS_EXIT_OK)
        rc = ps_settings_forget(&ctl->settings, &had, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:b}", "loggedOut", (int)had);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, had ? "Logged out. The token itself is still valid; end "
                           "it with `psctl token revoke`."
                         : "Not logged in.");
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option login_options[] = {
    {.name = "url", .value = "URL",
     .help = "the control plane, https://HOST:7600"},
    {.name = "token-file", .value = "FILE",
     .help = "file with the API token; - is standard input"},
    {.name = "token", .value = "TOKEN",
     .help = "the token itself; other users of this machine may see it, a "
             "file is better"},
    {.name = "ca-file", .value = "FILE",
     .help = "the control plane's CA certificate, PEM"},
    {.name = "ca-fingerprint", .value = "HEX",
     .help = "SHA-256 fingerprint of the CA certificate"},
    {.name = NULL},
};

const struct ps_command ps_login_commands[] = {
    {
        .name = "login",
        .synopsis =
            "--url URL [--token-file FILE] [--ca-fingerprint HEX | --ca-file "
            "FILE]",
        .summary = "log in to a control plane",
        .details =
            "Checks the control plane's CA and the token, then keeps both, "
            "readable by you only. Without --token-file the token is asked "
            "for, or read from standard input. The control plane makes the "
            "first token at its first start, in the file admin.token of its "
            "data directory; its CA is ca.crt there, whose fingerprint tells:\n"
            "  openssl x509 -noout -fingerprint -sha256 -in ca.crt\n\n"
            "With --context NAME the login is kept beside others, under this "
            "name; see `psctl context --help`.",
        .options = login_options,
        .run = login,
    },
    {
        .name = "logout",
        .synopsis = "",
        .summary = "forget the login",
        .run = logout,
    },
    {.name = NULL},
};
/* clang-format on */
