/*
 * cmocka, with the headers it needs in front of it, for every *_test.c.
 */
#ifndef PS_TESTS_UNIT_H
#define PS_TESTS_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#endif
