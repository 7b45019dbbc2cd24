/* `veredus dane check`: which TLSA records hold for a host, what they ask for, and how that was found out. */
#include "base/log.h"
#include "cli/lookup.h"
#include "dane/dane.h"
#include "dns/idna.h"
#include "dns/text.h"

#define SHOWN_MAX 4000 /* octets of one thing that is printed; a record with a whole certificate is cut */
#define SMTP_PORT 25

struct dane_run {
    struct dane_query query;
    struct buf shown;
};

/* A stranger's octets for a terminal. */
static void put(struct dane_run *run, const char *before, struct view text, const char *after) {
    buf_clear(&run->shown);
    buf_put_escaped(&run->shown, text, SHOWN_MAX);
    (void)printf("%s%.*s%s", before, VIEW_FMT(buf_view(&run->shown)), after);
}

static void print_records(struct dane_run *run, const struct dane_result *result) {
    struct buf text;
    if (result->status != DANE_SECURE)
        return;
    put(run, "  base domain ", result->base, "\n");
    for (size_t i = 0; i < result->names_n; i++)
        put(run, i ? "  or " : "  names of the server, for records with usage 2: ", result->names[i], "\n");
    buf_init(&text, SHOWN_MAX);
    for (size_t i = 0; i < result->records_n; i++) {
        buf_clear(&text);
        buf_put_tlsa(&text, &result->records[i].tlsa);
        put(run, "  TLSA ", buf_view(&text), buf_err(&text) == ERR_OK ? "" : "...");
        bool is_usable = result->records[i].use == TLSA_USABLE;
        (void)printf("%s%s\n", is_usable ? ": " : ": not used: ", tlsa_use_text(result->records[i].use));
    }
    buf_fini(&text);
}

static const char *outcome(const struct dane_step *step) {
    static const char *const texts[] = {"found", "no such name", "no such record", "no answer"};
    return texts[step->status];
}

static void print_steps(struct dane_run *run, const struct dane_result *result) {
    for (size_t i = 0; i < result->steps_n; i++) {
        const struct dane_step *step = &result->steps[i];
        (void)printf("  asked %s ", dns_type_name(step->type));
        put(run, "", step->name, "");
        (void)printf(": %s", outcome(step));
        if (step->status == DNS_OK)
            (void)printf(" (%u)", step->records);
        if (step->status != DNS_TEMPORARY || step->security == DNS_BOGUS)
            (void)printf(", %s", lookup_security_name(step->security));
        if (step->type != DNS_CNAME && step->canonical.n && !view_eq_nocase(step->canonical, step->name))
            put(run, ", by alias ", step->canonical, "");
        (void)puts("");
    }
}

static int check(struct lookup *lookup, void *ctx) {
    struct dane_run *run = ctx;
    struct dane_result result;
    enum err err = dane_discover(lookup->dns, &run->query, lookup->in->arena, &result);
    if (err != ERR_OK) {
        cli_say("the check could not be made (%s).", err_name(err));
        return CLI_FAILED;
    }
    (void)printf("%s\n  %s\n", dane_status_name(result.status), dane_action_text(dane_action(&result)));
    if (!result.has_address && dane_action(&result) != DANE_DEFER)
        (void)puts("  but the host has no address: nothing can be delivered to it");
    if (result.why_bogus.n)
        put(run, "  because ", result.why_bogus, "\n");
    print_records(run, &result);
    print_steps(run, &result);
    return dane_action(&result) == DANE_DEFER ? CLI_FAILED : CLI_OK;
}

int cmd_dane_check(const struct invocation *in) {
    /* The host stands for itself: no MX record was asked for (RFC7672-2.2.2). */
    struct dane_run run = {.query = {.port = SMTP_PORT, .mx_security = DNS_SECURE}};
    const char *port = cli_value(in, "--port");
    uint32_t number = SMTP_PORT;
    if (port && (view_to_u32(view_cstr(port), UINT16_MAX, &number) != ERR_OK || number == 0))
        return cli_usage(in, "--port takes a number from 1 to 65535.");
    run.query.port = (uint16_t)number;
    if (dns_idna_to_ascii(view_cstr(in->positional[0]), in->arena, &run.query.host) != ERR_OK)
        return cli_usage(in, "\"%s\" is not a host name.", in->positional[0]);
    buf_init(&run.shown, 4 * SHOWN_MAX + 100);
    int status = lookup_run(in, check, &run);
    buf_fini(&run.shown);
    return status;
}
