/*
 * `veredus confine-test [ROLE]`: for each role the ritual it really goes through
 * (prepare, then confine_apply with the parameters of process_confine_params), in
 * children, and every act tried that the table denies or grants.
 */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/scratch.h"
#include "confine/probe.h"
#include "loop/net.h"
#include "roles/process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFINE_REPORT_MAX (256 * 1024) /* octets of one role's report */
#define CONFINE_LISTENER_FD 6           /* beside the fixed numbers of roles/process.h */
#define CONFINE_HIGH_FD 20              /* where descriptors wait before they take their fixed numbers */

struct ritual {
    struct confine_probe_ritual ritual;
    enum role role;
    enum confine_level level;
    bool is_template;
    uid_t uid;
    const char *dir; /* the role's root directory, and spool below the same scratch directory */
    const char *spool;
};

static bool put_at(int fd, int number) {
    if (fd < 0)
        return false;
    int high = fcntl(fd, F_DUPFD, CONFINE_HIGH_FD);
    bool done = high >= 0 && dup2(high, number) >= 0;
    if (high >= 0)
        (void)close(high);
    return done;
}

/* In the child: the descriptors that a started role finds, as roles/process.c gives them. */
static enum err open_fixed(const struct ritual *r, struct confine_probe_env *env) {
    int pair[2];
    int root = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        spool = open(r->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct netaddr any = {.family = 4, .ip = {127, 0, 0, 1}};
    int listener = net_listen_fd(&any);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return ERR_IO;
    int high_root = fcntl(root, F_DUPFD, CONFINE_HIGH_FD), high_spool = fcntl(spool, F_DUPFD, CONFINE_HIGH_FD),
        high_listener = fcntl(listener, F_DUPFD, CONFINE_HIGH_FD);
    bool good = put_at(pair[0], PROCESS_CHANNEL_FD) && put_at(high_root, PROCESS_ROOT_FD) &&
                put_at(high_spool, PROCESS_SPOOL_FD) && put_at(high_listener, CONFINE_LISTENER_FD);
    good = good && chdir(r->dir) == 0; /* "its own files" of what is not locked in a directory */
    *env = (struct confine_probe_env){.listener_fd = CONFINE_LISTENER_FD, .spool_fd = -1};
    return good ? ERR_OK : ERR_IO;
}

static enum err run_ritual(struct confine_probe_ritual *ritual, struct confine_probe_env *env, struct buf *why) {
    const struct ritual *r = (const struct ritual *)ritual;
    enum err err = open_fixed(r, env);
    if (err != ERR_OK) {
        buf_put_str(why, "the descriptors of the role cannot be made");
        return err;
    }
    struct role_env role = {.role = r->role, .random = random_system()};
    log_init(&role.log, log_sink_null(), clock_system());
    if (role_defs[r->role] && role_defs[r->role]->prepare)
        TRY(role_defs[r->role]->prepare(&role, why));
    struct confine_params params;
    int keep[CONFINE_KEEP_MAX];
    process_confine_params(r->role, r->level, r->uid, &params, keep, ARRAY_LEN(keep));
    if (r->is_template) {
        params.is_template = true;
        params.root_fd = -1;
        params.keep_n = 1;
    }
    keep[params.keep_n++] = CONFINE_LISTENER_FD;
    if (params.spool_fd >= 0)
        env->spool_fd = params.spool_fd;
    /* Every denied act leaves a line on descriptor 2; here they are all asked for. */
    if (!put_at(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO))
        return ERR_IO;
    return confine_apply(r->role, &params, why);
}

static const char *make_dir(struct arena *arena, struct view scratch, const char *name, uid_t uid) {
    struct view path;
    char *dir =
        arena_printf(arena, &path, "%.*s/%s", VIEW_FMT(scratch), name) == ERR_OK ? arena_cstr(arena, path) : NULL;
    if (!dir || mkdir(dir, 0700) != 0 || (uid && chown(dir, uid, (gid_t)uid) != 0))
        return NULL;
    return dir;
}

/* False when it could not be tried, too. */
static bool test_role(struct arena *arena, enum role role, bool is_template, struct buf *table, struct buf *details) {
    struct view scratch;
    if (scratch_make(arena, &scratch) != ERR_OK)
        return false;
    char *top = arena_cstr(arena, scratch);
    struct ritual r = {
        .ritual = {run_ritual}, .role = role, .level = confine_level_detect(), .is_template = is_template};
    r.uid = process_role_uid(role);
    bool owns_root = !is_template && (confine_policies[role].root == CONFINE_DIR_DATA ||
                                      confine_policies[role].root == CONFINE_DIR_ACCOUNT);
    r.dir = make_dir(arena, scratch, "root", owns_root ? r.uid : 0);
    r.spool = make_dir(arena, scratch, "spool", r.uid);
    if (r.dir && !owns_root)
        (void)chmod(r.dir, 0755); /* as the supervisor makes the empty directory */
    unsigned failed = 1;
    struct buf report;
    buf_init(&report, CONFINE_REPORT_MAX);
    struct confine_probe_plan plan = confine_probe_plan_of(role, r.level, is_template);
    enum err err = top && chmod(top, 0711) == 0 && r.dir && r.spool
                       ? confine_probe_all(&plan, &r.ritual, &report, &failed)
                       : ERR_IO;
    bool passed = err == ERR_OK && failed == 0;
    buf_printf(table, "  %-6s %s%s: %u acts at level %s", passed ? "ok" : "FAILED", role_name(role),
               is_template ? " template" : "", confine_probe_count(&plan), confine_level_name(r.level));
    if (err != ERR_OK)
        buf_printf(table, ", not tried (%s)", err_name(err));
    else if (failed)
        buf_printf(table, ", %u not as the table says", failed);
    buf_put_byte(table, '\n');
    for (struct view rest = buf_view(&report), line; rest.n;) {
        (void)view_split(rest, '\n', &line, &rest);
        if (!view_starts(line, VIEW("ok")))
            buf_printf(details, "    %.*s\n", VIEW_FMT(line));
    }
    buf_fini(&report);
    scratch_remove(arena, scratch);
    return passed;
}

int cmd_confine_test(const struct invocation *in) {
    enum role only = ROLE_COUNT;
    if (in->positional_n && (role_from_name(view_cstr(in->positional[0]), &only) != ERR_OK))
        return cli_usage(in, "there is no role \"%s\".", in->positional[0]);
    struct buf table, details;
    buf_init(&table, CONFINE_REPORT_MAX);
    buf_init(&details, CONFINE_REPORT_MAX * ROLE_COUNT);
    bool passed = true;
    unsigned tried = 0;
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        bool exists = role_defs[role] || role == ROLE_SUPERVISOR;
        if (!exists || (only != ROLE_COUNT && only != role))
            continue;
        tried++;
        passed = test_role(in->arena, role, false, &table, &details) && passed;
        if (role == ROLE_MAILBOX)
            passed = test_role(in->arena, role, true, &table, &details) && passed;
    }
    if (!tried) {
        cli_say("the role %s does not exist in this version.", in->positional[0]);
        passed = false;
    }
    (void)printf("%s\n%.*s%.*s", passed ? "pass" : "fail", VIEW_FMT(buf_view(&table)), VIEW_FMT(buf_view(&details)));
    buf_fini(&table);
    buf_fini(&details);
    return passed ? CLI_OK : CLI_FAILED;
}
