/* TLS reports written: JSON. */
#include "tlsrpt/tlsrpt.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdio.h>

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type) {
    static const char *const names[] = {"", "tlsa", "sts", "no-policy-found"};
    return names[type];
}

const char *tlsrpt_result_name(enum tlsrpt_result result) {
    static const char *const names[] = {
        "",
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "tlsa-invalid",
        "dnssec-invalid",
        "dane-required",
        "certificate-not-trusted",
        "sts-policy-invalid",
        "sts-webpki-invalid",
        "validation-failure",
        "sts-policy-fetch-error",
    };
    return names[result];
}

/* All that makes and adds here takes NULL for a failure before, so that one check at the end does. */

static json_t *text_of(struct view text) {
    struct buf clean;
    buf_init(&clean, 3 * TLSRPT_JSON_MAX);
    do {
        struct view head;
        bool has_nul = view_split(text, 0, &head, &text);
        buf_put_utf8_lossy(&clean, head);
        if (has_nul) /* readers that have C strings would stop there */
            buf_put_utf8(&clean, 0xfffd);
    } while (text.n);
    const char *p = clean.n ? (const char *)clean.p : "";
    json_t *out = buf_err(&clean) == ERR_OK ? json_stringn(p, clean.n) : NULL;
    buf_fini(&clean);
    return out;
}

static bool put(json_t *object, const char *name, json_t *value) {
    return json_object_set_new(object, name, value) == 0;
}

static bool put_text(json_t *object, const char *name, struct view text) {
    return put(object, name, text_of(text));
}

static bool put_if_there(json_t *object, const char *name, struct view text) {
    return text.n == 0 || put_text(object, name, text);
}

static bool put_count(json_t *object, const char *name, uint64_t count) {
    return put(object, name, json_integer((json_int_t)MIN(count, (uint64_t)TLSRPT_COUNT_MAX)));
}

static bool put_time(json_t *object, const char *name, int64_t unix_s) {
    char text[32];
    struct date d = date_from_unix(unix_s, 0);
    /* RFC3339-5.6, in whole seconds as all examples have it */
    int n = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", d.year, d.month, d.day, d.hour, d.minute,
                     d.second);
    return n > 0 && (size_t)n < sizeof(text) && put_text(object, name, view_of(text, (size_t)n));
}

static bool put_list(json_t *object, const char *name, const struct view *list, size_t n) {
    json_t *array = json_array();
    bool is_good = array != NULL;
    for (size_t i = 0; i < n; i++)
        is_good = json_array_append_new(array, text_of(list[i])) == 0 && is_good;
    return put(object, name, array) && is_good;
}

static json_t *failure_of(const struct tlsrpt_failure *failure) {
    json_t *object = json_object();
    struct view result =
        failure->result == TLSRPT_OTHER_RESULT ? failure->result_text : view_cstr(tlsrpt_result_name(failure->result));
    bool is_good = put_text(object, "result-type", result);
    is_good = put_if_there(object, "sending-mta-ip", failure->sending_ip) && is_good;
    is_good = put_if_there(object, "receiving-mx-hostname", failure->mx_host) && is_good;
    is_good = put_if_there(object, "receiving-mx-helo", failure->mx_helo) && is_good;
    is_good = put_if_there(object, "receiving-ip", failure->receiving_ip) && is_good;
    is_good = put_count(object, "failed-session-count", failure->sessions) && is_good;
    is_good = put_if_there(object, "additional-information", failure->additional) && is_good;
    is_good = put_if_there(object, "failure-reason-code", failure->reason) && is_good;
    if (is_good)
        return object;
    json_decref(object);
    return NULL;
}

static bool fill_entry(json_t *entry, const struct tlsrpt_policy *policy) {
    json_t *about = json_object(), *summary = json_object(), *details = json_array();
    struct view type =
        policy->type == TLSRPT_OTHER_POLICY ? policy->type_text : view_cstr(tlsrpt_policy_type_name(policy->type));
    bool is_good = put_text(about, "policy-type", type);
    if (policy->lines_n)
        is_good = put_list(about, "policy-string", policy->lines, policy->lines_n) && is_good;
    is_good = put_text(about, "policy-domain", policy->domain) && is_good;
    if (policy->mx_n)
        is_good = put_list(about, "mx-host", policy->mx, policy->mx_n) && is_good;
    is_good = put_count(summary, "total-successful-session-count", policy->successes) && is_good;
    is_good = put_count(summary, "total-failure-session-count", policy->failures) && is_good;
    for (size_t i = 0; i < policy->details_n; i++)
        is_good = json_array_append_new(details, failure_of(&policy->details[i])) == 0 && is_good;
    is_good = put(entry, "policy", about) && is_good;
    is_good = put(entry, "summary", summary) && is_good;
    if (policy->details_n == 0)
        json_decref(details);
    else
        is_good = put(entry, "failure-details", details) && is_good;
    return is_good;
}

static bool fill_report(json_t *root, const struct tlsrpt_report *report) {
    json_t *range = json_object(), *policies = json_array();
    bool is_good = put_text(root, "organization-name", report->organization);
    is_good = put_time(range, "start-datetime", report->begin_s) && is_good;
    is_good = put_time(range, "end-datetime", report->end_s) && is_good;
    is_good = put(root, "date-range", range) && is_good;
    is_good = put_text(root, "contact-info", report->contact) && is_good;
    is_good = put_text(root, "report-id", report->report_id) && is_good;
    for (size_t i = 0; i < report->policies_n; i++) {
        json_t *entry = json_object();
        is_good = fill_entry(entry, &report->policies[i]) && is_good;
        is_good = json_array_append_new(policies, entry) == 0 && is_good;
    }
    return put(root, "policies", policies) && is_good;
}

static int put_octets(const char *p, size_t n, void *buf) {
    buf_put(buf, view_of(p, n));
    return buf_err(buf) == ERR_OK ? 0 : -1;
}

enum err tlsrpt_put_json(struct buf *buf, const struct tlsrpt_report *report) {
    TRY(buf_err(buf));
    json_t *root = json_object();
    enum err err = fill_report(root, report) ? ERR_OK : ERR_NO_MEMORY;
    if (err == ERR_OK && json_dump_callback(root, put_octets, buf, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0)
        err = buf_err(buf) != ERR_OK ? buf_err(buf) : ERR_NO_MEMORY;
    json_decref(root);
    return err;
}
