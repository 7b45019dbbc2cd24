/* Feedback reports and CFBL fields from hostile octets: bounded; what is written of them reads back the same. */
#include "arf/arf.h"

#include "arf/cfbl.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

static void check_bounds(const struct arf_report *report) {
    check(report->type <= ARF_AUTH_FAILURE && report->failure <= ARF_FAILURE_DMARC);
    check(report->original_rcpt_to.n <= ARF_LIST_MAX && report->spf_dns.n <= ARF_LIST_MAX);
    check(report->dkim_canonical_body.n <= ARF_CANONICAL_MAX && report->user_agent.n <= ARF_TEXT_MAX);
}

static void write_it(struct arena *arena, const struct arf_report *report, struct buf *out) {
    struct arf_request request = {
        .from = VIEW("a@receiver.example"),
        .to = VIEW("b@sender.example"),
        .subject = VIEW("x"),
        .text = VIEW("x\n"),
        .report = *report,
        .returned = VIEW("Message-ID: <1@sender.example>\r\n\r\n"),
        .options = {.host = VIEW("receiver.example"), .wall_us = 1},
    };
    if (request.report.type == ARF_OTHER)
        request.report.type = ARF_ABUSE;
    bool has_agent = false;
    for (size_t i = 0; i < request.report.user_agent.n; i++)
        has_agent = has_agent || (request.report.user_agent.p[i] > ' ' && request.report.user_agent.p[i] != 127);
    if (!has_agent)
        request.report.user_agent = VIEW("x");
    if (request.report.failure == ARF_FAILURE_UNSAID)
        request.report.failure = ARF_FAILURE_SPF;
    if (request.report.failure == ARF_FAILURE_DMARC && request.report.alignment == 0)
        request.report.alignment = ARF_ALIGNMENT_SAID;
    check(arf_put(arena, out, &request) == ERR_OK);
}

static void check_cfbl(struct arena *arena, struct view octets, struct buf *out) {
    struct cfbl cfbl, again;
    if (cfbl_read(arena, octets, &cfbl) != ERR_OK)
        return;
    check(cfbl.addresses_n <= CFBL_ADDRESSES_MAX && cfbl.feedback_id.n <= CFBL_FEEDBACK_ID_MAX);
    if (cfbl.feedback_id.n > 0) {
        buf_clear(out);
        buf_put_str(out, "CFBL-Feedback-ID: ");
        check(cfbl_put_feedback_id(out, cfbl.feedback_id) == ERR_OK);
        check(cfbl_read(arena, buf_view(out), &again) == ERR_OK && view_eq(again.feedback_id, cfbl.feedback_id));
    }
    for (size_t i = 0; i < cfbl.addresses_n; i++) {
        buf_clear(out);
        buf_put_str(out, "CFBL-Address: ");
        if (cfbl_put_address(out, cfbl.addresses[i].address, cfbl.addresses[i].wants_xarf) != ERR_OK)
            continue; /* longer than SMTP's */
        check(cfbl_read(arena, buf_view(out), &again) == ERR_OK && again.addresses_n == 1);
        check(view_eq(again.addresses[0].address, cfbl.addresses[i].address));
        check(again.addresses[0].wants_xarf == cfbl.addresses[i].wants_xarf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 8 * MESSAGE_ARENA_BUDGET);
    struct message message;
    struct arf_report report;
    struct buf first, second;
    if (arena == NULL)
        return 0;
    buf_init(&first, 16 << 20);
    buf_init(&second, 16 << 20);
    check_cfbl(arena, view_of(data, size), &first);
    buf_clear(&first);
    if (message_parse(arena, view_of(data, size), &message) == ERR_OK && arf_read(arena, &message, &report) == ERR_OK) {
        check_bounds(&report);
        write_it(arena, &report, &first);
        check(message_parse(arena, buf_view(&first), &message) == ERR_OK);
        check(arf_read(arena, &message, &report) == ERR_OK);
        write_it(arena, &report, &second);
        check(view_eq(buf_view(&first), buf_view(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_free(arena);
    return 0;
}
