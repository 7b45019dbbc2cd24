/*
 * The ritual. The order matters: what needs a power comes before that power is
 * given up. So the bounding set comes before the user changes, the user before
 * chroot, chroot before the last capability goes, and seccomp, which forbids all
 * of these, is last.
 */
#include "confine/ritual.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITY_LAST 63 /* the kernel refuses numbers that it does not know */
#define ROOT_CAPS ((1ull << CAP_SETUID) | (1ull << CAP_SETGID) | (1ull << CAP_SYS_CHROOT) | (1ull << CAP_SETPCAP))

static enum err denied(struct buf *why, const char *what) {
    buf_printf(why, "cannot %s: %s", what, strerror(errno));
    return ERR_DENIED;
}

static enum err mistaken(struct buf *why, const char *what) {
    buf_put_str(why, what);
    return ERR_BUG;
}

static bool caps_get(uint64_t *effective) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    return true;
}

static bool caps_set(uint64_t caps) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
        {.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
    };
    return syscall(SYS_capset, &header, data) == 0;
}

enum confine_level confine_level_detect(void) {
    uint64_t caps = 0;
    if (geteuid() != 0 || !caps_get(&caps) || (caps & ROOT_CAPS) != ROOT_CAPS)
        return CONFINE_USER;
    return confine_landlock_abi() ? CONFINE_ROOT_LANDLOCK : CONFINE_ROOT;
}

/* --- descriptors --- */

static bool is_listed(int fd, const int *fds, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (fds[i] == fd)
            return true;
    return false;
}

bool confine_keep_fds(const int *fds, size_t n, int *stranger) {
    struct rlimit limit;
    /* The limit may have been lowered below an open descriptor: look as far as any policy goes. */
    int end = 65536;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 65536 && limit.rlim_cur < 1u << 20)
        end = (int)limit.rlim_cur;
    for (int fd = 3; fd < end; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 && !is_listed(fd, fds, n)) {
            *stranger = fd;
            return false;
        }
    }
    return true;
}

/* Everything open that a table of at most CONFINE_KEEP_MAX + CONFINE_DIRS_MAX + 2 does not list is closed. */
struct keep {
    int fds[CONFINE_KEEP_MAX + CONFINE_DIRS_MAX + 2];
    size_t n;
};

static void keep_add(struct keep *keep, int fd) {
    if (fd < 3 || is_listed(fd, keep->fds, keep->n))
        return;
    size_t at = keep->n++;
    for (; at > 0 && keep->fds[at - 1] > fd; at--)
        keep->fds[at] = keep->fds[at - 1];
    keep->fds[at] = fd;
}

static enum err close_others(const struct confine_params *params, struct buf *why) {
    struct keep keep = {.n = 0};
    if (params->keep_n > CONFINE_KEEP_MAX || params->dirs_n > CONFINE_DIRS_MAX)
        return mistaken(why, "too many descriptors on the keep list");
    /* Descriptor 2 is where lines go: it must not become a database's by being free. */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return denied(why, "open /dev/null in place of a standard descriptor");
    keep_add(&keep, params->root_fd);
    keep_add(&keep, params->spool_fd);
    for (size_t i = 0; i < params->dirs_n; i++)
        keep_add(&keep, params->dirs[i].fd);
    for (size_t i = 0; i < params->keep_n; i++) {
        struct stat st;
        int fd = params->keep[i];
        keep_add(&keep, fd);
        if (fd < 0 || fstat(fd, &st) != 0)
            return mistaken(why, "a descriptor to keep is not open");
        /* A directory from outside is a way out of the root directory. */
        bool is_known = fd == params->root_fd || fd == params->spool_fd;
        for (size_t k = 0; k < params->dirs_n; k++)
            is_known = is_known || fd == params->dirs[k].fd;
        if (S_ISDIR(st.st_mode) && !is_known)
            return mistaken(why, "a directory descriptor is kept that the parameters do not name");
    }
    unsigned from = 3;
    for (size_t i = 0; i <= keep.n; i++) {
        unsigned to = i < keep.n ? (unsigned)keep.fds[i] : ~0u;
        if (i == keep.n ? syscall(SYS_close_range, from, ~0u, 0) != 0
                        : to > from && syscall(SYS_close_range, from, to - 1, 0) != 0)
            return denied(why, "close the other descriptors");
        from = to + 1;
    }
    return ERR_OK;
}

/* --- limits, user, root --- */

static enum err set_limit(int which, uint64_t value, const char *what, struct buf *why) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)which, &limit) != 0)
        return denied(why, what);
    limit.rlim_max = MIN(limit.rlim_max, (rlim_t)value); /* only ever down */
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit((__rlimit_resource_t)which, &limit) != 0)
        return denied(why, what);
    return ERR_OK;
}

static enum err set_limits(const struct confine_policy *policy, struct buf *why) {
    TRY(set_limit(RLIMIT_CORE, 0, "forbid core files", why));
    TRY(set_limit(RLIMIT_NOFILE, policy->nofile, "limit the number of descriptors", why));
    if (!policy->forks)
        TRY(set_limit(RLIMIT_NPROC, 0, "forbid processes", why));
    if (policy->file_size) {
        TRY(set_limit(RLIMIT_FSIZE, policy->file_size, "limit the size of files", why));
        const struct sigaction ignore = {.sa_handler = SIG_IGN}; /* an error of write(), not the end */
        if (sigaction(SIGXFSZ, &ignore, NULL) != 0)
            return denied(why, "ignore SIGXFSZ");
    }
    return ERR_OK;
}

static enum err drop_bounding_set(uint64_t keep, struct buf *why) {
    for (unsigned long cap = 0; cap <= CAPABILITY_LAST; cap++) {
        if (keep & (1ull << cap))
            continue;
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return denied(why, "drop capabilities from the bounding set");
    }
    return ERR_OK;
}

static enum err become_user(const struct confine_params *params, struct buf *why) {
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;
    /* The power to chroot outlives the change: the root directory is entered as the role's own user, so that a parent
     * without power over others' files (the mailbox template) can start it. Then it goes too. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return denied(why, "keep a capability");
    if (setgroups(0, NULL) != 0)
        return denied(why, "drop the supplementary groups");
    if (setresgid(params->gid, params->gid, params->gid) != 0)
        return denied(why, "change the group");
    if (setresuid(params->uid, params->uid, params->uid) != 0)
        return denied(why, "change the user");
    if (getresuid(&ruid, &euid, &suid) != 0 || getresgid(&rgid, &egid, &sgid) != 0 || ruid != params->uid ||
        euid != params->uid || suid != params->uid || rgid != params->gid || egid != params->gid ||
        sgid != params->gid) {
        errno = EPERM;
        return denied(why, "make sure of the user");
    }
    if (!caps_set(1ull << CAP_SYS_CHROOT) || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
        return denied(why, "keep the capability to change the root directory");
    return ERR_OK;
}

static enum err enter_root(const struct confine_policy *policy, const struct confine_params *params, struct buf *why) {
    if (policy->root == CONFINE_DIR_NONE || params->root_fd < 0)
        return ERR_OK;
    if (fchdir(params->root_fd) != 0)
        return denied(why, "enter the root directory");
    if (params->level != CONFINE_USER && (chroot(".") != 0 || chdir("/") != 0))
        return denied(why, "make it the root directory");
    return ERR_OK;
}

static enum err check_params(const struct confine_policy *policy, const struct confine_params *params,
                             struct buf *why) {
    bool is_root = params->level != CONFINE_USER;
    if (is_root && policy->user != CONFINE_UID_KEEP && (params->uid == 0 || params->gid == 0))
        return mistaken(why, "the role needs a user and a group that are not root");
    if (policy->root != CONFINE_DIR_NONE && params->root_fd < 0 && (is_root || (policy->calls & CALLS_FILES)))
        return mistaken(why, "the role needs a root directory");
    if (params->level == CONFINE_ROOT && params->dirs_n && (policy->calls & (CALLS_FILES_READ | CALLS_FILES_WRITE)) &&
        policy->root != CONFINE_DIR_NONE)
        return mistaken(why, "without Landlock a second directory is a way out of the root directory");
    if (params->spool_fd >= 0 && !(policy->calls & CALLS_SPOOL))
        return mistaken(why, "the role has no spool");
    return ERR_OK;
}

/* Layers apply to a thread, not to its process: a second thread would stay free. */
static enum err check_alone(struct buf *why) {
    struct stat st;
    /* Only legal, and without effect, in a process of one thread. */
    if (unshare(CLONE_THREAD) == 0)
        return ERR_OK;
    if (errno == EINVAL)
        return mistaken(why, "the process has more than one thread");
    /* Some containers forbid unshare as a whole; then a folder of threads has links ".", ".." and one. */
    if (stat("/proc/self/task", &st) != 0)
        return denied(why, "see whether the process has one thread");
    return st.st_nlink == 3 ? ERR_OK : mistaken(why, "the process has more than one thread");
}

enum err confine_apply_policy(const struct confine_policy *policy, enum role role, const struct confine_params *params,
                              struct buf *why) {
    bool is_root = params->level != CONFINE_USER;
    bool changes_user = is_root && policy->user != CONFINE_UID_KEEP;
    TRY(check_params(policy, params, why));
    TRY(check_alone(why));
    /* Asked now: what follows may hide it. */
    int abi = confine_landlock_abi();
    if (params->level == CONFINE_ROOT_LANDLOCK && policy->landlock && abi == 0) {
        buf_put_str(why, "the kernel has no Landlock (version 2), which this level promises");
        return ERR_DENIED;
    }
    TRY(close_others(params, why));
    TRY(set_limits(policy, why));
    (void)umask(077);
    if (is_root)
        TRY(drop_bounding_set(policy->caps, why));
    if (changes_user)
        TRY(become_user(params, why));
    TRY(enter_root(policy, params, why));
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return denied(why, "clear the ambient capabilities");
    uint64_t held = 0;
    if (!caps_get(&held) || !caps_set(is_root ? policy->caps & held : 0))
        return denied(why, "drop the capabilities");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return denied(why, "become not dumpable");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return denied(why, "set no_new_privs");
    if (policy->landlock && abi && params->level != CONFINE_ROOT)
        TRY(confine_landlock_enter(policy, params, abi, why));
    if (params->root_fd >= 0 && !is_listed(params->root_fd, params->keep, params->keep_n))
        (void)close(params->root_fd);
    if (params->filter)
        return confine_filter_load(params->filter, role, params->spool_fd, why);
    struct confine_filter *filter;
    TRY(confine_filter_compile(policy, &filter, why));
    enum err err = confine_filter_load(filter, role, params->spool_fd, why);
    confine_filter_free(filter);
    return err;
}

enum err confine_apply(enum role role, const struct confine_params *params, struct buf *why) {
    if ((unsigned)role >= ROLE_COUNT || (params->is_template && role != ROLE_MAILBOX))
        return mistaken(why, "no such role");
    return confine_apply_policy(params->is_template ? &confine_template_policy : &confine_policies[role], role, params,
                                why);
}

#ifdef VEREDUS_SANITIZE
/* The leak checker works by a second process that traces this one: it cannot, and must not, in a confined process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}
#endif
