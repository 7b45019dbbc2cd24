/* Roles as processes: the supervisor's side. */
#include "roles/process.h"

#include "base/reader.h"
#include "roles/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Directories below the data directory. */
#define DIR_ACCOUNTS "accounts"
#define DIR_EMPTY "empty"
#define DIR_SPOOL "spool"

struct spawned {
    struct process_spawner *spawner;
    pid_t pid;
    int pidfd;
    bool is_child; /* else of the template */
    bool is_mailbox;
    struct watch *watch;
    void (*exited)(void *ctx, int status);
    void *ctx;
};

struct process_spawner {
    struct spawner spawner;
    struct process_spawner_params params;
    struct template_client *template;
};

/* Ids that no distribution gives out; where the user namespace does not map them, the range for short-lived users. */
static bool uid_is_mapped(uint64_t uid) {
    char text[4096]; /* lines of three numbers: first inside, first outside, count */
    int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (got <= 0)
        return true;
    struct view line, rest = view_of(text, (size_t)got);
    while (rest.n) {
        (void)view_split(rest, '\n', &line, &rest);
        struct reader r = reader_of(line);
        (void)reader_skip_blank(&r);
        uint64_t inside = reader_u64(&r, UINT32_MAX);
        (void)reader_skip_blank(&r);
        (void)reader_u64(&r, UINT32_MAX);
        (void)reader_skip_blank(&r);
        uint64_t count = reader_u64(&r, UINT32_MAX);
        if (reader_err(&r) == ERR_OK && uid >= inside && uid - inside < count)
            return true;
    }
    return false;
}

#define UID_ROLES 1986000000u
#define UID_ROLES_SMALL 61200u

static bool process_is_root(void) {
    return geteuid() == 0;
}

uid_t process_role_uid(enum role role) {
    if (!process_is_root())
        return 0;
    return (uid_is_mapped(UID_ROLES + ROLE_COUNT) ? UID_ROLES : UID_ROLES_SMALL) + (uid_t)role;
}

uid_t process_account_uid(const struct config *config, uint64_t account) {
    if (!process_is_root())
        return 0;
    if (config->account_uids == 0 || !uid_is_mapped(config->account_uid_first + config->account_uids - 1))
        return process_role_uid(ROLE_MAILBOX);
    return config->account_uid_first + (uid_t)(account % config->account_uids);
}

#define OWNER_DEPTH_MAX 4 /* directories below a role's directory: accounts have blobs/xx */

/* Everything in a directory belongs to its role's user, also after a change of user or range. Contents first: a directory that has the right
 * owner already is done. */
static enum err give_to(int parent_fd, const char *name, uid_t uid, unsigned depth) {
    struct stat st;
    if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_from_errno(errno);
    if (st.st_uid == uid)
        return ERR_OK;
    enum err err = ERR_OK;
    if (S_ISDIR(st.st_mode) && depth < OWNER_DEPTH_MAX) {
        int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
            err = err_from_errno(errno);
            if (fd >= 0)
                (void)close(fd);
            return err;
        }
        for (struct dirent *entry; err == ERR_OK && (entry = readdir(dir));)
            if (!view_eq(view_cstr(entry->d_name), VIEW(".")) && !view_eq(view_cstr(entry->d_name), VIEW("..")))
                err = give_to(dirfd(dir), entry->d_name, uid, depth + 1);
        (void)closedir(dir);
    }
    if (err == ERR_OK && fchownat(parent_fd, name, uid, (gid_t)uid, AT_SYMLINK_NOFOLLOW) != 0)
        err = err_from_errno(errno);
    return err;
}

/* Makes and opens a directory below the data directory, owned by uid (0: whoever we are). */
static enum err open_owned_dir(int parent_fd, const char *name, uid_t uid, mode_t mode, int *out) {
    bool is_new = mkdirat(parent_fd, name, mode) == 0;
    if (!is_new && errno != EEXIST)
        return err_from_errno(errno);
    if (is_new && fsync(parent_fd) != 0) /* a 250 for what is inside must not outlive the name */
        return err_from_errno(errno);
    if (uid)
        TRY(give_to(parent_fd, name, uid, 0));
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    if (fchmod(fd, mode) != 0) { /* whatever the umask was when it was made */
        enum err err = err_from_errno(errno);
        (void)close(fd);
        return err;
    }
    *out = fd;
    return ERR_OK;
}

static enum err role_directory_fd(struct process_spawner *p, enum role role, int *out) {
    switch (confine_policies[role].root) {
    case CONFINE_DIR_DATA:
        return open_owned_dir(p->params.data_fd, role_name(role), process_role_uid(role), 0700, out);
    case CONFINE_DIR_EMPTY:
        return open_owned_dir(p->params.data_fd, DIR_EMPTY, 0, 0755, out);
    default:
        *out = -1;
        return ERR_OK;
    }
}

/* ---- children ---- */

static void pidfd_ready(void *ctx) {
    struct spawned *spawned = ctx;
    struct pollfd poll_fd = {.fd = spawned->pidfd, .events = POLLIN};
    if (poll(&poll_fd, 1, 0) != 1)
        return;
    int status = 0;
    siginfo_t info = {0};
    if (spawned->is_child) {
        if (waitid(P_PIDFD, (id_t)spawned->pidfd, &info, WEXITED) == 0)
            status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    } else { /* the template's, and reaped there; ours when its template has died */
        (void)waitid(P_PIDFD, (id_t)spawned->pidfd, &info, WEXITED | WNOHANG);
    }
    watch_free(spawned->watch);
    (void)close(spawned->pidfd);
    if (spawned->exited)
        spawned->exited(spawned->ctx, status);
    free(spawned);
}

static enum err spawned_new(struct process_spawner *p, pid_t pid, int pidfd, bool is_child, struct spawned **out) {
    struct spawned *spawned = calloc(1, sizeof(*spawned));
    if (!spawned)
        return ERR_NO_MEMORY;
    *spawned = (struct spawned){.spawner = p, .pid = pid, .pidfd = pidfd, .is_child = is_child};
    int flags = fcntl(pidfd, F_GETFL);
    (void)fcntl(pidfd, F_SETFL, flags | O_NONBLOCK);
    enum err err = watch_new(p->params.loop, pidfd, &spawned->watch);
    if (err != ERR_OK) {
        free(spawned);
        return err;
    }
    *out = spawned;
    return ERR_OK;
}

/* In the child between fork and exec: only calls that are safe there. */
static _Noreturn void child_exec(enum role role, enum confine_level level, uid_t uid, const int fds[3]) {
    /* first out of the way of the fixed numbers, then onto them */
    int high[3];
    for (int i = 0; i < 3; i++)
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, 20);
    for (int i = 0; i < 3; i++)
        if (high[i] >= 0 && dup2(high[i], PROCESS_CHANNEL_FD + i) < 0)
            _exit(126);
    (void)close_range(PROCESS_SPOOL_FD + 1, ~0u, 0);
    if (fds[1] < 0)
        (void)close(PROCESS_ROOT_FD);
    if (fds[2] < 0)
        (void)close(PROCESS_SPOOL_FD);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* A terminal's Ctrl-C and a service manager's stop reach the whole group, but the supervisor says when a role ends. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    char level_text[2] = {(char)('0' + (int)level), 0};
    char uid_text[16];
    (void)snprintf(uid_text, sizeof(uid_text), "%u", (unsigned)uid);
    char room[PROCESS_TITLE_ROOM + 1];
    memset(room, ' ', PROCESS_TITLE_ROOM);
    room[PROCESS_TITLE_ROOM] = 0;
    char program[] = "veredus", verb[] = "role", name[32];
    (void)snprintf(name, sizeof(name), "%s", role_name(role));
    char *const argv[] = {program, verb, name, level_text, uid_text, room, NULL};
    char options[] = "ASAN_OPTIONS=detect_leaks=0";
    /* Mailboxes sleep by the thousand: freed pieces are joined and given back instead of kept for the next call. */
    char tunables[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0";
    char *const envp[] = {options, role == ROLE_MAILBOX ? tunables : NULL, NULL};
    (void)execve("/proc/self/exe", argv, envp);
    _exit(127);
}

/* A child that cannot be watched: it has done nothing yet. */
static void child_drop(pid_t pid) {
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static enum err fork_role(struct process_spawner *p, enum role role, int channel_fd, pid_t *pid, int *pidfd) {
    int fds[3] = {channel_fd, -1, -1};
    enum err err = role_directory_fd(p, role, &fds[1]);
    if (err == ERR_OK && role == ROLE_EDGE)
        err = open_owned_dir(p->params.data_fd, DIR_SPOOL, process_role_uid(ROLE_EDGE), 0700, &fds[2]);
    if (err == ERR_OK) {
        *pid = fork();
        if (*pid == 0)
            child_exec(role, p->params.level, process_role_uid(role), fds);
        if (*pid < 0)
            err = err_from_errno(errno);
    }
    if (fds[1] >= 0)
        (void)close(fds[1]);
    if (fds[2] >= 0)
        (void)close(fds[2]);
    if (err != ERR_OK)
        return err;
    *pidfd = pidfd_open(*pid, 0);
    if (*pidfd >= 0)
        return ERR_OK;
    err = err_from_errno(errno);
    child_drop(*pid);
    return err;
}

static enum err fork_template(void *ctx, int socket_fd, pid_t *pid, int *pidfd) {
    return fork_role(ctx, ROLE_MAILBOX, socket_fd, pid, pidfd);
}

static enum err start_mailbox(struct process_spawner *p, const struct spawn_request *request, int channel_fd,
                              pid_t *pid, int *pidfd) {
    int accounts_fd, account_fd;
    char name[ACCOUNT_DIRECTORY_NAME_SIZE];
    account_directory_name(request->account, name);
    uid_t uid = process_account_uid(p->params.config, request->account);
    TRY(open_owned_dir(p->params.data_fd, DIR_ACCOUNTS, 0, 0711, &accounts_fd));
    enum err err = open_owned_dir(accounts_fd, name, uid, 0700, &account_fd);
    (void)close(accounts_fd);
    if (err != ERR_OK)
        return err;
    err = template_fork(p->template, request->title, uid, channel_fd, account_fd, pid, pidfd);
    (void)close(account_fd);
    return err;
}

static enum err spawner_start(struct spawner *spawner, const struct spawn_request *request, struct channel **channel,
                              struct spawned **out) {
    struct process_spawner *p = (struct process_spawner *)spawner;
    int fds[2];
    TRY(channel_socketpair(fds));
    pid_t pid;
    int pidfd;
    bool is_mailbox = request->role == ROLE_MAILBOX;
    enum err err = is_mailbox ? start_mailbox(p, request, fds[1], &pid, &pidfd)
                              : fork_role(p, request->role, fds[1], &pid, &pidfd);
    (void)close(fds[1]);
    if (err != ERR_OK) {
        (void)close(fds[0]);
        return err;
    }
    err = spawned_new(p, pid, pidfd, !is_mailbox, out);
    if (err != ERR_OK) {
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        if (!is_mailbox) /* the template reaps its own */
            child_drop(pid);
        (void)close(pidfd);
        (void)close(fds[0]);
        return err;
    }
    (*out)->is_mailbox = is_mailbox;
    return channel_new_fd(p->params.loop, fds[0], channel); /* on an error the slot kills what was spawned */
}

static void spawner_kill(struct spawner *spawner, struct spawned *spawned) {
    (void)spawner;
    (void)pidfd_send_signal(spawned->pidfd, SIGKILL, NULL, 0);
}

static void spawner_on_exit(struct spawner *spawner, struct spawned *spawned, void (*exited)(void *ctx, int status),
                            void *ctx) {
    (void)spawner;
    spawned->exited = exited;
    spawned->ctx = ctx;
    watch_on_ready(spawned->watch, pidfd_ready, spawned);
}

static void spawner_mailbox_crashed(struct spawner *spawner) {
    template_renew(((struct process_spawner *)spawner)->template);
}

static enum err spawner_pair(struct spawner *spawner, struct channel **a, struct channel **b) {
    struct process_spawner *p = (struct process_spawner *)spawner;
    int fds[2];
    TRY(channel_socketpair(fds));
    enum err err = channel_new_fd(p->params.loop, fds[0], a);
    if (err != ERR_OK) {
        (void)close(fds[1]);
        return err;
    }
    err = channel_new_fd(p->params.loop, fds[1], b);
    if (err != ERR_OK)
        channel_free(*a);
    return err;
}

static enum err spawner_listener(struct spawner *spawner, size_t index, uint32_t edge, struct listener **out) {
    (void)edge; /* all edges accept from the same sockets */
    struct process_spawner *p = (struct process_spawner *)spawner;
    int fd = fcntl(p->params.listener_fds[index], F_DUPFD_CLOEXEC, 10);
    if (fd < 0)
        return err_from_errno(errno);
    return listener_new_fd(p->params.loop, fd, out);
}

enum err process_spawner_new(const struct process_spawner_params *params, struct process_spawner **out,
                             struct buf *why) {
    struct process_spawner *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NO_MEMORY;
    p->spawner = (struct spawner){spawner_start,           spawner_kill, spawner_on_exit,
                                  spawner_mailbox_crashed, spawner_pair, spawner_listener};
    p->params = *params;
    enum err err = template_client_new(params->loop, fork_template, p, &p->template);
    if (err != ERR_OK) {
        buf_printf(why, "the mailbox template cannot be started (%s)", err_name(err));
        free(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

struct spawner *process_spawner_interface(struct process_spawner *p) {
    return &p->spawner;
}

void process_spawner_free(struct process_spawner *p) {
    if (!p)
        return;
    template_client_free(p->template);
    free(p);
}
