/*
 * Every probe of every role, at each level that can be reached here: as root
 * with and without Landlock, and as an ordinary user. And proofs that these
 * tests can fail: a policy with a group too many or too few is noticed.
 */
#include "base/disk.h"
#include "confine/probe.h"
#include "confine/ritual.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_UID 64123 /* nobody's */
#define USER_UID 65534
#define REPORT_MAX 65536
#define EXECUTED 42 /* what this program answers when a test executes it again */

/* A folder with the role's directory, an empty one and a spool, and one process' way into confinement. */
struct house {
    struct confine_probe_ritual ritual; /* first: the callback gets it back */
    char dir[64];
    char root_path[96];
    int root_fd, spool_fd, listener_fd;
    enum role role;
    enum confine_level level;
    bool is_template;
    const struct confine_policy *policy; /* instead of the table's, or NULL */
    struct confine_filter *filter;       /* made beforehand, or NULL */
};

static int make_dir(const struct house *house, const char *name, mode_t mode) {
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/%s", house->dir, name);
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 3);
    return fd;
}

static int make_listener(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 3);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static enum err enter(struct confine_probe_ritual *ritual, struct confine_probe_env *env, struct buf *why) {
    struct house *house = (struct house *)ritual;
    const struct confine_policy *policy = house->policy        ? house->policy
                                          : house->is_template ? &confine_template_policy
                                                               : &confine_policies[house->role];
    bool spool = policy->calls & CALLS_SPOOL;
    bool root = policy->root != CONFINE_DIR_NONE;
    struct confine_params params = {
        .level = house->level,
        .uid = TEST_UID,
        .gid = TEST_UID,
        .root_fd = root ? house->root_fd : -1,
        .spool_fd = spool ? house->spool_fd : -1,
        .keep = &house->listener_fd,
        .keep_n = 1,
        .filter = house->filter,
        .is_template = house->is_template,
    };
    /* The supervisor and the template have no root directory: they work where they are. */
    if (!root && fchdir(house->spool_fd) != 0)
        return ERR_IO;
    env->listener_fd = house->listener_fd;
    env->spool_fd = params.spool_fd;
    return confine_apply_policy(policy, house->role, &params, why);
}

static void house_init(struct house *house, enum role role, enum confine_level level, bool is_template) {
    *house = (struct house){.ritual = {enter}, .role = role, .level = level, .is_template = is_template};
    (void)snprintf(house->dir, sizeof(house->dir), "/tmp/veredus-confine-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    assert_int_equal(chmod(house->dir, 0755), 0);
    enum confine_root kind = confine_policies[role].root;
    /* The empty directory belongs to root and is not writable; the others are the role's own. */
    house->root_fd = make_dir(house, "root", kind == CONFINE_DIR_EMPTY ? 0555 : 0700);
    house->spool_fd = make_dir(house, "spool", 0700);
    (void)snprintf(house->root_path, sizeof(house->root_path), "%s/root", house->dir);
    house->listener_fd = make_listener();
    bool changes = level != CONFINE_USER && confine_policies[role].user != CONFINE_UID_KEEP && !is_template;
    if (changes) {
        assert_int_equal(fchown(house->spool_fd, TEST_UID, TEST_UID), 0);
        if (kind != CONFINE_DIR_EMPTY)
            assert_int_equal(fchown(house->root_fd, TEST_UID, TEST_UID), 0);
    }
}

static void house_fini(struct house *house) {
    char path[96];
    (void)close(house->root_fd);
    (void)close(house->spool_fd);
    (void)close(house->listener_fd);
    assert_int_equal(rmdir(house->root_path), 0); /* acts undo what they did */
    (void)snprintf(path, sizeof(path), "%s/spool", house->dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(house->dir), 0);
}

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

/* Runs a function as an ordinary user in a child; its result must be below 255. */
static unsigned as_user(unsigned (*run)(void)) {
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && (syscall(SYS_setgroups, 0, NULL) != 0 || setresgid(USER_UID, USER_UID, USER_UID) != 0 ||
                               setresuid(USER_UID, USER_UID, USER_UID) != 0))
            _exit(255);
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
            _exit(255);
        unsigned n = run();
        (void)fflush(NULL);
        _exit((int)MIN(n, 254u));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 255);
    return (unsigned)WEXITSTATUS(status);
}

static void need(enum confine_level level) {
    if (confine_level_detect() > level || (level == CONFINE_ROOT && geteuid() != 0))
        skip();
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

static bool report_has(const struct buf *report, const char *line) {
    return view_find(buf_view(report), view_cstr(line)) >= 0;
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

int main(int argc, char **argv) {
    if (argc == 2 && view_eq(view_cstr(argv[1]), VIEW("--executed")))
        return EXECUTED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_texts),
        cmocka_unit_test(test_table_keeps_the_promises),
        cmocka_unit_test(test_keep_fds),
        cmocka_unit_test(test_root_landlock),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_mutants_are_noticed),
        cmocka_unit_test(test_landlock_is_needed),
        cmocka_unit_test(test_live_process),
        cmocka_unit_test(test_live_process_can_fail),
        cmocka_unit_test(test_denial_leaves_a_line),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_children_of_confined_parents),
        cmocka_unit_test(test_exec_below_supervisor),
        cmocka_unit_test(test_disk_in_a_mailbox),
        cmocka_unit_test(test_prepared_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
