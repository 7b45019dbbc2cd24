/*
 * The SPF project's test suite for RFC 7208, case by case. It is YAML:
 * test/interop/spf_cases.py (with Debian's python3-yaml) turns it into lines.
 */
#include "dns/table_testing.h"
#include "spf/spf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SUITE CONFORMANCE_DIR "/spf/rfc7208-tests.yml"
#define CASES 203 /* in the suite's release 2014.04 with its later additions */
#define FIELDS 7

static bool read_suite(struct buf *out) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    char program[] = "python3", script[] = SOURCE_DIR "/test/interop/spf_cases.py", suite[] = SUITE;
    char *argv[] = {program, script, suite, NULL};
    pid_t pid;
    int failed = posix_spawn(&pid, "/usr/bin/python3", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t n = 1; !failed && n > 0;) {
        uint8_t *room = buf_room(out, 65536);
        n = room ? read(ends[0], room, 65536) : 0;
        buf_added(out, n > 0 ? (size_t)n : 0);
    }
    close(ends[0]);
    int status = 1;
    return !failed && waitpid(pid, &status, 0) == pid && status == 0 && buf_err(out) == ERR_OK;
}

struct suite {
    struct dns_table table;
    struct view description;
    struct arena *arena; /* of one case */
    unsigned cases, failures;
};

static struct view unhex(struct suite *s, struct view text) {
    struct buf out;
    struct view v;
    buf_init(&out, 65535);
    assert_int_equal(hex_decode(text, &out), ERR_OK);
    assert_int_equal(arena_view(s->arena, buf_view(&out), &v), ERR_OK);
    buf_fini(&out);
    return v;
}

static void add_record(struct suite *s, const struct view *f) {
    static const struct {
        const char *name;
        uint16_t type;
    } types[] = {{"A", DNS_A},
                 {"AAAA", DNS_AAAA},
                 {"MX", DNS_MX},
                 {"TXT", DNS_TXT},
                 {"PTR", DNS_PTR},
                 {"CNAME", DNS_CNAME},
                 {"TIMEOUT", DNS_TABLE_TIMEOUT}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (view_eq(f[2], view_cstr(types[i].name)))
            dns_table_add(&s->table, unhex(s, f[1]), types[i].type, unhex(s, f[3]));
}

static bool is_among(struct view list, struct view one) {
    struct view head;
    for (bool more = true; more;) {
        more = view_split(list, '|', &head, &list);
        if (view_eq(head, one))
            return true;
    }
    return false;
}

static void play(struct suite *s, const struct view *f) {
    struct virtual_clock clock;
    virtual_clock_init(&clock, INT64_C(1700000000) * US_PER_S);
    struct spf_env env = {
        .dns = &s->table.client, .clock = &clock.clock, .receiver = VIEW("receiver.example"), .trace = true};
    struct spf_query query = {.identity = SPF_MAIL_FROM, .helo = unhex(s, f[2]), .mail_from = unhex(s, f[4])};
    assert_int_equal(netaddr_parse(f[3], 0, &query.ip), ERR_OK);
    struct spf_verdict verdict;
    assert_int_equal(spf_check(&env, &query, s->arena, &verdict), ERR_OK);
    struct view expected = unhex(s, f[6]);
    bool is_default = expected.n == 0 || view_eq(expected, VIEW("DEFAULT"));
    bool good = is_among(f[5], view_cstr(spf_result_name(verdict.result)));
    if (verdict.result == SPF_FAIL)
        good = good &&
               (is_default ? verdict.explanation.n == 0 || expected.n == 0 : view_eq(verdict.explanation, expected));
    s->cases++;
    printf("%s %.*s / %.*s: %s\n", good ? "ok  " : "FAIL", VIEW_FMT(s->description), VIEW_FMT(f[1]),
           spf_result_name(verdict.result));
    if (good)
        return;
    s->failures++;
    printf("     expected %.*s, explanation \"%.*s\"; found \"%.*s\" problem \"%.*s\"\n", VIEW_FMT(f[5]),
           VIEW_FMT(expected), VIEW_FMT(verdict.explanation), VIEW_FMT(verdict.problem));
    for (size_t i = 0; i < verdict.steps_n; i++)
        printf("     %u %.*s [%.*s] %.*s\n", verdict.steps[i].depth, VIEW_FMT(verdict.steps[i].domain),
               VIEW_FMT(verdict.steps[i].term), VIEW_FMT(verdict.steps[i].text));
}

static void play_line(struct suite *s, struct view line) {
    struct view f[FIELDS] = {VIEW_NONE};
    bool more = true;
    for (size_t i = 0; i < FIELDS && more; i++)
        more = view_split(line, '\t', &f[i], &line);
    if (view_eq(f[0], VIEW("T"))) {
        play(s, f);
        arena_clear(s->arena);
    } else if (view_eq(f[0], VIEW("S"))) {
        dns_table_clear(&s->table);
        s->description = f[1];
    } else if (view_eq(f[0], VIEW("Z"))) {
        add_record(s, f);
        arena_clear(s->arena);
    }
}

/* RFC7208-4 */
static void test_suite(void **state) {
    (void)state;
    if (access(SUITE, R_OK) != 0)
        skip();
    struct buf lines;
    buf_init(&lines, 4u << 20);
    if (!read_suite(&lines))
        fail_msg("spf_cases.py has not worked: is python3-yaml there?");
    struct suite s = {.arena = arena_new("spf.test", SPF_ARENA)};
    dns_table_init(&s.table);
    struct view rest = buf_view(&lines), line, name = VIEW_NONE;
    struct buf description;
    buf_init(&description, 1000);
    while (rest.n) {
        (void)view_split(rest, '\n', &line, &rest);
        if (view_starts(line, VIEW("S\t"))) {
            buf_clear(&description);
            assert_int_equal(hex_decode(view_skip(line, 2), &description), ERR_OK);
            name = buf_view(&description);
        }
        play_line(&s, line);
        s.description = name;
    }
    printf("%u cases, %u failed\n", s.cases, s.failures);
    buf_fini(&description);
    buf_fini(&lines);
    dns_table_fini(&s.table);
    arena_free(s.arena);
    assert_int_equal(s.failures, 0);
    assert_true(s.cases >= CASES);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
