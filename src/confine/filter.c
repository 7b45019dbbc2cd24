/*
 * The seccomp filter: the list of each group, and how it is loaded.
 *
 * An allowed call may have conditions on its arguments, each "argument & mask
 * == value"; the kernel looks at the low 32 bits of an int, so does the mask.
 */
#include "confine/ritual.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

/* Newer than the kernel headers of the oldest system we build on. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

enum value_kind { VALUE_FIXED, VALUE_OWN_PID, VALUE_SPOOL_FD };
struct condition {
    uint8_t arg;
    uint8_t kind; /* enum value_kind */
    uint64_t mask, value;
};
#define CONDITIONS_MAX 3
struct rule {
    uint32_t groups;
    uint8_t n;
    const char *name;
    struct condition when[CONDITIONS_MAX];
};

/* clang-format off */
#define INT_MASK 0xffffffffull
#define ALLOW(group, call) {CALLS_##group, 0, call, {{0, 0, 0, 0}}}
#define ALLOW_IF(group, call, arg, mask, value) {CALLS_##group, 1, call, {{arg, VALUE_FIXED, mask, value}}}
#define ALLOW_INT(group, call, arg, value) ALLOW_IF(group, call, arg, INT_MASK, (uint32_t)(value))
#define OPTION(group, call, level, name) \
    {CALLS_##group, 2, call, {{1, VALUE_FIXED, INT_MASK, (level)}, {2, VALUE_FIXED, INT_MASK, (name)}}}
#define SOCKET(group, call, domain, type) \
    {CALLS_##group, 2, call, {{0, VALUE_FIXED, INT_MASK, (domain)}, {1, VALUE_FIXED, 0xf, (type)}}}
/* A socket with an ordinary protocol: none named, or the one of its type. */
#define SOCKET_PROTOCOL(group, domain, type, protocol)       \
    {CALLS_##group, 3, "socket",                             \
     {{0, VALUE_FIXED, INT_MASK, (domain)},                  \
      {1, VALUE_FIXED, 0xf, (type)},                         \
      {2, VALUE_FIXED, INT_MASK, (protocol)}}}

/* clang-format on */

/* No child may get namespaces of its own: there it would be root, before more of the kernel. */
#define CLONE_NEW_ANY                                                                                            \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
     CLONE_THREAD)

/* clang-format off */
static const struct rule rules[] = {
    /* Held descriptors. splice and its family are left out: much kernel for little use. */
    ALLOW(BASE, "read"), ALLOW(BASE, "write"), ALLOW(BASE, "readv"), ALLOW(BASE, "writev"), ALLOW(BASE, "pread64"),
    ALLOW(BASE, "pwrite64"), ALLOW(BASE, "preadv"), ALLOW(BASE, "pwritev"), ALLOW(BASE, "preadv2"),
    ALLOW(BASE, "pwritev2"), ALLOW(BASE, "lseek"), ALLOW(BASE, "sendfile"), ALLOW(BASE, "close"),
    ALLOW(BASE, "close_range"), ALLOW(BASE, "dup"), ALLOW(BASE, "dup2"), ALLOW(BASE, "dup3"), ALLOW(BASE, "fstat"),
    ALLOW(BASE, "fsync"), ALLOW(BASE, "fdatasync"), ALLOW(BASE, "ftruncate"), ALLOW(BASE, "fallocate"),
    ALLOW(BASE, "fadvise64"), ALLOW(BASE, "memfd_create"),
    /* fstat() of newer libc: a descriptor and an empty path. */
    ALLOW_IF(BASE, "newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH),
    ALLOW_IF(BASE, "statx", 2, AT_EMPTY_PATH, AT_EMPTY_PATH),
    ALLOW(BASE, "recvmsg"), ALLOW(BASE, "sendmsg"), ALLOW(BASE, "recvfrom"), ALLOW(BASE, "sendto"),
    ALLOW(BASE, "recvmmsg"), ALLOW(BASE, "sendmmsg"), ALLOW(BASE, "shutdown"), ALLOW(BASE, "getsockname"),
    ALLOW(BASE, "getpeername"), ALLOW(BASE, "getsockopt"),
    /* Options by name: SO_ATTACH_FILTER, TCP_ULP, TCP_REPAIR and whatever comes next stay out. */
    OPTION(BASE, "setsockopt", SOL_SOCKET, SO_RCVBUF), OPTION(BASE, "setsockopt", SOL_SOCKET, SO_SNDBUF),
    OPTION(BASE, "setsockopt", SOL_SOCKET, SO_KEEPALIVE), OPTION(BASE, "setsockopt", SOL_SOCKET, SO_LINGER),
    OPTION(BASE, "setsockopt", SOL_SOCKET, SO_REUSEADDR), OPTION(BASE, "setsockopt", SOL_SOCKET, SO_RCVTIMEO),
    OPTION(BASE, "setsockopt", SOL_SOCKET, SO_SNDTIMEO), OPTION(BASE, "setsockopt", SOL_SOCKET, SO_RCVLOWAT),
    OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_NODELAY), OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_CORK),
    OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_KEEPIDLE), OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_KEEPINTVL),
    OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_KEEPCNT), OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_USER_TIMEOUT),
    OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_QUICKACK), OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    OPTION(BASE, "setsockopt", IPPROTO_TCP, TCP_MAXSEG), OPTION(BASE, "setsockopt", IPPROTO_IP, IP_TOS),
    OPTION(BASE, "setsockopt", IPPROTO_IPV6, IPV6_TCLASS),
    ALLOW_INT(BASE, "fcntl", 1, F_GETFD), ALLOW_INT(BASE, "fcntl", 1, F_SETFD), ALLOW_INT(BASE, "fcntl", 1, F_GETFL),
    ALLOW_INT(BASE, "fcntl", 1, F_SETFL), ALLOW_INT(BASE, "fcntl", 1, F_DUPFD),
    ALLOW_INT(BASE, "fcntl", 1, F_DUPFD_CLOEXEC),
    ALLOW_INT(BASE, "fcntl", 1, F_ADD_SEALS), ALLOW_INT(BASE, "fcntl", 1, F_GET_SEALS),
    /* FIONREAD and TIOCOUTQ: how much is queued; TCGETS: isatty() of stdio. */
    ALLOW_INT(BASE, "ioctl", 1, FIONREAD), ALLOW_INT(BASE, "ioctl", 1, FIONBIO), ALLOW_INT(BASE, "ioctl", 1, TIOCOUTQ),
    ALLOW_INT(BASE, "ioctl", 1, TCGETS), ALLOW_INT(BASE, "ioctl", 1, FIOCLEX),
    /* Memory: whatever is mapped can never be executed. */
    ALLOW(BASE, "brk"), ALLOW(BASE, "munmap"), ALLOW(BASE, "mremap"), ALLOW(BASE, "madvise"),
    ALLOW_IF(BASE, "mmap", 2, PROT_EXEC, 0), ALLOW_IF(BASE, "mprotect", 2, PROT_EXEC, 0),
    /* Waiting and time. */
    ALLOW(BASE, "epoll_create1"), ALLOW(BASE, "epoll_ctl"), ALLOW(BASE, "epoll_wait"), ALLOW(BASE, "epoll_pwait"),
    ALLOW(BASE, "epoll_pwait2"), ALLOW(BASE, "poll"), ALLOW(BASE, "ppoll"), ALLOW(BASE, "select"),
    ALLOW(BASE, "pselect6"), ALLOW(BASE, "timerfd_create"), ALLOW(BASE, "timerfd_settime"),
    ALLOW(BASE, "timerfd_gettime"), ALLOW(BASE, "eventfd2"), ALLOW(BASE, "signalfd4"), ALLOW(BASE, "clock_gettime"),
    ALLOW(BASE, "clock_getres"), ALLOW(BASE, "clock_nanosleep"), ALLOW(BASE, "nanosleep"), ALLOW(BASE, "gettimeofday"),
    ALLOW(BASE, "time"), ALLOW(BASE, "futex"), ALLOW(BASE, "set_robust_list"), ALLOW(BASE, "rseq"),
    ALLOW(BASE, "sched_yield"), ALLOW(BASE, "sched_getaffinity"), ALLOW(BASE, "getcpu"), ALLOW(BASE, "restart_syscall"),
    ALLOW(BASE, "getrandom"),
    /* Asking about oneself. */
    ALLOW(BASE, "getpid"), ALLOW(BASE, "gettid"), ALLOW(BASE, "getppid"), ALLOW(BASE, "getuid"), ALLOW(BASE, "geteuid"),
    ALLOW(BASE, "getgid"), ALLOW(BASE, "getegid"), ALLOW(BASE, "getresuid"), ALLOW(BASE, "getresgid"),
    ALLOW(BASE, "getrusage"), ALLOW(BASE, "times"), ALLOW(BASE, "getrlimit"), ALLOW(BASE, "uname"),
    ALLOW(BASE, "sysinfo"),
    {CALLS_BASE, 2, "prlimit64", {{0, VALUE_FIXED, INT_MASK, 0}, {2, VALUE_FIXED, ~0ull, 0}}},
    ALLOW_INT(BASE, "prctl", 0, PR_SET_NAME), ALLOW_INT(BASE, "prctl", 0, PR_GET_NAME),
    ALLOW_INT(BASE, "prctl", 0, PR_GET_DUMPABLE), ALLOW_INT(BASE, "prctl", 0, PR_GET_SECCOMP),
    ALLOW_INT(BASE, "prctl", 0, PR_GET_NO_NEW_PRIVS), ALLOW_INT(BASE, "prctl", 0, PR_CAPBSET_READ),
    ALLOW_INT(BASE, "prctl", 0, PR_SET_VMA),
    /* Signals to oneself (abort), and the end. */
    {CALLS_BASE, 1, "tgkill", {{0, VALUE_OWN_PID, INT_MASK, 0}}},
    {CALLS_BASE, 1, "kill", {{0, VALUE_OWN_PID, INT_MASK, 0}}},
    ALLOW(BASE, "rt_sigaction"), ALLOW(BASE, "rt_sigprocmask"), ALLOW(BASE, "rt_sigreturn"),
    ALLOW(BASE, "rt_sigpending"), ALLOW(BASE, "rt_sigtimedwait"), ALLOW(BASE, "sigaltstack"), ALLOW(BASE, "exit"),
    ALLOW(BASE, "exit_group"),

    /* An openat that can only read. */
    ALLOW_IF(FILES_READ, "openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
    ALLOW_IF(FILES_READ, "open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
    ALLOW(FILES_READ, "newfstatat"), ALLOW(FILES_READ, "statx"), ALLOW(FILES_READ, "stat"), ALLOW(FILES_READ, "lstat"),
    ALLOW(FILES_READ, "getdents64"), ALLOW(FILES_READ, "access"), ALLOW(FILES_READ, "faccessat"),
    ALLOW(FILES_READ, "faccessat2"), ALLOW(FILES_READ, "readlink"), ALLOW(FILES_READ, "readlinkat"),
    ALLOW(FILES_READ, "fstatfs"), ALLOW(FILES_READ, "statfs"), ALLOW(FILES_READ, "getcwd"),

    /*
     * For a role that also holds a directory outside its root (web and its spool): openat(spool, "../../etc/passwd")
     * would leave a chroot, and a descriptor's number means nothing, since dup2 can move it. AT_FDCWD cannot move
     * without fchdir.
     */
    {CALLS_SITES, 2, "openat", {{0, VALUE_FIXED, INT_MASK, (uint32_t)AT_FDCWD},
                                {2, VALUE_FIXED, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY}}},
    {CALLS_SITES, 1, "newfstatat", {{0, VALUE_FIXED, INT_MASK, (uint32_t)AT_FDCWD}}},
    {CALLS_SITES, 1, "statx", {{0, VALUE_FIXED, INT_MASK, (uint32_t)AT_FDCWD}}},
    ALLOW(SITES, "getdents64"), ALLOW(SITES, "fstatfs"),

    ALLOW(FILES_WRITE, "openat"), ALLOW(FILES_WRITE, "open"), ALLOW(FILES_WRITE, "unlink"),
    ALLOW(FILES_WRITE, "unlinkat"),
    ALLOW(FILES_WRITE, "rename"), ALLOW(FILES_WRITE, "renameat"), ALLOW(FILES_WRITE, "renameat2"),
    ALLOW(FILES_WRITE, "mkdir"), ALLOW(FILES_WRITE, "mkdirat"), ALLOW(FILES_WRITE, "rmdir"),
    ALLOW(FILES_WRITE, "linkat"), ALLOW(FILES_WRITE, "link"), ALLOW(FILES_WRITE, "flock"),
    ALLOW(FILES_WRITE, "syncfs"), ALLOW(FILES_WRITE, "utimensat"),
    ALLOW_INT(FILES_WRITE, "fcntl", 1, F_GETLK), ALLOW_INT(FILES_WRITE, "fcntl", 1, F_SETLK),
    ALLOW_INT(FILES_WRITE, "fcntl", 1, F_SETLKW), ALLOW_INT(FILES_WRITE, "fcntl", 1, F_OFD_GETLK),
    ALLOW_INT(FILES_WRITE, "fcntl", 1, F_OFD_SETLK), ALLOW_INT(FILES_WRITE, "fcntl", 1, F_OFD_SETLKW),

    /* The path cannot be looked at, but O_TMPFILE leads to no existing file. */
    {CALLS_SPOOL, 2, "openat", {{0, VALUE_SPOOL_FD, INT_MASK, 0}, {2, VALUE_FIXED, O_TMPFILE, O_TMPFILE}}},

    ALLOW(ACCEPT, "accept4"), ALLOW(ACCEPT, "accept"),

    SOCKET(PAIR, "socketpair", AF_UNIX, SOCK_STREAM), SOCKET(PAIR, "socketpair", AF_UNIX, SOCK_SEQPACKET),

    SOCKET_PROTOCOL(TCP, AF_INET, SOCK_STREAM, 0), SOCKET_PROTOCOL(TCP, AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET_PROTOCOL(TCP, AF_INET6, SOCK_STREAM, 0), SOCKET_PROTOCOL(TCP, AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    ALLOW(TCP, "connect"), OPTION(TCP, "setsockopt", IPPROTO_IPV6, IPV6_V6ONLY),
    OPTION(TCP, "setsockopt", IPPROTO_TCP, TCP_FASTOPEN_CONNECT), OPTION(TCP, "setsockopt", IPPROTO_TCP, TCP_SYNCNT),

    SOCKET_PROTOCOL(UDP, AF_INET, SOCK_DGRAM, 0), SOCKET_PROTOCOL(UDP, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET_PROTOCOL(UDP, AF_INET6, SOCK_DGRAM, 0), SOCKET_PROTOCOL(UDP, AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    ALLOW(UDP, "connect"), ALLOW(UDP, "bind"), OPTION(UDP, "setsockopt", IPPROTO_IPV6, IPV6_V6ONLY),
    OPTION(UDP, "setsockopt", IPPROTO_IP, IP_MTU_DISCOVER), OPTION(UDP, "setsockopt", IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    OPTION(UDP, "setsockopt", IPPROTO_IPV6, IPV6_MTU),
    OPTION(UDP, "setsockopt", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), OPTION(UDP, "setsockopt", SOL_SOCKET, SO_REUSEPORT),
    OPTION(UDP, "setsockopt", IPPROTO_IPV6, IPV6_RECVERR), OPTION(UDP, "setsockopt", IPPROTO_IP, IP_RECVERR),

    ALLOW(LISTEN, "bind"), ALLOW(LISTEN, "listen"), ALLOW_INT(LISTEN, "socket", 0, AF_UNIX),
    ALLOW_INT(LISTEN, "socketpair", 0, AF_UNIX), ALLOW_IF(LISTEN, "setsockopt", 1, INT_MASK, SOL_SOCKET),

    ALLOW_IF(FORK, "clone", 0, CLONE_NEW_ANY, 0), ALLOW(FORK, "fork"), ALLOW(FORK, "vfork"), ALLOW(FORK, "wait4"),
    ALLOW(FORK, "waitid"), ALLOW(FORK, "kill"), ALLOW(FORK, "tgkill"), ALLOW(FORK, "pidfd_open"),
    ALLOW(FORK, "pidfd_send_signal"), ALLOW(FORK, "set_tid_address"), ALLOW(FORK, "pipe2"), ALLOW(FORK, "setsid"),
    ALLOW(FORK, "setpgid"), ALLOW(FORK, "getpgid"), ALLOW(FORK, "getsid"),

    ALLOW(EXEC, "execve"), ALLOW(EXEC, "execveat"), ALLOW(EXEC, "mmap"), ALLOW(EXEC, "mprotect"),
    ALLOW(EXEC, "arch_prctl"), ALLOW(EXEC, "set_tid_address"), ALLOW(EXEC, "pipe"), ALLOW(EXEC, "pipe2"),
    ALLOW(EXEC, "getpgrp"), ALLOW(EXEC, "getgroups"), ALLOW(EXEC, "ioctl"), ALLOW(EXEC, "fcntl"),

    ALLOW(RITUAL, "setresuid"), ALLOW(RITUAL, "setresgid"), ALLOW(RITUAL, "setgroups"), ALLOW(RITUAL, "setuid"),
    ALLOW(RITUAL, "setgid"), ALLOW(RITUAL, "chroot"), ALLOW(RITUAL, "chdir"), ALLOW(RITUAL, "fchdir"),
    ALLOW(RITUAL, "capget"), ALLOW(RITUAL, "capset"), ALLOW(RITUAL, "umask"), ALLOW(RITUAL, "prlimit64"),
    ALLOW(RITUAL, "setrlimit"), ALLOW(RITUAL, "prctl"), ALLOW(RITUAL, "seccomp"),
    ALLOW(RITUAL, "landlock_create_ruleset"), ALLOW(RITUAL, "landlock_add_rule"),
    ALLOW(RITUAL, "landlock_restrict_self"), ALLOW(RITUAL, "fchown"), ALLOW(RITUAL, "fchownat"),
    ALLOW(RITUAL, "fchmod"), ALLOW(RITUAL, "fchmodat"), ALLOW(RITUAL, "chown"), ALLOW(RITUAL, "chmod"),
    /* How confine_apply asks whether it is alone; it changes nothing. */
    ALLOW_IF(RITUAL, "unshare", 0, ~0ull, CLONE_THREAD),

#ifdef VEREDUS_SANITIZE
    /* The sanitizers' run time, named one by one. */
    ALLOW(BASE, "readlink"),                         /* the program's name in a report */
    ALLOW(BASE, "mincore"),                          /* is this address mapped? */
    /* /proc/self/maps; in a chroot there is none */
    ALLOW_IF(BASE, "open", 1, O_ACCMODE | O_CREAT, O_RDONLY),
#endif
};
/* clang-format on */

/* No honest code of ours or of a library makes these: the process is in other hands and ends at once. */
static const struct {
    const char *name;
    uint32_t unless; /* groups that have it */
} kills[] = {
    {"ptrace", 0},
    {"process_vm_readv", 0},
    {"process_vm_writev", 0},
    {"pidfd_getfd", 0},
    {"kexec_load", 0},
    {"kexec_file_load", 0},
    {"init_module", 0},
    {"finit_module", 0},
    {"delete_module", 0},
    {"bpf", 0},
    {"perf_event_open", 0},
    {"open_by_handle_at", 0},
    {"setns", 0},
    {"pivot_root", 0},
    {"reboot", 0},
    {"iopl", 0},
    {"ioperm", 0},
    {"execve", CALLS_EXEC},
    {"execveat", CALLS_EXEC},
};

void confine_filter_names(uint32_t group, struct buf *out) {
    const char *last = "";
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (!(rules[i].groups & group) || view_eq(view_cstr(rules[i].name), view_cstr(last)))
            continue;
        last = rules[i].name;
        buf_printf(out, " %s%s", last, rules[i].n ? "(...)" : "");
    }
}

/* --- the SIGSYS handler: async-signal-safe, no state but the counters --- */

#if defined(__x86_64__) || defined(__aarch64__)
#define CAN_TRAP true

/* Names of the denied calls one is likely to see; a number is enough for the others. */
static const struct {
    int number;
    char name[16];
} denied_names[] = {
    {SYS_socket, "socket"},
    {SYS_connect, "connect"},
    {SYS_bind, "bind"},
    {SYS_listen, "listen"},
    {SYS_openat, "openat"},
    {SYS_clone, "clone"},
    {SYS_clone3, "clone3"},
    {SYS_mmap, "mmap"},
    {SYS_prctl, "prctl"},
    {SYS_ioctl, "ioctl"},
    {SYS_fcntl, "fcntl"},
    {SYS_kill, "kill"},
    {SYS_tgkill, "tgkill"},
    {SYS_accept4, "accept4"},
    {SYS_mount, "mount"},
    {SYS_unlinkat, "unlinkat"},
    {SYS_pipe2, "pipe2"},
    {SYS_chroot, "chroot"},
    {SYS_mprotect, "mprotect"},
    {SYS_setsockopt, "setsockopt"},
    {SYS_unshare, "unshare"},
    {SYS_statx, "statx"},
    {SYS_socketpair, "socketpair"},
    {SYS_newfstatat, "newfstatat"},
    {SYS_prlimit64, "prlimit64"},
    {SYS_renameat2, "renameat2"},
#ifdef __x86_64__
    {SYS_open, "open"},
    {SYS_access, "access"},
    {SYS_stat, "stat"},
    {SYS_pipe, "pipe"},
#endif
};

struct line {
    char p[160];
    size_t n;
};

static void line_text(struct line *line, const char *s) {
    while (*s && line->n < sizeof(line->p))
        line->p[line->n++] = *s++;
}

static void line_number(struct line *line, uint64_t value, unsigned base) {
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n && line->n < sizeof(line->p))
        line->p[line->n++] = digits[--n];
}

#define CALLS_COUNTED 512 /* call numbers with a counter of their own; higher ones share the last */

static void on_denied(int signal_number, siginfo_t *info, void *context) {
    /* A signal handler has no argument to keep its counters in: the one exception to "no globals that change". They
     * thin out the lines of one call (the 1st, 2nd, 4th, ... 128th time), so that a loop does not fill the disk. */
    static volatile uint8_t counts[CALLS_COUNTED];

    (void)signal_number;
    if (info->si_code != 1 /* SYS_SECCOMP */)
        return;
    int saved = errno;
    ucontext_t *uc = context;
    unsigned call = (unsigned)info->si_syscall;
    volatile uint8_t *count = &counts[MIN(call, CALLS_COUNTED - 1u)];
    uint64_t args[3];
#ifdef __x86_64__
    args[0] = (uint64_t)uc->uc_mcontext.gregs[REG_RDI];
    args[1] = (uint64_t)uc->uc_mcontext.gregs[REG_RSI];
    args[2] = (uint64_t)uc->uc_mcontext.gregs[REG_RDX];
    uc->uc_mcontext.gregs[REG_RAX] = -EPERM;
#else
    args[0] = uc->uc_mcontext.regs[0];
    args[1] = uc->uc_mcontext.regs[1];
    args[2] = uc->uc_mcontext.regs[2];
    uc->uc_mcontext.regs[0] = (uint64_t)-EPERM;
#endif
    if (*count < 255)
        *count = (uint8_t)(*count + 1);
    if (*count < 255 && (*count & (*count - 1)) == 0) {
        struct line line = {{0}, 0};
        line_text(&line, "confine.denied role=");
        line_text(&line, role_name((enum role)info->si_errno)); /* the filter's data: enum role */
        line_text(&line, " call=");
        line_number(&line, call, 10);
        for (size_t i = 0; i < ARRAY_LEN(denied_names); i++) {
            if (denied_names[i].number == (int)call) {
                line_text(&line, " name=");
                line_text(&line, denied_names[i].name);
            }
        }
        for (unsigned i = 0; i < ARRAY_LEN(args); i++) {
            line_text(&line, " arg=0x");
            line_number(&line, args[i], 16);
        }
        line_text(&line, " count=");
        line_number(&line, *count, 10);
        line_text(&line, "\n");
        if (write(STDERR_FILENO, line.p, line.n) < 0) {
            /* nowhere to say it; the call fails all the same */
        }
    }
    errno = saved;
}

static enum err install_handler(struct buf *why) {
    struct sigaction action = {.sa_sigaction = on_denied, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    sigset_t set;
    sigemptyset(&action.sa_mask);
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    if (sigaction(SIGSYS, &action, NULL) != 0 || sigprocmask(SIG_UNBLOCK, &set, NULL) != 0) {
        buf_printf(why, "cannot handle SIGSYS: %s", strerror(errno));
        return ERR_DENIED;
    }
    return ERR_OK;
}
#else
#define CAN_TRAP false
static enum err install_handler(struct buf *why) {
    (void)why;
    return ERR_OK;
}
#endif

/* --- building --- */

/*
 * What is known only when the filter is loaded stands in the program as one of these, and is replaced then. So a
 * template compiles once and its children load: compiling costs each of them 240 KB of touched heap.
 */
#define PLACE_OWN_PID 0x7ffe0d1eu
#define PLACE_SPOOL_FD 0x7ffe0d1fu

static int add_rule(scmp_filter_ctx ctx, const struct rule *rule) {
    struct scmp_arg_cmp args[CONDITIONS_MAX];
    for (unsigned i = 0; i < rule->n; i++) {
        const struct condition *c = &rule->when[i];
        uint64_t value = c->value;
        if (c->kind == VALUE_OWN_PID)
            value = PLACE_OWN_PID;
        if (c->kind == VALUE_SPOOL_FD)
            value = PLACE_SPOOL_FD;
        args[i] = (struct scmp_arg_cmp){.arg = c->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = c->mask, .datum_b = value};
    }
    int call = seccomp_syscall_resolve_name(rule->name);
    if (call == __NR_SCMP_ERROR)
        return -ENOSYS;
    int error = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, rule->n, args);
    return error == -EEXIST ? 0 : error; /* the same, or a wider rule, came with another group */
}

static int build(scmp_filter_ctx ctx, const struct confine_policy *policy, const char **what) {
    int error = 0;
    /* Unconditional rules first, so that no narrower rule of the same call stands in their way. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
            if (!(rules[i].groups & policy->calls) || (rules[i].n == 0) != (pass == 0))
                continue;
            *what = rules[i].name;
            if ((error = add_rule(ctx, &rules[i])) != 0)
                return error;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(kills); i++) {
        if (kills[i].unless & policy->calls)
            continue;
        *what = kills[i].name;
        int call = seccomp_syscall_resolve_name(kills[i].name);
        if (call == __NR_SCMP_ERROR)
            return -ENOSYS;
        if ((error = seccomp_rule_add_array(ctx, SCMP_ACT_KILL_PROCESS, call, 0, NULL)) != 0)
            return error;
    }
    /* Its flags are in memory, where a filter cannot look; ENOSYS makes libc take clone, where it can. */
    if (policy->calls & CALLS_FORK) {
        *what = "clone3";
        error = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name("clone3"), 0, NULL);
    }
    return error;
}

struct confine_filter {
    bool traps;
    size_t n;
    struct sock_filter program[];
};

/* Compiled by libseccomp, loaded by ourselves: see PLACE_OWN_PID. */
static int compile(scmp_filter_ctx ctx, bool traps, struct confine_filter **out) {
    static const off_t octets_max = BPF_MAXINSNS * sizeof(struct sock_filter);
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = seccomp_export_bpf(ctx, fd);
    off_t octets = lseek(fd, 0, SEEK_END);
    if (!error && (octets <= 0 || octets > octets_max))
        error = -E2BIG;
    struct confine_filter *filter = error ? NULL : malloc(sizeof(*filter) + (size_t)octets);
    if (!error && (!filter || pread(fd, filter->program, (size_t)octets, 0) != octets))
        error = -ENOMEM;
    (void)close(fd);
    if (error) {
        free(filter);
        return error;
    }
    filter->traps = traps;
    filter->n = (size_t)octets / sizeof(filter->program[0]);
    *out = filter;
    return 0;
}

enum err confine_filter_compile(const struct confine_policy *policy, struct confine_filter **out, struct buf *why) {
    bool traps = policy->traps && CAN_TRAP;
    scmp_filter_ctx ctx = seccomp_init(traps ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO(EPERM));
    if (!ctx) {
        buf_put_str(why, "cannot make a seccomp filter");
        return ERR_NO_MEMORY;
    }
    const char *what = "attributes";
    int error = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!error)
        /* a binary tree: the hot calls cost as little as the others */
        error = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!error)
        error = build(ctx, policy, &what);
    if (!error) {
        what = "program";
        error = compile(ctx, traps, out);
    }
    seccomp_release(ctx);
    if (error) {
        buf_printf(why, "cannot make the seccomp filter (%s): %s", what, strerror(-error));
        return error == -ENOMEM ? ERR_NO_MEMORY : ERR_DENIED;
    }
    return ERR_OK;
}

enum err confine_filter_new(enum role role, struct confine_filter **out, struct buf *why) {
    BUG_IF((unsigned)role >= ROLE_COUNT);
    return confine_filter_compile(&confine_policies[role], out, why);
}

void confine_filter_free(struct confine_filter *filter) {
    free(filter);
}

enum err confine_filter_load(const struct confine_filter *filter, enum role role, int spool_fd, struct buf *why) {
    if (filter->traps)
        TRY(install_handler(why));
    size_t octets = filter->n * sizeof(filter->program[0]);
    struct sock_filter *program = malloc(octets);
    if (!program) {
        buf_put_str(why, "no memory for the seccomp filter");
        return ERR_NO_MEMORY;
    }
    memcpy(program, filter->program, octets);
    for (size_t i = 0; i < filter->n; i++) {
        struct sock_filter *at = &program[i];
        /* The data of SECCOMP_RET_TRAP (si_errno) holds the role, so that the handler needs no variable. */
        if (at->code == (BPF_RET | BPF_K) && at->k == SECCOMP_RET_TRAP)
            at->k |= (uint32_t)role & SECCOMP_RET_DATA;
        else if (at->code == (BPF_JMP | BPF_JEQ | BPF_K) && at->k == PLACE_OWN_PID)
            at->k = (uint32_t)getpid();
        else if (at->code == (BPF_JMP | BPF_JEQ | BPF_K) && at->k == PLACE_SPOOL_FD && spool_fd >= 0)
            at->k = (uint32_t)spool_fd; /* without a spool it stays a descriptor that cannot be open */
    }
    struct sock_fprog fprog = {.len = (unsigned short)filter->n, .filter = program};
    /* FLAG_LOG: what does not trap goes to the audit log */
    long loaded = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->traps ? 0 : SECCOMP_FILTER_FLAG_LOG, &fprog);
    int error = errno;
    free(program);
    if (loaded != 0) {
        buf_printf(why, "cannot set the seccomp filter: %s", strerror(error));
        return ERR_DENIED;
    }
    return ERR_OK;
}
