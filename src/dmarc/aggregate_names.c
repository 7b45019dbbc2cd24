/* The words of aggregate reports, file names, subjects. */
#include "dmarc/aggregate_internal.h"

#define WORDS_MAX 9

/* Index is the value; RFC9990-A. */
static const char *const words[][WORDS_MAX] = {
    [AGGREGATE_KIND_ALIGNMENT] = {"", "r", "s"},
    [AGGREGATE_KIND_POLICY] = {"", "none", "quarantine", "reject"},
    [AGGREGATE_KIND_DISCOVERY] = {"", "psl", "treewalk"},
    [AGGREGATE_KIND_ANSWER] = {"", "n", "y"},
    [AGGREGATE_KIND_DISPOSITION] = {"", "none", "pass", "quarantine", "reject"},
    [AGGREGATE_KIND_ALIGNED] = {"", "pass", "fail"},
    [AGGREGATE_KIND_OVERRIDE] = {"", "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder",
                                 "forwarded", "sampled_out"},
    [AGGREGATE_KIND_SCOPE] = {"", "mfrom", "helo"},
    [AGGREGATE_KIND_RESULT] = {"", "none", "pass", "fail", "softfail", "policy", "neutral", "temperror", "permerror"},
};

/* Other words that are written for the same. */
static const struct {
    enum aggregate_kind kind;
    const char *word;
    int value;
} others[] = {
    {AGGREGATE_KIND_ALIGNMENT, "relaxed", AGGREGATE_RELAXED},
    {AGGREGATE_KIND_ALIGNMENT, "strict", AGGREGATE_STRICT},
    {AGGREGATE_KIND_SCOPE, "mailfrom", AGGREGATE_MFROM},
    {AGGREGATE_KIND_RESULT, "hardfail", AGGREGATE_RESULT_FAIL},
    {AGGREGATE_KIND_RESULT, "unknown", AGGREGATE_RESULT_PERMERROR}, /* RFC4408-2.5.7 became permerror */
    {AGGREGATE_KIND_RESULT, "error", AGGREGATE_RESULT_TEMPERROR},
};

int aggregate_word(enum aggregate_kind kind, struct view text) {
    text = view_trim(text);
    for (int i = 1; i < WORDS_MAX && words[kind][i] != NULL; i++) {
        if (view_eq_nocase(text, view_cstr(words[kind][i])))
            return i;
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (others[i].kind == kind && view_eq_nocase(text, view_cstr(others[i].word)))
            return others[i].value;
    }
    return 0;
}

const char *aggregate_alignment_name(enum aggregate_alignment value) {
    return words[AGGREGATE_KIND_ALIGNMENT][value];
}
const char *aggregate_policy_name(enum aggregate_policy value) {
    return words[AGGREGATE_KIND_POLICY][value];
}
const char *aggregate_discovery_name(enum aggregate_discovery value) {
    return words[AGGREGATE_KIND_DISCOVERY][value];
}
const char *aggregate_answer_name(enum aggregate_answer value) {
    return words[AGGREGATE_KIND_ANSWER][value];
}
const char *aggregate_disposition_name(enum aggregate_disposition value) {
    return words[AGGREGATE_KIND_DISPOSITION][value];
}
const char *aggregate_aligned_name(enum aggregate_aligned value) {
    return words[AGGREGATE_KIND_ALIGNED][value];
}
const char *aggregate_override_name(enum aggregate_override value) {
    return words[AGGREGATE_KIND_OVERRIDE][value];
}
const char *aggregate_scope_name(enum aggregate_scope value) {
    return words[AGGREGATE_KIND_SCOPE][value];
}
const char *aggregate_result_name(enum aggregate_result value) {
    return words[AGGREGATE_KIND_RESULT][value];
}

/* A domain in A-labels, which is all that goes into names of files and fields. */
static bool is_domain(struct view v) {
    if (v.n == 0 || v.n > 255)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (!ascii_is_alnum(c) && c != '-' && c != '_' && (c != '.' || i == 0 || v.p[i - 1] == '.'))
            return false;
    }
    return true;
}

/* RFC9990-3.5.1: dot-atom-text ["@" dot-atom-text] */
static bool is_report_id(struct view v) {
    bool has_at = false;
    if (v.n == 0 || v.n > 255)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == '.' || c == '@') {
            if (i == 0 || i + 1 == v.n || v.p[i - 1] == '.' || v.p[i - 1] == '@' || (c == '@' && has_at))
                return false;
            has_at = has_at || c == '@';
        } else if (!ascii_is_alnum(c) && view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) < 0) { /* RFC5322-3.2.3 */
            return false;
        }
    }
    return true;
}

enum err aggregate_put_file_name(struct buf *buf, struct view receiver, const struct aggregate_report *report,
                                 struct view unique_id) {
    if (!is_domain(receiver) || !is_domain(report->domain) || report->begin_s < 0 || report->end_s < 0 ||
        unique_id.n > 64)
        return ERR_SYNTAX;
    for (size_t i = 0; i < unique_id.n; i++) {
        if (!ascii_is_alnum(unique_id.p[i]))
            return ERR_SYNTAX;
    }
    buf_put(buf, receiver);
    buf_put_byte(buf, '!');
    buf_put(buf, report->domain);
    buf_put_byte(buf, '!');
    buf_put_i64(buf, report->begin_s);
    buf_put_byte(buf, '!');
    buf_put_i64(buf, report->end_s);
    if (unique_id.n > 0) {
        buf_put_byte(buf, '!');
        buf_put(buf, unique_id);
    }
    buf_put_str(buf, ".xml.gz");
    return buf_err(buf);
}

enum err aggregate_put_subject(struct buf *buf, struct view receiver, const struct aggregate_report *report) {
    if (!is_domain(receiver) || !is_domain(report->domain) || !is_report_id(report->report_id))
        return ERR_SYNTAX;
    buf_put_str(buf, "Report Domain: ");
    buf_put(buf, report->domain);
    buf_put_str(buf, " Submitter: ");
    buf_put(buf, receiver);
    buf_put_str(buf, " Report-ID: <");
    buf_put(buf, report->report_id);
    buf_put_byte(buf, '>');
    return buf_err(buf);
}

static enum aggregate_policy policy_of(enum dmarc_policy policy) {
    return policy == DMARC_POLICY_REJECT       ? AGGREGATE_POLICY_REJECT
           : policy == DMARC_POLICY_QUARANTINE ? AGGREGATE_POLICY_QUARANTINE
                                               : AGGREGATE_POLICY_NONE;
}

void aggregate_set_policy(struct aggregate_report *report, const struct dmarc_verdict *verdict) {
    const struct dmarc_record *record = &verdict->record;
    report->domain = verdict->record_domain;
    report->discovery = verdict->by_suffix_list ? AGGREGATE_SUFFIX_LIST : AGGREGATE_TREE_WALK;
    report->p = policy_of(record->p);
    report->sp = policy_of(record->sp);
    report->np = policy_of(record->np);
    report->adkim = record->strict_dkim ? AGGREGATE_STRICT : AGGREGATE_RELAXED;
    report->aspf = record->strict_spf ? AGGREGATE_STRICT : AGGREGATE_RELAXED;
    report->testing = record->is_testing ? AGGREGATE_YES : AGGREGATE_NO;
    /* The sixteen sums of DMARC_FO_..., as a record would say them. */
    static const char *const fo[16] = {"0", "0",   "1",   "0:1",   "d",   "0:d",   "1:d",   "0:1:d",
                                       "s", "0:s", "1:s", "0:1:s", "d:s", "0:d:s", "1:d:s", "0:1:d:s"};
    report->fo = view_cstr(fo[record->fo & 15]);
}
