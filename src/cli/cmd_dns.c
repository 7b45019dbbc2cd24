/* `veredus dns lookup`: what our resolver says, and whether DNSSEC vouches for it. */
#include "base/log.h"
#include "cli/lookup.h"
#include "dns/idna.h"
#include "dns/reverse.h"
#include "dns/text.h"

#define LINE_MAX (256 * 1024) /* of one record: 65535 octets, each escaped */

static void print_records(const struct dns_answer *answer, struct view name, uint16_t type, struct buf *line) {
    if (!view_eq(answer->canonical, name))
        (void)printf("%.*s. is an alias of %.*s.\n", VIEW_FMT(name), VIEW_FMT(answer->canonical));
    for (uint32_t i = 0; i < answer->data_n; i++) {
        buf_clear(line);
        buf_put_dns_rdata(line, type, answer->data[i].data);
        (void)printf("%.*s. %u IN %s %.*s\n", VIEW_FMT(answer->canonical), answer->ttl, dns_type_name(type),
                     VIEW_FMT(buf_view(line)));
    }
}

static int print_answer(const struct dns_answer *answer, struct view name, uint16_t type, struct buf *line) {
    const char *type_name = dns_type_name(type);
    if (answer->security == DNS_BOGUS) {
        buf_put_escaped(line, answer->why_bogus, answer->why_bogus.n);
        (void)printf("bogus\nDNSSEC does not hold, so the answer is not used: %.*s\n", VIEW_FMT(buf_view(line)));
        return CLI_FAILED;
    }
    if (answer->status == DNS_TEMPORARY) {
        (void)printf("temperror\nNo usable answer: no server replied in time, or what replied was an error.\n");
        return CLI_FAILED;
    }
    (void)printf("%s\n", lookup_security_name((enum dns_security)answer->security));
    if (answer->status == DNS_NXDOMAIN)
        (void)printf("nxdomain: there is no name %.*s.\n", VIEW_FMT(name));
    else if (answer->status == DNS_NODATA)
        (void)printf("nodata: %.*s. is there, with no %s record.\n", VIEW_FMT(name), type_name);
    else
        print_records(answer, name, type, line);
    return answer->status == DNS_OK ? CLI_OK : CLI_FAILED;
}

/* A name, or for PTR an address that one is made of. */
static enum err read_name(const struct invocation *in, uint16_t type, struct view *out) {
    struct view text = view_cstr(in->positional[1]);
    struct netaddr ip;
    if (type != DNS_PTR || netaddr_parse(text, 0, &ip) != ERR_OK)
        return dns_idna_to_ascii(text, in->arena, out);
    struct buf reverse;
    buf_init(&reverse, 256);
    buf_put_reverse_name(&reverse, &ip);
    enum err err = arena_view(in->arena, buf_view(&reverse), out);
    buf_fini(&reverse);
    return err;
}

static int look_up(struct lookup *lookup, void *ctx) {
    (void)ctx;
    const struct invocation *in = lookup->in;
    uint16_t type;
    struct view name;
    if (!dns_type_from_name(view_cstr(in->positional[0]), &type))
        return cli_usage(in,
                         "\"%s\" is no type of record that mail uses. Try A, AAAA, MX, TXT, PTR, NS, CNAME, SOA, "
                         "SRV, TLSA or CAA.",
                         in->positional[0]);
    if (read_name(in, type, &name) != ERR_OK)
        return cli_usage(in, "\"%s\" is not a domain name.", in->positional[1]);
    struct dns_answer answer;
    enum err err = dns_lookup(lookup->dns, name, type, in->arena, &answer);
    if (err != ERR_OK) {
        cli_say("the question could not be asked (%s).", err_name(err));
        return CLI_FAILED;
    }
    struct buf line;
    buf_init(&line, LINE_MAX);
    int status = print_answer(&answer, name, type, &line);
    buf_fini(&line);
    return status;
}

int cmd_dns_lookup(const struct invocation *in) {
    return lookup_run(in, look_up, NULL);
}
