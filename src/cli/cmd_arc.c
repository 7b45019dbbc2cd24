/* `veredus arc verify`: the chain of a message, handler by handler. */
#include "arc/arc.h"
#include "cli/judged_file.h"

static void print_step(struct judged *judged, const char *what, const struct dkim_verdict *verdict) {
    if (verdict->result == DKIM_NONE) {
        (void)printf(" %s: not looked at\n", what);
        return;
    }
    (void)printf(" %s: %.*s", what, VIEW_FMT(dkim_result_name(verdict->result)));
    if (verdict->why.n > 0)
        (void)printf(": %.*s", VIEW_FMT(judged_escape(judged, verdict->why)));
    (void)puts("");
    judged_print_signature(judged, verdict);
}

static void print_set(struct judged *judged, const struct arc_set *set, size_t instance) {
    (void)printf("instance %zu: cv=%.*s\n", instance, VIEW_FMT(arc_status_name(set->status)));
    (void)printf(" results: %.*s\n", VIEW_FMT(judged_escape(judged, set->results_text)));
    print_step(judged, "seal", &set->sealed);
    print_step(judged, "message signature", &set->message);
}

static int verify(struct judged *judged) {
    struct arc_report report;
    enum err err = arc_verify(judged->input, judged->dns, judged->now_us, judged->arena, &report);
    if (err != ERR_OK) {
        cli_say("the chain could not be validated (%s).", err_name(err));
        return CLI_FAILED;
    }
    (void)printf("%.*s\n", VIEW_FMT(arc_status_name(report.status)));
    if (report.status == ARC_NONE)
        (void)puts("The message has no ARC fields.");
    if (report.why.n > 0)
        (void)printf("%.*s.\n", VIEW_FMT(judged_escape(judged, report.why)));
    if (report.is_temporary)
        (void)puts("DNS could not say: another time it may pass.");
    if (report.status == ARC_PASS && report.oldest_pass > 0)
        (void)printf("The message was changed after instance %u signed it.\n", report.oldest_pass - 1);
    for (size_t i = report.n; i-- > 0;)
        print_set(judged, &report.sets[i], i + 1);
    return report.status == ARC_FAIL ? CLI_FAILED : CLI_OK;
}

int cmd_arc_verify(const struct invocation *in) {
    return judged_run(in, verify);
}
