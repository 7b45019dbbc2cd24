/* The acts, and what is expected of them. */
#include "confine/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* 0 when the act worked, else the errno. Acts undo what they did. */
typedef int act_run(const struct confine_probe_env *env);

#define RESULT(call) ((call) < 0 ? errno : 0)
/* A call with arguments that it must refuse: any answer but EPERM means that the filter let it through. */
#define REACHED(call) ((call) < 0 && errno == EPERM ? EPERM : 0)

/* An act that is one expression. */
#define ONE_CALL(name, expression)                         \
    static int name(const struct confine_probe_env *env) { \
        (void)env;                                         \
        return (expression);                               \
    }

static int opened(int fd) {
    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

/* --- files --- */

static int act_open(const struct confine_probe_env *env) {
    (void)env;
    return opened(openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int create_and_use(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[4];
    struct stat st;
    if (pwrite(fd, "mail", 4, 0) != 4 || pread(fd, text, 4, 0) != 4 || fsync(fd) != 0 || fdatasync(fd) != 0 ||
        fallocate(fd, 0, 0, 4096) != 0 || ftruncate(fd, 2) != 0 || fstat(fd, &st) != 0 ||
        fcntl(fd, F_OFD_SETLK, &lock) != 0)
        return errno;
    return 0;
}

static int act_create(const struct confine_probe_env *env) {
    (void)env;
    int fd = openat(AT_FDCWD, "probe", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = create_and_use(fd);
    (void)close(fd);
    if (!error && mkdirat(AT_FDCWD, "probe.d", 0700) != 0)
        error = errno;
    /* Between directories, which Landlock has a right of its own for. */
    if (!error && renameat2(AT_FDCWD, "probe", AT_FDCWD, "probe.d/new", RENAME_NOREPLACE) != 0)
        error = errno;
    if (!error && renameat(AT_FDCWD, "probe.d/new", AT_FDCWD, "probe") != 0)
        error = errno;
    int dir = error ? -1 : openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!error && (dir < 0 || fsync(dir) != 0))
        error = errno;
    if (dir >= 0)
        (void)close(dir);
    (void)unlinkat(AT_FDCWD, "probe.d/new", 0);
    if (unlinkat(AT_FDCWD, "probe", 0) != 0 && !error)
        error = errno;
    if (unlinkat(AT_FDCWD, "probe.d", AT_REMOVEDIR) != 0 && !error)
        error = errno;
    return error;
}

static int act_tmpfile(const struct confine_probe_env *env) {
    int fd = openat(env->spool_fd >= 0 ? env->spool_fd : AT_FDCWD, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = write(fd, "mail", 4) == 4 ? 0 : errno;
    (void)close(fd);
    return error;
}

static int act_open_passwd(const struct confine_probe_env *env) {
    (void)env;
    return opened(openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int act_open_above(const struct confine_probe_env *env) {
    (void)env;
    return opened(openat(AT_FDCWD, "../../../../../../../../../../etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int act_write_outside(const struct confine_probe_env *env) {
    (void)env;
    int fd = openat(AT_FDCWD, "/tmp/veredus-probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    (void)close(fd);
    (void)unlinkat(AT_FDCWD, "/tmp/veredus-probe", 0);
    return 0;
}

static int act_proc_mem(const struct confine_probe_env *env) {
    (void)env;
    return opened(openat(AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static int act_spool_above(const struct confine_probe_env *env) {
    return opened(openat(env->spool_fd >= 0 ? env->spool_fd : AT_FDCWD, "../../../../../../../../etc/passwd",
                         O_RDONLY | O_CLOEXEC));
}

static int act_by_handle(const struct confine_probe_env *env) {
    (void)env;
    struct {
        struct file_handle h;
        unsigned char space[64];
    } handle = {.h = {.handle_bytes = 0}};
    return REACHED(open_by_handle_at(AT_FDCWD, &handle.h, O_RDONLY));
}

static int act_mknod(const struct confine_probe_env *env) {
    (void)env;
    int error = RESULT(mknodat(AT_FDCWD, "probe.fifo", S_IFIFO | 0600, 0));
    if (!error)
        (void)unlinkat(AT_FDCWD, "probe.fifo", 0);
    return error;
}

static int act_symlink(const struct confine_probe_env *env) {
    (void)env;
    int error = RESULT(symlinkat("/etc/passwd", AT_FDCWD, "probe.link"));
    if (!error)
        (void)unlinkat(AT_FDCWD, "probe.link", 0);
    return error;
}

ONE_CALL(act_chmod, REACHED(fchmodat(AT_FDCWD, "absent", 04755, 0)))
ONE_CALL(act_inotify, opened(inotify_init1(IN_CLOEXEC)))

/* --- network --- */

ONE_CALL(act_socket_tcp, opened(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)))
static int act_socket_tcp6(const struct confine_probe_env *env) {
    (void)env;
    int error = opened(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    return error == EAFNOSUPPORT ? 0 : error; /* the kernel was asked: this machine has no IPv6 */
}
ONE_CALL(act_socket_udp, opened(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)))
ONE_CALL(act_socket_unix, opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)))
ONE_CALL(act_socket_netlink, opened(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)))
ONE_CALL(act_socket_raw, opened(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)))
ONE_CALL(act_socket_packet, opened(socket(AF_PACKET, SOCK_RAW, 0)))
/* A socket where there may be one, else an invalid descriptor. */
static int act_connect(const struct confine_probe_env *env) {
    (void)env;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = RESULT(connect(fd, (struct sockaddr *)&to, sizeof(to)));
    if (fd >= 0)
        (void)close(fd);
    return error == EPERM || error == EACCES ? error : 0;
}

static int act_bind(const struct confine_probe_env *env) {
    (void)env;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error = RESULT(bind(fd, (struct sockaddr *)&at, sizeof(at)));
    if (fd >= 0)
        (void)close(fd);
    return error == EPERM || error == EACCES ? error : 0;
}

ONE_CALL(act_listen, REACHED(listen(-1, 1)))

static int act_accept(const struct confine_probe_env *env) {
    int fd = accept4(env->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd);
    return fd < 0 && errno == EPERM ? EPERM : 0;
}

static int act_pair(const struct confine_probe_env *env) {
    (void)env;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return errno;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}

ONE_CALL(act_attach_filter, REACHED(setsockopt(-1, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0)))

/* --- processes --- */

static int act_fork(const struct confine_probe_env *env) {
    (void)env;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    if (pid < 0)
        return errno;
    (void)waitpid(pid, NULL, 0);
    return 0;
}

/* Flags that no kernel accepts (a thread without shared memory): reached is EINVAL. */
ONE_CALL(act_thread, REACHED(syscall(SYS_clone, CLONE_THREAD, NULL, NULL, NULL, NULL)))
static int act_clone3(const struct confine_probe_env *env) {
    (void)env;
    return syscall(SYS_clone3, NULL, 0) < 0 && (errno == EPERM || errno == ENOSYS) ? errno : 0;
}
ONE_CALL(act_exec, REACHED(execve("/absent", (char *[]){NULL}, (char *[]){NULL})))
static int act_exec_memory(const struct confine_probe_env *env) {
    (void)env;
    int fd = memfd_create("probe", MFD_CLOEXEC);
    int error = REACHED(syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH));
    (void)close(fd);
    return error;
}
ONE_CALL(act_ptrace, REACHED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
ONE_CALL(act_vm_read, REACHED(process_vm_readv(getppid(), NULL, 0, NULL, 0, 0)))
ONE_CALL(act_vm_write, REACHED(process_vm_writev(getppid(), NULL, 0, NULL, 0, 0)))
ONE_CALL(act_pidfd_getfd, REACHED(syscall(SYS_pidfd_getfd, -1, 0, 0)))
ONE_CALL(act_pidfd_open, opened((int)syscall(SYS_pidfd_open, getppid(), 0)))
ONE_CALL(act_kill_parent, RESULT(kill(getppid(), 0)))
ONE_CALL(act_kill_init, RESULT(kill(1, 0)))
ONE_CALL(act_kill_all, RESULT(kill(-1, 0)))
ONE_CALL(act_tgkill, RESULT(syscall(SYS_tgkill, getppid(), getppid(), 0)))
ONE_CALL(act_sigqueue, REACHED(syscall(SYS_rt_sigqueueinfo, getppid(), 0, NULL)))
ONE_CALL(act_setown, REACHED(fcntl(-1, F_SETOWN, 1)))
static int act_setuid(const struct confine_probe_env *env) {
    (void)env;
    uid_t uid = getuid();
    return RESULT(syscall(SYS_setresuid, uid, uid, uid));
}
ONE_CALL(act_become_root, RESULT(syscall(SYS_setresuid, 0, 0, 0)))
ONE_CALL(act_setgroups, RESULT(syscall(SYS_setgroups, 0, NULL)))
static int act_capset(const struct confine_probe_env *env) {
    (void)env;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = ~0u, .permitted = ~0u},
                                             {.effective = ~0u, .permitted = ~0u}};
    return RESULT(syscall(SYS_capset, &header, data));
}
ONE_CALL(act_chroot, REACHED(chroot("/absent")))
ONE_CALL(act_fchdir, REACHED(fchdir(-1)))
static int act_prlimit(const struct confine_probe_env *env) {
    (void)env;
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
    return RESULT(setrlimit(RLIMIT_CORE, &limit));
}

/* --- the kernel --- */

ONE_CALL(act_mount, REACHED(syscall(SYS_mount, "none", "/absent", "tmpfs", 0, NULL)))
ONE_CALL(act_umount, REACHED(syscall(SYS_umount2, "/absent", 0)))
ONE_CALL(act_pivot_root, REACHED(syscall(SYS_pivot_root, "/absent", "/absent")))
ONE_CALL(act_unshare, RESULT(unshare(CLONE_NEWUSER)))
ONE_CALL(act_setns, REACHED(setns(-1, 0)))
ONE_CALL(act_io_uring, REACHED(syscall(SYS_io_uring_setup, 0, NULL)))
ONE_CALL(act_bpf, REACHED(syscall(SYS_bpf, -1, NULL, 0)))
ONE_CALL(act_perf, REACHED(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)))
ONE_CALL(act_keyctl, REACHED(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0)))
ONE_CALL(act_userfaultfd, REACHED(syscall(SYS_userfaultfd, -1)))
ONE_CALL(act_module, REACHED(syscall(SYS_finit_module, -1, "", 0)))
ONE_CALL(act_kexec, REACHED(syscall(SYS_kexec_load, 0, 0, NULL, ~0ul)))
ONE_CALL(act_dumpable, RESULT(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)))
ONE_CALL(act_personality, RESULT(syscall(SYS_personality, 0xffffffff)))
ONE_CALL(act_tiocsti, REACHED(ioctl(-1, TIOCSTI, "x")))
ONE_CALL(act_set_clock, REACHED(syscall(SYS_clock_settime, -1, NULL)))
ONE_CALL(act_shm, REACHED(syscall(SYS_shmget, 0, 0, 0)))
ONE_CALL(act_vmsplice, REACHED(syscall(SYS_vmsplice, -1, NULL, 0, 0)))

/* --- executable memory --- */

static int act_map_exec(const struct confine_probe_env *env) {
    (void)env;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    (void)munmap(p, 4096);
    return 0;
}

static int act_write_then_exec(const struct confine_probe_env *env) {
    (void)env;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    int error = RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
    (void)munmap(p, 4096);
    return error;
}

static int act_map_file_exec(const struct confine_probe_env *env) {
    (void)env;
    int fd = memfd_create("probe", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        return 0; /* needed by every role: must not look like a denial */
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    int error = p == MAP_FAILED ? errno : 0;
    if (p != MAP_FAILED)
        (void)munmap(p, 4096);
    (void)close(fd);
    return error;
}

ONE_CALL(act_pkey, REACHED(syscall(SYS_pkey_mprotect, 1, 0, PROT_EXEC, -1)))

#ifdef __x86_64__
#define X32_BIT 0x40000000
ONE_CALL(act_x32, REACHED(syscall(X32_BIT | SYS_getpid)))
/* The 32-bit entry, where call numbers mean other calls (20 is getpid). */
static int act_int80(const struct confine_probe_env *env) {
    (void)env;
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result == -EPERM ? EPERM : 0;
}
#endif

/* --- what every role needs --- */

static int act_basics(const struct confine_probe_env *env) {
    (void)env;
    char *p = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED || mprotect(p + 4096, (1 << 20) - 4096, PROT_READ | PROT_WRITE) != 0)
        return errno;
    p[8192] = 1;
    if (madvise(p + 4096, (1 << 20) - 4096, MADV_DONTNEED) != 0 || munmap(p, 1 << 20) != 0)
        return errno;
    int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat st;
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0 ||
        close(fd) != 0)
        return errno;
    fd = syscall(SYS_getrandom, &p, sizeof(p), 0) == (long)sizeof(p) ? 0 : errno;
    if (fd || prctl(PR_SET_NAME, "probe") != 0)
        return errno;
    return 0;
}

static int loop_fd(int which) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    switch (which) {
    case 0:
        return epoll_create1(EPOLL_CLOEXEC);
    case 1:
        return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    case 2:
        return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    default:
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
}

static int act_loop(const struct confine_probe_env *env) {
    (void)env;
    int error = opened(loop_fd(0));
    for (int which = 1; !error && which < 4; which++)
        error = opened(loop_fd(which));
    return error;
}

/* --- the table --- */

enum layer {
    LAYER_FILTER, /* the filter denies: at every level */
    LAYER_FILES,  /* chroot or Landlock deny when the role has files at all */
};
struct act {
    const char *name;
    act_run *run;
    uint32_t act;   /* enum confine_acts: needed by roles that list it, denied to others; 0: denied to all */
    bool kills;     /* denied by death */
    bool is_ritual; /* with act 0: not judged for the supervisor and the template, whose children need it */
    uint8_t layer;
};

static const struct act acts[] = {
    {"open a file of its own", act_open, ACT_OPEN, false, false, LAYER_FILTER},
    {"create, sync, rename, remove", act_create, ACT_CREATE, false, false, LAYER_FILTER},
    {"nameless file in the spool", act_tmpfile, ACT_TMPFILE, false, false, LAYER_FILTER},
    {"open /etc/passwd", act_open_passwd, ACT_OUTSIDE, false, false, LAYER_FILES},
    {"open /etc/passwd by ..", act_open_above, ACT_OUTSIDE, false, false, LAYER_FILES},
    {"open by .. from the spool", act_spool_above, ACT_OUTSIDE, false, false, LAYER_FILES},
    {"create in /tmp", act_write_outside, ACT_OUTSIDE, false, false, LAYER_FILES},
    {"open /proc/self/mem", act_proc_mem, 0, false, true, LAYER_FILES},
    {"open by handle", act_by_handle, 0, true, false, LAYER_FILTER},
    {"make a fifo", act_mknod, 0, false, false, LAYER_FILTER},
    {"make a symbolic link", act_symlink, 0, false, false, LAYER_FILTER},
    {"change a file's mode", act_chmod, 0, false, true, LAYER_FILTER},
    {"watch files", act_inotify, 0, false, false, LAYER_FILTER},
    {"accept", act_accept, ACT_ACCEPT, false, false, LAYER_FILTER},
    {"socketpair", act_pair, ACT_PAIR, false, false, LAYER_FILTER},
    {"tcp socket", act_socket_tcp, ACT_SOCKET_TCP, false, false, LAYER_FILTER},
    {"tcp socket, IPv6", act_socket_tcp6, ACT_SOCKET_TCP, false, false, LAYER_FILTER},
    {"udp socket", act_socket_udp, ACT_SOCKET_UDP, false, false, LAYER_FILTER},
    {"unix socket", act_socket_unix, ACT_SOCKET_UNIX, false, false, LAYER_FILTER},
    {"netlink socket", act_socket_netlink, 0, false, false, LAYER_FILTER},
    {"raw socket", act_socket_raw, 0, false, false, LAYER_FILTER},
    {"packet socket", act_socket_packet, 0, false, false, LAYER_FILTER},
    {"connect", act_connect, ACT_CONNECT, false, false, LAYER_FILTER},
    {"bind", act_bind, ACT_BIND, false, false, LAYER_FILTER},
    {"listen", act_listen, ACT_LISTEN, false, false, LAYER_FILTER},
    {"attach a socket filter", act_attach_filter, 0, false, true, LAYER_FILTER},
    {"fork", act_fork, ACT_FORK, false, false, LAYER_FILTER},
    {"thread", act_thread, 0, false, false, LAYER_FILTER},
    {"clone3", act_clone3, 0, false, false, LAYER_FILTER},
    {"execve", act_exec, ACT_EXEC, true, false, LAYER_FILTER},
    {"execute memory", act_exec_memory, ACT_EXEC, true, false, LAYER_FILTER},
    {"ptrace", act_ptrace, 0, true, false, LAYER_FILTER},
    {"read another's memory", act_vm_read, 0, true, false, LAYER_FILTER},
    {"write another's memory", act_vm_write, 0, true, false, LAYER_FILTER},
    {"take another's descriptor", act_pidfd_getfd, 0, true, false, LAYER_FILTER},
    {"pidfd", act_pidfd_open, ACT_SIGNAL, false, false, LAYER_FILTER},
    {"signal its parent", act_kill_parent, ACT_SIGNAL, false, false, LAYER_FILTER},
    {"signal init", act_kill_init, 0, false, true, LAYER_FILTER},
    {"signal everyone", act_kill_all, 0, false, true, LAYER_FILTER},
    {"tgkill its parent", act_tgkill, ACT_SIGNAL, false, false, LAYER_FILTER},
    {"queue a signal", act_sigqueue, 0, false, false, LAYER_FILTER},
    {"signals by F_SETOWN", act_setown, 0, false, true, LAYER_FILTER},
    {"set its user", act_setuid, ACT_RITUAL, false, false, LAYER_FILTER},
    {"become root", act_become_root, 0, false, true, LAYER_FILTER},
    {"set groups", act_setgroups, 0, false, true, LAYER_FILTER},
    {"gain capabilities", act_capset, 0, false, false, LAYER_FILTER},
    {"chroot", act_chroot, ACT_RITUAL, false, false, LAYER_FILTER},
    {"fchdir", act_fchdir, ACT_RITUAL, false, false, LAYER_FILTER},
    {"set a limit", act_prlimit, ACT_RITUAL, false, false, LAYER_FILTER},
    {"mount", act_mount, 0, false, false, LAYER_FILTER},
    {"umount", act_umount, 0, false, false, LAYER_FILTER},
    {"pivot_root", act_pivot_root, 0, true, false, LAYER_FILTER},
    {"new user namespace", act_unshare, 0, false, false, LAYER_FILTER},
    {"setns", act_setns, 0, true, false, LAYER_FILTER},
    {"io_uring", act_io_uring, 0, false, false, LAYER_FILTER},
    {"bpf", act_bpf, 0, true, false, LAYER_FILTER},
    {"perf_event_open", act_perf, 0, true, false, LAYER_FILTER},
    {"keyctl", act_keyctl, 0, false, false, LAYER_FILTER},
    {"userfaultfd", act_userfaultfd, 0, false, false, LAYER_FILTER},
    {"load a module", act_module, 0, true, false, LAYER_FILTER},
    {"kexec", act_kexec, 0, true, false, LAYER_FILTER},
    {"become dumpable", act_dumpable, 0, false, true, LAYER_FILTER},
    {"personality", act_personality, 0, false, false, LAYER_FILTER},
    {"type into a terminal", act_tiocsti, 0, false, true, LAYER_FILTER},
    {"set the clock", act_set_clock, 0, false, false, LAYER_FILTER},
    {"shared memory segment", act_shm, 0, false, false, LAYER_FILTER},
    {"vmsplice", act_vmsplice, 0, false, false, LAYER_FILTER},
    {"map executable memory", act_map_exec, ACT_CODE, false, false, LAYER_FILTER},
    {"make written memory executable", act_write_then_exec, ACT_CODE, false, false, LAYER_FILTER},
    {"map a file executable", act_map_file_exec, ACT_CODE, false, false, LAYER_FILTER},
    {"pkey_mprotect", act_pkey, 0, false, false, LAYER_FILTER},
#ifdef __x86_64__
    {"x32 call", act_x32, 0, true, false, LAYER_FILTER},
    {"32-bit call", act_int80, 0, true, false, LAYER_FILTER},
#endif
    {"memory, memfd, random", act_basics, ACTS_ALL, false, false, LAYER_FILTER},
    {"epoll, timerfd, eventfd, signalfd", act_loop, ACTS_ALL, false, false, LAYER_FILTER},
};

/* --- running them --- */

struct confine_probe_plan confine_probe_plan_of(enum role role, enum confine_level level, bool is_template) {
    BUG_IF((unsigned)role >= ROLE_COUNT);
    return (struct confine_probe_plan){role, level, is_template, confine_landlock_abi()};
}

static const struct confine_policy *policy_of(const struct confine_probe_plan *plan) {
    return plan->is_template ? &confine_template_policy : &confine_policies[plan->role];
}

static bool is_needed(const struct confine_probe_plan *plan, const struct act *act) {
    return act->act == ACTS_ALL || (act->act & policy_of(plan)->needs) != 0;
}

static bool applies(const struct confine_probe_plan *plan, const struct act *act) {
    const struct confine_policy *policy = policy_of(plan);
    if (act->is_ritual && (policy->calls & CALLS_RITUAL))
        return false;
    /* The ordinary user's level promises Landlock only where the kernel has it, and nothing else bounds its files. */
    if (act->layer == LAYER_FILES && !is_needed(plan, act) && plan->level == CONFINE_USER && plan->landlock_abi == 0 &&
        (policy->calls & CALLS_FILES))
        return false;
    return true;
}

static const struct act *act_at(const struct confine_probe_plan *plan, unsigned index) {
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (applies(plan, &acts[i]) && index-- == 0)
            return &acts[i];
    BUG("no such act");
}

unsigned confine_probe_count(const struct confine_probe_plan *plan) {
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        n += applies(plan, &acts[i]);
    return n;
}

const char *confine_probe_name(const struct confine_probe_plan *plan, unsigned index) {
    return act_at(plan, index)->name;
}

bool confine_probe_run(const struct confine_probe_plan *plan, const struct confine_probe_env *env, unsigned index,
                       struct buf *report) {
    const struct act *act = act_at(plan, index);
    bool needed = is_needed(plan, act);
    int error = act->run(env);
    bool good = needed ? error == 0 : error != 0 && !act->kills;
    buf_printf(report, "%s %s: %s, %s%s%s\n", good ? "ok" : "FAILED", act->name, needed ? "needed" : "denied",
               error ? "refused: " : "worked", error ? strerror(error) : "",
               !needed && act->kills ? " (should kill)" : "");
    return good;
}

bool confine_probe_judge(const struct confine_probe_plan *plan, unsigned index, int wait_status) {
    const struct act *act = act_at(plan, index);
    if (!act->kills || is_needed(plan, act))
        return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
#ifdef __x86_64__
    /* A kernel without the 32-bit entry answers with SIGSEGV. A sanitizer turns that into an exit. */
    if (act->run == act_int80 && !(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0))
        return true;
#endif
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS;
}

enum err confine_probe(const struct confine_probe_plan *plan, const struct confine_probe_env *env, struct buf *report,
                       unsigned *failed) {
    unsigned bad = 0, n = confine_probe_count(plan);
    for (unsigned i = 0; i < n; i++) {
        const struct act *act = act_at(plan, i);
        if (!act->kills || is_needed(plan, act))
            bad += !confine_probe_run(plan, env, i, report);
    }
    TRY(buf_err(report));
    *failed = bad;
    return ERR_OK;
}

#define PROBE_REPORT_MAX 65536  /* a line an act, or the reason of a ritual that failed */
#define PROBE_HARMLESS UINT_MAX /* instead of an index: all whose denial does not kill */

_Noreturn static void probe_child(const struct confine_probe_plan *plan, struct confine_probe_ritual *ritual,
                                  unsigned index, int out_fd) {
    struct buf text;
    struct confine_probe_env env = {-1, -1};
    unsigned failed = 1;
    buf_init(&text, PROBE_REPORT_MAX);
    /* The lines travel on standard output, which every ritual keeps. */
    if (dup2(out_fd, STDOUT_FILENO) >= 0) {
        enum err err = ritual->run(ritual, &env, &text);
        if (err != ERR_OK)
            buf_printf(&text, " (ritual: %s)\n", err_name(err));
        else if (index != PROBE_HARMLESS)
            failed = !confine_probe_run(plan, &env, index, &text);
        else if (confine_probe(plan, &env, &text, &failed) != ERR_OK)
            failed = 1;
        for (size_t at = 0; at < text.n;) {
            ssize_t n = write(STDOUT_FILENO, text.p + at, text.n - at);
            if (n <= 0)
                _exit(1);
            at += (size_t)n;
        }
    }
    _exit((int)MIN(failed, 100u));
}

/* One child; its lines are appended to report. */
static enum err run_child(const struct confine_probe_plan *plan, struct confine_probe_ritual *ritual, unsigned index,
                          struct buf *report, int *status) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_from_errno(errno);
    pid_t pid = fork();
    if (pid == 0)
        probe_child(plan, ritual, index, fds[1]);
    enum err err = pid < 0 ? err_from_errno(errno) : ERR_OK;
    (void)close(fds[1]);
    uint8_t part[4096];
    ssize_t n = pid < 0 ? 0 : 1;
    while (n > 0 || (n < 0 && errno == EINTR)) {
        n = read(fds[0], part, sizeof(part));
        if (n > 0)
            buf_put(report, view_of(part, (size_t)n));
    }
    (void)close(fds[0]);
    while (pid > 0 && waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
    return err;
}

static void put_end(struct buf *report, bool good, const char *name, int status) {
    buf_printf(report, "%s %s: %s %d\n", good ? "ok" : "FAILED", name,
               WIFSIGNALED(status) ? "killed by signal" : "ended with status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

enum err confine_probe_all(const struct confine_probe_plan *plan, struct confine_probe_ritual *ritual,
                           struct buf *report, unsigned *failed) {
    unsigned bad = 0, n = confine_probe_count(plan);
    int status = 0;
    TRY(run_child(plan, ritual, PROBE_HARMLESS, report, &status));
    if (!WIFEXITED(status)) {
        put_end(report, false, "all acts whose denial does not kill", status);
        bad++;
    } else {
        bad += (unsigned)WEXITSTATUS(status);
    }
    for (unsigned i = 0; i < n; i++) {
        const struct act *act = act_at(plan, i);
        if (!act->kills || is_needed(plan, act))
            continue;
        size_t before = report->n;
        TRY(run_child(plan, ritual, i, report, &status));
        bool good = confine_probe_judge(plan, i, status);
        bad += !good;
        if (report->n == before)
            put_end(report, good, act->name, status);
    }
    TRY(buf_err(report));
    *failed = bad;
    return ERR_OK;
}
