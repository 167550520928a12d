/*
 * The error table of err.h as data, and the filling of struct ps_err:
 * messages are made to be one line of whole UTF-8 characters whatever was
 * printed into them, so that every reader (JSON, log, terminal) may trust it.
 */
#include "common/err.h"

#include "common/check.h"
#include "common/log.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>

static const struct ps_err_info infos[] = {
#define X(sym, text, http, state, level, again, words) \
    {"PS_" #sym, text, http, state, PS_LOG_##level, again, words},
    PS_ERR_TABLE(X)
#undef X
};

const struct ps_err_info *
ps_err_info(enum ps_rc rc)
{
    PS_CHECK((unsigned)rc < PS_RC_COUNT);
    return &infos[rc];
}

enum ps_rc
ps_err_find(struct ps_str code)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(infos); i++) {
        if (ps_str_eq(code, ps_str_of(infos[i].code)))
            return (enum ps_rc)i;
    }
    return PS_RC_COUNT;
}

/* Length of the longest prefix of whole characters in at most max bytes. */
static size_t
whole_characters(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    len = max;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

/* Makes the message one line of valid UTF-8, in place: control characters
 * become spaces, bytes that are not UTF-8 become question marks. */
static void
tidy(char *message)
{
    size_t len = strlen(message);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)message[i];
        if (c < 0x20 || c == 0x7F)
            message[i] = ' ';
    }
    size_t at = 0;
    while (at < len) {
        at += ps_utf8_check((struct ps_str){message + at, len - at});
        if (at < len)
            message[at++] = '?';
    }
    while (len > 0 && message[len - 1] == ' ')
        message[--len] = '\0';
}

enum ps_rc
ps_err_set(struct ps_err *err, enum ps_rc rc, const char *fmt, ...)
{
    const struct ps_err_info *info = ps_err_info(rc);
    if (!err)
        return rc;

    /* One byte more than fits, so that a cut shows and can be moved back to
     * the start of a character. The arguments may lie in *err itself. */
    char text[sizeof(err->message) + 1];
    if (fmt) {
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        if (n < 0)
            text[0] = '\0';
    } else {
        snprintf(text, sizeof(text), "%s", info->sentence);
    }
    size_t len = strlen(text);
    text[whole_characters(text, len, sizeof(err->message) - 1)] = '\0';
    tidy(text);

    err->rc = rc;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", info->sqlstate);
    memcpy(err->message, text, strlen(text) + 1);
    return rc;
}

#define HTTP_STATUS_TABLE(X)                  \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(204, "No Content")                      \
    X(206, "Partial Content")                 \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(304, "Not Modified")                    \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(406, "Not Acceptable")                  \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(417, "Expectation Failed")              \
    X(421, "Misdirected Request")             \
    X(422, "Unprocessable Content")           \
    X(426, "Upgrade Required")                \
    X(428, "Precondition Required")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(499, "Client Closed Request")           \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")      \
    X(507, "Insufficient Storage")

const char *
ps_http_reason(int status)
{
    switch (status) {
#define X(number, phrase) \
    case number:          \
        return phrase;
        HTTP_STATUS_TABLE(X)
#undef X
    default:
        return "Unknown";
    }
}
