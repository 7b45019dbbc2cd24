/* Aggregate reports from hostile XML: bounded; what is written of them reads back the same. */
#include "dmarc/aggregate.h"

#include <stdlib.h>

static void check(bool holds) {
    if (!holds)
        abort();
}

/* The report with what RFC 9990 needs and this one lacks. */
static void complete(struct aggregate_report *report) {
    if (report->org_name.n == 0)
        report->org_name = VIEW("x");
    if (report->email.n == 0)
        report->email = VIEW("x");
    if (report->report_id.n == 0)
        report->report_id = VIEW("x");
    if (report->end_s == 0)
        report->end_s = 1;
    if (report->p == AGGREGATE_POLICY_UNSAID)
        report->p = AGGREGATE_POLICY_NONE;
    for (size_t i = 0; i < report->rows_n; i++) {
        struct aggregate_row *row = &report->rows[i];
        row->count += row->count == 0;
        if (row->source.family == 0)
            row->source = (struct netaddr){.family = 4};
        if (row->disposition == AGGREGATE_DISPOSITION_UNSAID)
            row->disposition = AGGREGATE_DISPOSITION_NONE;
        if (row->dkim == AGGREGATE_ALIGNED_UNSAID)
            row->dkim = AGGREGATE_ALIGNED_FAIL;
        if (row->spf == AGGREGATE_ALIGNED_UNSAID)
            row->spf = AGGREGATE_ALIGNED_FAIL;
        if (row->header_from.n == 0)
            row->header_from = VIEW("x");
        for (size_t k = 0; k < row->dkim_results_n; k++) {
            if (row->dkim_results[k].result == AGGREGATE_RESULT_UNSAID)
                row->dkim_results[k].result = AGGREGATE_RESULT_NONE;
        }
        if (row->spf_results_n > 0 && row->spf_results[0].result == AGGREGATE_RESULT_UNSAID)
            row->spf_results[0].result = AGGREGATE_RESULT_NONE;
    }
}

static void check_bounds(const struct aggregate_report *report) {
    check(report->domain.n > 0 && report->rows_n <= AGGREGATE_ROWS_MAX && report->errors_n <= AGGREGATE_ERRORS_MAX);
    check(report->begin_s >= 0 && report->end_s >= 0 && report->percent >= -1 && report->percent <= 100);
    for (size_t i = 0; i < report->rows_n; i++) {
        const struct aggregate_row *row = &report->rows[i];
        check(row->reasons_n <= AGGREGATE_REASONS_MAX && row->dkim_results_n <= AGGREGATE_RESULTS_MAX &&
              row->spf_results_n <= AGGREGATE_RESULTS_MAX && row->header_from.n <= AGGREGATE_TEXT_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", AGGREGATE_ARENA_BUDGET);
    struct aggregate_report report, again;
    struct buf first, second;
    if (arena == NULL)
        return 0;
    buf_init(&first, AGGREGATE_XML_MAX);
    buf_init(&second, AGGREGATE_XML_MAX);
    if (aggregate_read(arena, view_of(data, size), &report) == ERR_OK) {
        check_bounds(&report);
        complete(&report);
        enum err err = aggregate_put(&first, &report);
        check(err == (report.rows_n == 0 ? ERR_SYNTAX : ERR_OK));
        if (err == ERR_OK) {
            check(aggregate_read(arena, buf_view(&first), &again) == ERR_OK);
            check(aggregate_put(&second, &again) == ERR_OK);
            check(view_eq(buf_view(&first), buf_view(&second)));
        }
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_free(arena);
    return 0;
}
