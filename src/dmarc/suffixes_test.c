/* The public suffix list's own cases (../shared/conformance/psl) against its list of the same day. */
#include "dmarc/suffixes.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIST CONFORMANCE_DIR "/psl/public_suffix_list.dat"
#define CASES CONFORMANCE_DIR "/psl/tests.txt"

static struct view organizational(const struct dmarc_suffixes *suffixes, struct view domain) {
    size_t n = suffixes->organizational(suffixes, domain);
    return n == 0 ? VIEW("null") : view_skip(domain, domain.n - n);
}

static void conformance(void **state) {
    (void)state;
    if (access(CASES, R_OK) != 0)
        skip();
    struct dmarc_suffixes *suffixes;
    assert_int_equal(dmarc_suffixes_new(LIST, &suffixes), ERR_OK);
    FILE *file = fopen(CASES, "r");
    assert_non_null(file);
    char line[1024];
    size_t cases = 0, wrong = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        struct view domain, expected;
        if (!view_split(view_trim(view_cstr(line)), ' ', &domain, &expected) || view_starts(domain, VIEW("//")))
            continue;
        struct view got =
            view_eq(domain, VIEW("null")) ? organizational(suffixes, VIEW_NONE) : organizational(suffixes, domain);
        cases++;
        if (!view_eq_nocase(got, expected)) {
            print_error("%.*s: %.*s, not %.*s\n", VIEW_FMT(domain), VIEW_FMT(got), VIEW_FMT(expected));
            wrong++;
        }
    }
    (void)fclose(file);
    dmarc_suffixes_free(suffixes);
    print_message("%zu cases of the public suffix list\n", cases);
    assert_true(cases > 70);
    assert_int_equal(wrong, 0);
}

static void no_names(void **state) {
    (void)state;
    struct dmarc_suffixes *suffixes;
    assert_int_equal(dmarc_suffixes_new(NULL, &suffixes), ERR_OK);
    char name[SUFFIX_NAME_MAX + 9];
    memset(name, 'a', sizeof(name));
    memcpy(name + sizeof(name) - 4, ".com", 4);
    static const struct view rows[] = {VIEW_INIT(""),       VIEW_INIT("."),      VIEW_INIT("a..com"),
                                       VIEW_INIT(".a.com"), VIEW_INIT("a.com."), VIEW_INIT("a\0b.com")};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(suffixes->organizational(suffixes, rows[i]), 0);
    assert_int_equal(suffixes->organizational(suffixes, view_of(name, sizeof(name))), 0);
    assert_int_equal(suffixes->organizational(suffixes, VIEW("www.example.com")), 11);
    assert_int_equal(suffixes->organizational(suffixes, VIEW("www.example.co.uk")), 13);
    dmarc_suffixes_free(suffixes);
    dmarc_suffixes_free(NULL);
    assert_int_equal(dmarc_suffixes_new("/nonexistent", &suffixes), ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conformance),
        cmocka_unit_test(no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
