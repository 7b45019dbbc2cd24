/* TLS reports read: JSON, the files and the mail they come in. */
#include "tlsrpt/tlsrpt.h"

#include "base/clock.h"
#include "base/reader.h"
#include "base/utf8.h"
#include "inflate/inflate.h"
#include "message/bodies.h"
#include "message/decode.h"

#include <jansson.h>

/* ---- before the library sees it ---- */

/* The library bounds the depth only at 2048, and the number of values not at all: each takes some fifty octets. */
static enum err weigh(struct view json) {
    size_t values = 0, depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.n; i++) {
        uint8_t c = json.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        if (c == '[' || c == '{')
            depth++;
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
        values += c == '[' || c == '{' || c == ',' || c == ':';
        if (depth > TLSRPT_DEPTH_MAX || values > TLSRPT_VALUES_MAX)
            return ERR_LIMIT;
    }
    return ERR_OK;
}

/* ---- values ---- */

struct reading {
    struct arena *arena;
    struct tlsrpt_report report;
    size_t details_left; /* of the report's TLSRPT_FAILURES_MAX */
};

static enum err take_text(struct arena *arena, const json_t *value, struct view *out) {
    if (!json_is_string(value))
        return ERR_OK;
    struct view text = view_of(json_string_value(value), json_string_length(value));
    return arena_view(arena, utf8_truncate(text, TLSRPT_TEXT_MAX), out);
}

static enum err take_member(struct arena *arena, const json_t *object, const char *name, struct view *out) {
    return take_text(arena, json_object_get(object, name), out);
}

/* Some programs write whole numbers as fractions, or as strings. */
static uint64_t count_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    uint64_t count = 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= TLSRPT_COUNT_MAX)
        return (uint64_t)json_integer_value(value);
    if (json_is_real(value) && json_real_value(value) >= 0 && json_real_value(value) <= (double)TLSRPT_COUNT_MAX)
        return (uint64_t)json_real_value(value);
    if (json_is_string(value) && view_to_u64(view_of(json_string_value(value), json_string_length(value)),
                                             (uint64_t)TLSRPT_COUNT_MAX, &count) != ERR_OK)
        return 0;
    return count;
}

/* A list of texts; RFC 8460's drafts had one text, and some programs still write it. */
static enum err take_list(struct arena *arena, const json_t *value, const struct view **out, size_t *out_n) {
    size_t n = json_is_array(value) ? MIN(json_array_size(value), (size_t)TLSRPT_LINES_MAX) : json_is_string(value);
    struct view *list = ARENA_ARRAY(arena, n, struct view);
    if (!list)
        return ERR_LIMIT;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(take_text(arena, json_is_array(value) ? json_array_get(value, i) : value, &list[kept]));
        kept += list[kept].p != NULL;
    }
    *out = list;
    *out_n = kept;
    return ERR_OK;
}

static int digits(struct reader *r, size_t n) {
    struct view v = reader_take(r, n);
    uint32_t value = 0;
    if (v.n != n || view_to_u32(v, 9999, &value) != ERR_OK)
        (void)reader_fail(r, ERR_SYNTAX);
    return (int)value;
}

/* RFC3339-5.6, which RFC8460-4.4 asks for; a day alone, and no zone, are read too. 0: none. */
static int64_t time_of(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return 0;
    struct reader r = reader_of(view_of(json_string_value(value), json_string_length(value)));
    struct date date = {0};
    date.year = digits(&r, 4);
    (void)reader_expect(&r, '-');
    date.month = digits(&r, 2);
    (void)reader_expect(&r, '-');
    date.day = digits(&r, 2);
    if (!reader_at_end(&r)) {
        if (!reader_accept_nocase(&r, VIEW("t")))
            (void)reader_expect(&r, ' ');
        date.hour = digits(&r, 2);
        (void)reader_expect(&r, ':');
        date.minute = digits(&r, 2);
        (void)reader_expect(&r, ':');
        date.second = digits(&r, 2);
        if (date.second == 60) /* a leap second */
            date.second = 59;
        if (reader_accept(&r, '.'))
            (void)reader_u64(&r, UINT64_MAX);
        bool is_east = reader_accept(&r, '+');
        if (is_east || reader_accept(&r, '-')) {
            int hours = digits(&r, 2);
            (void)reader_accept(&r, ':');
            date.zone_minutes = (is_east ? 1 : -1) * (60 * hours + digits(&r, 2));
        } else {
            (void)reader_accept_nocase(&r, VIEW("z"));
        }
    }
    int64_t unix_s;
    if (reader_err(&r) != ERR_OK || !reader_at_end(&r) || date_to_unix(&date, &unix_s) != ERR_OK)
        return 0;
    return unix_s;
}

/* ---- the report ---- */

static enum err take_failure(struct arena *arena, const json_t *object, struct tlsrpt_failure *out) {
    TRY(take_member(arena, object, "result-type", &out->result_text));
    for (enum tlsrpt_result i = TLSRPT_OTHER_RESULT + 1; i <= TLSRPT_STS_POLICY_FETCH_ERROR; i++)
        if (view_eq_nocase(out->result_text, view_cstr(tlsrpt_result_name(i))))
            out->result = i;
    out->sessions = count_of(object, "failed-session-count");
    TRY(take_member(arena, object, "sending-mta-ip", &out->sending_ip));
    TRY(take_member(arena, object, "receiving-ip", &out->receiving_ip));
    TRY(take_member(arena, object, "receiving-mx-hostname", &out->mx_host));
    TRY(take_member(arena, object, "receiving-mx-helo", &out->mx_helo));
    TRY(take_member(arena, object, "additional-information", &out->additional));
    return take_member(arena, object, "failure-reason-code", &out->reason);
}

static enum err take_failures(struct reading *reading, const json_t *array, struct tlsrpt_policy *out) {
    size_t all = json_array_size(array), n = MIN(all, reading->details_left); /* 0 of what is no array */
    struct tlsrpt_failure *list = ARENA_ARRAY(reading->arena, n, struct tlsrpt_failure);
    if (!list)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        const json_t *object = json_array_get(array, i);
        if (json_is_object(object))
            TRY(take_failure(reading->arena, object, &list[out->details_n++]));
    }
    reading->details_left -= n;
    reading->report.left_out += all - n;
    out->details = list;
    return ERR_OK;
}

static enum err take_policy(struct reading *reading, const json_t *entry, struct tlsrpt_policy *out) {
    const json_t *policy = json_object_get(entry, "policy"), *summary = json_object_get(entry, "summary");
    TRY(take_member(reading->arena, policy, "policy-type", &out->type_text));
    for (enum tlsrpt_policy_type i = TLSRPT_TLSA; i <= TLSRPT_NO_POLICY; i++)
        if (view_eq_nocase(out->type_text, view_cstr(tlsrpt_policy_type_name(i))))
            out->type = i;
    TRY(take_member(reading->arena, policy, "policy-domain", &out->domain));
    TRY(take_list(reading->arena, json_object_get(policy, "policy-string"), &out->lines, &out->lines_n));
    TRY(take_list(reading->arena, json_object_get(policy, "mx-host"), &out->mx, &out->mx_n));
    out->successes = count_of(summary, "total-successful-session-count");
    out->failures = count_of(summary, "total-failure-session-count");
    return take_failures(reading, json_object_get(entry, "failure-details"), out);
}

static enum err take_report(struct reading *reading, const json_t *root) {
    struct tlsrpt_report *out = &reading->report;
    const json_t *policies = json_object_get(root, "policies"), *range = json_object_get(root, "date-range");
    if (!json_is_array(policies)) /* also of a root that is no object */
        return ERR_SYNTAX;
    TRY(take_member(reading->arena, root, "organization-name", &out->organization));
    TRY(take_member(reading->arena, root, "contact-info", &out->contact));
    TRY(take_member(reading->arena, root, "report-id", &out->report_id));
    out->begin_s = time_of(range, "start-datetime");
    out->end_s = time_of(range, "end-datetime");
    size_t all = json_array_size(policies), n = MIN(all, (size_t)TLSRPT_POLICIES_MAX);
    struct tlsrpt_policy *list = ARENA_ARRAY(reading->arena, n, struct tlsrpt_policy);
    if (!list)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(policies, i);
        if (json_is_object(entry))
            TRY(take_policy(reading, entry, &list[out->policies_n++]));
    }
    out->left_out += all - n;
    out->policies = list;
    return ERR_OK;
}

enum err tlsrpt_read(struct arena *arena, struct view json, struct tlsrpt_report *out) {
    if (json.n > TLSRPT_JSON_MAX)
        return ERR_LIMIT;
    if (view_starts(json, VIEW("\xef\xbb\xbf"))) /* RFC8259-8.1: a mark that "implementations MAY ignore" */
        json = view_skip(json, 3);
    TRY(weigh(json));
    json_error_t error;
    json_t *root = json_loadb((const char *)json.p, json.n, 0, &error);
    if (!root)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_NO_MEMORY : ERR_SYNTAX;
    struct reading reading = {.arena = arena, .details_left = TLSRPT_FAILURES_MAX};
    enum err err = take_report(&reading, root);
    json_decref(root);
    if (err == ERR_OK)
        *out = reading.report;
    return err;
}

/* ---- files and mail ---- */

enum err tlsrpt_read_file(struct arena *arena, struct view file, struct tlsrpt_report *out) {
    if (!inflate_is_gzip(file))
        return tlsrpt_read(arena, file, out);
    struct buf json;
    buf_init(&json, TLSRPT_JSON_MAX);
    enum err err = inflate_octets(file, INFLATE_GZIP, &json);
    if (err == ERR_OK)
        err = tlsrpt_read(arena, buf_view(&json), out);
    buf_fini(&json);
    return err;
}

/* RFC8460-5.3: by its type, which has "+gzip" or "+json", or by its name, since some are sent as octets. */
static bool may_be_one(const struct mime_part *part, struct buf *name) {
    if (part->is_multipart || part->is_message)
        return false;
    if (view_eq_nocase(part->type, VIEW("application")) && view_starts_nocase(part->subtype, VIEW("tlsrpt")))
        return true;
    buf_clear(name);
    mime_part_put_name(name, NULL, part);
    struct view text = view_trim(buf_view(name));
    return view_ends_nocase(text, VIEW(".json")) || view_ends_nocase(text, VIEW(".json.gz"));
}

enum err tlsrpt_read_message(struct arena *arena, const struct message *message, struct tlsrpt_report *out) {
    enum err first = ERR_NOT_FOUND;
    size_t tried = 0;
    struct buf name, file;
    buf_init(&name, 4 * ATTACHMENT_NAME_MAX);
    buf_init(&file, TLSRPT_PACKED_MAX);
    for (const struct mime_part *part = message->root; part && tried < TLSRPT_FILES_MAX;
         part = message_part_next(part)) {
        if (!may_be_one(part, &name))
            continue;
        tried++;
        buf_clear(&file);
        decode_put_body(&file, message, part);
        enum err err = buf_err(&file);
        if (err == ERR_OK)
            err = tlsrpt_read_file(arena, buf_view(&file), out);
        if (err == ERR_OK || first == ERR_NOT_FOUND)
            first = err;
        if (err == ERR_OK || err == ERR_CANCELED || err == ERR_NO_MEMORY)
            break;
    }
    buf_fini(&name);
    buf_fini(&file);
    return first;
}
