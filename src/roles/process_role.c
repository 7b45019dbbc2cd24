/* Roles as processes: what a started process does before, while and after it is a role. */
#include "roles/process.h"

#include "roles/template.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define ROLE_MMAP_THRESHOLD (32 * 1024) /* octets */
#define ROLE_TRIM_THRESHOLD (64 * 1024)
#define ROLE_TOP_PAD (16 * 1024)
#define ROLE_HOLES_MAX 200000 /* far more than prepare() leaves */

/* One role in this process. */
struct role_process {
    const struct role_def *def;
    enum confine_level level;
    const struct title *title;
    struct log_sink_fd sink;
    struct role_env env;
    struct channel *supervisor;
    struct confine_filter *filter; /* of a mailbox, compiled once by the template */
};

static void complain(const char *role, const char *what, struct view why) {
    char line[1200];
    int n = snprintf(line, sizeof(line), "veredus: %s: %s: %.*s\n", role, what, VIEW_FMT(why));
    if (n > 0)
        (void)!write(STDERR_FILENO, line, MIN((size_t)n, sizeof(line) - 1));
}

void process_confine_params(enum role role, enum confine_level level, uid_t uid, struct confine_params *out, int *keep,
                            size_t keep_room) {
    (void)keep_room;
    *out = (struct confine_params){
        .level = level, .uid = uid, .gid = (gid_t)uid, .root_fd = -1, .spool_fd = -1, .keep = keep};
    keep[out->keep_n++] = PROCESS_CHANNEL_FD;
    if (confine_policies[role].root != CONFINE_DIR_NONE)
        out->root_fd = PROCESS_ROOT_FD;
    if (confine_policies[role].root == CONFINE_DIR_DATA || confine_policies[role].root == CONFINE_DIR_ACCOUNT)
        keep[out->keep_n++] = PROCESS_ROOT_FD; /* its files are reached through it; an empty directory is only a root */
    if (role == ROLE_EDGE)
        out->spool_fd = PROCESS_SPOOL_FD;
}

static void role_body(void *arg) {
    struct role_process *process = arg;
    role_run(process->def, &process->env, process->supervisor);
    loop_stop(process->env.loop);
}

/* The loop and all that stands on it: after the last fork and the ritual. */
static int role_live(struct role_process *process) {
    struct role_env *env = &process->env;
    env->loop = loop_new(&env->log);
    if (!env->loop) {
        complain(role_name(env->role), "no event loop", VIEW("too few descriptors; raise the limit (ulimit -n)"));
        return 1;
    }
    if (confine_policies[env->role].needs & (ACT_SOCKET_TCP | ACT_CONNECT))
        env->net = net_new(env->loop);
    int disk_fd = env->role == ROLE_EDGE                                  ? PROCESS_SPOOL_FD
                  : confine_policies[env->role].root == CONFINE_DIR_EMPTY ? -1
                                                                          : PROCESS_ROOT_FD;
    if (disk_fd >= 0 && fcntl(disk_fd, F_GETFD) >= 0)
        env->disk = disk_new_fd(disk_fd);
    enum err err = channel_new_fd(env->loop, PROCESS_CHANNEL_FD, &process->supervisor);
    if (err == ERR_OK)
        err = co_spawn(env->loop, NULL, role_name(env->role), role_body, process, NULL);
    if (err != ERR_OK) {
        complain(role_name(env->role), "cannot start", view_cstr(err_name(err)));
        return 1;
    }
    loop_run(env->loop);
    const char *longest = "-";
    int64_t longest_us = loop_longest_turn_us(env->loop, &longest);
    log_event(&env->log, LOG_DEBUG, "loop.longest", LF_I64("us", longest_us), LF_TEXT("co", longest));
    if (process->def->unprepare)
        process->def->unprepare(env);
    if (env->disk)
        disk_free(env->disk);
    if (env->net)
        net_free(env->net);
    loop_free(env->loop);
    return 0;
}

static bool role_confine(struct role_process *process, uid_t uid, bool is_template) {
    struct confine_params params;
    int keep[CONFINE_KEEP_MAX];
    process_confine_params(process->env.role, process->level, uid, &params, keep, ARRAY_LEN(keep));
    if (is_template) {
        params.is_template = true;
        params.root_fd = -1;
        params.keep_n = 1;
    }
    struct buf why;
    buf_init(&why, 1000);
    enum err err = is_template ? confine_filter_new(ROLE_MAILBOX, &process->filter, &why) : ERR_OK;
    params.filter = is_template ? NULL : process->filter;
    if (err == ERR_OK)
        err = confine_apply(process->env.role, &params, &why);
    if (err != ERR_OK)
        complain(role_name(process->env.role), "cannot be confined", buf_view(&why));
    buf_fini(&why);
    return err == ERR_OK;
}

/* A mailbox's child of the template: its own account, nothing else. */
static void mailbox_child(void *ctx, struct view title, uid_t uid, int channel_fd, int account_fd) {
    struct role_process *process = ctx;
    int high_channel = fcntl(channel_fd, F_DUPFD, 20), high_account = fcntl(account_fd, F_DUPFD, 20);
    if (high_channel < 0 || high_account < 0 || dup2(high_channel, PROCESS_CHANNEL_FD) < 0 ||
        dup2(high_account, PROCESS_ROOT_FD) < 0)
        _exit(1);
    (void)fcntl(PROCESS_CHANNEL_FD, F_SETFL, O_NONBLOCK);
    title_set(process->title, title);
    if (!role_confine(process, uid, false))
        _exit(1);
    exit(role_live(process));
}

/* Fills the holes that prepare() left in the heap, for good: what a mailbox allocates then stands together on pages of its own
 * instead of on hundreds of shared ones. */
static void fill_holes(void) {
    (void)malloc_trim(0);
    const uint8_t *top = sbrk(0);
    size_t left = ROLE_HOLES_MAX;
    for (size_t size = ROLE_MMAP_THRESHOLD / 2; size >= 24; size = size > 1024 ? size - 512 : size - 16) {
        uint8_t *p = NULL;
        while (left > 0 && left-- && (p = malloc(size)) && p < top - 2 * size)
            __asm__ volatile("" : : "r"(p) : "memory"); /* kept: the compiler must not undo it */
        free(p);
    }
}

int process_role_main(int argc, char **argv, const struct title *title) {
    enum role role;
    uint32_t level, uid;
    if (argc < 3 || role_from_name(view_cstr(argv[0]), &role) != ERR_OK ||
        view_to_u32(view_cstr(argv[1]), CONFINE_LEVEL_COUNT - 1, &level) != ERR_OK ||
        view_to_u32(view_cstr(argv[2]), UINT32_MAX, &uid) != ERR_OK || !role_defs[role] ||
        fcntl(PROCESS_CHANNEL_FD, F_GETFD) < 0) {
        (void)fputs(
            "veredus: `role` is how the supervisor starts its processes; run `veredus serve` or `veredus localserve`\n",
            stderr);
        return 2;
    }
    struct role_process *process = calloc(1, sizeof(*process));
    if (!process)
        return 1;
    *process = (struct role_process){.def = role_defs[role], .level = (enum confine_level)level, .title = title};
    log_sink_fd_init(&process->sink, STDERR_FILENO, LOG_INFO);
    log_init(&process->env.log, &process->sink.sink, clock_system());
    log_child(&process->env.log, &process->env.log, LF_TEXT("role", role_name(role)));
    process->env.role = role;
    process->env.random = random_system();
    bool is_template = role == ROLE_MAILBOX;
    title_set(title, is_template ? VIEW("mailbox template") : view_cstr(role_name(role)));
    /* Thousands of these processes may sleep at once: what is freed goes back, large pieces as soon as they are. */
    (void)mallopt(M_MMAP_THRESHOLD, ROLE_MMAP_THRESHOLD);
    (void)mallopt(M_TRIM_THRESHOLD, ROLE_TRIM_THRESHOLD);
    (void)mallopt(M_TOP_PAD, ROLE_TOP_PAD);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for the supervisor, which then asks us */
    /* And read now: certificate dates ask for the zone, when no file can be opened any more. */
    (void)setenv("TZ", "UTC", 1);
    tzset();
    struct buf why;
    buf_init(&why, 1000);
    if (process->def->prepare && process->def->prepare(&process->env, &why) != ERR_OK) {
        complain(role_name(role), "cannot prepare", buf_view(&why));
        return 1;
    }
    buf_fini(&why);
    if (!role_confine(process, (uid_t)uid, is_template))
        return 1;
    if (is_template)
        fill_holes();
    int status = 0;
    if (is_template)
        template_serve(PROCESS_CHANNEL_FD, mailbox_child, process);
    else
        status = role_live(process);
    free(process);
    return status;
}
