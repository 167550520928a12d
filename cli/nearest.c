/*
 * Which known name was meant: the smallest number of inserted, deleted,
 * replaced or swapped bytes (optimal string alignment), as long as it is at
 * most a third of the word.
 */
#include "cli/command.h"

enum {
    MAX_WORD = 64
};

static size_t
min3(size_t a, size_t b, size_t c)
{
    return PS_MIN(PS_MIN(a, b), c);
}

/* Words longer than MAX_WORD are compared by their first bytes. */
static size_t
distance(const char *a, const char *b)
{
    size_t rows[3][MAX_WORD + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t n = PS_MIN(strlen(a), (size_t)MAX_WORD);
    size_t m = PS_MIN(strlen(b), (size_t)MAX_WORD);
    for (size_t j = 0; j <= m; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = PS_MIN(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

void
ps_nearest_init(struct ps_nearest *nearest, const char *typed)
{
    nearest->typed = typed;
    nearest->best = NULL;
    nearest->distance = SIZE_MAX;
}

void
ps_nearest_try(struct ps_nearest *nearest, const char *candidate)
{
    size_t d = distance(nearest->typed, candidate);
    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = candidate;
    }
}

const char *
ps_nearest_take(const struct ps_nearest *nearest)
{
    size_t allowed = PS_MAX(strlen(nearest->typed) / 3, (size_t)1);
    return nearest->distance <= allowed ? nearest->best : NULL;
}
