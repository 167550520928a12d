#include "tests/scenario/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
scn_fail(const struct scn_line *line, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%u: ", line->file, line->number);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    exit(1);
}

/* Reads a value at *at up to its end; quotes go. */
static char *
parse_value(struct scn_line *line, char **at)
{
    char *from = *at, *to = *at, *start = *at;
    char quote = '\0';
    if (*from == '"' || *from == '\'')
        quote = *from++;
    for (; *from && (quote ? *from != quote : *from != ' '); from++) {
        if (quote && *from == '\\' && from[1] == quote)
            from++;
        *to++ = *from;
    }
    if (quote && !*from)
        scn_fail(line, "a quote is not closed");
    if (*from)
        from++;
    *to = '\0';
    *at = from;
    return start;
}

static bool
is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool
scn_line_parse(struct scn_line *line, char *text)
{
    line->n = 0;
    for (char *at = text; *at;) {
        if (*at == ' ' || *at == '\t' || *at == '\n') {
            at++;
            continue;
        }
        if (*at == '#')
            break;
        if (line->n == SCN_WORDS_MAX)
            scn_fail(line, "too many words");
        struct scn_word *word = &line->words[line->n++];
        *word = (struct scn_word){0};
        char *end = at;
        while (is_key_char(*end))
            end++;
        if (*end == '=' && end > at) {
            *end = '\0';
            word->key = at;
            at = end + 1;
        }
        size_t len = strcspn(at, "\n");
        at[len] = '\0';
        word->value = parse_value(line, &at);
    }
    return line->n > 0;
}

const char *
scn_operand_or(struct scn_line *line, size_t n)
{
    for (size_t i = 0; i < line->n; i++) {
        struct scn_word *word = &line->words[i];
        if (!word->key && n-- == 0) {
            word->used = true;
            return word->value;
        }
    }
    return NULL;
}

const char *
scn_operand(struct scn_line *line, size_t n)
{
    const char *value = scn_operand_or(line, n);
    if (!value)
        scn_fail(line, "operand %zu is missing", n);
    return value;
}

const char *
scn_option(struct scn_line *line, const char *key, const char *fallback)
{
    for (size_t i = 0; i < line->n; i++) {
        struct scn_word *word = &line->words[i];
        if (word->key && strcmp(word->key, key) == 0) {
            word->used = true;
            return word->value;
        }
    }
    return fallback;
}

bool
scn_flag(struct scn_line *line, const char *key)
{
    for (size_t i = 1; i < line->n; i++) {
        struct scn_word *word = &line->words[i];
        if (!word->key && strcmp(word->value, key) == 0) {
            word->used = true;
            return true;
        }
    }
    return false;
}

uint64_t
scn_number(struct scn_line *line, const char *key, uint64_t fallback)
{
    const char *text = scn_option(line, key, NULL);
    char *end = NULL;
    if (!text)
        return fallback;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end)
        scn_fail(line, "%s is not a number: %s", key, text);
    return value;
}

uint64_t
scn_duration_us(struct scn_line *line, const char *text)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {
        {"us", 1         },
        {"ms", 1000      },
        {"s",  1000000   },
        {"m",  60000000  },
        {"h",  3600000000}
    };
    char *end = NULL;
    uint64_t value = strtoull(text, &end, 10);
    for (size_t i = 0; end != text && i < PS_ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0)
            return value * units[i].us;
    scn_fail(line, "not a duration (10ms, 3s, 2m): %s", text);
}

uint64_t
scn_duration_ms(struct scn_line *line, const char *key, uint64_t fallback_ms)
{
    const char *text = scn_option(line, key, NULL);
    return text ? scn_duration_us(line, text) / 1000 : fallback_ms;
}

enum ps_rc
scn_rc(struct scn_line *line, const char *code)
{
    enum ps_rc rc = ps_err_find(ps_str_of(code));
    if (rc == PS_RC_COUNT)
        scn_fail(line, "no such error code: %s", code);
    return rc;
}

void
scn_line_all_used(struct scn_line *line)
{
    for (size_t i = 0; i < line->n; i++) {
        const struct scn_word *word = &line->words[i];
        if (!word->used)
            scn_fail(line, "what is \"%s%s%s\"?", word->key ? word->key : "",
                     word->key ? "=" : "", word->value);
    }
}
