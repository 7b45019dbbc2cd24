/* `veredus spf check`: the verdict, and each step that led to it, so that a person can mend a record. */
#include "base/log.h"
#include "cli/lookup.h"
#include "spf/spf.h"

#define SHOWN_MAX 2000 /* octets of one thing that is printed */

struct spf_run {
    struct spf_query query;
    struct spf_env env;
    struct buf shown;
};

/* A stranger's octets for a terminal. */
static void put(struct spf_run *run, const char *before, struct view text, const char *after) {
    buf_clear(&run->shown);
    buf_put_escaped(&run->shown, text, SHOWN_MAX);
    (void)printf("%s%.*s%s", before, VIEW_FMT(buf_view(&run->shown)), after);
}

static void print_steps(struct spf_run *run, const struct spf_verdict *verdict) {
    for (size_t i = 0; i < verdict->steps_n; i++) {
        const struct spf_step *step = &verdict->steps[i];
        (void)printf("%*s", (int)(2 + 4 * step->depth + (step->term.n ? 2 : 0)), "");
        put(run, "", step->term.n ? step->term : step->domain, ": ");
        put(run, "", step->text, "\n");
    }
}

static void print_reason(struct spf_run *run, const struct spf_verdict *verdict) {
    if (verdict->problem.n)
        put(run, "  because ", verdict->problem, "\n");
    if (verdict->mechanism.n) {
        put(run, "  because \"", verdict->mechanism, "\" matches");
        put(run, " in the record of ", verdict->mechanism_domain, "\n");
    }
    if (verdict->explanation.n)
        put(run, "  the domain explains: ", verdict->explanation, "\n");
}

static void print_verdict(struct spf_run *run, const struct spf_verdict *verdict) {
    put(run, verdict->identity == SPF_HELO ? "HELO check of " : "MAIL FROM check of ", verdict->sender, "");
    (void)printf(": %s\n", spf_result_name(verdict->result));
    print_reason(run, verdict);
    (void)printf("  %u of %d lookups used, %u of %d found nothing; DNSSEC: %s\n", verdict->lookups, SPF_LOOKUPS_MAX,
                 verdict->voids, SPF_VOIDS_MAX, verdict->is_secure ? "secure" : "insecure");
    print_steps(run, verdict);
}

static enum err check_one(struct lookup *lookup, struct spf_run *run, enum spf_identity identity,
                          struct spf_verdict *verdict) {
    run->query.identity = identity;
    enum err err = spf_check(&run->env, &run->query, lookup->in->arena, verdict);
    if (err != ERR_OK)
        cli_say("the check could not be made (%s).", err_name(err));
    return err;
}

static int check(struct lookup *lookup, void *ctx) {
    struct spf_run *run = ctx;
    run->env.dns = lookup->dns;
    run->env.clock = lookup->clock;
    bool has_from = run->query.mail_from.n > 0, has_helo = run->query.helo.n > 0;
    struct spf_verdict mail_from = {.result = SPF_NONE}, helo = {.result = SPF_NONE};
    if (has_from && check_one(lookup, run, SPF_MAIL_FROM, &mail_from) != ERR_OK)
        return CLI_FAILED;
    /* After DNS trouble the same trouble is not waited for once more. */
    has_helo = has_helo && !(has_from && mail_from.result == SPF_TEMPERROR);
    if (has_helo && check_one(lookup, run, SPF_HELO, &helo) != ERR_OK)
        return CLI_FAILED;
    /* RFC7208-2.4: with an empty reverse-path, MAIL FROM is postmaster at the HELO name: the same check. */
    enum spf_result result = has_from ? mail_from.result : helo.result;
    (void)printf("%s\n", spf_result_name(result));
    if (has_from)
        print_verdict(run, &mail_from);
    if (has_helo)
        print_verdict(run, &helo);
    return result == SPF_PASS || result == SPF_NONE || result == SPF_NEUTRAL ? CLI_OK : CLI_FAILED;
}

int cmd_spf_check(const struct invocation *in) {
    struct spf_run run = {.env = {.trace = true}};
    const char *ip = cli_value(in, "--ip");
    if (!ip || netaddr_parse(view_cstr(ip), 0, &run.query.ip) != ERR_OK || run.query.ip.port)
        return cli_usage(in, "--ip takes the address of the client, like 192.0.2.1 or 2001:db8::1.");
    run.query.helo = view_cstr(cli_value(in, "--helo"));
    struct view from = view_cstr(cli_value(in, "--from"));
    if (view_starts(from, VIEW("<")) && view_ends(from, VIEW(">")))
        from = view_sub(from, 1, from.n - 2);
    run.query.mail_from = from;
    if (run.query.helo.n == 0 && from.n == 0)
        return cli_usage(in, "needs --from ADDRESS, or --helo NAME, or both.");
    buf_init(&run.shown, 4 * SHOWN_MAX + 100);
    int status = lookup_run(in, check, &run);
    buf_fini(&run.shown);
    return status;
}
