/* Policy records: what RFC 9989 says of each tag, and what careless domains publish. */
#include "dmarc/record.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N DMARC_POLICY_NONE
#define Q DMARC_POLICY_QUARANTINE
#define R DMARC_POLICY_REJECT

static struct arena *arena;

static void versions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_one;
    } table[] = {
        {"v=DMARC1", true},
        {"v=DMARC1;", true},
        {"v=DMARC1; p=none", true},
        {"v = DMARC1 ; p=none", true},
        {" v=DMARC1; p=none", true},
        {"V=DMARC1; p=none", true},  /* RFC5234-2.3: a quoted "v" has no case */
        {"v=dmarc1; p=none", false}, /* RFC9989-4.8: case sensitive */
        {"v=DMARC10; p=none", false},
        {"v=DMARC2; p=none", false},
        {"p=none; v=DMARC1", false}, /* RFC9989-4.7: MUST be the first tag */
        {"v=spf1 -all", false},
        {"vDMARC1", false},
        {"", false},
        {";v=DMARC1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct dmarc_record record;
        print_message("%s\n", table[i].text);
        assert_int_equal(dmarc_record_is_one(view_cstr(table[i].text)), table[i].is_one);
        assert_int_equal(dmarc_record_parse(arena, view_cstr(table[i].text), &record),
                         table[i].is_one ? ERR_OK : ERR_SYNTAX);
    }
}

/* RFC9989-4.7 and 4.10.1 */
static void policies(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum dmarc_policy p, sp, np;
        bool is_unusable;
    } table[] = {
        {"v=DMARC1; p=none", N, N, N, false},
        {"v=DMARC1; p=reject", R, R, R, false},
        {"v=DMARC1;p=REJECT;", R, R, R, false},
        {"v=DMARC1; p=reject; sp=none", R, N, N, false},
        {"v=DMARC1; p=none; sp=quarantine; np=reject", N, Q, R, false},
        {"v=DMARC1; np=reject; p=none", N, N, R, false},
        {"v=DMARC1; p=reject; p=none", R, R, R, false}, /* the second one is ignored */
        {"v=DMARC1; p=block", N, N, N, true},
        {"v=DMARC1; p=block; rua=mailto:a@example.org", N, N, N, false},
        {"v=DMARC1; rua=mailto:a@example.org", N, N, N, false},
        {"v=DMARC1; rua=nonsense", N, N, N, true},
        {"v=DMARC1; p=reject; sp=oops", N, N, N, true},
        {"v=DMARC1; p=reject; np=; rua=mailto:a@example.org", N, N, N, false},
        {"v=DMARC1", N, N, N, true},
        {"v=DMARC1; p = quarantine ; unknown = 5", Q, Q, Q, false},
        {"v=DMARC1; p=quarantine sp=none", N, N, N, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct dmarc_record record;
        print_message("%s\n", table[i].text);
        assert_int_equal(dmarc_record_parse(arena, view_cstr(table[i].text), &record), ERR_OK);
        assert_int_equal(record.p, table[i].p);
        assert_int_equal(record.sp, table[i].sp);
        assert_int_equal(record.np, table[i].np);
        assert_int_equal(record.is_unusable, table[i].is_unusable);
    }
}

static void other_tags(void **state) {
    (void)state;
    struct dmarc_record r;
    assert_int_equal(dmarc_record_parse(arena, VIEW("v=DMARC1; p=none"), &r), ERR_OK);
    assert_false(r.strict_dkim || r.strict_spf || r.is_testing);
    assert_int_equal(r.psd, DMARC_PSD_UNKNOWN);
    assert_int_equal(r.fo, DMARC_FO_ALL_FAILED);
    assert_int_equal(r.problem.n, 0);

    assert_int_equal(dmarc_record_parse(arena, VIEW("v=DMARC1; p=none; adkim=s; aspf=S; psd=y; t=y; fo=1:d:s"), &r),
                     ERR_OK);
    assert_true(r.strict_dkim && r.strict_spf && r.is_testing);
    assert_int_equal(r.psd, DMARC_PSD_YES);
    assert_int_equal(r.fo, DMARC_FO_ANY_FAILED | DMARC_FO_DKIM | DMARC_FO_SPF);

    /* RFC9989-A.6: pct=0 was the way to say t=y; other values of pct mean nothing any more, and t goes first. */
    assert_int_equal(dmarc_record_parse(arena, VIEW("v=DMARC1; p=reject; pct=0"), &r), ERR_OK);
    assert_true(r.is_testing);
    assert_int_equal(dmarc_record_parse(arena, VIEW("v=DMARC1; p=reject; pct=50"), &r), ERR_OK);
    assert_false(r.is_testing);
    assert_int_equal(dmarc_record_parse(arena, VIEW("v=DMARC1; p=reject; pct=0; t=n"), &r), ERR_OK);
    assert_false(r.is_testing);

    /* RFC9989-4.8: wrong values are ignored, the defaults stand, and somebody is told. */
    assert_int_equal(
        dmarc_record_parse(arena, VIEW("v=DMARC1; p=none; adkim=x; psd=z; t=1; fo=q; pct=101; broken"), &r), ERR_OK);
    assert_false(r.strict_dkim || r.is_testing);
    assert_int_equal(r.psd, DMARC_PSD_UNKNOWN);
    assert_int_equal(r.fo, DMARC_FO_ALL_FAILED);
    assert_true(view_eq(r.problem, VIEW("a wrong value of tag \"adkim\"")));
}

static void uris(void **state) {
    (void)state;
    struct dmarc_record r;
    struct view text = VIEW("v=DMARC1; p=none; rua=mailto:a@example.org!10m , mailto:b@example.net?subject=x,ftp,"
                            "https://example.org/d, mailto:@x, mailto:x@, mailto:c d@example.org; ruf=");
    assert_int_equal(dmarc_record_parse(arena, text, &r), ERR_OK);
    assert_int_equal(r.rua_n, 3);
    assert_true(view_eq(r.rua[0], VIEW("mailto:a@example.org")));
    assert_true(view_eq(r.rua[1], VIEW("mailto:b@example.net?subject=x")));
    assert_true(view_eq(r.rua[2], VIEW("https://example.org/d")));
    assert_int_equal(r.ruf_n, 0);

    struct buf many;
    buf_init(&many, DMARC_RECORD_MAX);
    buf_put_str(&many, "v=DMARC1; p=none; rua=mailto:a@b");
    for (int i = 0; i < 100; i++)
        buf_put_str(&many, ",mailto:a@b");
    assert_int_equal(dmarc_record_parse(arena, buf_view(&many), &r), ERR_OK);
    assert_int_equal(r.rua_n, DMARC_URIS_MAX);
    while (many.n < DMARC_RECORD_MAX)
        buf_put_byte(&many, ';');
    assert_int_equal(dmarc_record_parse(arena, buf_view(&many), &r), ERR_OK);
    buf_fini(&many);
    buf_init(&many, DMARC_RECORD_MAX + 1);
    buf_put_str(&many, "v=DMARC1;");
    while (many.n <= DMARC_RECORD_MAX)
        buf_put_byte(&many, ';');
    assert_int_equal(dmarc_record_parse(arena, buf_view(&many), &r), ERR_LIMIT);
    buf_fini(&many);
}

static int begin(void **state) {
    (void)state;
    arena = arena_new("record", 1 << 20);
    return arena == NULL;
}

static int end(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(policies),
        cmocka_unit_test(other_tags),
        cmocka_unit_test(uris),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
