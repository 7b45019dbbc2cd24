/*
 * Confinement: one const table says what each role may do, and one function
 * takes everything else away from the calling process, for good.
 *
 * The layers, from the outside in: descriptors (all but a keep list closed),
 * rlimits, an own user without capabilities, chroot, not dumpable,
 * no_new_privs, Landlock, and a seccomp filter that lists what is allowed.
 *
 * What the filter denies fails with EPERM and leaves a line on descriptor 2
 * (`confine.denied role=edge call=41 name=socket ...`), because libc versions differ and a
 * call that we forgot must be seen, not guessed. The line is ours: the filter
 * answers SECCOMP_RET_TRAP and a SIGSYS handler writes the line and puts -EPERM
 * in the result. The kernel's own logging of SECCOMP_RET_ERRNO goes to the audit
 * log, which nobody reads on a small machine and which a container does not have. Therefore
 * SIGSYS must not be blocked in a confined role (a blocked one kills). The
 * supervisor and the mailbox template use ERRNO with the audit log instead: their
 * children inherit the filter, and across execve there is no handler. A listed
 * set of calls that no honest code makes (ptrace, bpf, execve, ...) kills.
 *
 * Nothing here is kept: no state, all descriptors belong to the caller unless
 * said otherwise. The process must have one thread.
 */
#ifndef CONFINE_CONFINE_H
#define CONFINE_CONFINE_H

#include "base/buf.h"
#include "confine/role.h"

enum confine_level {
    CONFINE_ROOT_LANDLOCK, /* root at start, and the kernel has Landlock: every layer */
    CONFINE_ROOT,          /* root at start, no Landlock: files are bounded by chroot and uid */
    CONFINE_USER,          /* an ordinary user: no chroot, no own uid; seccomp, rlimits, Landlock where there is one */
};
#define CONFINE_LEVEL_COUNT (CONFINE_USER + 1)

/* "root+landlock", "root", "user" */
const char *confine_level_name(enum confine_level level);
/* The best level this process can reach now (root with the needed capabilities, Landlock ABI). */
enum confine_level confine_level_detect(void);
/* The kernel's Landlock version; 0 without. Version 1 counts as 0: it forbids every rename between directories. */
int confine_landlock_abi(void);

enum confine_user {
    CONFINE_UID_KEEP,    /* stays what it is (supervisor, mailbox template) */
    CONFINE_UID_SERVICE, /* one uid for the role, shared by its processes */
    CONFINE_UID_ACCOUNT, /* one of the account's own, from the configured range, else the role's */
};
enum confine_root {
    CONFINE_DIR_NONE,    /* no chroot */
    CONFINE_DIR_EMPTY,   /* an empty directory of the run directory, not writable by the role */
    CONFINE_DIR_DATA,    /* the role's own data directory */
    CONFINE_DIR_ACCOUNT, /* the account's directory */
};

/* Groups of system calls; filter.c has the list of each. */
enum confine_calls {
    CALLS_BASE = 1 << 0,        /* memory without execution, time, epoll, signals, I/O on held descriptors */
    CALLS_FILES_READ = 1 << 1,  /* open for reading, stat, list */
    CALLS_FILES_WRITE = 1 << 2, /* the rest of a file's life: create, rename, link, remove, lock */
    CALLS_SPOOL = 1 << 3,       /* nameless files (O_TMPFILE) below one descriptor, nothing else */
    CALLS_ACCEPT = 1 << 4,      /* accept on listeners that were passed */
    CALLS_PAIR = 1 << 5,        /* socketpair (AF_UNIX) */
    CALLS_TCP = 1 << 6,         /* sockets of AF_INET and AF_INET6, stream; connect */
    CALLS_UDP = 1 << 7,         /* the same, datagram; bind */
    CALLS_LISTEN = 1 << 8,      /* make any listener (supervisor) */
    CALLS_FORK = 1 << 9,        /* children, and signals to them */
    CALLS_EXEC = 1 << 10,       /* execve, and what the loader needs */
    CALLS_RITUAL = 1 << 11,     /* what confine_apply itself does, for parents whose children inherit the filter */
    CALLS_SITES = 1 << 12, /* open for reading by path from the root directory (AT_FDCWD), never from a descriptor */
};

/* Any group that opens files by path. */
#define CALLS_FILES (CALLS_FILES_READ | CALLS_FILES_WRITE | CALLS_SITES)

/* Kinds of open descriptors that a live process may show; see confine_check_proc(). 0, 1 and 2 are not judged. */
enum confine_fds {
    FDS_SOCKET = 1 << 0,
    FDS_PIPE = 1 << 1,
    FDS_ANON = 1 << 2,      /* epoll, timerfd, eventfd, signalfd */
    FDS_MEMORY = 1 << 3,    /* memfd */
    FDS_NAMELESS = 1 << 4,  /* deleted or O_TMPFILE files */
    FDS_FILE = 1 << 5,      /* files and directories below the root directory */
    FDS_DIRECTORY = 1 << 6, /* a directory descriptor elsewhere (spool, supervisor's) */
    FDS_ANY_FILE = 1 << 7,  /* files anywhere (supervisor, and descriptors that travel) */
    FDS_PROCESS = 1 << 8,   /* pidfd */
};

/* Acts that are denied to some roles and needed by others. All others of probe.c are denied to every role. */
enum confine_acts {
    ACT_OPEN = 1 << 0,    /* open a file inside the root directory */
    ACT_CREATE = 1 << 1,  /* create, write, sync, rename, remove there */
    ACT_OUTSIDE = 1 << 2, /* open a file outside */
    ACT_TMPFILE = 1 << 3, /* a nameless file below the spool descriptor */
    ACT_ACCEPT = 1 << 4,
    ACT_PAIR = 1 << 5,
    ACT_SOCKET_TCP = 1 << 6,
    ACT_SOCKET_UDP = 1 << 7,
    ACT_SOCKET_UNIX = 1 << 8,
    ACT_CONNECT = 1 << 9,
    ACT_BIND = 1 << 10,
    ACT_LISTEN = 1 << 11,
    ACT_FORK = 1 << 12,
    ACT_EXEC = 1 << 13,
    ACT_SIGNAL = 1 << 14, /* signals to other processes */
    ACT_RITUAL = 1 << 15, /* change user, chroot, rlimits */
    ACT_CODE = 1 << 16,   /* memory that is executable and was written */
};
#define ACTS_ALL ((1u << 17) - 1)

struct confine_policy {
    enum confine_user user;
    enum confine_root root;
    uint32_t calls;     /* enum confine_calls */
    uint32_t fds;       /* enum confine_fds: may be open in the live process */
    uint32_t needs;     /* enum confine_acts: proven to work; all other acts are proven to be denied */
    bool traps;         /* denied calls: true = line on descriptor 2, false = kernel's audit log (children inherit) */
    bool landlock;      /* gets a Landlock domain where the level has it */
    bool forks;         /* false: RLIMIT_NPROC 0 */
    uint64_t caps;      /* capabilities kept, as a mask; 0 for every role with an own user */
    uint64_t nofile;    /* descriptors at most */
    uint64_t file_size; /* RLIMIT_FSIZE in octets, 0 = none */
};
extern const struct confine_policy confine_policies[ROLE_COUNT];
/* The warm parent of mailbox processes: as root it keeps what its children need to become another user. */
extern const struct confine_policy confine_template_policy;

/*
 * A compiled seccomp filter. The mailbox template makes one before it confines
 * itself and its children load it: compiling touches 240 KB of heap and takes
 * most of the ritual's time. It is read only, and may be freed after confine_apply().
 */
struct confine_filter;
enum err confine_filter_new(enum role role, struct confine_filter **out, struct buf *why) MUST_CHECK;
void confine_filter_free(struct confine_filter *filter);

/* A directory outside the root directory that stays reachable through its descriptor. */
struct confine_dir {
    int fd;
    bool write;
};
#define CONFINE_KEEP_MAX 256 /* descriptors on a keep list; a role starts with its channels and listeners */
#define CONFINE_DIRS_MAX 16
struct confine_params {
    enum confine_level level;
    uid_t uid; /* to take, at the root levels; not 0 */
    gid_t gid;
    int root_fd;     /* the directory to be locked in, or -1 when the policy has none; closed unless it is kept */
    int spool_fd;    /* the spool directory of CALLS_SPOOL, or -1; stays open */
    const int *keep; /* descriptors that stay, besides 0, 1, 2 */
    size_t keep_n;
    const struct confine_dir *dirs; /* more directories, stay open. ERR_BUG where only Landlock could bound them */
    size_t dirs_n;
    const struct confine_filter *filter; /* of confine_filter_new() for this role, or NULL: compiled here */
    bool is_template;                    /* with ROLE_MAILBOX: confine_template_policy; root_fd is not used */
};

/*
 * The ritual. Once begun it cannot be undone: on any error the process must end.
 * why receives a sentence for people. ERR_DENIED: the system refused a layer
 * that the level promises. ERR_BUG: the parameters contradict the table.
 */
enum err confine_apply(enum role role, const struct confine_params *params, struct buf *why) MUST_CHECK;

/* True when no descriptor but 0, 1, 2 and these is open; else the first stranger goes to *stranger. */
bool confine_keep_fds(const int *fds, size_t n, int *stranger);

/* The row of the table as text for people, several lines. */
void confine_describe(enum role role, struct buf *out);

/*
 * Judges a live process by /proc/PID: seccomp filter, no_new_privs, uid,
 * capabilities, root directory (root_path: what params.root_fd was, may be NULL), kinds of open
 * descriptors. Lines "ok|FAILED|unseen what" go to report, *failed counts.
 * "unseen" is what an ordinary user may not look at. ERR_NOT_FOUND when there is no such process.
 */
enum err confine_check_proc(pid_t pid, enum role role, const struct confine_params *params, const char *root_path,
                            struct buf *report, unsigned *failed) MUST_CHECK;

#endif
