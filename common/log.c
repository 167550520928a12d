/*
 * One write(2) per line, so that lines of threads and of programs that share
 * a terminal or pipe do not mix (POSIX: atomic up to PIPE_BUF). Whatever a
 * message holds, it stays one line: control characters and bytes that are
 * not UTF-8 are written as \xNN, so that no input can forge a line.
 */
#include "common/log.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 2048, /* below PIPE_BUF (4096) */
    TEXT_MAX_BYTES = 1536
};

static const char *const names[] = {
    [PS_LOG_DEBUG] = "debug", [PS_LOG_INFO] = "info", [PS_LOG_WARN] = "warn",
    [PS_LOG_ERROR] = "error", [PS_LOG_OFF] = "off",
};

static _Atomic int threshold = PS_LOG_INFO;

void
ps_log_set_level(enum ps_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum ps_log_level
ps_log_level(void)
{
    return (enum ps_log_level)atomic_load_explicit(&threshold,
                                                   memory_order_relaxed);
}

bool
ps_log_parse_level(struct ps_str name, enum ps_log_level *level)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        if (ps_str_eq_nocase(name, ps_str_of(names[i]))) {
            *level = (enum ps_log_level)i;
            return true;
        }
    }
    return false;
}

/* Copies text, escaped, to line at len; returns the new length. */
static size_t
append_escaped(char *line, size_t len, size_t max, struct ps_str text)
{
    static const char hex[] = "0123456789abcdef";
    size_t valid_to = ps_utf8_check(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool bad = i == valid_to;
        if (len + 4 > max)
            break;
        if (bad || c < 0x20 || c == 0x7F || c == '\\') {
            line[len++] = '\\';
            if (c == '\\') {
                line[len++] = '\\';
            } else {
                line[len++] = 'x';
                line[len++] = hex[c >> 4];
                line[len++] = hex[c & 15];
            }
        } else {
            line[len++] = (char)c;
        }
        if (bad) {
            struct ps_str rest = {text.ptr + i + 1, text.len - i - 1};
            valid_to = i + 1 + ps_utf8_check(rest);
        }
    }
    return len;
}

static void
write_all(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to complain to */
        line += n;
        len -= (size_t)n;
    }
}

void
ps_log(enum ps_log_level level, const char *part, const char *fmt, ...)
{
    if (level < ps_log_level() || level >= PS_LOG_OFF)
        return;
    int saved_errno = errno; /* callers log, then look at errno */

    char text[TEXT_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0)
        n = 0;
    bool cut = (size_t)n >= sizeof(text);
    size_t text_len = cut ? sizeof(text) - 1 : (size_t)n;

    char time[32], line[LINE_MAX_BYTES];
    ps_wall_format(ps_wall_ms(), time);
    int head =
        snprintf(line, sizeof(line), "%s %-5s %s: ", time, names[level], part);
    size_t len = PS_MIN((size_t)head, sizeof(line) / 2);
    len = append_escaped(line, len, sizeof(line) - 4,
                         (struct ps_str){text, text_len});
    if (cut) {
        memcpy(line + len, "...", 3);
        len += 3;
    }
    line[len++] = '\n';
    write_all(line, len);
    errno = saved_errno;
}
