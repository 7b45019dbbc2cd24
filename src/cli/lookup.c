/* DNS for commands. */
#include "cli/lookup.h"

#include "cli/place.h"
#include "roles/unbound.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOOKUP_US (10 * US_PER_S) /* for one question: somebody waits at a terminal */
#define ANCHOR_MAX 65536          /* octets of the trust anchor's file */

struct run {
    struct lookup lookup;
    struct dns_client client; /* what lookup.dns points to */
    struct unbound *unbound;
    struct unbound_config config;
    struct log quiet;
    int (*body)(struct lookup *lookup, void *ctx);
    void *ctx;
    int status;
};

static enum err client_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                              struct dns_answer *out) {
    struct run *run = (struct run *)((uint8_t *)client - offsetof(struct run, client));
    return unbound_lookup(run->unbound, name, type, loop_now_us(run->lookup.loop) + LOOKUP_US, arena, out);
}

static enum err read_anchor(const struct invocation *in, const char *file, struct view *out) {
    struct buf text;
    buf_init(&text, ANCHOR_MAX);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0) {
        uint8_t *room = buf_room(&text, 4096);
        got = room ? read(fd, room, MIN((size_t)4096, text.cap - text.n)) : 0;
        if (got > 0)
            buf_added(&text, (size_t)got);
    }
    int failed = errno;
    if (fd >= 0)
        (void)close(fd);
    enum err err = buf_err(&text);
    if (got < 0) {
        cli_say("cannot read the trust anchor %s: %s.", file, strerror(failed));
        err = ERR_IO;
    } else if (err != ERR_OK) {
        cli_say("the trust anchor %s is too large: at most %d octets of DS or DNSKEY records.", file, ANCHOR_MAX);
    } else if (view_trim(buf_view(&text)).n == 0) {
        cli_say("the trust anchor %s is empty: it takes DS or DNSKEY records, one a line.", file);
        err = ERR_SYNTAX;
    } else {
        err = arena_view(in->arena, buf_view(&text), out);
    }
    buf_fini(&text);
    return err;
}

static int read_options(struct run *run) {
    const struct invocation *in = run->lookup.in;
    const char *dns = cli_value(in, "--dns"), *anchor = cli_value(in, "--trust-anchor");
    if (dns && netaddr_parse(view_cstr(dns), 53, &run->config.dns) != ERR_OK)
        return cli_usage(in, "--dns takes IP:PORT, not \"%s\".", dns);
    if (anchor && read_anchor(in, anchor, &run->config.trust_anchor) != ERR_OK)
        return CLI_FAILED;
    return CLI_OK;
}

static void run_body(void *arg) {
    struct run *run = arg;
    run->status = run->body(&run->lookup, run->ctx);
    loop_stop(run->lookup.loop);
}

static enum err run_all(struct run *run, struct buf *why) {
    TRY(unbound_new(why, &run->unbound));
    enum err err = unbound_start(run->unbound, run->lookup.loop, &run->quiet, &run->config, why);
    if (err == ERR_OK)
        err = co_spawn(run->lookup.loop, NULL, "command", run_body, run, NULL);
    if (err == ERR_OK)
        loop_run(run->lookup.loop);
    unbound_stop(run->unbound);
    unbound_free(run->unbound);
    return err;
}

int lookup_run(const struct invocation *in, int (*body)(struct lookup *lookup, void *ctx), void *ctx) {
    struct run run = {.lookup = {.in = in}, .body = body, .ctx = ctx, .status = CLI_FAILED};
    run.client.lookup = client_lookup;
    run.lookup.dns = &run.client;
    int status = read_options(&run);
    if (status != CLI_OK)
        return status;
    run.lookup.loop = loop_new(NULL);
    if (!run.lookup.loop) {
        cli_say("no memory or no descriptors for the resolver.");
        return CLI_FAILED;
    }
    run.lookup.clock = loop_clock(run.lookup.loop);
    struct buf why;
    buf_init(&why, 1000);
    enum err err = run_all(&run, &why);
    if (err != ERR_OK)
        cli_say("the resolver cannot start: %.*s (%s).", VIEW_FMT(buf_view(&why)), err_name(err));
    buf_fini(&why);
    loop_free(run.lookup.loop);
    return run.status;
}

const char *lookup_security_name(enum dns_security security) {
    return security == DNS_SECURE ? "secure" : security == DNS_BOGUS ? "bogus" : "insecure";
}
