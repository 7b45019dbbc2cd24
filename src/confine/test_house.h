/*
 * For the tests of confine/: a folder with a role's directory, a spool and a
 * listener, and a ritual that enters confinement with them.
 */
#ifndef CONFINE_TEST_HOUSE_H
#define CONFINE_TEST_HOUSE_H

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

static inline int make_dir(const struct house *house, const char *name, mode_t mode) {
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/%s", house->dir, name);
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 3);
    return fd;
}

static inline int make_listener(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 3);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static inline enum err enter(struct confine_probe_ritual *ritual, struct confine_probe_env *env, struct buf *why) {
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

static inline void house_init(struct house *house, enum role role, enum confine_level level, bool is_template) {
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

static inline void house_fini(struct house *house) {
    char path[96];
    (void)close(house->root_fd);
    (void)close(house->spool_fd);
    (void)close(house->listener_fd);
    assert_int_equal(rmdir(house->root_path), 0); /* acts undo what they did */
    (void)snprintf(path, sizeof(path), "%s/spool", house->dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(house->dir), 0);
}

/* Runs a function as an ordinary user in a child; its result must be below 255. */
static inline unsigned as_user(unsigned (*run)(void)) {
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

static inline void need(enum confine_level level) {
    if (confine_level_detect() > level || (level == CONFINE_ROOT && geteuid() != 0))
        skip();
}

static inline bool report_has(const struct buf *report, const char *line) {
    return view_find(buf_view(report), view_cstr(line)) >= 0;
}

#endif
