/* Writing JSON into the reply. Whether a comma is due shows in the last byte:
 * none follows an opening bracket or a key's colon, and no string ends so,
 * because strings end in a quote. */
#include "common/clock.h"
#include "controlplane/api/api_private.h"

static void
begin(struct ps_buf *out, const char *key)
{
    char last = out->len ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        ps_buf_append_char(out, ',');
    if (key) {
        ps_buf_append_json(out, ps_str_of(key));
        ps_buf_append_char(out, ':');
    }
}

void
api_open(struct ps_buf *out, const char *key, char bracket)
{
    begin(out, key);
    ps_buf_append_char(out, bracket);
}

void
api_close(struct ps_buf *out, char bracket)
{
    ps_buf_append_char(out, bracket);
}

void
api_put_text(struct ps_buf *out, const char *key, const char *text)
{
    begin(out, key);
    ps_buf_append_json(out, ps_str_of(text));
}

void
api_put_int(struct ps_buf *out, const char *key, int64_t value)
{
    begin(out, key);
    ps_buf_append_i64(out, value);
}

void
api_put_bool(struct ps_buf *out, const char *key, bool value)
{
    api_put_raw(out, key, value ? "true" : "false");
}

void
api_put_time(struct ps_buf *out, const char *key, int64_t wall_ms)
{
    char text[32] = "";
    if (wall_ms)
        ps_wall_format(wall_ms, text);
    api_put_text_or_null(out, key, text);
}

void
api_put_text_or_null(struct ps_buf *out, const char *key, const char *text)
{
    if (text[0])
        api_put_text(out, key, text);
    else
        api_put_raw(out, key, "null");
}

void
api_put_raw(struct ps_buf *out, const char *key, const char *json)
{
    begin(out, key);
    ps_buf_append_c(out, json);
}

int
api_put_error(struct ps_buf *out, enum ps_rc rc, const char *message)
{
    const struct ps_err_info *info = ps_err_info(rc);
    ps_buf_clear(out);
    api_open(out, NULL, '{');
    api_put_int(out, "statusCode", info->http_status);
    api_put_text(out, "code", info->code);
    api_put_text(out, "error", ps_http_reason(info->http_status));
    api_put_text(out, "message",
                 message && message[0] ? message : info->sentence);
    api_close(out, '}');
    return info->http_status;
}
