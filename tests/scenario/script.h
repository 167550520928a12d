/*
 * One line of a scenario: a command, operands and key=value options.
 *
 *   request r1 sql="SELECT 1" user=anna   # comment
 *
 * A value may be in double or single quotes; inside, a backslash takes the
 * quote itself, everything else stays as it is.
 */
#ifndef PS_TESTS_SCENARIO_SCRIPT_H
#define PS_TESTS_SCENARIO_SCRIPT_H

#include "common/base.h"
#include "common/err.h"

enum {
    SCN_WORDS_MAX = 32
};

struct scn_word {
    char *key; /* NULL: an operand */
    char *value;
    bool used;
};

struct scn_line {
    const char *file;
    unsigned number;
    size_t n;
    struct scn_word words[SCN_WORDS_MAX];
};

/* Ends the program: the script is wrong or what it expects is not so. */
_Noreturn void scn_fail(const struct scn_line *line, const char *fmt, ...)
    PS_PRINTF(2, 3);

/* Cuts text up in place; fails by scn_fail. False: nothing on this line. */
bool scn_line_parse(struct scn_line *line, char *text);

/* The n-th operand (0: the command), or fails. */
const char *scn_operand(struct scn_line *line, size_t n);
/* NULL when there is none. */
const char *scn_operand_or(struct scn_line *line, size_t n);
/* The option's value, or fallback; "yes" for an operand of that name. */
const char *scn_option(struct scn_line *line, const char *key,
                       const char *fallback);
bool scn_flag(struct scn_line *line, const char *key);
uint64_t scn_number(struct scn_line *line, const char *key, uint64_t fallback);
/* "250us", "10ms", "3s", "2m", "1h" in microseconds. */
uint64_t scn_duration_us(struct scn_line *line, const char *text);
uint64_t scn_duration_ms(struct scn_line *line, const char *key,
                         uint64_t fallback_ms);
enum ps_rc scn_rc(struct scn_line *line, const char *code);
/* Fails if something on the line was not looked at: a typing error must not
 * pass for an expectation that holds. */
void scn_line_all_used(struct scn_line *line);

#endif
