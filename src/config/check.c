/* What only the machine can tell about a configuration, and values that contradict each other. */
#include "config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_PATH_MAX 4096
#define CHECK_UID_ROLES 1986000000u  /* users of the roles themselves (roles/process.c), */
#define CHECK_UID_ROLES_SMALL 61200u /* and where a user namespace is small */
#define CHECK_UID_ROLES_N 16u

struct check {
    const struct config *config;
    struct buf *problems;
    unsigned failed;
};

__attribute__((format(printf, 4, 5))) static void problem_at(struct check *check, struct view file, uint32_t line,
                                                             const char *format, ...) {
    char text[1000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!line)
        file = check->config->file;
    buf_printf(check->problems, "%.*s:%u: %s\n", VIEW_FMT(file), line, text);
    check->failed++;
}
#define PROBLEM(check, option, ...) \
    problem_at((check), (check)->config->places[(option)].file, (check)->config->places[(option)].line, __VA_ARGS__)

static void check_readable(struct check *check, struct view name, enum config_option option, const char *what) {
    if (!name.n)
        return;
    char path[CHECK_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s", VIEW_FMT(name));
    struct stat st;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        PROBLEM(check, option, "cannot read the %s %s: %s. Correct the path, or let this user read it.", what, path,
                strerror(errno));
    else if (!S_ISREG(st.st_mode))
        PROBLEM(check, option, "the %s %s is not a file. Correct the path.", what, path);
}

static void check_data_dir(struct check *check) {
    char path[CHECK_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s", VIEW_FMT(check->config->data_dir));
    struct stat st;
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            PROBLEM(check, CONFIG_DATA_DIR, "data_dir %s is not a directory. Name another.", path);
        else if (access(path, W_OK | X_OK) != 0)
            PROBLEM(check, CONFIG_DATA_DIR, "cannot write in data_dir %s: %s. Give it to this user, or name another.",
                    path, strerror(errno));
        return;
    }
    ssize_t slash = view_rfind_byte(check->config->data_dir, '/');
    char parent[CHECK_PATH_MAX];
    (void)snprintf(parent, sizeof(parent), "%.*s",
                   VIEW_FMT(view_sub(check->config->data_dir, 0, (size_t)MAX(slash, 1))));
    if (stat(parent, &st) != 0 || !S_ISDIR(st.st_mode) || access(parent, W_OK | X_OK) != 0)
        PROBLEM(check, CONFIG_DATA_DIR,
                "data_dir %s is not there and cannot be made. Make it, and give it to this user.", path);
}

static bool is_any(const struct netaddr *a) {
    static const uint8_t none[16];
    return view_eq(view_of(a->ip, a->family == 4 ? 4 : 16), view_of(none, a->family == 4 ? 4 : 16));
}

static void check_listeners(struct check *check) {
    const struct config *c = check->config;
    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].plain_login && !c->listeners[i].implicit_tls &&
            (is_any(&c->listeners[i].address) || !netaddr_is_private(&c->listeners[i].address)))
            problem_at(check, c->listeners[i].file, c->listeners[i].line,
                       "plain_login takes passwords that anybody on the way can read. Use it on a loopback or private "
                       "address, behind a proxy that speaks TLS, or remove it.");
    for (size_t i = 0; i < c->listeners_n; i++)
        for (size_t j = 0; j < i; j++) {
            const struct config_listener *later = &c->listeners[i], *earlier = &c->listeners[j];
            if (later->address.port != earlier->address.port || later->address.family != earlier->address.family)
                continue;
            if (!netaddr_ip_eq(&later->address, &earlier->address) && !is_any(&later->address) &&
                !is_any(&earlier->address))
                continue;
            problem_at(check, later->file, later->line,
                       "port %u is used by the listener in line %u already. Give each its own.", later->address.port,
                       earlier->line);
            break;
        }
}

static void check_users(struct check *check) {
    const struct config *c = check->config;
    if ((c->account_uid_first == 0) != (c->account_uids == 0)) {
        enum config_option there = c->account_uid_first ? CONFIG_ACCOUNT_UID_FIRST : CONFIG_ACCOUNT_UIDS;
        PROBLEM(check, there, "users has %s without %s. Set both, or none.",
                c->account_uid_first ? "account_first" : "accounts",
                c->account_uid_first ? "accounts" : "account_first");
        return;
    }
    uint64_t first = c->account_uid_first, end = first + c->account_uids;
    if (first == 0)
        return;
    if (end > UINT32_MAX - 1)
        PROBLEM(check, CONFIG_ACCOUNT_UIDS,
                "the range of user ids ends above %u. Use a lower account_first or fewer accounts.", UINT32_MAX - 2);
    static const uint32_t taken[] = {CHECK_UID_ROLES, CHECK_UID_ROLES_SMALL};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (first < taken[i] + CHECK_UID_ROLES_N && end > taken[i])
            PROBLEM(check, CONFIG_ACCOUNT_UID_FIRST,
                    "the range of user ids holds %u to %u, which the server's own processes use. Choose another "
                    "account_first.",
                    taken[i], taken[i] + CHECK_UID_ROLES_N - 1);
}

static void check_limits(struct check *check) {
    const struct config *c = check->config;
    if (c->spool_budget < c->message_size_max)
        PROBLEM(check, CONFIG_SPOOL,
                "spool is smaller than message_size: a message that large would never be taken. Raise spool or lower "
                "message_size.");
    if (c->quota_octets && c->quota_octets < c->message_size_max)
        PROBLEM(check, CONFIG_QUOTA,
                "quota is smaller than message_size: a message that large would never fit. Raise quota or lower "
                "message_size.");
    if (c->connections_per_network > c->connections_max)
        PROBLEM(check, CONFIG_CONNECTIONS_PER_NETWORK, "connections_per_network is more than connections. Lower it.");
    if (c->queue_retry_us > c->queue_lifetime_us)
        PROBLEM(check, CONFIG_QUEUE_RETRY,
                "retry is longer than lifetime: mail would be returned before its second attempt. Lower retry.");
    if (!c->relay && c->places[CONFIG_RELAY_PORT].line)
        PROBLEM(check, CONFIG_RELAY_PORT, "port is set, but relay is false and nothing leaves. Remove one of the two.");
}

enum err config_check(const struct config *config, struct buf *problems) {
    struct check check = {.config = config, .problems = problems};
    bool certificate = config->tls_certificate_file.n, key = config->tls_key_file.n;
    if (certificate != key)
        PROBLEM(&check, certificate ? CONFIG_TLS_CERTIFICATE : CONFIG_TLS_KEY,
                "tls has a %s without a %s. Set both, or none.", certificate ? "certificate" : "key",
                certificate ? "key" : "certificate");
    check_readable(&check, config->tls_certificate_file, CONFIG_TLS_CERTIFICATE, "certificate");
    check_readable(&check, config->tls_key_file, CONFIG_TLS_KEY, "private key");
    check_readable(&check, config->trust_anchor_file, CONFIG_TRUST_ANCHOR, "trust anchor");
    check_data_dir(&check);
    check_listeners(&check);
    check_users(&check);
    check_limits(&check);
    TRY(buf_err(problems));
    return check.failed ? ERR_SYNTAX : ERR_OK;
}
