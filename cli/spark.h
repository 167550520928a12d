/*
 * A series of numbers as a line of blocks, one character each: 0 and what is
 * not known are a blank, the greatest is a full block. Pure.
 */
#ifndef PS_CLI_SPARK_H
#define PS_CLI_SPARK_H

#include "common/buf.h"

/* Appends at most width characters: neighbours are added up where there are
 * more values. top: what a full block stands for; 0: the greatest. */
void ps_spark(const double *values, size_t n, size_t width, double top,
              struct ps_buf *out);

#endif
