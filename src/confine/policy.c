/* The table of roles: who may do what. Each row is read beside DESIGN "must never have". */
#include "confine/ritual.h"

#include <linux/capability.h>

#define CAP(name) (1ull << CAP_##name)
/* What becomes a role's user, root and limits. */
#define CAPS_RITUAL (CAP(SETUID) | CAP(SETGID) | CAP(SYS_CHROOT) | CAP(SETPCAP))

/* Descriptors: a session needs at most four (peer, pump, spool, upstream); 10,000 connections and room. */
#define NOFILE_SESSIONS 65536
/* Roles without sessions: channels to every edge and mailbox, files. */
#define NOFILE_PLAIN 16384
/* One account: its sessions, its files, passed messages. */
#define NOFILE_ACCOUNT 4096
/* A spooled message is far smaller; this only ends a runaway. Standard error may be a log file, so not tighter. */
#define FILE_SIZE_SPOOL (64ull << 30)

/* clang-format off */
const struct confine_policy confine_policies[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = {
        .user = CONFINE_UID_KEEP,
        .root = CONFINE_DIR_NONE,
        .calls = CALLS_BASE | CALLS_FILES_READ | CALLS_FILES_WRITE | CALLS_SPOOL | CALLS_ACCEPT | CALLS_PAIR |
                 CALLS_TCP | CALLS_UDP | CALLS_LISTEN | CALLS_FORK | CALLS_EXEC | CALLS_RITUAL,
        .caps = CAPS_RITUAL | CAP(KILL) | CAP(NET_BIND_SERVICE) | CAP(CHOWN) | CAP(FOWNER) | CAP(DAC_OVERRIDE) |
                CAP(SYS_RESOURCE),
        .nofile = NOFILE_SESSIONS,
        .forks = true,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_FILE | FDS_DIRECTORY | FDS_ANY_FILE |
               FDS_PROCESS,
        .needs = ACTS_ALL,
    },
    [ROLE_RESOLVER] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_EMPTY,
        .calls = CALLS_BASE | CALLS_TCP | CALLS_UDP,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_PLAIN,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY,
        .needs = ACT_SOCKET_TCP | ACT_SOCKET_UDP | ACT_CONNECT | ACT_BIND,
    },
    [ROLE_DIRECTORY] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_DATA,
        .calls = CALLS_BASE | CALLS_FILES_READ | CALLS_FILES_WRITE,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_PLAIN,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_FILE,
        .needs = ACT_OPEN | ACT_CREATE | ACT_TMPFILE,
    },
    [ROLE_EDGE] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_EMPTY,
        .calls = CALLS_BASE | CALLS_SPOOL | CALLS_ACCEPT | CALLS_PAIR,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_SESSIONS,
        .file_size = FILE_SIZE_SPOOL,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_DIRECTORY,
        .needs = ACT_TMPFILE | ACT_ACCEPT | ACT_PAIR,
    },
    [ROLE_WEB] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_DATA, /* its static sites */
        .calls = CALLS_BASE | CALLS_SITES | CALLS_SPOOL | CALLS_ACCEPT | CALLS_PAIR | CALLS_TCP,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_SESSIONS,
        .file_size = FILE_SIZE_SPOOL,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_FILE | FDS_DIRECTORY,
        .needs = ACT_OPEN | ACT_TMPFILE | ACT_ACCEPT | ACT_PAIR | ACT_SOCKET_TCP | ACT_CONNECT,
    },
    [ROLE_MAILBOX] = {
        .user = CONFINE_UID_ACCOUNT,
        .root = CONFINE_DIR_ACCOUNT,
        .calls = CALLS_BASE | CALLS_FILES_READ | CALLS_FILES_WRITE,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_ACCOUNT,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_FILE,
        .needs = ACT_OPEN | ACT_CREATE | ACT_TMPFILE,
    },
    [ROLE_QUEUE] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_DATA,
        .calls = CALLS_BASE | CALLS_FILES_READ | CALLS_FILES_WRITE,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_PLAIN,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_FILE,
        .needs = ACT_OPEN | ACT_CREATE | ACT_TMPFILE,
    },
    [ROLE_COURIER] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_EMPTY,
        .calls = CALLS_BASE | CALLS_TCP,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_PLAIN,
        /* a queued message arrives as a read-only descriptor of a file of the queue */
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS | FDS_ANY_FILE,
        .needs = ACT_SOCKET_TCP | ACT_CONNECT,
    },
    [ROLE_POSTMASTER] = {
        .user = CONFINE_UID_SERVICE,
        .root = CONFINE_DIR_EMPTY,
        .calls = CALLS_BASE | CALLS_TCP,
        .traps = true,
        .landlock = true,
        .nofile = NOFILE_PLAIN,
        .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_NAMELESS,
        .needs = ACT_SOCKET_TCP | ACT_CONNECT,
    },
};
/* clang-format on */

/*
 * The template forks; each child takes the account's directory from a descriptor, becomes its user and confines itself
 * as a mailbox. So the template keeps files (bounded by the child's own layers) and has no network and no execve.
 */
const struct confine_policy confine_template_policy = {
    .user = CONFINE_UID_KEEP,
    .root = CONFINE_DIR_NONE,
    .calls = CALLS_BASE | CALLS_FILES_READ | CALLS_FILES_WRITE | CALLS_FORK | CALLS_RITUAL,
    .caps = CAPS_RITUAL | CAP(KILL),
    .nofile = NOFILE_ACCOUNT,
    .forks = true,
    .fds = FDS_SOCKET | FDS_PIPE | FDS_ANON | FDS_MEMORY | FDS_PROCESS,
    .needs = ACT_OPEN | ACT_CREATE | ACT_OUTSIDE | ACT_TMPFILE | ACT_FORK | ACT_SIGNAL | ACT_RITUAL,
};

const char *confine_level_name(enum confine_level level) {
    switch (level) {
    case CONFINE_ROOT_LANDLOCK:
        return "root+landlock";
    case CONFINE_ROOT:
        return "root";
    case CONFINE_USER:
        return "user";
    }
    return "?";
}

static void put_bits(struct buf *out, const char *title, uint32_t bits, const char *const *names, size_t n) {
    buf_printf(out, "  %s:", title);
    for (size_t i = 0; i < n; i++)
        if (bits & (1u << i))
            buf_printf(out, " %s", names[i]);
    buf_put_byte(out, '\n');
}

void confine_describe(enum role role, struct buf *out) {
    static const char *const users[] = {"unchanged", "service", "account"};
    static const char *const roots[] = {"none", "empty directory", "data directory", "account directory"};
    static const char *const calls[] = {"base", "files-read", "files-write", "spool", "accept", "pair", "tcp",
                                        "udp",  "listen",     "fork",        "exec",  "ritual", "sites"};
    static const char *const acts[] = {"open", "create", "outside",     "tmpfile", "accept", "pair",
                                       "tcp",  "udp",    "unix-socket", "connect", "bind",   "listen",
                                       "fork", "exec",   "signal",      "ritual",  "code"};
    static const char *const fds[] = {"socket",          "pipe",     "anon", "memory", "nameless", "file",
                                      "spool-directory", "any-file", "pidfd"};
    if ((unsigned)role >= ROLE_COUNT)
        return;
    const struct confine_policy *p = &confine_policies[role];
    buf_printf(out, "%s\n  user: %s\n  root: %s\n  landlock: %s\n  denied calls: EPERM, %s\n", role_name(role),
               users[p->user], roots[p->root], p->landlock ? "yes" : "no",
               p->traps ? "a line on standard error" : "the kernel's audit log");
    buf_printf(out, "  limits: nofile %llu, core 0, nproc %s, file size %llu\n", (unsigned long long)p->nofile,
               p->forks ? "unchanged" : "0", (unsigned long long)p->file_size);
    put_bits(out, "descriptors", p->fds, fds, ARRAY_LEN(fds));
    put_bits(out, "must be able to", p->needs, acts, ARRAY_LEN(acts));
    put_bits(out, "must not", ACTS_ALL & ~p->needs, acts, ARRAY_LEN(acts));
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        if (!(p->calls & (1u << i)))
            continue;
        buf_printf(out, "  calls %s:", calls[i]);
        confine_filter_names(1u << i, out);
        buf_put_byte(out, '\n');
    }
}
