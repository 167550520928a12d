/*
 * The audit log. Every call that may change something is written down before
 * its handler runs, and what came of it afterwards: should the process end in
 * between, the entry stays with status 0. What stood there before is what GET
 * of the same path says. Secrets (texts of tokens) are in no GET, and of a
 * call that answers with one the request is kept instead of the reply.
 */
#include "common/clock.h"
#include "common/log.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

/* What fits and is not empty; else "". Texts are JSON. */
static void
keep(char out[PS_AUDIT_TEXT_MAX + 1], struct ps_str text)
{
    if (text.len > PS_AUDIT_TEXT_MAX)
        text = ps_str_of("\"(too long to be kept)\"");
    snprintf(out, PS_AUDIT_TEXT_MAX + 1, "%.*s", PS_STR_ARG(text));
}

/* A POST makes something new, but for rules: one takes another's place. */
static bool
has_before(const struct api_request *request)
{
    const char *last = strrchr(request->path, '/');
    return request->method != API_POST || strcmp(last, "/rules") == 0 ||
           strcmp(last, "/cache-ttls") == 0;
}

/* The path whose GET shows what is to change: its own, but a rule that is named
 * by type and key (".../cache-ttls/TABLE/items") is read by its key. */
static char *
path_of_before(const struct api_request *request)
{
    char *path = strdup(request->path);
    if (!path || !request->word[0])
        return path;
    char *key = path + (request->key.ptr - request->path);
    memmove(key - strlen(request->word) - 1, key, strlen(key) + 1);
    return path;
}

struct ps_audit *
api_audit_begin(struct api_request *request, const char *method,
                struct ps_err *err)
{
    struct ps_audit *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        (void)ps_err_set(err, PS_NO_MEMORY, NULL);
        return NULL;
    }
    char *path = path_of_before(request);
    struct api_request look = {.api = request->api,
                               .method = API_GET,
                               .path = path ? path : request->path,
                               .token = request->token};
    entry->at_ms = ps_wall_ms();
    snprintf(entry->token_id, sizeof(entry->token_id), "%s", request->token.id);
    snprintf(entry->token_name, sizeof(entry->token_name), "%s",
             request->token.name);
    snprintf(entry->method, sizeof(entry->method), "%s", method);
    snprintf(entry->path, sizeof(entry->path), "%s", request->path);
    if (has_before(request)) {
        if (api_look(&look))
            keep(entry->before, ps_buf_str(&look.out));
        api_request_done(&look);
    }
    free(path);
    if (ps_db_audit_begin(request->api->conf.db, entry, err) != PS_OK) {
        free(entry);
        return NULL;
    }
    return entry;
}

void
api_audit_end(struct api_request *request, struct ps_audit **entryp)
{
    struct ps_audit *entry = *entryp;
    const char *path = request->path;
    bool secret =
        strcmp(path, "/v1/tokens") == 0 || strcmp(path, "/v1/join-tokens") == 0;
    entry->after[0] = '\0';
    if (request->status < 300)
        keep(entry->after, secret ? request->text : ps_buf_str(&request->out));
    if (ps_db_audit_end(request->api->conf.db, entry->seq, request->status,
                        entry->after, NULL) != PS_OK)
        ps_warn("api", "the end of audit entry %lld is not written",
                (long long)entry->seq);
    free(entry);
    *entryp = NULL;
}

static enum ps_rc
put_entry(struct ps_buf *out, const struct ps_audit *entry)
{
    api_open(out, NULL, '{');
    api_put_int(out, "number", entry->seq);
    api_put_time(out, "at", entry->at_ms);
    api_put_text(out, "tokenId", entry->token_id);
    api_put_text(out, "tokenName", entry->token_name);
    api_put_text(out, "method", entry->method);
    api_put_text(out, "path", entry->path);
    if (entry->status)
        api_put_int(out, "status", entry->status);
    else
        api_put_raw(out, "status", "null");
    api_put_raw(out, "before", entry->before[0] ? entry->before : "null");
    api_put_raw(out, "after", entry->after[0] ? entry->after : "null");
    api_close(out, '}');
    return ps_buf_rc(out);
}

static enum ps_rc
list_entry(void *arg, const struct ps_audit *entry)
{
    struct api_list *list = arg;
    return api_list_row_number(list, entry->seq)
               ? put_entry(&list->request->out, entry)
               : PS_OK;
}

/* `before` is a cursor that people can write. */
enum ps_rc
api_list_audit(struct api_request *request, struct ps_err *err)
{
    static const char *const names[] = {"limit", "cursor", "before", NULL};
    struct api_list list = {
        .name = "audit", .by_number = true, .more_params = true};
    int64_t before = 0;
    enum ps_rc rc = api_only_params(request, names, err);
    if (rc == PS_OK)
        rc = api_list_begin(request, &list, err);
    if (rc == PS_OK)
        rc = api_read_number(request, "before", INT64_MAX, &before, err);
    if (rc == PS_OK && before && list.page.behind)
        return ps_err_set(err, PS_BAD_FIELD, "give cursor or before, not both");
    if (rc != PS_OK)
        return rc;
    if (before) {
        list.page.behind = true;
        list.page.number = before;
    }
    api_list_open(&list);
    rc = ps_db_audit_each(request->api->conf.db, &list.page, list_entry, &list,
                          err);
    api_list_close(&list);
    return rc;
}
