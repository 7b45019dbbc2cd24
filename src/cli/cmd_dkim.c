/* `veredus dkim verify`: each signature of a message, and why it holds or not. */
#include "cli/judged_file.h"

/* The contract has no word for what we did not look at, and policy is never asked for here. */
static struct view verdict_word(enum dkim_result result) {
    return result == DKIM_NEUTRAL || result == DKIM_POLICY ? VIEW("permerror") : dkim_result_name(result);
}

static void print_body(const struct dkim_verdict *verdict) {
    if (!verdict->is_body_hash_made)
        return;
    struct buf hash;
    buf_init(&hash, 100);
    buf_put_base64(&hash, view_of(verdict->body_hash, DKIM_DIGEST_SIZE));
    (void)printf("  body (%s): %llu octets", verdict->signature.body_canon == DKIM_RELAXED ? "relaxed" : "simple",
                 (unsigned long long)verdict->body_octets);
    if (verdict->signature.length != DKIM_BODY_WHOLE)
        (void)printf(", l= counts %llu", (unsigned long long)verdict->signature.length);
    (void)printf(", hash %.*s %s\n", VIEW_FMT(buf_view(&hash)),
                 verdict->is_body_intact ? "as signed" : "is not what bh= says");
    if (verdict->unsigned_octets > 0)
        (void)printf("  %llu octets at the end of the body are not signed\n",
                     (unsigned long long)verdict->unsigned_octets);
    buf_fini(&hash);
}

static void print_verdict(struct judged *judged, const struct dkim_verdict *verdict, size_t number) {
    (void)printf("signature %zu: %.*s", number, VIEW_FMT(verdict_word(verdict->result)));
    if (verdict->why.n > 0)
        (void)printf(": %.*s", VIEW_FMT(judged_escape(judged, verdict->why)));
    (void)puts("");
    judged_print_signature(judged, verdict);
    print_body(verdict);
}

static int verify(struct judged *judged) {
    struct dkim_report report;
    enum err err = dkim_verify(judged->input, judged->dns, judged->now_us, NULL, judged->arena, &report);
    if (err != ERR_OK) {
        cli_say("the message could not be verified (%s).", err_name(err));
        return CLI_FAILED;
    }
    (void)printf("%.*s\n", VIEW_FMT(verdict_word(report.result)));
    if (report.n == 0)
        (void)puts("The message has no DKIM-Signature.");
    for (size_t i = 0; i < report.n; i++)
        print_verdict(judged, &report.verdicts[i], i + 1);
    if (report.skipped > 0)
        (void)printf("%zu more signatures were not looked at: %d are verified of one message.\n", report.skipped,
                     DKIM_SIGNATURES_MAX);
    return report.result == DKIM_PASS || report.result == DKIM_NONE ? CLI_OK : CLI_FAILED;
}

int cmd_dkim_verify(const struct invocation *in) {
    return judged_run(in, verify);
}
