/*
 * Every probe of every role, at each level that can be reached here: as root
 * with and without Landlock, as an ordinary user, and below confined parents.
 * And proofs that these tests can fail: a policy with a group too many or too
 * few is noticed.
 */
#include "confine/test_house.h"

#define EXECUTED 42 /* what this program answers when a test executes it again */

/* Standard error of the children goes to nowhere: each denial writes its line there, thousands in all. */
static int silence(void) {
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(saved >= 0 && null >= 0 && dup2(null, STDERR_FILENO) == STDERR_FILENO);
    (void)close(null);
    return saved;
}

static void unsilence(int saved) {
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
}

/* Runs all probes; returns how many failed, and prints their lines when `loud`. */
static unsigned probe(struct house *house, bool loud, struct buf *report) {
    struct confine_probe_plan plan = confine_probe_plan_of(house->role, house->level, house->is_template);
    unsigned failed = UINT_MAX;
    int saved = silence();
    enum err err = confine_probe_all(&plan, &house->ritual, report, &failed);
    unsilence(saved);
    assert_int_equal(err, ERR_OK);
    struct view line, rest = buf_view(report);
    while (loud && failed && rest.n) {
        (void)view_split(rest, '\n', &line, &rest);
        if (view_starts(line, VIEW("FAILED")))
            print_message("%s %s%s: %.*s\n", confine_level_name(house->level), role_name(house->role),
                          house->is_template ? " template" : "", VIEW_FMT(line));
    }
    return failed;
}

static unsigned probe_role(enum role role, enum confine_level level, bool is_template) {
    struct house house;
    struct buf report;
    buf_init(&report, REPORT_MAX);
    house_init(&house, role, level, is_template);
    unsigned failed = probe(&house, true, &report);
    house_fini(&house);
    buf_fini(&report);
    return failed;
}

static unsigned probe_level(enum confine_level level) {
    unsigned failed = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        failed += probe_role((enum role)role, level, false);
    return failed + probe_role(ROLE_MAILBOX, level, true);
}

static void test_root_landlock(void **state) {
    (void)state;
    need(CONFINE_ROOT_LANDLOCK);
    assert_int_equal(probe_level(CONFINE_ROOT_LANDLOCK), 0);
}

static void test_root(void **state) {
    (void)state;
    need(CONFINE_ROOT);
    assert_int_equal(probe_level(CONFINE_ROOT), 0);
}

static unsigned run_user(void) {
    return probe_level(CONFINE_USER);
}
static void test_user(void **state) {
    (void)state;
    assert_int_equal(as_user(run_user), 0);
}

/* Policies that are wrong in one thing: which line must notice. */
static const struct {
    enum role role;
    uint32_t add, remove;
    const char *line;
} mutants[] = {
    {ROLE_EDGE, CALLS_TCP, 0, "FAILED tcp socket: denied"},
    {ROLE_EDGE, CALLS_LISTEN, 0, "FAILED listen: denied"},
    {ROLE_EDGE, 0, CALLS_ACCEPT, "FAILED accept: needed"},
    {ROLE_EDGE, CALLS_FILES_READ, 0, "FAILED open a file of its own: denied"},
    {ROLE_MAILBOX, CALLS_FORK, 0, "FAILED signal its parent: denied"},
    {ROLE_MAILBOX, CALLS_EXEC, 0, "FAILED execve"},
    {ROLE_MAILBOX, CALLS_EXEC, 0, "FAILED map executable memory: denied"},
    {ROLE_MAILBOX, CALLS_PAIR, 0, "FAILED socketpair: denied"},
    {ROLE_MAILBOX, 0, CALLS_FILES_WRITE, "FAILED create, sync, rename, remove: needed"},
    {ROLE_QUEUE, CALLS_UDP, 0, "FAILED udp socket: denied"},
    {ROLE_RESOLVER, 0, CALLS_UDP, "FAILED udp socket: needed"},
    {ROLE_COURIER, CALLS_UDP, 0, "FAILED bind: denied"},
    {ROLE_DIRECTORY, CALLS_TCP, 0, "FAILED connect: denied"},
    {ROLE_POSTMASTER, CALLS_RITUAL, 0, "FAILED set a limit: denied"},
};

static unsigned run_mutants(void) {
    unsigned missed = 0;
    for (size_t i = 0; i < ARRAY_LEN(mutants); i++) {
        struct house house;
        struct buf report;
        struct confine_policy policy = confine_policies[mutants[i].role];
        policy.calls = (policy.calls | mutants[i].add) & ~mutants[i].remove;
        policy.landlock = false; /* the filter alone: another layer must not hide its hole */
        policy.forks = true;
        buf_init(&report, REPORT_MAX);
        house_init(&house, mutants[i].role, CONFINE_USER, false);
        house.policy = &policy;
        unsigned failed = probe(&house, false, &report);
        if (failed == 0 || !report_has(&report, mutants[i].line)) {
            print_message("mutant %zu not noticed: %s\n%.*s\n", i, mutants[i].line, VIEW_FMT(buf_view(&report)));
            missed++;
        }
        house_fini(&house);
        buf_fini(&report);
    }
    return missed;
}

static void test_mutants_are_noticed(void **state) {
    (void)state;
    assert_int_equal(as_user(run_mutants), 0);
}

/* Without Landlock an ordinary user's mailbox reaches the machine's files: the probe must say so. */
static unsigned run_no_landlock(void) {
    struct house house;
    struct buf report;
    struct confine_policy policy = confine_policies[ROLE_MAILBOX];
    policy.landlock = false;
    buf_init(&report, REPORT_MAX);
    house_init(&house, ROLE_MAILBOX, CONFINE_USER, false);
    house.policy = &policy;
    (void)probe(&house, false, &report);
    bool noticed =
        report_has(&report, "FAILED open /etc/passwd: denied") && report_has(&report, "FAILED create in /tmp: denied");
    house_fini(&house);
    buf_fini(&report);
    return noticed ? 0 : 1;
}

static void test_landlock_is_needed(void **state) {
    (void)state;
    if (confine_landlock_abi() == 0)
        skip();
    assert_int_equal(as_user(run_no_landlock), 0);
}

/* --- children of confined parents: the supervisor's filter and capabilities must let every ritual through --- */

static enum err enter_parent(const struct house *house, enum role role, bool is_template) {
    const struct confine_dir dirs[] = {{house->root_fd, true}, {house->spool_fd, true}};
    struct confine_params params = {
        .level = house->level,
        .root_fd = -1,
        .spool_fd = -1,
        .keep = &house->listener_fd,
        .keep_n = 1,
        .dirs = dirs,
        .dirs_n = ARRAY_LEN(dirs),
        .is_template = is_template,
    };
    struct buf why;
    buf_init(&why, 1024);
    enum err err = confine_apply(role, &params, &why);
    if (err != ERR_OK)
        print_message("%.*s\n", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    return err;
}

/* In a child: become the parent role, then run this role's probes below it. */
static unsigned probe_below(enum role parent, bool is_template, enum role role, enum confine_level level) {
    struct house house;
    int status;
    house_init(&house, role, level, false);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct buf report;
        struct confine_probe_plan plan = confine_probe_plan_of(role, level, false);
        unsigned failed = 99;
        buf_init(&report, REPORT_MAX);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        if (is_template && confine_filter_new(role, &house.filter, &report) != ERR_OK)
            _exit(95);
        if (enter_parent(&house, parent, is_template) != ERR_OK)
            _exit(98);
        if (confine_probe_all(&plan, &house.ritual, &report, &failed) != ERR_OK)
            _exit(97);
        if (failed)
            print_message("below %s: %.*s\n", role_name(parent), VIEW_FMT(buf_view(&report)));
        (void)fflush(NULL);
        _exit((int)MIN(failed, 96u));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    house_fini(&house);
    return (unsigned)WEXITSTATUS(status);
}

static unsigned probe_all_below(enum confine_level level) {
    unsigned failed = 0;
    for (unsigned role = ROLE_RESOLVER; role < ROLE_COUNT; role++)
        failed += probe_below(ROLE_SUPERVISOR, false, (enum role)role, level);
    return failed + probe_below(ROLE_MAILBOX, true, ROLE_MAILBOX, level);
}

static unsigned run_below_user(void) {
    return probe_all_below(CONFINE_USER);
}

static void test_children_of_confined_parents(void **state) {
    (void)state;
    assert_int_equal(as_user(run_below_user), 0);
    for (unsigned level = confine_level_detect(); level < CONFINE_USER; level++)
        assert_int_equal(probe_all_below((enum confine_level)level), 0);
}

/* Executing again below the supervisor's filter: the loader, and a sanitizer's start, must get through. */
static unsigned run_exec_below(void) {
    struct house house;
    int status = -1;
    house_init(&house, ROLE_EDGE, confine_level_detect(), false);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        if (enter_parent(&house, ROLE_SUPERVISOR, false) != ERR_OK)
            _exit(98);
        pid_t pid = fork();
        if (pid == 0) {
            (void)execl("/proc/self/exe", "confine_test", "--executed", (char *)NULL);
            _exit(97);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
            _exit(96);
        _exit(WEXITSTATUS(status));
    }
    assert_int_equal(waitpid(parent, &status, 0), parent);
    house_fini(&house);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXECUTED ? 0 : 1;
}

static void test_exec_below_supervisor(void **state) {
    (void)state;
    assert_int_equal(run_exec_below(), 0);
}

int main(int argc, char **argv) {
    if (argc == 2 && view_eq(view_cstr(argv[1]), VIEW("--executed")))
        return EXECUTED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_landlock),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_mutants_are_noticed),
        cmocka_unit_test(test_landlock_is_needed),
        cmocka_unit_test(test_children_of_confined_parents),
        cmocka_unit_test(test_exec_below_supervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
