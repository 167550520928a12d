/*
 * Parser of the little language of ps_fake_rows(): the text is copied into
 * one block behind the arrays that point into it, and cut up in place.
 */
#include "agent/backend/fake_rows.h"

#include "common/check.h"

#include <stdlib.h>

struct block {
    struct ps_fake_rows rows;
    struct ps_column *columns;
    struct ps_cell *cells;
};

/* Cuts the next part off *at, which becomes NULL behind the last one. */
static char *
cut(char **at, char separator)
{
    char *part = *at;
    char *stop = strchr(part, separator);
    *at = stop ? stop + 1 : NULL;
    if (stop)
        *stop = '\0';
    return part;
}

static struct ps_cell
decode_word(char *word)
{
    if (strcmp(word, "\\N") == 0)
        return (struct ps_cell){.ptr = NULL, .len = 0};
    char *to = word;
    for (const char *from = word; *from; from++) {
        if (from[0] != '\\' || from[1] == '\0') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from == 's')
            *to++ = ' ';
        else if (*from == 'n')
            *to++ = '\n';
        else if (*from != 'e')
            *to++ = *from;
    }
    *to = '\0';
    return (struct ps_cell){.ptr = word, .len = (size_t)(to - word)};
}

static bool
parse_columns(struct block *block, char *line)
{
    while (line && *line) {
        char *word = cut(&line, ' ');
        char *colon = strrchr(word, ':');
        if (!colon)
            return false;
        block->columns[block->rows.n_columns++] = (struct ps_column){
            .name = {word, (size_t)(colon - word)},
            .type = (uint32_t)strtoul(colon + 1, NULL, 10),
            .type_modifier = -1,
        };
    }
    return true;
}

static bool
parse_row(struct block *block, char *line)
{
    struct ps_cell *cells =
        block->cells + block->rows.n_rows * block->rows.n_columns;
    size_t n = 0;
    while (line && *line) {
        if (n == block->rows.n_columns)
            return false;
        cells[n++] = decode_word(cut(&line, ' '));
    }
    block->rows.n_rows++;
    return n == block->rows.n_columns;
}

struct ps_fake_rows *
ps_fake_rows_parse(const char *text)
{
    size_t len = strlen(text);
    size_t most = len + 1; /* no part is shorter than its separator */
    struct block *block =
        calloc(1, sizeof(*block) + most * sizeof(*block->columns) +
                      most * sizeof(*block->cells) + len + 1);
    PS_CHECK(block);
    block->columns = (struct ps_column *)(void *)(block + 1);
    block->cells = (struct ps_cell *)(void *)(block->columns + most);
    block->rows.columns = block->columns;
    block->rows.cells = block->cells;
    char *at = (char *)(block->cells + most);
    memcpy(at, text, len);
    bool good = parse_columns(block, cut(&at, '\n'));
    while (good && at && *at)
        good = parse_row(block, cut(&at, '\n'));
    if (!good) {
        free(block);
        return NULL;
    }
    return &block->rows;
}
