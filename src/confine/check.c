/* A live process seen from outside, through /proc. */
#include "base/log.h"
#include "confine/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_MAX 16384 /* /proc/PID/status is about 1.5 KB */

struct check {
    struct buf *report;
    unsigned failed;
    int proc_fd; /* /proc/PID */
};

static void verdict(struct check *check, bool good, const char *what) {
    buf_printf(check->report, "%s %s\n", good ? "ok" : "FAILED", what);
    check->failed += !good;
}

/* The text after "name:" in a status file, trimmed; empty when there is none. */
static struct view status_field(struct view status, const char *name) {
    struct view line, rest = status, key, value;
    while (rest.n) {
        (void)view_split(rest, '\n', &line, &rest);
        if (view_split(line, ':', &key, &value) && view_eq(key, view_cstr(name)))
            return view_trim(value);
    }
    return VIEW_NONE;
}

static bool read_file(int proc_fd, const char *name, struct buf *out) {
    int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = 1;
    uint8_t *p;
    while (n > 0 && (p = buf_room(out, 1024)) != NULL) {
        n = read(fd, p, 1024);
        if (n > 0)
            buf_added(out, (size_t)n);
    }
    (void)close(fd);
    return n == 0;
}

/* All four ids (real, effective, saved, file system) are this one. */
static bool ids_are(struct view field, uint32_t id) {
    unsigned n = 0;
    while (field.n) {
        struct view one;
        uint64_t value = 0;
        (void)view_split(field, '\t', &one, &field);
        if (view_to_u64(view_trim(one), UINT32_MAX, &value) != ERR_OK || value != id)
            return false;
        n++;
    }
    return n == 4;
}

/* "0000000000000000" */
static bool is_zero_mask(struct view field) {
    for (size_t i = 0; i < field.n; i++)
        if (field.p[i] != '0')
            return false;
    return field.n > 0;
}

static void check_status(struct check *check, const struct confine_policy *policy,
                         const struct confine_params *params) {
    struct buf status;
    buf_init(&status, STATUS_MAX);
    if (!read_file(check->proc_fd, "status", &status)) {
        verdict(check, false, "status is readable");
        buf_fini(&status);
        return;
    }
    struct view all = buf_view(&status);
    verdict(check, view_eq(status_field(all, "Seccomp"), VIEW("2")), "seccomp filter");
    verdict(check, view_eq(status_field(all, "NoNewPrivs"), VIEW("1")), "no_new_privs");
    verdict(check, view_eq(status_field(all, "Threads"), VIEW("1")), "one thread");
    if (policy->caps == 0 || params->level == CONFINE_USER) {
        verdict(check,
                is_zero_mask(status_field(all, "CapEff")) && is_zero_mask(status_field(all, "CapPrm")) &&
                    is_zero_mask(status_field(all, "CapAmb")),
                "no capabilities");
        if (params->level != CONFINE_USER)
            verdict(check, is_zero_mask(status_field(all, "CapBnd")), "empty bounding set");
    }
    if (params->level != CONFINE_USER && policy->user != CONFINE_UID_KEEP) {
        verdict(check, ids_are(status_field(all, "Uid"), params->uid), "uid");
        verdict(check, ids_are(status_field(all, "Gid"), params->gid), "gid");
        verdict(check, status_field(all, "Groups").n == 0, "no supplementary groups");
    }
    buf_fini(&status);
}

/* "Max core file size        0                    0                    bytes": soft and hard are 0. */
static bool limit_is_zero(struct view limits, struct view name) {
    struct view line, soft, hard, rest = limits;
    while (rest.n) {
        (void)view_split(rest, '\n', &line, &rest);
        if (!view_starts(line, name))
            continue;
        (void)view_split(view_trim(view_skip(line, name.n)), ' ', &soft, &hard);
        (void)view_split(view_trim(hard), ' ', &hard, &line);
        return view_eq(soft, VIEW("0")) && view_eq(hard, VIEW("0"));
    }
    return false;
}

static void check_limits(struct check *check, const struct confine_policy *policy) {
    struct buf limits;
    buf_init(&limits, STATUS_MAX);
    if (!read_file(check->proc_fd, "limits", &limits)) {
        buf_put_str(check->report, "unseen limits\n");
    } else {
        verdict(check, limit_is_zero(buf_view(&limits), VIEW("Max core file size")), "no core files");
        if (!policy->forks)
            verdict(check, limit_is_zero(buf_view(&limits), VIEW("Max processes")), "no processes");
    }
    buf_fini(&limits);
}

static void check_root(struct check *check, const struct confine_policy *policy, const struct confine_params *params,
                       const char *root_path) {
    if (policy->root == CONFINE_DIR_NONE || params->level == CONFINE_USER)
        return;
    struct stat ours, theirs, wanted;
    if (fstatat(check->proc_fd, "root/.", &theirs, 0) != 0) {
        buf_put_str(check->report, "unseen root directory\n");
        return;
    }
    verdict(check, stat("/", &ours) == 0 && (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino),
            "its root directory is not the machine's");
    if (root_path)
        verdict(check,
                stat(root_path, &wanted) == 0 && wanted.st_dev == theirs.st_dev && wanted.st_ino == theirs.st_ino,
                "its root directory is the one of the table");
}

/* Which kind of the table the link of a descriptor is. 0: none of them. */
static uint32_t fd_kind(struct view link, struct view root, const struct stat *st) {
    static const struct {
        struct view prefix;
        uint32_t kind;
    } kinds[] = {
        {VIEW_INIT("socket:"), FDS_SOCKET},
        {VIEW_INIT("pipe:"), FDS_PIPE},
        {VIEW_INIT("/memfd:"), FDS_MEMORY},
        {VIEW_INIT("anon_inode:[eventpoll]"), FDS_ANON},
        {VIEW_INIT("anon_inode:[timerfd]"), FDS_ANON},
        {VIEW_INIT("anon_inode:[eventfd]"), FDS_ANON},
        {VIEW_INIT("anon_inode:[signalfd]"), FDS_ANON},
        {VIEW_INIT("anon_inode:[pidfd]"), FDS_PROCESS},
        {VIEW_INIT("pidfd:"), FDS_PROCESS},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (view_starts(link, kinds[i].prefix))
            return kinds[i].kind;
    if (S_ISREG(st->st_mode) && view_ends(link, VIEW(" (deleted)")))
        return FDS_NAMELESS;
    bool is_below = root.n && view_starts(link, root) && (link.n == root.n || link.p[root.n] == '/' || root.n == 1);
    if (is_below && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
        return FDS_FILE | FDS_ANY_FILE;
    if (S_ISDIR(st->st_mode))
        return FDS_DIRECTORY;
    return S_ISREG(st->st_mode) ? FDS_ANY_FILE : 0;
}

static void check_fds(struct check *check, const struct confine_policy *policy, const char *root_path) {
    int fd = openat(check->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        buf_put_str(check->report, "unseen descriptors\n");
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    unsigned strangers = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        uint32_t number;
        char link[4096];
        struct stat st;
        if (view_to_u32(view_cstr(entry->d_name), INT32_MAX, &number) != ERR_OK || number < 3)
            continue;
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));
        if (n < 0 || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0)
            continue; /* closed meanwhile */
        struct view text = view_of(link, (size_t)n);
        if (fd_kind(text, root_path ? view_cstr(root_path) : VIEW_NONE, &st) & policy->fds)
            continue;
        strangers++;
        buf_printf(check->report, "FAILED descriptor %u: ", number);
        buf_put_escaped(check->report, text, 200);
        buf_put_byte(check->report, '\n');
    }
    (void)closedir(dir);
    check->failed += strangers;
    if (!strangers)
        buf_put_str(check->report, "ok descriptors\n");
}

enum err confine_check_proc(pid_t pid, enum role role, const struct confine_params *params, const char *root_path,
                            struct buf *report, unsigned *failed) {
    char path[sizeof("/proc/") + 11];
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    struct check check = {report, 0, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (check.proc_fd < 0)
        return err_from_errno(errno);
    BUG_IF((unsigned)role >= ROLE_COUNT);
    const struct confine_policy *policy = params->is_template ? &confine_template_policy : &confine_policies[role];
    check_status(&check, policy, params);
    check_limits(&check, policy);
    check_root(&check, policy, params, root_path);
    check_fds(&check, policy, root_path);
    (void)close(check.proc_fd);
    TRY(buf_err(report));
    *failed = check.failed;
    return ERR_OK;
}
