/* See spark.h. */
#include "cli/spark.h"

static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄",
                                     "▅", "▆", "▇", "█"};

static double
sum(const double *values, size_t from, size_t to)
{
    double s = 0;
    for (size_t i = from; i < to; i++)
        s += values[i] > 0 ? values[i] : 0;
    return s;
}

/* Whatever is more than nothing shows. */
static const char *
block(double value, double top)
{
    const size_t full = PS_ARRAY_LEN(blocks) - 1;
    if (value <= 0 || top <= 0)
        return blocks[0];
    double level = value / top * (double)full;
    return blocks[PS_MIN(PS_MAX((size_t)(level + 0.5), (size_t)1), full)];
}

void
ps_spark(const double *values, size_t n, size_t width, double top,
         struct ps_buf *out)
{
    size_t columns = PS_MIN(n, width);
    double most = top;
    for (size_t i = 0; i < columns && top <= 0; i++)
        most =
            PS_MAX(most, sum(values, i * n / columns, (i + 1) * n / columns));
    for (size_t i = 0; i < columns; i++)
        ps_buf_append_c(
            out,
            block(sum(values, i * n / columns, (i + 1) * n / columns), most));
}
