/* Error classes: every one has a name of its own, and the errnos that matter have their class. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void names_are_distinct(void **state) {
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_string_not_equal(err_name((enum err)a), "unknown");
        for (int b = 0; b < a; b++)
            assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
    }
    assert_string_equal(err_name(ERR_LIMIT), "limit");
    assert_string_equal(err_name((enum err)ERR_COUNT), "unknown");
    assert_string_equal(err_name((enum err) - 1), "unknown");
}

static void errnos_have_classes(void **state) {
    (void)state;
    static const struct {
        int errno_value;
        enum err err;
    } cases[] = {
        {0, ERR_OK},
        {EAGAIN, ERR_AGAIN},
        {EWOULDBLOCK, ERR_AGAIN},
        {ENOENT, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS},
        {EPERM, ERR_DENIED},
        {EROFS, ERR_DENIED},
        {EPIPE, ERR_CLOSED},
        {ENOSPC, ERR_FULL},
        {EDQUOT, ERR_FULL},
        {ECONNRESET, ERR_CLOSED},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EIO, ERR_IO},
        {ENOMEM, ERR_NO_MEMORY},
        {ECONNREFUSED, ERR_TEMPORARY},
        {EBADF, ERR_BUG},
        {ENOTEMPTY, ERR_EXISTS},
        {99999, ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(err_from_errno(cases[i].errno_value), cases[i].err);
}

static enum err twice(enum err first, int *reached) {
    TRY(first);
    *reached = 1;
    return ERR_OK;
}

static void try_leaves_at_the_first_error(void **state) {
    (void)state;
    int reached = 0;
    assert_int_equal(twice(ERR_LIMIT, &reached), ERR_LIMIT);
    assert_int_equal(reached, 0);
    assert_int_equal(twice(ERR_OK, &reached), ERR_OK);
    assert_int_equal(reached, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_distinct),
        cmocka_unit_test(errnos_have_classes),
        cmocka_unit_test(try_leaves_at_the_first_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
