/* The list of messages: codes, the graph of waiting, the matrix in docs/ARCHITECTURE.md. */
#include "roles/messages.h"

#include "store/account_channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_codes_are_unique(void **state) {
    (void)state;
    for (size_t i = 0; i < role_messages_n; i++) {
        assert_true(role_messages[i].type->code < ACCOUNT_MESSAGE_BASE);
        for (size_t j = i + 1; j < role_messages_n; j++)
            assert_int_not_equal(role_messages[i].type->code, role_messages[j].type->code);
    }
}

/* Who may be waiting for whom: a request waits for its reply, a one-way message for nobody. A role's start is a request of the supervisor,
 * which by then answers: its own start coroutine waits, its handlers run. So `role_configure` and `seed_account` are the supervisor's only
 * questions and are left out: what they wait for never waits for their asker. */
static bool waits[ROLE_COUNT][ROLE_COUNT];

static bool reaches(unsigned from, unsigned to, unsigned depth) {
    if (depth > ROLE_COUNT)
        return false;
    for (unsigned next = 0; next < ROLE_COUNT; next++)
        if (waits[from][next] && (next == to || reaches(next, to, depth + 1)))
            return true;
    return false;
}

static void test_waiting_has_no_cycle(void **state) {
    (void)state;
    memset(waits, 0, sizeof(waits));
    for (size_t i = 0; i < role_messages_n; i++) {
        const struct role_message *m = &role_messages[i];
        if (m->type->reply && m->from != ROLE_SUPERVISOR)
            waits[m->from][m->to] = true;
    }
    waits[ROLE_EDGE][ROLE_MAILBOX] = waits[ROLE_QUEUE][ROLE_MAILBOX] = true; /* deliver_check, deliver_commit */
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (reaches(role, role, 0))
            fail_msg("%s may end up waiting for itself", role_name((enum role)role));
    /* the test can fail: one wrong arrow makes a cycle */
    waits[ROLE_SUPERVISOR][ROLE_EDGE] = true;
    assert_true(reaches(ROLE_EDGE, ROLE_EDGE, 0));
}

/* Every message is in the document's table, in the direction it has in the code. */
static void test_matrix_is_documented(void **state) {
    (void)state;
    FILE *file = fopen(SOURCE_DIR "/docs/ARCHITECTURE.md", "r");
    assert_non_null(file);
    static char text[256 * 1024];
    size_t n = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    struct view page = view_of(text, n);
    for (size_t i = 0; i < role_messages_n; i++) {
        const struct role_message *m = &role_messages[i];
        char row[200];
        int length = snprintf(row, sizeof(row), "| `%s` | %s | %s |", m->type->name,
                              m->from == ROLE_COUNT ? "any" : role_name(m->from),
                              m->to == ROLE_COUNT ? "any" : role_name(m->to));
        if (view_find(page, view_of(row, (size_t)length)) < 0)
            fail_msg("docs/ARCHITECTURE.md lacks the row: %s", row);
    }
}

static void test_directory_names(void **state) {
    (void)state;
    char name[ACCOUNT_DIRECTORY_NAME_SIZE];
    account_directory_name(0x123, name);
    assert_string_equal(name, "a0000000000000123");
    account_directory_name(UINT64_MAX, name);
    assert_string_equal(name, "affffffffffffffff");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_unique),
        cmocka_unit_test(test_waiting_has_no_cycle),
        cmocka_unit_test(test_matrix_is_documented),
        cmocka_unit_test(test_directory_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
