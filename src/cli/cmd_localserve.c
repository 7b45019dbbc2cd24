/*
 * `veredus localserve`: a whole mail server on loopback, for a developer's test.
 * Its configuration is made here, in memory.
 */
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/password.h"
#include "cli/place.h"
#include "cli/scratch.h"
#include "base/log.h"
#include "roles/serve.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOCALSERVE_OFFSET 1000              /* added to the standard ports */
#define LOCALSERVE_OFFSET_MAX 64000         /* 993 and 1443 still fit below it */
#define LOCALSERVE_EDGES_MAX 4              /* a test needs no more */
#define LOCALSERVE_RETRY_US (10 * US_PER_S) /* who tests a deferred message does not want to wait half an hour */
#define LOCALSERVE_ADDRESS "user@localhost"
#define LOCALSERVE_PASSWORD "veredus"

struct service {
    const char *name, *hint;
    enum config_protocol protocol;
    uint16_t port;
    bool implicit_tls;
};
static const struct service services[] = {
    {"smtp", "receives, STARTTLS", CONFIG_SMTP, 25, false},
    {"submission", "sends after login, STARTTLS", CONFIG_SUBMISSION, 587, false},
    {"submissions", "sends after login, TLS", CONFIG_SUBMISSION, 465, true},
    {"imap", "STARTTLS", CONFIG_IMAP, 143, false},
    {"imaps", "TLS", CONFIG_IMAP, 993, true},
};

struct localserve {
    struct config config;
    struct seed_account *seeds;
    size_t seeds_n;
    struct view *passwords; /* beside seeds, as they were given: shown to the user */
    uint16_t offset;
    bool is_scratch, has_ipv6;
};

static bool has_ipv6_loopback(void) {
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct sockaddr_in6 any_port = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has = bind(fd, (const struct sockaddr *)&any_port, sizeof(any_port)) == 0;
    (void)close(fd);
    return has;
}

static void add_listeners(struct localserve *l) {
    static const uint8_t ipv4[4] = {127, 0, 0, 1};
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        struct config_listener listener = {.protocol = services[i].protocol, .implicit_tls = services[i].implicit_tls};
        listener.address = (struct netaddr){.family = 4, .port = (uint16_t)(services[i].port + l->offset)};
        memcpy(listener.address.ip, ipv4, sizeof(ipv4));
        l->config.listeners[l->config.listeners_n++] = listener;
        if (!l->has_ipv6)
            continue;
        listener.address = (struct netaddr){.family = 6, .ip = {[15] = 1}, .port = listener.address.port};
        l->config.listeners[l->config.listeners_n++] = listener;
    }
}

static int add_account(const struct invocation *in, struct localserve *l, const char *text) {
    struct view address, password;
    if (!view_split(view_cstr(text), ':', &address, &password) || password.n == 0)
        return cli_usage(in, "--account takes ADDRESS:PASSWORD.");
    struct buf why;
    buf_init(&why, 1000);
    struct seed_account *seed = &l->seeds[l->seeds_n];
    enum err err = names_address(address, in->arena, &seed->address, &why);
    int status = err == ERR_OK ? CLI_OK : cli_usage(in, "--account: %.*s", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    if (status != CLI_OK)
        return status;
    size_t n = 0;
    err = password_verifiers(password, random_system(), in->arena, &seed->verifiers, &n);
    if (err == ERR_OK)
        err = arena_view(in->arena, password, &l->passwords[l->seeds_n]);
    seed->verifiers_n = (uint32_t)n;
    l->seeds_n++;
    return err == ERR_OK ? CLI_OK : CLI_FAILED;
}

static int add_accounts(const struct invocation *in, struct localserve *l) {
    l->seeds = ARENA_ARRAY(in->arena, in->values_n + 1, struct seed_account);
    l->passwords = ARENA_ARRAY(in->arena, in->values_n + 1, struct view);
    if (!l->seeds || !l->passwords)
        return CLI_FAILED;
    for (size_t i = 0; i < in->values_n; i++) {
        if (!view_eq(view_cstr(in->values[i].name), VIEW("--account")))
            continue;
        int status = add_account(in, l, in->values[i].value);
        if (status != CLI_OK)
            return status;
    }
    return l->seeds_n ? CLI_OK : add_account(in, l, LOCALSERVE_ADDRESS ":" LOCALSERVE_PASSWORD);
}

static int read_network_options(const struct invocation *in, struct localserve *l) {
    struct config *c = &l->config;
    const char *dns = cli_value(in, "--dns"), *anchor = cli_value(in, "--trust-anchor");
    if (dns && netaddr_parse(view_cstr(dns), 53, &c->dns) != ERR_OK)
        return cli_usage(in, "--dns takes IP:PORT, not \"%s\".", dns);
    c->relay = dns != NULL; /* without a name server of the test's own, mail must not leave the machine */
    uint64_t port;
    if (!cli_number(in, "--relay-port", 1, 65535, c->relay_port, &port))
        return CLI_USAGE;
    c->relay_port = (uint16_t)port;
    if (anchor && place_absolute(in->arena, anchor, &c->trust_anchor_file) != ERR_OK)
        return CLI_FAILED;
    uint64_t offset;
    if (!cli_number(in, "--port-offset", 0, LOCALSERVE_OFFSET_MAX, LOCALSERVE_OFFSET, &offset))
        return CLI_USAGE;
    l->offset = (uint16_t)offset;
    const char *level = cli_value(in, "--log-level");
    if (level && config_log_level(view_cstr(level), &c->log_level) != ERR_OK)
        return cli_usage(in, "--log-level takes debug, info, warn or error, not \"%s\".", level);
    return CLI_OK;
}

static void show_ready(void *ctx) {
    const struct localserve *l = ctx;
    (void)printf("Veredus " VEREDUS_VERSION
                 " on loopback. The certificate is self-signed; PLAIN and LOGIN need TLS.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        unsigned port = services[i].port + (unsigned)l->offset;
        char v6[32] = "";
        if (l->has_ipv6)
            (void)snprintf(v6, sizeof(v6), "[::1]:%u", port);
        (void)printf("  %-12s 127.0.0.1:%-6u %-12s %s\n", services[i].name, port, v6, services[i].hint);
    }
    (void)printf("\n");
    for (size_t i = 0; i < l->seeds_n; i++)
        (void)printf("  account      %.*s   password %.*s\n", VIEW_FMT(l->seeds[i].address), VIEW_FMT(l->passwords[i]));
    (void)printf("  data         %.*s%s\n", VIEW_FMT(l->config.data_dir),
                 l->is_scratch ? "   (removed at the end; --dir DIR keeps it)" : "");
    if (l->config.relay) {
        struct buf where;
        buf_init(&where, 100);
        buf_put_netaddr(&where, &l->config.dns);
        (void)printf("  other mail   relayed by MX, asking %.*s, to port %u\n", VIEW_FMT(buf_view(&where)),
                     l->config.relay_port);
        buf_fini(&where);
    } else {
        (void)printf("  other mail   refused; --dns IP:PORT relays it by MX\n");
    }
    (void)printf("\nready\n");
    (void)fflush(stdout);
}

int cmd_localserve(const struct invocation *in) {
    struct localserve l = {.has_ipv6 = has_ipv6_loopback()};
    struct config *c = &l.config;
    config_defaults(c);
    c->localserve = true;
    c->throttle_loopback = false;
    c->queue_retry_us = LOCALSERVE_RETRY_US;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->edges = (uint32_t)MIN(MAX(cores, 1L), (long)LOCALSERVE_EDGES_MAX);
    int status = read_network_options(in, &l);
    if (status == CLI_OK)
        status = add_accounts(in, &l);
    if (status != CLI_OK)
        return status;
    add_listeners(&l);
    const char *dir = cli_value(in, "--dir");
    l.is_scratch = !dir;
    if ((dir ? place_absolute(in->arena, dir, &c->data_dir) : scratch_make(in->arena, &c->data_dir)) != ERR_OK)
        return CLI_FAILED;
    struct serve_params params = {
        .config = c, .title = in->title, .seeds = l.seeds, .seeds_n = l.seeds_n, .ready = show_ready, .ctx = &l};
    status = serve_run(&params);
    if (l.is_scratch)
        scratch_remove(in->arena, c->data_dir);
    return status;
}
