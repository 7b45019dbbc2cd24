/* `veredus serve`: what the supervisor's process does around the supervisor. */
#include "roles/serve.h"

#include "loop/signal.h"
#include "roles/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVE_FILE_MAX (64 * 1024)  /* octets of a certificate, key or trust anchor file */
#define SERVE_DESCRIPTORS_LEAST 256 /* below this not even one of each role can live */
#define SERVE_CONTROL_WAITING 16    /* control connections in the kernel's queue */

struct serve {
    const struct serve_params *params;
    const struct config *config;
    struct loop *loop;
    struct log_sink_fd sink;
    struct log log;
    int data_fd;
    int listeners[CONFIG_LISTENERS_MAX];
    size_t listeners_n;
    int control_fd, lock_fd;
    struct buf certificate, key, anchor;
    struct process_spawner *spawner;
    struct supervisor *supervisor;
    struct watch *control_watch;
    struct waitq stop;
    bool stopping;
    int status;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("veredus: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

static const char *path_of(struct view v, char *room, size_t size) {
    (void)snprintf(room, size, "%.*s", VIEW_FMT(v));
    return room;
}

/* ---- what must be there before any role starts ---- */

static enum err open_data_dir(struct serve *s) {
    char path[4096];
    path_of(s->config->data_dir, path, sizeof(path));
    bool is_new = mkdir(path, 0711) == 0;
    if (!is_new && errno != EEXIST) {
        say("cannot make the data directory %s: %s. Choose another with --dir, or make it and give it to this user.",
            path, strerror(errno));
        return ERR_IO;
    }
    s->data_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->data_fd < 0) {
        say("cannot open the data directory %s: %s. Check that it is a directory this user may enter.", path,
            strerror(errno));
        return ERR_IO;
    }
    /* Roles with users of their own must pass through, and nobody may list. An ordinary user's directory stays as it is: there are no other users,
     * and who made it read-only meant it. */
    struct stat st;
    if (is_new || geteuid() == 0)
        (void)(fstat(s->data_fd, &st) == 0 && fchmod(s->data_fd, ((st.st_mode & 07777) | 0111) & ~(mode_t)066) == 0);
    s->lock_fd = openat(s->data_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (s->lock_fd < 0) {
        say("cannot write in the data directory %s: %s. Give it to this user, or choose another with --dir.", path,
            strerror(errno));
        return ERR_IO;
    }
    if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) != 0) {
        say("another veredus runs on the data directory %s. Stop it first, or choose another directory with --dir.",
            path);
        return ERR_AGAIN;
    }
    return ERR_OK;
}

static enum err read_file(struct view name, const char *what, struct buf *out) {
    if (name.n == 0)
        return ERR_OK;
    char path[4096];
    path_of(name, path, sizeof(path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say("cannot read the %s %s: %s. Correct the path in the configuration, or remove the line.", what, path,
            strerror(errno));
        return ERR_IO;
    }
    ssize_t got = 1;
    while (got > 0) {
        uint8_t *room = buf_room(out, 4096);
        if (!room)
            break;
        got = read(fd, room, 4096);
        if (got > 0)
            buf_added(out, (size_t)got);
    }
    (void)close(fd);
    if (got != 0) {
        say("cannot read the %s %s: it is larger than %d octets or unreadable.", what, path, SERVE_FILE_MAX);
        return ERR_IO;
    }
    return ERR_OK;
}

static enum err open_listeners(struct serve *s) {
    for (size_t i = 0; i < s->config->listeners_n; i++) {
        const struct config_listener *l = &s->config->listeners[i];
        int fd = net_listen_fd(&l->address);
        if (fd < 0) {
            struct buf where;
            buf_init(&where, 100);
            buf_put_netaddr(&where, &l->address);
            const char *remedy =
                fd == -EADDRINUSE
                    ? "Another program has this port: stop it, or choose another port (localserve: --port-offset)."
                : fd == -EACCES ? "Ports below 1024 need root (or CAP_NET_BIND_SERVICE)."
                                : "Check the address in the configuration.";
            say("cannot listen on %.*s: %s. %s", VIEW_FMT(buf_view(&where)), strerror(-fd), remedy);
            buf_fini(&where);
            return ERR_IO;
        }
        s->listeners[s->listeners_n++] = fd;
    }
    return ERR_OK;
}

/* The socket is made through the directory's descriptor, so the path's length does not matter. */
static enum err open_control(struct serve *s) {
    s->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->control_fd < 0)
        return err_from_errno(errno);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SERVE_CONTROL_SOCKET, s->data_fd);
    (void)unlinkat(s->data_fd, SERVE_CONTROL_SOCKET, 0); /* the lock says that nobody listens there */
    mode_t before = umask(0177);
    int bound = bind(s->control_fd, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(before);
    if (bound != 0 || listen(s->control_fd, SERVE_CONTROL_WAITING) != 0) {
        say("cannot make the control socket in the data directory: %s.", strerror(errno));
        return ERR_IO;
    }
    return ERR_OK;
}

static enum err raise_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_from_errno(errno);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < SERVE_DESCRIPTORS_LEAST) {
        say("only %llu descriptors may be open, at least %d are needed. Raise the limit: ulimit -n 4096 (or "
            "LimitNOFILE= in the unit).",
            (unsigned long long)limit.rlim_cur, SERVE_DESCRIPTORS_LEAST);
        return ERR_LIMIT;
    }
    return ERR_OK;
}

/* ---- while it runs ---- */

static void control_ready(void *ctx) {
    struct serve *s = ctx;
    for (;;) {
        int fd = accept4(s->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct ucred peer = {0};
        socklen_t length = sizeof(peer);
        struct stream *stream;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || (peer.uid != 0 && peer.uid != geteuid())) {
            (void)close(fd);
            continue;
        }
        if (stream_new_socket(s->loop, fd, &stream) == ERR_OK)
            supervisor_control(s->supervisor, stream, peer.uid, (uint32_t)peer.pid);
    }
}

static void serve_stop(struct serve *s) {
    s->stopping = true;
    waitq_wake_all(&s->stop);
}

static void on_signal(void *ctx, int signal_number) {
    struct serve *s = ctx;
    if (signal_number == SIGTERM || signal_number == SIGINT)
        serve_stop(s);
}

static void serve_body(void *arg) {
    struct serve *s = arg;
    struct buf why;
    buf_init(&why, 1000);
    enum err err = supervisor_start(s->supervisor, &why);
    if (err == ERR_OK) {
        s->params->ready(s->params->ctx);
        while (!s->stopping)
            (void)!waitq_wait(&s->stop, US_NEVER);
    } else {
        say("cannot start: %.*s.", VIEW_FMT(buf_view(&why)));
        s->status = 1;
    }
    buf_fini(&why);
    supervisor_stop(s->supervisor, SERVE_GRACE_US);
    supervisor_free(s->supervisor);
    s->supervisor = NULL;
    loop_stop(s->loop);
}

/* Everything that needs opening is open. The supervisor stays root where it was, with the capabilities it uses, and a wide filter that its
 * children's own ones narrow. */
static enum err confine_supervisor(struct serve *s, enum confine_level level) {
    int keep[CONFIG_LISTENERS_MAX + 3];
    size_t n = 0;
    for (size_t i = 0; i < s->listeners_n; i++)
        keep[n++] = s->listeners[i];
    keep[n++] = s->data_fd;
    keep[n++] = s->lock_fd;
    keep[n++] = s->control_fd;
    struct confine_dir data = {.fd = s->data_fd, .write = true};
    struct confine_params params = {.level = level,
                                    .root_fd = -1,
                                    .spool_fd = -1,
                                    .keep = keep,
                                    .keep_n = n,
                                    .dirs = &data,
                                    .dirs_n = 1,
                                    .uid = geteuid(),
                                    .gid = getegid()};
    struct buf why;
    buf_init(&why, 1000);
    enum err err = confine_apply(ROLE_SUPERVISOR, &params, &why);
    if (err != ERR_OK)
        say("the supervisor cannot be confined: %.*s.", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    return err;
}

static enum err serve_start(struct serve *s) {
    enum confine_level level = confine_level_detect();
    TRY(confine_supervisor(s, level));
    s->loop = loop_new(&s->log);
    if (!s->loop)
        return ERR_NO_MEMORY;
    struct buf why;
    buf_init(&why, 1000);
    struct process_spawner_params spawner = {
        .loop = s->loop,
        .log = &s->log,
        .config = s->config,
        .listener_fds = s->listeners,
        .data_fd = s->data_fd,
        .level = level,
    };
    enum err err = process_spawner_new(&spawner, &s->spawner, &why);
    if (err != ERR_OK)
        say("cannot start: %.*s.", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    if (err != ERR_OK)
        return err;
    struct supervisor_params params = {
        .loop = s->loop,
        .random = random_system(),
        .log = &s->log,
        .config = s->config,
        .spawner = process_spawner_interface(s->spawner),
        .certificate_pem = buf_view(&s->certificate),
        .key_pem = buf_view(&s->key),
        .trust_anchor = buf_view(&s->anchor),
        .seeds = s->params->seeds,
        .seeds_n = s->params->seeds_n,
    };
    TRY(supervisor_new(&params, &s->supervisor));
    TRY(watch_new(s->loop, s->control_fd, &s->control_watch));
    watch_on_ready(s->control_watch, control_ready, s);
    return co_spawn(s->loop, NULL, "serve", serve_body, s, NULL);
}

int serve_run(const struct serve_params *params) {
    struct serve s = {.params = params, .config = params->config, .data_fd = -1, .control_fd = -1, .lock_fd = -1};
    log_sink_fd_init(&s.sink, STDERR_FILENO, (enum log_level)params->config->log_level);
    log_init(&s.log, &s.sink.sink, clock_system());
    buf_init(&s.certificate, SERVE_FILE_MAX);
    buf_init_secret(&s.key, SERVE_FILE_MAX);
    buf_init(&s.anchor, SERVE_FILE_MAX);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* mailboxes whose template died are ours to reap */
    title_set(params->title, VIEW("supervisor"));
    struct signals *signals = NULL;
    enum err err = raise_limits();
    if (err == ERR_OK)
        err = open_data_dir(&s);
    if (err == ERR_OK)
        err = read_file(s.config->tls_certificate_file, "certificate", &s.certificate);
    if (err == ERR_OK)
        err = read_file(s.config->tls_key_file, "private key", &s.key);
    if (err == ERR_OK)
        err = read_file(s.config->trust_anchor_file, "trust anchor", &s.anchor);
    if (err == ERR_OK)
        err = open_listeners(&s);
    if (err == ERR_OK)
        err = open_control(&s);
    if (err == ERR_OK)
        err = serve_start(&s);
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    if (err == ERR_OK)
        err = signals_new(s.loop, &mask, on_signal, &s, &signals);
    if (err == ERR_OK)
        loop_run(s.loop);
    else
        s.status = 1;
    if (signals)
        signals_free(signals);
    if (s.control_watch)
        watch_free(s.control_watch);
    process_spawner_free(s.spawner);
    if (s.loop && err == ERR_OK)
        loop_free(s.loop);
    for (size_t i = 0; i < s.listeners_n; i++)
        (void)close(s.listeners[i]);
    if (s.control_fd >= 0)
        (void)unlinkat(s.data_fd, SERVE_CONTROL_SOCKET, 0), (void)close(s.control_fd);
    if (s.lock_fd >= 0)
        (void)close(s.lock_fd);
    if (s.data_fd >= 0)
        (void)close(s.data_fd);
    buf_fini(&s.certificate);
    buf_fini(&s.key);
    buf_fini(&s.anchor);
    return s.status;
}
