/*
 * The ritual: what it refuses, what a process looks like after it (from outside,
 * through /proc), what a denial leaves behind, and the table itself.
 */
#include "base/disk.h"
#include "confine/test_house.h"

/* --- the files of base/disk.h in a role that owns a directory --- */

static enum err use_disk(int root_fd) {
    struct disk *disk = disk_new_fd(root_fd);
    struct file *file = NULL;
    struct buf all;
    uint64_t free_bytes = 0;
    if (!disk)
        return ERR_NO_MEMORY;
    buf_init(&all, 100);
    TRY(disk_mkdir(disk, "d"));
    TRY(disk_replace(disk, "d/a", VIEW("replaced")));
    TRY(disk_read_all(disk, "d/a", 100, &all));
    TRY(disk_open(disk, ".", DISK_WRITE | DISK_TEMPORARY, &file));
    TRY(file_write(file, VIEW("nameless"), 0));
    TRY(file_sync(file, false));
    TRY(file_lock(file, true));
    TRY(file_link(file, disk, "d/b"));
    file_unref(file);
    TRY(disk_rename(disk, "d/b", "b"));
    TRY(disk_sync_dir(disk, "."));
    TRY(disk_free_bytes(disk, &free_bytes));
    TRY(disk_remove(disk, "b"));
    TRY(disk_remove(disk, "d/a"));
    TRY(disk_remove(disk, "d"));
    TRY(file_new_memory("probe", &file));
    TRY(file_write(file, all.p ? buf_view(&all) : VIEW("x"), 0));
    file_unref(file);
    buf_fini(&all);
    disk_free(disk);
    return ERR_OK;
}

static unsigned disk_at(enum confine_level level) {
    struct house house;
    int status;
    house_init(&house, ROLE_MAILBOX, level, false);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct buf why;
        buf_init(&why, 1024);
        struct confine_params params = {.level = level,
                                        .uid = TEST_UID,
                                        .gid = TEST_UID,
                                        .root_fd = house.root_fd,
                                        .spool_fd = -1,
                                        .keep = &house.root_fd,
                                        .keep_n = 1};
        enum err err = confine_apply(ROLE_MAILBOX, &params, &why);
        _exit(err != ERR_OK ? 99 : (int)use_disk(house.root_fd));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    house_fini(&house);
    return WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 100;
}

static unsigned run_disk_user(void) {
    return disk_at(CONFINE_USER);
}

static void test_disk_in_a_mailbox(void **state) {
    (void)state;
    assert_int_equal(as_user(run_disk_user), 0);
    for (unsigned level = confine_level_detect(); level < CONFINE_USER; level++)
        assert_int_equal(disk_at((enum confine_level)level), 0);
}

/* --- one confined child, looked at from outside --- */

struct child {
    pid_t pid;
    int to, from; /* its standard input, its standard error */
};

/* A child that confines itself, says so on standard error, does `act`, and waits for its input to end. */
static struct child start(struct house *house, void (*act)(void)) {
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;
        struct buf why;
        struct confine_probe_env env;
        buf_init(&why, 1024);
        if (dup2(in[0], 0) != 0 || dup2(out[1], 2) != 2)
            _exit(9);
        if (enter(&house->ritual, &env, &why) != ERR_OK) {
            (void)!write(2, why.p, why.n);
            _exit(8);
        }
        if (act)
            act();
        (void)!write(2, "confined\n", 9);
        _exit(read(0, &byte, 1) == 0 ? 0 : 7);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    return (struct child){pid, in[1], out[0]};
}

static struct view read_until(struct child *child, const char *end, char *text, size_t size) {
    size_t n = 0;
    while (n < size && view_find(view_of(text, n), view_cstr(end)) < 0) {
        ssize_t got = read(child->from, text + n, size - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
    return view_of(text, n);
}

static void finish(struct child *child) {
    int status;
    (void)close(child->to);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(child->from);
}

static struct confine_params params_of(const struct house *house) {
    return (struct confine_params){
        .level = house->level, .uid = TEST_UID, .gid = TEST_UID, .root_fd = -1, .spool_fd = -1};
}

static unsigned check_live(enum confine_level level) {
    unsigned all = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        struct house house;
        struct buf report;
        char text[256];
        unsigned failed = UINT_MAX;
        house_init(&house, (enum role)role, level, false);
        struct child child = start(&house, NULL);
        (void)read_until(&child, "confined", text, sizeof(text));
        struct confine_params params = params_of(&house);
        buf_init(&report, REPORT_MAX);
        assert_int_equal(confine_check_proc(child.pid, (enum role)role, &params, house.root_path, &report, &failed),
                         ERR_OK);
        if (failed)
            print_message("%s:\n%.*s", role_name((enum role)role), VIEW_FMT(buf_view(&report)));
        all += failed;
        finish(&child);
        house_fini(&house);
        buf_fini(&report);
    }
    return all;
}

static unsigned run_live_user(void) {
    return check_live(CONFINE_USER);
}

static void test_live_process(void **state) {
    (void)state;
    assert_int_equal(as_user(run_live_user), 0);
    for (unsigned level = confine_level_detect(); level < CONFINE_USER; level++)
        assert_int_equal(check_live((enum confine_level)level), 0);
}

/* A process that is not confined, with a file of the machine open: everything about it is wrong. */
static void test_live_process_can_fail(void **state) {
    (void)state;
    need(CONFINE_ROOT);
    struct house house;
    struct buf report;
    unsigned failed = 0;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 3);
    house_init(&house, ROLE_MAILBOX, CONFINE_ROOT, false);
    struct confine_params params = params_of(&house);
    buf_init(&report, REPORT_MAX);
    assert_int_equal(confine_check_proc(getpid(), ROLE_MAILBOX, &params, house.root_path, &report, &failed), ERR_OK);
    static const char *const lines[] = {"FAILED seccomp filter",
                                        "FAILED no_new_privs",
                                        "FAILED uid",
                                        "FAILED no capabilities",
                                        "FAILED empty bounding set",
                                        "FAILED no processes",
                                        "FAILED its root directory is not the machine's",
                                        ": /etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_true(report_has(&report, lines[i]));
    assert_true(failed >= ARRAY_LEN(lines));
    assert_int_equal(confine_check_proc(INT_MAX, ROLE_MAILBOX, &params, NULL, &report, &failed), ERR_NOT_FOUND);
    house_fini(&house);
    buf_fini(&report);
    (void)close(fd);
}

static void deny_something(void) {
    for (int i = 0; i < 5; i++)
        if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
            _exit(6);
}

static void test_denial_leaves_a_line(void **state) {
    (void)state;
    struct house house;
    char text[1024];
    house_init(&house, ROLE_MAILBOX, confine_level_detect(), false);
    struct child child = start(&house, deny_something);
    struct view out = read_until(&child, "confined\n", text, sizeof(text));
    assert_true(view_find(out, VIEW("confine.denied role=mailbox call=")) == 0);
    assert_true(view_find(out, VIEW(" name=socket arg=0x2 arg=0x1 arg=0x0 count=1\n")) > 0);
    /* thinned out: the 1st, 2nd and 4th of five */
    assert_true(view_find(out, VIEW("count=4\n")) > 0);
    assert_true(view_find(out, VIEW("count=3\n")) < 0);
    assert_true(view_find(out, VIEW("count=5\n")) < 0);
    finish(&child);
    house_fini(&house);
}

/* abort() of a child that took its filter from a parent must still be allowed: the filter holds the child's own pid. */
static void signal_oneself(void) {
    if (kill(getpid(), 0) != 0 || syscall(SYS_tgkill, getpid(), getpid(), 0) != 0 || kill(getppid(), 0) == 0)
        _exit(6);
}

static void test_prepared_filter(void **state) {
    (void)state;
    struct house house;
    struct buf why;
    char text[1024];
    buf_init(&why, 1024);
    house_init(&house, ROLE_MAILBOX, confine_level_detect(), false);
    assert_int_equal(confine_filter_new(ROLE_MAILBOX, &house.filter, &why), ERR_OK);
    struct child child = start(&house, signal_oneself);
    (void)read_until(&child, "confined\n", text, sizeof(text));
    finish(&child);
    confine_filter_free(house.filter);
    house_fini(&house);
    buf_fini(&why);
}

/* exit(), not _exit(): what runs at the end (stdio; a sanitizer's leak checker, which would trace) must not be denied. */
static void leave(void) {
    exit(11);
}

static void test_ordinary_exit(void **state) {
    (void)state;
    struct house house;
    int status;
    char text[1024];
    (void)fflush(NULL);
    house_init(&house, ROLE_EDGE, confine_level_detect(), false);
    struct child child = start(&house, leave);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 11);
    assert_int_equal(read(child.from, text, sizeof(text)), 0); /* and nothing was denied on the way */
    (void)close(child.to);
    (void)close(child.from);
    house_fini(&house);
}

/* --- the ritual's own refusals: each in a child, whose status is the error --- */

static int extra_fd;
static enum err try_apply(struct house *house, void (*spoil)(struct confine_params *params)) {
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct buf why;
        buf_init(&why, 1024);
        struct confine_params params = {.level = house->level,
                                        .uid = TEST_UID,
                                        .gid = TEST_UID,
                                        .root_fd = house->root_fd,
                                        .spool_fd = -1,
                                        .keep = &house->listener_fd,
                                        .keep_n = 1};
        spoil(&params);
        enum err err = confine_apply(house->role, &params, &why);
        _exit(err != ERR_OK && why.n == 0 ? 99 : (int)err);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return (enum err)WEXITSTATUS(status);
}

static void spoil_nothing(struct confine_params *p) {
    (void)p;
}
static void spoil_uid(struct confine_params *p) {
    p->uid = 0;
}
static void spoil_root(struct confine_params *p) {
    p->root_fd = -1;
}
static void spoil_spool(struct confine_params *p) {
    p->spool_fd = p->root_fd;
}
static void spoil_directory(struct confine_params *p) {
    extra_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->keep = &extra_fd;
}
static void spoil_closed(struct confine_params *p) {
    extra_fd = 999;
    p->keep = &extra_fd;
}
static void spoil_second(struct confine_params *p) {
    static struct confine_dir dir;
    dir.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->dirs = &dir;
    p->dirs_n = 1;
    p->level = CONFINE_ROOT;
}
static void *idle(void *p) {
    (void)pause();
    return p;
}
static void spoil_thread(struct confine_params *p) {
    pthread_t thread;
    (void)p;
    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        _exit(98);
}
/* Cannot change the user: the layer is promised, so it is an error, not a warning. */
static void spoil_powers(struct confine_params *p) {
    (void)p;
    if (setresuid(USER_UID, USER_UID, USER_UID) != 0)
        _exit(98);
}

static void test_refusals(void **state) {
    (void)state;
    need(CONFINE_ROOT);
    static const struct {
        void (*spoil)(struct confine_params *);
        enum err want;
    } cases[] = {
        {spoil_nothing, ERR_OK}, {spoil_uid, ERR_BUG},       {spoil_root, ERR_BUG},
        {spoil_spool, ERR_BUG},  {spoil_directory, ERR_BUG}, {spoil_closed, ERR_BUG},
        {spoil_thread, ERR_BUG}, {spoil_second, ERR_BUG},    {spoil_powers, ERR_DENIED},
    };
    struct house house;
    house_init(&house, ROLE_MAILBOX, confine_level_detect(), false);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(try_apply(&house, cases[i].spoil), cases[i].want);
    house_fini(&house);
}

static void test_keep_fds(void **state) {
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fds[2], stranger = -1;
        (void)syscall(SYS_close_range, 3, ~0u, 0);
        if (pipe(fds) != 0 || fds[0] != 3 || !confine_keep_fds(fds, 2, &stranger) || stranger != -1)
            _exit(1);
        _exit(!confine_keep_fds(&fds[1], 1, &stranger) && stranger == 3 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_names_and_texts(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, REPORT_MAX);
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        enum role role = ROLE_COUNT;
        assert_int_equal(role_from_name(view_cstr(role_name((enum role)i)), &role), ERR_OK);
        assert_int_equal(role, i);
        confine_describe(role, &text);
    }
    enum role none;
    assert_int_equal(role_from_name(VIEW("edg"), &none), ERR_NOT_FOUND);
    assert_string_equal(role_name(ROLE_COUNT), "?");
    assert_int_equal(buf_err(&text), ERR_OK);
    assert_true(report_has(&text, "edge\n  user: service\n  root: empty directory\n"));
    buf_fini(&text);
}

/* DESIGN.md section 2, "must never have", said once more and independently of the table's own words. */
static void test_table_keeps_the_promises(void **state) {
    (void)state;
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        const struct confine_policy *p = &confine_policies[i];
        if (i == ROLE_SUPERVISOR)
            continue;
        assert_true(p->traps && p->landlock && p->caps == 0 && !p->forks);
        assert_int_equal(p->calls & (CALLS_FORK | CALLS_EXEC | CALLS_RITUAL | CALLS_LISTEN), 0);
        bool network = i == ROLE_RESOLVER || i == ROLE_COURIER || i == ROLE_POSTMASTER || i == ROLE_WEB;
        bool faces = i == ROLE_EDGE || i == ROLE_WEB;
        bool stores = i == ROLE_DIRECTORY || i == ROLE_MAILBOX || i == ROLE_QUEUE;
        assert_int_equal((p->calls & (CALLS_TCP | CALLS_UDP)) != 0, network);
        assert_int_equal((p->calls & CALLS_ACCEPT) != 0, faces);
        assert_int_equal((p->calls & CALLS_FILES_WRITE) != 0, stores);
        assert_int_equal((p->calls & CALLS_FILES_READ) != 0, stores);
        assert_int_equal((p->calls & CALLS_SITES) != 0, i == ROLE_WEB);
        /* the two cannot be together: see filter.c */
        assert_false((p->calls & CALLS_SPOOL) && (p->calls & (CALLS_FILES_READ | CALLS_FILES_WRITE)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_texts),
        cmocka_unit_test(test_table_keeps_the_promises),
        cmocka_unit_test(test_keep_fds),
        cmocka_unit_test(test_disk_in_a_mailbox),
        cmocka_unit_test(test_live_process),
        cmocka_unit_test(test_live_process_can_fail),
        cmocka_unit_test(test_denial_leaves_a_line),
        cmocka_unit_test(test_prepared_filter),
        cmocka_unit_test(test_ordinary_exit),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
