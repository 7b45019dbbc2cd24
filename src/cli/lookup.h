/*
 * DNS for commands: a resolver inside the process (roles/unbound.h, the same
 * engine that the resolver role has) behind the interface that protocol
 * folders take. --dns IP:PORT sends all questions to that server;
 * --trust-anchor FILE validates from that file instead of the root's keys.
 */
#ifndef CLI_LOOKUP_H
#define CLI_LOOKUP_H

#include "cli/cli.h"
#include "dns/client.h"
#include "loop/loop.h"

/* For a command's options in commands.c. */
#define OPTION_DNS \
    { "--dns", "IP:PORT", "ask this server instead of resolving from the root", false }
#define OPTION_TRUST_ANCHOR \
    { "--trust-anchor", "FILE", "DNSSEC trust anchor (DS or DNSKEY records) instead of the root's", false }

/* What a command's body gets. It runs as a coroutine of `loop`, and may suspend. */
struct lookup {
    const struct invocation *in;
    struct dns_client *dns;
    struct loop *loop;
    struct clock *clock;
};
/* Sets up the resolver as the options say, runs body and returns what it returns. Complains and returns CLI_USAGE or
 * CLI_FAILED when that cannot be done. */
int lookup_run(const struct invocation *in, int (*body)(struct lookup *lookup, void *ctx), void *ctx);

/* "secure", "insecure", "bogus" */
const char *lookup_security_name(enum dns_security security);

#endif
