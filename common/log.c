/*
 * One write(2) per line, so that lines of threads and of programs that share
 * a terminal or pipe do not mix (POSIX: atomic up to PIPE_BUF). Whatever a
 * message holds, it stays one line: control characters and bytes that are
 * not UTF-8 are escaped, so that no input can forge a line.
 */
#include "common/log.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdarg.h>
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

enum part {
#define X(name) PART_##name,
    PS_LOG_PART_TABLE(X)
#undef X
    PARTS
};
static const char *const part_names[PARTS] = {
#define X(name) #name,
    PS_LOG_PART_TABLE(X)
#undef X
};

_Atomic int ps_log_lowest = PS_LOG_INFO;
static _Atomic int general = PS_LOG_INFO;
/* One more than the level; 0: the general one. */
static _Atomic int of_part[PARTS];
static _Atomic int format_now = PS_LOG_TEXT;

/* ---- levels ---- */

struct levels {
    int general;
    int of_part[PARTS];
};

static void
apply(const struct levels *l)
{
    int lowest = l->general;
    for (size_t i = 0; i < PARTS; i++)
        if (l->of_part[i])
            lowest = PS_MIN(lowest, l->of_part[i] - 1);
    for (size_t i = 0; i < PARTS; i++)
        atomic_store_explicit(&of_part[i], l->of_part[i], memory_order_relaxed);
    atomic_store_explicit(&general, l->general, memory_order_relaxed);
    atomic_store_explicit(&ps_log_lowest, lowest, memory_order_relaxed);
}

void
ps_log_set_level(enum ps_log_level level)
{
    const struct levels l = {.general = (int)level};
    apply(&l);
}

enum ps_log_level
ps_log_level(void)
{
    return (enum ps_log_level)atomic_load_explicit(&general,
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

static int
find_part(struct ps_str name)
{
    for (int i = 0; i < PARTS; i++)
        if (ps_str_eq(name, ps_str_of(part_names[i])))
            return i;
    return -1;
}

static enum ps_rc
bad_part(struct ps_err *err)
{
    char list[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < PARTS && at < sizeof(list); i++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, i ? ", %s" : "%s",
                               part_names[i]);
    return ps_err_set(err, PS_BAD_FIELD, "a part is none of %s", list);
}

/* "info" or "link=debug". */
static enum ps_rc
read_word(struct ps_str word, bool first, struct levels *l, struct ps_err *err)
{
    const char *equal = word.len ? memchr(word.ptr, '=', word.len) : NULL;
    struct ps_str name = {word.ptr, equal ? (size_t)(equal - word.ptr) : 0};
    struct ps_str text =
        equal ? (struct ps_str){equal + 1, word.len - name.len - 1} : word;
    enum ps_log_level level;
    if (!equal && !first)
        return ps_err_set(err, PS_BAD_FIELD,
                          "the level for all comes first: info,link=debug");
    int part = equal ? find_part(name) : 0;
    if (part < 0)
        return bad_part(err);
    if (!ps_log_parse_level(text, &level))
        return ps_err_set(err, PS_BAD_FIELD,
                          "a level is none of debug, info, warn, error, off");
    if (equal)
        l->of_part[part] = (int)level + 1;
    else
        l->general = (int)level;
    return PS_OK;
}

static enum ps_rc
read_levels(struct ps_str text, struct levels *l, struct ps_err *err)
{
    bool first = true;
    *l = (struct levels){.general = PS_LOG_INFO};
    for (;;) {
        const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
        struct ps_str word = {text.ptr,
                              comma ? (size_t)(comma - text.ptr) : text.len};
        enum ps_rc rc = read_word(word, first, l, err);
        if (rc != PS_OK || !comma)
            return rc;
        text.len -= word.len + 1;
        text.ptr = comma + 1;
        first = false;
    }
}

enum ps_rc
ps_log_check_levels(struct ps_str levels, struct ps_err *err)
{
    struct levels l;
    return read_levels(levels, &l, err);
}

enum ps_rc
ps_log_set_levels(struct ps_str levels, struct ps_err *err)
{
    struct levels l;
    enum ps_rc rc = read_levels(levels, &l, err);
    if (rc == PS_OK)
        apply(&l);
    return rc;
}

void
ps_log_show_levels(struct ps_buf *out)
{
    ps_buf_append_c(out, names[ps_log_level()]);
    for (size_t i = 0; i < PARTS; i++) {
        int level = atomic_load_explicit(&of_part[i], memory_order_relaxed);
        if (level)
            ps_buf_printf(out, ",%s=%s", part_names[i], names[level - 1]);
    }
}

bool
ps_log_wants(enum ps_log_level level, const char *part)
{
    if ((int)level <
            atomic_load_explicit(&ps_log_lowest, memory_order_relaxed) ||
        level >= PS_LOG_OFF)
        return false;
    int at = find_part(ps_str_of(part)), own = 0;
    if (at >= 0)
        own = atomic_load_explicit(&of_part[at], memory_order_relaxed);
    return (int)level >= (own ? own - 1 : (int)ps_log_level());
}

void
ps_log_set_format(enum ps_log_format format)
{
    atomic_store_explicit(&format_now, (int)format, memory_order_relaxed);
}

bool
ps_log_parse_format(struct ps_str name, enum ps_log_format *format)
{
    if (ps_str_eq_nocase(name, PS_STR("text")))
        *format = PS_LOG_TEXT;
    else if (ps_str_eq_nocase(name, PS_STR("json")))
        *format = PS_LOG_JSON;
    else
        return false;
    return true;
}

/* ---- lines ---- */

/* What escapes look like: \x1b in text, \u001b in JSON. */
static size_t
append_hex(char *line, size_t len, unsigned char c, bool json)
{
    static const char hex[] = "0123456789abcdef";
    const char *head = json ? "\\u00" : "\\x";
    while (*head)
        line[len++] = *head++;
    line[len++] = hex[c >> 4];
    line[len++] = hex[c & 15];
    return len;
}

/* Copies text, escaped, to line at len; returns the new length. */
static size_t
append_escaped(char *line, size_t len, size_t max, struct ps_str text,
               bool json)
{
    size_t valid_to = ps_utf8_check(text);
    for (size_t i = 0; i < text.len && len + 6 <= max; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool bad = i == valid_to;
        if (bad || c < 0x20 || c == 0x7F) {
            len = append_hex(line, len, c, json);
        } else if (c == '\\' || (json && c == '"')) {
            line[len++] = '\\';
            line[len++] = (char)c;
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

struct event {
    enum ps_log_level level;
    const char *part, *trace_id;
    struct ps_str text;
    bool cut;
};

static size_t
text_line(char line[LINE_MAX_BYTES], const struct event *e)
{
    char time[32];
    ps_wall_format(ps_wall_ms(), time);
    int head = snprintf(line, LINE_MAX_BYTES, "%s %-5s %s: ", time,
                        names[e->level], e->part);
    size_t len = PS_MIN((size_t)head, (size_t)LINE_MAX_BYTES / 2);
    len = append_escaped(line, len, LINE_MAX_BYTES - 64, e->text, false);
    if (e->cut)
        len += (size_t)snprintf(line + len, 4, "...");
    if (e->trace_id[0])
        len += (size_t)snprintf(line + len, 60, " trace_id=%.32s", e->trace_id);
    return len;
}

static size_t
json_line(char line[LINE_MAX_BYTES], const struct event *e)
{
    char time[32];
    ps_wall_format(ps_wall_ms(), time);
    int head = snprintf(line, LINE_MAX_BYTES,
                        "{\"time\":\"%s\",\"level\":\"%s\",\"part\":\"%s\"",
                        time, names[e->level], e->part);
    size_t len = PS_MIN((size_t)head, (size_t)LINE_MAX_BYTES / 2);
    if (e->trace_id[0])
        len += (size_t)snprintf(line + len, 64, ",\"trace_id\":\"%.32s\"",
                                e->trace_id);
    len += (size_t)snprintf(line + len, 16, ",\"message\":\"");
    len = append_escaped(line, len, LINE_MAX_BYTES - 16, e->text, true);
    return len + (size_t)snprintf(line + len, 8, e->cut ? "...\"}" : "\"}");
}

static void
put(struct event *e, const char *fmt, va_list args)
{
    char text[TEXT_MAX_BYTES], line[LINE_MAX_BYTES];
    int saved_errno = errno; /* callers log, then look at errno */
    int n = vsnprintf(text, sizeof(text), fmt, args);
    if (n < 0)
        n = 0;
    e->cut = (size_t)n >= sizeof(text);
    e->text = (struct ps_str){text, e->cut ? sizeof(text) - 1 : (size_t)n};
    bool json =
        atomic_load_explicit(&format_now, memory_order_relaxed) == PS_LOG_JSON;
    size_t len = json ? json_line(line, e) : text_line(line, e);
    line[len++] = '\n';
    write_all(line, len);
    errno = saved_errno;
}

void
ps_log(enum ps_log_level level, const char *part, const char *fmt, ...)
{
    struct event e = {.level = level, .part = part, .trace_id = ""};
    if (!ps_log_wants(level, part))
        return;
    va_list args;
    va_start(args, fmt);
    put(&e, fmt, args);
    va_end(args);
}

void
ps_log_traced(enum ps_log_level level, const char *part, const char *trace_id,
              const char *fmt, ...)
{
    struct event e = {.level = level, .part = part, .trace_id = trace_id};
    if (!ps_log_wants(level, part))
        return;
    va_list args;
    va_start(args, fmt);
    put(&e, fmt, args);
    va_end(args);
}
