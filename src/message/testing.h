/* What cmocka needs before its header, once. */
#ifndef MESSAGE_TESTING_H
#define MESSAGE_TESTING_H

#include "base/arena.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

/* Fails with both texts when they differ. */
static inline void assert_view(struct view got, const char *expected) {
    if (!view_eq(got, view_cstr(expected))) {
        print_error("got:      %.*s\nexpected: %s\n", VIEW_FMT(got), expected);
        fail();
    }
}

#endif
