/* libunbound as our resolver. */
#include "roles/unbound.h"

#include "dns/name.h"
#include "dns/packet.h"
#include "roles/unbound_event.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#define LOOKUPS_MAX 2000 /* at once; more are told to come again */
#define WHY_MAX 500
/* What fits beside the rest of a reply packet: 128 KiB less room for the frame. */
#define ANSWER_MAX (100 * 1024)
#define CLASS_IN 1
#define UNUSED_ZONE "unused.veredus.invalid."

/* The root zone's keys, as published with RFC 7958: KSK-2017 and KSK-2024. */
static const char *const root_anchors[] = {
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

struct unbound {
    struct ub_event_base *base;
    struct ub_ctx *ctx;
    const struct log *log;
    struct lookup *lookups; /* in the library's hands */
    size_t lookups_n;
};

/* One question. Lives until the library has called back, even if the asker has left. */
struct lookup {
    struct unbound *unbound;
    struct lookup *next, **prev;
    char name[DNS_NAME_WIRE_MAX + 1];
    uint16_t type;
    struct co *waiting; /* NULL: nobody, or not yet */
    bool is_done, is_left;
    int started; /* what ub_resolve_event() said */
    int rcode;
    enum dns_security security;
    struct buf packet, why_bogus;
};

static void lookup_free(struct lookup *lookup) {
    if (lookup->prev) {
        *lookup->prev = lookup->next;
        if (lookup->next)
            lookup->next->prev = lookup->prev;
        lookup->unbound->lookups_n--;
    }
    buf_fini(&lookup->packet);
    buf_fini(&lookup->why_bogus);
    free(lookup);
}

/* The library's answer. What it points to is its own and gone after this. */
static void lookup_done(void *data, int rcode, void *packet, int packet_len, int sec, char *why_bogus,
                        int was_ratelimited) {
    (void)was_ratelimited;
    struct lookup *lookup = data;
    if (lookup->is_left) {
        lookup_free(lookup);
        return;
    }
    lookup->is_done = true;
    lookup->rcode = rcode;
    lookup->security = sec == 2 ? DNS_SECURE : sec == 1 ? DNS_BOGUS : DNS_INSECURE;
    if (rcode == 0 && packet && packet_len > 0)
        buf_put(&lookup->packet, view_of(packet, (size_t)packet_len));
    buf_put(&lookup->why_bogus, view_sub(view_cstr(why_bogus), 0, WHY_MAX));
    if (lookup->waiting)
        co_resume(lookup->waiting);
}

static void lookup_start(void *arg) {
    struct lookup *lookup = arg;
    lookup->started =
        ub_resolve_event(lookup->unbound->ctx, lookup->name, lookup->type, CLASS_IN, lookup, lookup_done, NULL);
}

static bool is_asked_type(uint16_t type) {
    static const uint16_t types[] = {DNS_A,   DNS_NS,   DNS_CNAME, DNS_SOA,  DNS_PTR, DNS_MX,
                                     DNS_TXT, DNS_AAAA, DNS_SRV,   DNS_TLSA, DNS_CAA};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i] == type)
            return true;
    return false;
}

/* Only what can be a name reaches the library, spelled one way. */
static enum err put_name(struct view name, char out[DNS_NAME_WIRE_MAX + 1]) {
    struct buf wire, text;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    buf_init(&text, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_to_wire(name, &wire);
    struct reader r = reader_of(buf_view(&wire));
    if (err == ERR_OK)
        err = dns_name_read(&r, &text);
    if (err == ERR_OK) {
        memcpy(out, text.p, text.n);
        out[text.n] = 0;
    }
    buf_fini(&wire);
    buf_fini(&text);
    return err;
}

static void temporary(struct dns_answer *answer, struct view canonical) {
    *answer = (struct dns_answer){.status = DNS_TEMPORARY, .canonical = canonical};
}

static enum err lookup_answer(struct lookup *lookup, struct view name, struct arena *arena, struct dns_answer *answer) {
    if (lookup->rcode != 0 || lookup->packet.n == 0 || lookup->security == DNS_BOGUS) {
        temporary(answer, name);
    } else {
        struct view packet;
        TRY(arena_view(arena, buf_view(&lookup->packet), &packet));
        enum err err = dns_packet_answer(packet, name, lookup->type, arena, answer);
        if (err == ERR_NO_MEMORY)
            return err;
        size_t octets = 0;
        for (uint32_t i = 0; err == ERR_OK && i < answer->data_n; i++)
            octets += answer->data[i].data.n;
        if (err != ERR_OK || octets > ANSWER_MAX)
            temporary(answer, name);
    }
    answer->security = (uint8_t)lookup->security;
    return arena_view(arena, buf_view(&lookup->why_bogus), &answer->why_bogus);
}

enum err unbound_lookup(struct unbound *unbound, struct view name, uint16_t type, int64_t deadline_us,
                        struct arena *arena, struct dns_answer *out) {
    if (!is_asked_type(type))
        return ERR_DENIED;
    if (unbound->lookups_n >= LOOKUPS_MAX)
        return ERR_AGAIN;
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return ERR_NO_MEMORY;
    lookup->unbound = unbound;
    lookup->type = type;
    buf_init(&lookup->packet, 65535);
    buf_init(&lookup->why_bogus, WHY_MAX);
    enum err err = put_name(name, lookup->name);
    if (err != ERR_OK) {
        lookup_free(lookup);
        return ERR_SYNTAX;
    }
    lookup->next = unbound->lookups;
    lookup->prev = &unbound->lookups;
    if (lookup->next)
        lookup->next->prev = &lookup->next;
    unbound->lookups = lookup;
    unbound->lookups_n++;
    co_on_main(lookup_start, lookup);
    if (lookup->started != 0) {
        log_event(unbound->log, LOG_ERROR, "dns.start", LF_TEXT("why", ub_strerror(lookup->started)));
        lookup_free(lookup);
        temporary(out, name);
        return ERR_OK;
    }
    lookup->waiting = co_current();
    while (!lookup->is_done && err == ERR_OK)
        err = co_suspend(deadline_us);
    lookup->waiting = NULL;
    if (!lookup->is_done) {
        lookup->is_left = true;
        temporary(out, name);
        return err == ERR_CANCELED ? err : ERR_OK;
    }
    err = lookup_answer(lookup, name, arena, out);
    lookup_free(lookup);
    return err;
}

/* ---- the library's settings ---- */

struct setting {
    const char *name, *value;
    bool is_needed; /* others are unknown to some versions of the library */
};

static enum err set_all(struct ub_ctx *ctx, const struct setting *settings, size_t n, struct buf *why) {
    for (size_t i = 0; i < n; i++) {
        int failed = ub_ctx_set_option(ctx, settings[i].name, settings[i].value);
        if (failed && settings[i].is_needed) {
            buf_printf(why, "libunbound: %s %s: %s", settings[i].name, settings[i].value, ub_strerror(failed));
            return ERR_PERMANENT;
        }
    }
    return ERR_OK;
}

static const struct setting plain_settings[] = {
    {"msg-cache-size:", "2m", true},           {"rrset-cache-size:", "4m", true},
    {"key-cache-size:", "1m", true},           {"neg-cache-size:", "512k", false},
    {"outgoing-range:", "512", true},          {"num-queries-per-thread:", "1024", false},
    {"outgoing-num-tcp:", "32", false},        {"edns-buffer-size:", "1232", false}, /* no fragments */
    {"cache-max-negative-ttl:", "300", false},                                       /* a new MX is seen soon */
    {"infra-host-ttl:", "60", false}, /* a server that was away is asked again soon */
    {"infra-keep-probing:", "yes", false},     {"unwanted-reply-threshold:", "10000", false},
};
/* A developer's server lies on loopback, and serves names that the root does not have. */
static const struct setting forward_settings[] = {{"do-not-query-localhost:", "no", true}};
/* What libunbound answers by itself (RFC 6303, RFC 6761); a server that was named must be asked instead. */
static const char *const own_zones[] = {
    "localhost.",
    "test.",
    "invalid.",
    "onion.",
    "home.arpa.",
    "127.in-addr.arpa.",
    "0.in-addr.arpa.",
    "10.in-addr.arpa.",
    "168.192.in-addr.arpa.",
    "254.169.in-addr.arpa.",
    "2.0.192.in-addr.arpa.",
    "100.51.198.in-addr.arpa.",
    "113.0.203.in-addr.arpa.",
    "255.255.255.255.in-addr.arpa.",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
    "d.f.ip6.arpa.",
    "8.e.f.ip6.arpa.",
    "9.e.f.ip6.arpa.",
    "a.e.f.ip6.arpa.",
    "b.e.f.ip6.arpa.",
    "8.b.d.0.1.0.0.2.ip6.arpa.",
};
/* And two runs of them: 16.172.in-addr.arpa to 31, 64.100.in-addr.arpa to 127. */
static const struct {
    unsigned first, last;
    const char *rest;
} own_runs[] = {{16, 31, "172.in-addr.arpa."}, {64, 127, "100.in-addr.arpa."}};

/* One record a line, ';' starts a comment; ub_ctx_add_ta() takes one. */
static enum err add_anchors(struct ub_ctx *ctx, struct view text, struct arena *arena, struct buf *why) {
    while (text.n) {
        struct view line, comment;
        (void)view_split(text, '\n', &line, &text);
        (void)view_split(line, ';', &line, &comment);
        line = view_trim(line);
        if (line.n == 0)
            continue;
        const char *record = arena_cstr(arena, line);
        if (!record || ub_ctx_add_ta(ctx, record) != 0) {
            buf_put_str(why, "the trust anchor has a line that is no DS or DNSKEY record: ");
            buf_put_escaped(why, line, 100);
            return ERR_SYNTAX;
        }
    }
    return ERR_OK;
}

static enum err set_anchors(struct ub_ctx *ctx, const struct unbound_config *config, struct buf *why) {
    if (config->trust_anchor.n) {
        struct arena *arena = arena_new("anchors", 2 * 65536);
        if (!arena)
            return ERR_NO_MEMORY;
        enum err err = add_anchors(ctx, config->trust_anchor, arena, why);
        arena_free(arena);
        return err;
    }
    for (size_t i = 0; config->dns.family == 0 && i < ARRAY_LEN(root_anchors); i++)
        if (ub_ctx_add_ta(ctx, root_anchors[i]) != 0)
            return ERR_NO_MEMORY;
    return ERR_OK;
}

static enum err set_forward(struct ub_ctx *ctx, const struct netaddr *dns, struct buf *why) {
    struct buf server;
    buf_init(&server, 100);
    buf_put_ip(&server, dns);
    buf_printf(&server, "@%u", dns->port ? dns->port : 53u);
    buf_put_byte(&server, 0);
    enum err err = buf_err(&server);
    if (err == ERR_OK)
        err = set_all(ctx, forward_settings, ARRAY_LEN(forward_settings), why);
    if (err == ERR_OK && ub_ctx_set_fwd(ctx, (const char *)server.p) != 0) {
        buf_put_str(why, "libunbound does not take the DNS server's address");
        err = ERR_PERMANENT;
    }
    buf_fini(&server);
    return err;
}

static int remove_own_zones(struct ub_ctx *ctx) {
    int failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(own_zones) && !failed; i++)
        failed = ub_ctx_zone_remove(ctx, own_zones[i]);
    for (size_t i = 0; i < ARRAY_LEN(own_runs); i++)
        for (unsigned n = own_runs[i].first; n <= own_runs[i].last && !failed; n++) {
            char zone[40];
            (void)snprintf(zone, sizeof(zone), "%u.%s", n, own_runs[i].rest);
            failed = ub_ctx_zone_remove(ctx, zone);
        }
    return failed;
}

struct setup {
    const struct unbound_config *config;
    struct ub_ctx *ctx;
    struct buf *why;
    enum err err;
};

static void set_up(void *arg) {
    struct setup *setup = arg;
    const struct unbound_config *config = setup->config;
    setup->err = set_all(setup->ctx, plain_settings, ARRAY_LEN(plain_settings), setup->why);
    if (setup->err == ERR_OK)
        setup->err = set_anchors(setup->ctx, config, setup->why);
    if (setup->err == ERR_OK && config->dns.family != 0)
        setup->err = set_forward(setup->ctx, &config->dns, setup->why);
    if (setup->err != ERR_OK)
        return;
    /* Removing a zone also makes the settings final: the first one says whether the library took them. */
    int failed = config->dns.family != 0 ? remove_own_zones(setup->ctx) : ub_ctx_zone_remove(setup->ctx, UNUSED_ZONE);
    if (failed) {
        buf_printf(setup->why, "libunbound: %s%s", ub_strerror(failed),
                   config->trust_anchor.n ? "; is the trust anchor a file of DS or DNSKEY records?" : "");
        setup->err = ERR_PERMANENT;
    }
}

/* ---- life ---- */

void unbound_free(struct unbound *unbound) {
    if (!unbound)
        return;
    if (unbound->ctx)
        ub_ctx_delete(unbound->ctx);
    unbound_base_free(unbound->base);
    free(unbound);
}

enum err unbound_new(struct buf *why, struct unbound **out) {
    /* The library initialises OpenSSL for its signatures; the system's openssl.cnf has no say in that (whoever is first
     * decides). And now: later it could open no file any more (some builds look for the kernel's FIPS mode, all for their randomness). */
    EVP_MD *digest =
        OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
    uint8_t octet;
    bool is_set_up = digest && RAND_bytes(&octet, 1) == 1;
    EVP_MD_free(digest);
    if (!is_set_up) {
        buf_put_str(why, "OpenSSL cannot be set up");
        return ERR_NO_MEMORY;
    }
    struct unbound *unbound = calloc(1, sizeof(*unbound));
    if (!unbound)
        return ERR_NO_MEMORY;
    unbound->base = unbound_base_new();
    unbound->ctx = unbound->base ? ub_ctx_create_ub_event(unbound->base) : NULL;
    if (!unbound->ctx) {
        buf_put_str(why, "libunbound cannot be set up");
        unbound_free(unbound);
        return ERR_NO_MEMORY;
    }
    (void)ub_ctx_debugout(unbound->ctx, NULL); /* its own lines would go around our log */
    *out = unbound;
    return ERR_OK;
}

enum err unbound_start(struct unbound *unbound, struct loop *loop, const struct log *log,
                       const struct unbound_config *config, struct buf *why) {
    unbound->log = log;
    unbound_base_set_loop(unbound->base, loop);
    struct setup setup = {.config = config, .ctx = unbound->ctx, .why = why};
    co_on_main(set_up, &setup);
    return setup.err;
}

static void delete_context(void *arg) {
    struct unbound *unbound = arg;
    ub_ctx_delete(unbound->ctx);
    unbound->ctx = NULL;
}

void unbound_stop(struct unbound *unbound) {
    co_on_main(delete_context, unbound); /* its events lie on the loop, which ends before unbound_free() */
    for (struct lookup *lookup = unbound->lookups, *next; lookup; lookup = next) {
        next = lookup->next;
        lookup_free(lookup);
    }
}
