/* Logins on disk and in the environment. See settings.h. */
#include "cli/settings.h"

#include "common/check.h"
#include "common/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_FILE = 1 << 20
};

static const char *
environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static char *
copy(const char *text)
{
    char *out = text ? strdup(text) : NULL;
    PS_CHECK(out || text == NULL);
    return out;
}

void
ps_secret_free(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

char *
ps_url_normal(const char *url)
{
    char *out = copy(url);
    size_t len = strlen(out);
    while (len > 0 && out[len - 1] == '/')
        out[--len] = '\0';
    if (len > 3 && strcmp(out + len - 3, "/v1") == 0)
        out[len - 3] = '\0';
    return out;
}

char *
ps_settings_path(void)
{
    char *path = NULL;
    const char *own = environment("PSCTL_CONFIG");
    const char *config = environment("XDG_CONFIG_HOME");
    const char *home = environment("HOME");
    if (own)
        return copy(own);
    if (config)
        PS_CHECK(asprintf(&path, "%s/portside/psctl.json", config) >= 0);
    else if (home)
        PS_CHECK(asprintf(&path, "%s/.config/portside/psctl.json", home) >= 0);
    return path;
}

static enum ps_exit
fault_of(struct ps_fault *fault, const struct ps_err *err)
{
    ps_fault_set(fault, ps_err_info(err->rc)->code, "%s", err->message);
    return PS_EXIT_FAILED;
}

/* The whole file; NULL when it does not exist. */
static enum ps_exit
load_file(const char *path, json_t **out, struct ps_fault *fault)
{
    struct ps_err err;
    char *text;
    size_t len;
    *out = NULL;
    if (path == NULL || (access(path, F_OK) != 0 && errno == ENOENT))
        return PS_EXIT_OK;
    if (ps_file_read(path, MAX_FILE, &text, &len, &err) != PS_OK)
        return fault_of(fault, &err);
    *out = json_loadb(text, len, 0, NULL);
    ps_secret_free(&text);
    if (json_is_object(*out))
        return PS_EXIT_OK;
    json_decref(*out);
    *out = NULL;
    ps_fault_set(fault, "bad_config",
                 "%s is not a valid JSON object; remove it and log in again",
                 path);
    return PS_EXIT_FAILED;
}

const char *
ps_context_of_environment(void)
{
    return environment("PORTSIDE_CONTEXT");
}

enum ps_exit
ps_context_name_check(const char *name, struct ps_fault *fault)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    if (len >= 1 && len <= 64 && strspn(name, letters) == len)
        return PS_EXIT_OK;
    ps_fault_set(fault, "usage",
                 "`%s` cannot be the name of a context: give 1 to 64 letters, "
                 "digits, \".\", \"_\" or \"-\"",
                 name);
    return PS_EXIT_USAGE;
}

const char *
ps_logins_current(const json_t *file)
{
    const char *name = json_string_value(json_object_get(file, "current"));
    return name ? name : "default";
}

json_t *
ps_logins_find(const json_t *file, const char *name, struct ps_fault *fault)
{
    json_t *contexts = json_object_get(file, "contexts");
    json_t *found = json_object_get(contexts, name);
    if (found)
        return found;
    struct ps_nearest nearest;
    ps_nearest_init(&nearest, name);
    for (void *it = json_object_iter(contexts); it;
         it = json_object_iter_next(contexts, it))
        ps_nearest_try(&nearest, json_object_iter_key(it));
    const char *best = ps_nearest_take(&nearest);
    ps_fault_set(fault, "not_found", "there is no context `%s`%s%s%s", name,
                 best ? "; did you mean `" : "; see `psctl context list`",
                 best ? best : "", best ? "`?" : "");
    return NULL;
}

static enum ps_exit
apply_environment(struct ps_settings *s, struct ps_fault *fault)
{
    const char *url = environment("PORTSIDE_URL");
    const char *token = environment("PORTSIDE_TOKEN");
    const char *ca = environment("PORTSIDE_CA");
    char *wanted = url ? ps_url_normal(url) : NULL;
    if (wanted && (s->url == NULL || strcmp(wanted, s->url) != 0)) {
        ps_secret_free(&s->url);
        ps_secret_free(&s->token);
        ps_secret_free(&s->token_path);
        ps_secret_free(&s->ca_pem);
        s->url = copy(wanted);
    }
    free(wanted);
    if (token) {
        ps_secret_free(&s->token);
        s->token = copy(token);
    }
    if (ca == NULL)
        return PS_EXIT_OK;
    struct ps_err err;
    ps_secret_free(&s->ca_pem);
    if (ps_file_read(ca, MAX_FILE, &s->ca_pem, &(size_t){0}, &err) != PS_OK)
        return fault_of(fault, &err);
    return PS_EXIT_OK;
}

static void
take_context(struct ps_settings *s, const json_t *context)
{
    s->url = copy(json_string_value(json_object_get(context, "url")));
    s->token = copy(json_string_value(json_object_get(context, "token")));
    s->token_path =
        copy(json_string_value(json_object_get(context, "tokenFile")));
    s->ca_pem = copy(json_string_value(json_object_get(context, "ca")));
}

enum ps_exit
ps_settings_load(struct ps_settings *settings, const char *context,
                 struct ps_fault *fault)
{
    json_t *file;
    memset(settings, 0, sizeof(*settings));
    settings->path = ps_settings_path();
    const char *named = context ? context : ps_context_of_environment();
    enum ps_exit rc = load_file(settings->path, &file, fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (named && ps_logins_find(file, named, fault) == NULL)
        rc = PS_EXIT_NOT_FOUND;
    settings->context = copy(named);
    take_context(settings,
                 json_object_get(json_object_get(file, "contexts"),
                                 named ? named : ps_logins_current(file)));
    json_decref(file);
    if (rc == PS_EXIT_OK && context == NULL)
        rc = apply_environment(settings, fault);
    if (rc == PS_EXIT_OK && settings->token == NULL && settings->token_path)
        rc = ps_secret_read(settings->token_path, &settings->token, fault);
    return rc;
}

void
ps_settings_done(struct ps_settings *settings)
{
    free(settings->path);
    free(settings->context);
    settings->path = settings->context = NULL;
    ps_secret_free(&settings->url);
    ps_secret_free(&settings->token);
    ps_secret_free(&settings->token_path);
    ps_secret_free(&settings->ca_pem);
}

enum ps_exit
ps_logins_write(const char *path, const json_t *file, struct ps_fault *fault)
{
    struct ps_err err;
    enum ps_rc rc = PS_OK;
    char *dir = copy(path), *slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = '\0';
        struct stat st;
        if (stat(dir, &st) != 0)
            rc = ps_dir_make(dir, 0700, &err);
    }
    free(dir);
    char *text = json_dumps(file, JSON_INDENT(2));
    PS_CHECK(text);
    if (rc == PS_OK)
        rc = ps_file_write(path, ps_str_of(text), 0600, &err);
    ps_secret_free(&text);
    return rc == PS_OK ? PS_EXIT_OK : fault_of(fault, &err);
}

/* The file's object with the parts that every file has; fresh if missing. */
static enum ps_exit
open_file(const char *path, json_t **out, struct ps_fault *fault)
{
    if (path == NULL) {
        ps_fault_set(fault, "no_home",
                     "there is no place for the login: set HOME or "
                     "PSCTL_CONFIG");
        return PS_EXIT_FAILED;
    }
    enum ps_exit rc = load_file(path, out, fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (*out == NULL)
        *out = json_pack("{s:i,s:s}", "version", 1, "current", "default");
    PS_CHECK(*out);
    if (!json_is_object(json_object_get(*out, "contexts")))
        json_object_set_new(*out, "contexts", json_object());
    return PS_EXIT_OK;
}

enum ps_exit
ps_logins_open(char **path, json_t **file, struct ps_fault *fault)
{
    *path = ps_settings_path();
    enum ps_exit rc = open_file(*path, file, fault);
    if (rc != PS_EXIT_OK) {
        free(*path);
        *path = NULL;
    }
    return rc;
}

enum ps_exit
ps_settings_save(const struct ps_settings *s, struct ps_fault *fault)
{
    json_t *file;
    enum ps_exit rc = open_file(s->path, &file, fault);
    if (rc != PS_EXIT_OK)
        return rc;
    json_t *context =
        json_pack("{s:s,s:s*,s:s*,s:s*}", "url", s->url, "token", s->token,
                  "tokenFile", s->token_path, "ca", s->ca_pem);
    PS_CHECK(context);
    json_t *contexts = json_object_get(file, "contexts");
    const char *current = ps_logins_current(file);
    bool first = json_object_get(contexts, current) == NULL;
    json_object_set_new(contexts, s->context ? s->context : current, context);
    if (first && s->context)
        json_object_set_new(file, "current", json_string(s->context));
    rc = ps_logins_write(s->path, file, fault);
    json_decref(file);
    return rc;
}

enum ps_exit
ps_settings_forget(const struct ps_settings *s, bool *had,
                   struct ps_fault *fault)
{
    json_t *file;
    *had = false;
    enum ps_exit rc = load_file(s->path, &file, fault);
    if (rc != PS_EXIT_OK || file == NULL)
        return rc;
    *had =
        json_object_del(json_object_get(file, "contexts"),
                        s->context ? s->context : ps_logins_current(file)) == 0;
    if (*had)
        rc = ps_logins_write(s->path, file, fault);
    json_decref(file);
    return rc;
}

/* Everything up to the end of standard input. */
static enum ps_exit
read_stdin(char **text, struct ps_fault *fault)
{
    struct ps_buf buf;
    char part[4096];
    size_t n;
    ps_buf_init(&buf, MAX_FILE);
    while ((n = fread(part, 1, sizeof(part), stdin)) > 0)
        ps_buf_append(&buf, part, n);
    ps_buf_append_char(&buf, '\0');
    explicit_bzero(part, sizeof(part));
    if (ferror(stdin) || ps_buf_rc(&buf) != PS_OK) {
        ps_buf_done(&buf);
        ps_fault_set(fault, "io_error",
                     "standard input cannot be read, or "
                     "it is larger than 1 MiB");
        return PS_EXIT_FAILED;
    }
    *text = ps_buf_take(&buf, NULL);
    return PS_EXIT_OK;
}

enum ps_exit
ps_secret_read(const char *path, char **text, struct ps_fault *fault)
{
    struct ps_err err;
    size_t len;
    if (strcmp(path, "-") == 0) {
        enum ps_exit rc = read_stdin(text, fault);
        if (rc != PS_EXIT_OK)
            return rc;
    } else if (ps_file_read(path, MAX_FILE, text, &len, &err) != PS_OK) {
        return fault_of(fault, &err);
    }
    len = strlen(*text);
    while (len > 0 && strchr("\r\n", (*text)[len - 1]))
        (*text)[--len] = '\0';
    return PS_EXIT_OK;
}
