/*
 * Landlock: a domain in which nothing can be opened but below the listed
 * directories, no TCP port bound or connected to unless the role has a network,
 * and no signal or abstract socket reaches out. Each right is asked for only
 * where the running kernel knows it. The kernel interface is spelled out here, since the
 * headers of the oldest system we build on are older than most of it.
 */
#include "confine/ritual.h"

#include <errno.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All of struct landlock_ruleset_attr up to version 6. */
struct ruleset {
    uint64_t fs, net, scoped;
};
#define FS_TRUNCATE (1ull << 14)  /* version 3 */
#define FS_IOCTL_DEV (1ull << 15) /* version 5 */
#define NET_BIND (1ull << 0)      /* version 4 */
#define NET_CONNECT (1ull << 1)
#define SCOPE_ABSTRACT (1ull << 0) /* version 6 */
#define SCOPE_SIGNAL (1ull << 1)
#define FS_ALL_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* No devices, sockets, fifos or symbolic links, and never execution. */
#define WRITE_RIGHTS                                                                                                \
    (READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)
/* A nameless file is made with MAKE_REG and opened with the rest. */
#define SPOOL_RIGHTS \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE)

int confine_landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 2 ? 0 : (int)abi;
}

static int allow_below(int ruleset_fd, int dir_fd, uint64_t rights) {
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = dir_fd};
    return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 ? 0 : -errno;
}

enum err confine_landlock_enter(const struct confine_policy *policy, const struct confine_params *params, int abi,
                                struct buf *why) {
    struct ruleset attr = {.fs = FS_ALL_1 | LANDLOCK_ACCESS_FS_REFER};
    size_t size = sizeof(attr.fs);
    if (abi >= 3)
        attr.fs |= FS_TRUNCATE;
    if (abi >= 5)
        attr.fs |= FS_IOCTL_DEV;
    if (abi >= 4) {
        size = offsetof(struct ruleset, scoped);
        if (!(policy->calls & (CALLS_TCP | CALLS_LISTEN)))
            attr.net |= NET_CONNECT;
        if (!(policy->calls & (CALLS_UDP | CALLS_LISTEN)))
            attr.net |= NET_BIND;
    }
    if (abi >= 6) {
        size = sizeof(attr);
        attr.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    }
    long fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    int error = fd < 0 ? -errno : 0;
    uint64_t root_rights = policy->calls & CALLS_FILES_WRITE ? WRITE_RIGHTS
                           : policy->calls & CALLS_FILES     ? READ_RIGHTS
                                                             : 0;
    if (!error && params->root_fd >= 0 && root_rights)
        error = allow_below((int)fd, params->root_fd, root_rights & attr.fs);
    if (!error && params->spool_fd >= 0)
        error = allow_below((int)fd, params->spool_fd, SPOOL_RIGHTS & attr.fs);
    for (size_t i = 0; !error && i < params->dirs_n; i++)
        error =
            allow_below((int)fd, params->dirs[i].fd, (params->dirs[i].write ? WRITE_RIGHTS : READ_RIGHTS) & attr.fs);
    if (!error && syscall(SYS_landlock_restrict_self, (int)fd, 0) != 0)
        error = -errno;
    if (fd >= 0)
        (void)close((int)fd);
    if (error) {
        buf_printf(why, "cannot enter a Landlock domain (version %d): %s", abi, strerror(-error));
        return ERR_DENIED;
    }
    return ERR_OK;
}
