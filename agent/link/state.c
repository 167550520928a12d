/* See state.h. */
#include "agent/link/state.h"

#include "common/file.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    FILE_MAX = 1 << 20
};

static void
path_of(char out[4096], const char *dir, const char *name)
{
    snprintf(out, 4096, "%s/%s", dir, name);
}

static enum ps_rc
read_text(const char *dir, const char *name, char **out, struct ps_err *err)
{
    char path[4096];
    size_t len = 0;
    path_of(path, dir, name);
    return ps_file_read(path, FILE_MAX, out, &len, err);
}

static enum ps_rc
write_text(const char *dir, const char *name, const char *text, unsigned mode,
           struct ps_err *err)
{
    char path[4096];
    path_of(path, dir, name);
    return ps_file_write(path, ps_str_of(text), mode, err);
}

bool
ps_agent_state_exists(const char *dir)
{
    char path[4096];
    path_of(path, dir, "agent.json");
    return access(path, F_OK) == 0;
}

static enum ps_rc
take_lock(struct ps_agent_state *state, struct ps_err *err)
{
    char path[4096];
    path_of(path, state->dir, "lock");
    state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_fd < 0)
        return ps_err_set(err, PS_IO, "cannot open %s: %s", path,
                          strerror(errno));
    if (flock(state->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return ps_err_set(err, PS_CONFLICT,
                          "another agent runs from %s; give this one a "
                          "directory of its own (--dir)",
                          state->dir);
    return PS_OK;
}

static enum ps_rc
parse_identity(struct ps_agent_state *s, const char *text, struct ps_err *err)
{
    const struct {
        const char *key;
        char **to;
    } fields[] = {
        {"agentId",      &s->agent_id     },
        {"agentName",    &s->agent_name   },
        {"agentSecret",  &s->agent_secret },
        {"region",       &s->region       },
        {"callAddress",  &s->call_address },
        {"eventAddress", &s->event_address},
    };
    json_t *root = json_loads(text, 0, NULL);
    enum ps_rc rc = PS_OK;
    for (size_t i = 0; i < PS_ARRAY_LEN(fields) && rc == PS_OK; i++) {
        const char *value =
            json_string_value(json_object_get(root, fields[i].key));
        if (value)
            *fields[i].to = strdup(value);
        if (!*fields[i].to)
            rc = ps_err_set(err, PS_CONFIG,
                            "%s/agent.json has no %s: enroll this agent again",
                            s->dir, fields[i].key);
    }
    json_decref(root);
    return rc;
}

static enum ps_rc
load(struct ps_agent_state *s, struct ps_err *err)
{
    char *text = NULL;
    if (!ps_agent_state_exists(s->dir))
        return ps_err_set(err, PS_NOT_FOUND,
                          "%s holds no agent: run `portside-agent enroll "
                          "<join-token> --dir %s` first",
                          s->dir, s->dir);
    enum ps_rc rc = take_lock(s, err);
    if (rc == PS_OK)
        rc = read_text(s->dir, "agent.json", &text, err);
    if (rc == PS_OK)
        rc = parse_identity(s, text, err);
    free(text);
    if (rc == PS_OK)
        rc = read_text(s->dir, "key.pem", &s->key_pem, err);
    if (rc == PS_OK)
        rc = read_text(s->dir, "cert.pem", &s->cert_pem, err);
    if (rc == PS_OK)
        rc = read_text(s->dir, "ca.pem", &s->ca_pem, err);
    return rc;
}

enum ps_rc
ps_agent_state_load(struct ps_agent_state *state, const char *dir,
                    struct ps_err *err)
{
    struct ps_agent_state s = {.lock_fd = -1, .dir = strdup(dir)};
    enum ps_rc rc = s.dir ? load(&s, err) : ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        *state = s;
    else
        ps_agent_state_done(&s);
    return rc;
}

enum ps_rc
ps_agent_state_save_cert(struct ps_agent_state *state, const char *cert_pem,
                         const char *ca_pem, struct ps_err *err)
{
    char *cert = strdup(cert_pem), *ca = strdup(ca_pem);
    enum ps_rc rc = cert && ca ? PS_OK : ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        rc = write_text(state->dir, "ca.pem", ca, 0644, err);
    if (rc == PS_OK)
        rc = write_text(state->dir, "cert.pem", cert, 0644, err);
    if (rc != PS_OK) {
        free(cert);
        free(ca);
        return rc;
    }
    free(state->cert_pem);
    free(state->ca_pem);
    state->cert_pem = cert;
    state->ca_pem = ca;
    return PS_OK;
}

enum ps_rc
ps_agent_state_save(const struct ps_agent_state *s, struct ps_err *err)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s}", "agentId", s->agent_id, "agentName",
        s->agent_name, "agentSecret", s->agent_secret, "region", s->region,
        "callAddress", s->call_address, "eventAddress", s->event_address);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc = ps_dir_make(s->dir, 0700, err);
    if (rc == PS_OK)
        rc = write_text(s->dir, "key.pem", s->key_pem, 0600, err);
    if (rc == PS_OK)
        rc = write_text(s->dir, "ca.pem", s->ca_pem, 0644, err);
    if (rc == PS_OK)
        rc = write_text(s->dir, "cert.pem", s->cert_pem, 0644, err);
    if (rc == PS_OK)
        rc = write_text(s->dir, "agent.json", text, 0600, err);
    free(text);
    return rc;
}

void
ps_agent_state_done(struct ps_agent_state *s)
{
    char **const texts[] = {&s->dir,           &s->agent_id, &s->agent_name,
                            &s->agent_secret,  &s->region,   &s->call_address,
                            &s->event_address, &s->key_pem,  &s->cert_pem,
                            &s->ca_pem};
    for (size_t i = 0; i < PS_ARRAY_LEN(texts); i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->lock_fd = -1;
}
