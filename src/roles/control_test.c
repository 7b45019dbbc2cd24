/* The lines of the control socket: what is taken, what is refused and why, and that both ends agree. */
#include "roles/control.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUDGET (4 << 20)
#define KEY32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define VERIFIER                                                                                     \
    "{\"mechanism\":\"SCRAM-SHA-256\",\"iterations\":4096,\"salt\":\"AAEC\",\"stored_key\":\"" KEY32 \
    "\",\"server_key\":\"" KEY32 "\"}"

static const struct {
    const char *line;
    enum err err;
    const char *why; /* begins so */
} cases[] = {
    {"{\"id\":1,\"op\":\"domain.list\"}", ERR_OK, ""},
    {" { \"op\" : \"domain.add\", \"id\" : 0, \"domain\" : \"a.example\" } ", ERR_OK, ""},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[" VERIFIER "]}", ERR_OK, ""},
    {"{\"id\":1,\"op\":\"alias.add\",\"address\":\"a@b.example\",\"targets\":[\"c@d.example\",\"\xc3\xa9@d.example\"]}",
     ERR_OK, ""},
    {"", ERR_SYNTAX, "the request is not JSON."},
    {"{", ERR_SYNTAX, "the request is not JSON."},
    {"null", ERR_SYNTAX, "the request is not JSON."}, /* not an object or array */
    {"[]", ERR_SYNTAX, "a request is an object with an id."},
    {"{\"op\":\"domain.list\"}", ERR_SYNTAX, "a request is an object with an id."},
    {"{\"id\":-1,\"op\":\"domain.list\"}", ERR_SYNTAX, "a request is an object with an id."},
    {"{\"id\":\"1\",\"op\":\"domain.list\"}", ERR_SYNTAX, "a request is an object with an id."},
    {"{\"id\":1,\"id\":2,\"op\":\"domain.list\"}", ERR_SYNTAX, "the request is not JSON."},
    {"{\"id\":1,\"op\":\"domain.list\"} x", ERR_SYNTAX, "the request is not JSON."},
    {"{\"id\":1,\"op\":\"domain.list\",\"more\":1}", ERR_SYNTAX, "the request has keys"},
    {"{\"id\":1,\"op\":\"format.disk\"}", ERR_SYNTAX, "there is no such operation."},
    {"{\"id\":1}", ERR_SYNTAX, "there is no such operation."},
    {"{\"id\":1,\"op\":\"domain.add\"}", ERR_SYNTAX, "a domain must be"},
    {"{\"id\":1,\"op\":\"domain.add\",\"domain\":\"A.example\"}", ERR_SYNTAX, "a domain must be"},
    {"{\"id\":1,\"op\":\"domain.add\",\"domain\":\"a.example\\u0000\"}", ERR_SYNTAX, "the request is not JSON."},
    {"{\"id\":1,\"op\":\"account.remove\",\"address\":7}", ERR_SYNTAX, "an address must be"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\"}", ERR_SYNTAX, "verifiers must be"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[]}", ERR_SYNTAX, "verifiers must be"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[1]}", ERR_SYNTAX, "a verifier needs"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[" VERIFIER "," VERIFIER "," VERIFIER
     "," VERIFIER "," VERIFIER "]}",
     ERR_SYNTAX, "verifiers must be"},
    /* RFC7677-4: at least 4096 iterations */
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[{\"mechanism\":\"SCRAM-SHA-256\","
     "\"iterations\":4095,\"salt\":\"AAEC\","
     "\"stored_key\":\"" KEY32 "\",\"server_key\":\"" KEY32 "\"}]}",
     ERR_SYNTAX, "a verifier needs"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[{\"mechanism\":\"SCRAM-SHA-1\","
     "\"iterations\":4096,\"salt\":\"AAEC\","
     "\"stored_key\":\"" KEY32 "\",\"server_key\":\"" KEY32 "\"}]}",
     ERR_SYNTAX, "salt, stored_key"},
    {"{\"id\":1,\"op\":\"account.add\",\"address\":\"a@b.example\",\"verifiers\":[{\"mechanism\":\"SCRAM-SHA-256\","
     "\"iterations\":4096,\"salt\":\"?\","
     "\"stored_key\":\"" KEY32 "\",\"server_key\":\"" KEY32 "\"}]}",
     ERR_SYNTAX, "salt, stored_key"},
    {"{\"id\":1,\"op\":\"alias.add\",\"address\":\"a@b.example\",\"targets\":[]}", ERR_SYNTAX, "targets must be"},
    {"{\"id\":1,\"op\":\"alias.add\",\"address\":\"a@b.example\",\"targets\":[\"c\"]}", ERR_SYNTAX,
     "an address must be"},
    {"{\"id\":1,\"op\":[[[[[[[[[[1]]]]]]]]]]}", ERR_LIMIT, "the request is too long or nested"},
    {"{\"id\":1,\"op\":[[[[[[[[[1]]]]]]]]]}", ERR_SYNTAX, "there is no such operation."},
    {"{\"id\":1,\"op\":\"[[[[[[[[[[[[[[\\\"[[[[[[[[\"}", ERR_SYNTAX, "there is no such operation."},
};

static void test_parse(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", BUDGET);
        struct buf why;
        buf_init(&why, 1000);
        struct control_request request;
        enum err err = control_parse(view_cstr(cases[i].line), arena, &request, &why);
        bool good = cases[i].why[0] ? view_starts(buf_view(&why), view_cstr(cases[i].why)) : why.n == 0;
        if (err != cases[i].err || !good)
            fail_msg("%s: %s, %.*s", cases[i].line, err_name(err), VIEW_FMT(buf_view(&why)));
        buf_fini(&why);
        arena_free(arena);
    }
}

/* The id is known as soon as it could be read, so that the refusal reaches its question. */
static void test_id(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", BUDGET);
    struct buf why;
    buf_init(&why, 1000);
    struct control_request request;
    assert_int_equal(control_parse(VIEW("{\"id\":77,\"op\":\"x\"}"), arena, &request, &why), ERR_SYNTAX);
    assert_int_equal(request.id, 77);
    buf_fini(&why);
    arena_free(arena);
}

static void test_limits(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", BUDGET), *small = arena_new("small", 100);
    struct buf line, why;
    buf_init(&line, CONTROL_LINE_MAX * 2);
    buf_init(&why, 1000);
    buf_put_str(&line, "{\"id\":1,\"op\":\"domain.list\"");
    while (line.n < CONTROL_LINE_MAX)
        buf_put_byte(&line, ' ');
    buf_put_byte(&line, '}');
    struct control_request request;
    assert_int_equal(control_parse(buf_view(&line), arena, &request, &why), ERR_LIMIT);
    assert_int_equal(control_parse(VIEW("{\"id\":1,\"op\":\"alias.add\",\"address\":\"a@b.example\",\"targets\":[\"a@a."
                                        "a\",\"a@a.a\",\"a@a.a\",\"a@a.a\",\"a@a.a\","
                                        "\"a@a.a\",\"a@a.a\",\"a@a.a\",\"a@a.a\",\"a@a.a\"]}"),
                                   small, &request, &why),
                     ERR_LIMIT);
    buf_clear(&line);
    buf_put_str(&line, "{\"id\":1,\"op\":\"alias.add\",\"address\":\"a@b.example\",\"targets\":[");
    for (unsigned i = 0; i <= DIRECTORY_TARGETS_MAX; i++)
        buf_printf(&line, "%s\"t%u@b.example\"", i ? "," : "", i);
    buf_put_str(&line, "]}");
    assert_int_equal(control_parse(buf_view(&line), arena, &request, &why), ERR_SYNTAX);
    buf_fini(&line);
    buf_fini(&why);
    arena_free(arena);
    arena_free(small);
}

/* Whatever one end writes, the other reads the same. */
static void test_round_trip(void **state) {
    (void)state;
    uint8_t keys[64];
    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i] = (uint8_t)(i * 7);
    struct scram_verifier verifiers[3] = {
        {.mechanism = SCRAM_SHA1,
         .iterations = 4096,
         .salt = VIEW("salt"),
         .stored_key = view_of(keys, 20),
         .server_key = view_of(keys, 20)},
        {.mechanism = SCRAM_SHA256,
         .iterations = 10000,
         .salt = VIEW("\0\1\2"),
         .stored_key = view_of(keys, 32),
         .server_key = view_of(keys + 1, 32)},
        {.mechanism = SCRAM_SHA512,
         .iterations = SCRAM_ITERATIONS_MAX,
         .salt = VIEW("x"),
         .stored_key = view_of(keys, 64),
         .server_key = view_of(keys, 64)},
    };
    struct alias_target targets[2] = {{VIEW_INIT("b@c.example")}, {VIEW_INIT("d+e@f.example")}};
    for (enum control_op op = 0; op < CONTROL_OP_COUNT; op++) {
        struct control_request request = {.id = 1000 + op,
                                          .op = op,
                                          .domain = VIEW("a.example"),
                                          .address = VIEW("a@b.example"),
                                          .verifiers = verifiers,
                                          .verifiers_n = 3,
                                          .targets = targets,
                                          .targets_n = 2};
        struct arena *arena = arena_new("test", BUDGET);
        struct buf line, why;
        buf_init(&line, CONTROL_LINE_MAX);
        buf_init(&why, 1000);
        assert_int_equal(control_put_request(&request, &line), ERR_OK);
        assert_int_equal(line.p[line.n - 1], '\n');
        struct control_request back;
        if (control_parse(buf_view(&line), arena, &back, &why) != ERR_OK)
            fail_msg("%.*s: %.*s", VIEW_FMT(buf_view(&line)), VIEW_FMT(buf_view(&why)));
        assert_true(back.id == request.id && back.op == op);
        assert_true(back.domain.n == 0 || view_eq(back.domain, request.domain));
        assert_true(back.address.n == 0 || view_eq(back.address, request.address));
        assert_true((op == CONTROL_ACCOUNT_ADD || op == CONTROL_ACCOUNT_PASSWORD) == (back.verifiers_n == 3));
        for (size_t i = 0; i < back.verifiers_n; i++)
            assert_true(record_equal(&scram_verifier_record, &back.verifiers[i], &verifiers[i]));
        assert_true((op == CONTROL_ALIAS_ADD) == (back.targets_n == 2));
        for (size_t i = 0; i < back.targets_n; i++)
            assert_true(view_eq(back.targets[i].address, targets[i].address));
        buf_fini(&line);
        buf_fini(&why);
        arena_free(arena);
    }
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool domain, address;
    } names[] = {
        {"example.org", true, false},
        {"localhost", true, false},
        {"xn--bcher-kva.example", true, false},
        {"a-b.c1", true, false},
        {"", false, false},
        {".", false, false},
        {"a.", false, false},
        {".a", false, false},
        {"a..b", false, false},
        {"-a.b", false, false},
        {"a-.b", false, false},
        {"A.b", false, false},
        {"a_b.c", false, false},
        {"a b", false, false},
        {"b\xc3\xbc.c", false, false},
        {"a@b", false, true},
        {"a.b+c@d.e", false, true},
        {"\xc3\xa9@b.c", false, true},
        {"\xc3@b.c", false, false},
        {".a@b", false, false},
        {"a.@b", false, false},
        {"a..b@c", false, false},
        {"a b@c", false, false},
        {"\"a\"@c", false, false},
        {"a@", false, false},
        {"@b", false, false},
        {"a@b.", false, false},
        {"a@B", false, false},
        {"A@b", false, false},
        {"a@b@c", false, false},
        {"a<b@c", false, false},
        {"a\x7f@c", false, false},
        {"0123456789012345678901234567890123456789012345678901234567890123@b", false,
         true}, /* RFC5321-4.5.3.1.1: 64 octets */
        {"01234567890123456789012345678901234567890123456789012345678901234@b", false, false},
        {"012345678901234567890123456789012345678901234567890123456789012", true, false}, /* RFC1035-2.3.4: 63 octets */
        {"0123456789012345678901234567890123456789012345678901234567890123", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (control_domain_ok(view_cstr(names[i].text)) != names[i].domain ||
            control_address_ok(view_cstr(names[i].text)) != names[i].address)
            fail_msg("%s", names[i].text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_id),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
