/* Aggregate reports from XML, by expat: one table says what every element is. */
#include "dmarc/aggregate_internal.h"

#include "base/utf8.h"

#include <expat.h>
#include <string.h>

enum place { OUTSIDE, FEEDBACK, METADATA, RANGE, POLICY, RECORD, ROW, EVALUATED, REASON, IDENTIFIERS, AUTH, DKIM, SPF };
enum leaf { NO_LEAF, INSIDE, TEXT, WORD, SECONDS, COUNT, PERCENT, ADDRESS, PROBLEM };

/* RFC9990-3.1.1, with what RFC7489-C had beside it. */
struct element {
    enum place in;
    const char *name;
    enum leaf leaf; /* INSIDE: elements, at `place`; else a text */
    enum place place;
    enum aggregate_kind words; /* of WORD */
    size_t offset;             /* of the member, in what belongs to `in` */
};

#define IN_REPORT(member) offsetof(struct aggregate_report, member)
#define IN_ROW(member) offsetof(struct aggregate_row, member)
#define IN_AUTH(member) offsetof(struct aggregate_auth, member)
#define IN_REASON(member) offsetof(struct aggregate_reason, member)

/* clang-format off */
static const struct element elements[] = {
    {FEEDBACK, "version", TEXT, 0, 0, IN_REPORT(version)},
    {FEEDBACK, "report_metadata", INSIDE, METADATA, 0, 0},
    {FEEDBACK, "policy_published", INSIDE, POLICY, 0, 0},
    {FEEDBACK, "record", INSIDE, RECORD, 0, 0},
    {METADATA, "org_name", TEXT, 0, 0, IN_REPORT(org_name)},
    {METADATA, "email", TEXT, 0, 0, IN_REPORT(email)},
    {METADATA, "extra_contact_info", TEXT, 0, 0, IN_REPORT(extra_contact_info)},
    {METADATA, "report_id", TEXT, 0, 0, IN_REPORT(report_id)},
    {METADATA, "date_range", INSIDE, RANGE, 0, 0},
    {METADATA, "error", PROBLEM, 0, 0, 0},
    {METADATA, "generator", TEXT, 0, 0, IN_REPORT(generator)},
    {RANGE, "begin", SECONDS, 0, 0, IN_REPORT(begin_s)},
    {RANGE, "end", SECONDS, 0, 0, IN_REPORT(end_s)},
    {POLICY, "domain", TEXT, 0, 0, IN_REPORT(domain)},
    {POLICY, "discovery_method", WORD, 0, AGGREGATE_KIND_DISCOVERY, IN_REPORT(discovery)},
    {POLICY, "p", WORD, 0, AGGREGATE_KIND_POLICY, IN_REPORT(p)},
    {POLICY, "sp", WORD, 0, AGGREGATE_KIND_POLICY, IN_REPORT(sp)},
    {POLICY, "np", WORD, 0, AGGREGATE_KIND_POLICY, IN_REPORT(np)},
    {POLICY, "fo", TEXT, 0, 0, IN_REPORT(fo)},
    {POLICY, "adkim", WORD, 0, AGGREGATE_KIND_ALIGNMENT, IN_REPORT(adkim)},
    {POLICY, "aspf", WORD, 0, AGGREGATE_KIND_ALIGNMENT, IN_REPORT(aspf)},
    {POLICY, "testing", WORD, 0, AGGREGATE_KIND_ANSWER, IN_REPORT(testing)},
    {POLICY, "pct", PERCENT, 0, 0, IN_REPORT(percent)},
    {RECORD, "row", INSIDE, ROW, 0, 0},
    {RECORD, "identifiers", INSIDE, IDENTIFIERS, 0, 0},
    {RECORD, "auth_results", INSIDE, AUTH, 0, 0},
    {ROW, "source_ip", ADDRESS, 0, 0, IN_ROW(source)},
    {ROW, "count", COUNT, 0, 0, IN_ROW(count)},
    {ROW, "policy_evaluated", INSIDE, EVALUATED, 0, 0},
    {EVALUATED, "disposition", WORD, 0, AGGREGATE_KIND_DISPOSITION, IN_ROW(disposition)},
    {EVALUATED, "dkim", WORD, 0, AGGREGATE_KIND_ALIGNED, IN_ROW(dkim)},
    {EVALUATED, "spf", WORD, 0, AGGREGATE_KIND_ALIGNED, IN_ROW(spf)},
    {EVALUATED, "reason", INSIDE, REASON, 0, 0},
    {REASON, "type", WORD, 0, AGGREGATE_KIND_OVERRIDE, IN_REASON(type)},
    {REASON, "comment", TEXT, 0, 0, IN_REASON(comment)},
    {IDENTIFIERS, "header_from", TEXT, 0, 0, IN_ROW(header_from)},
    {IDENTIFIERS, "envelope_from", TEXT, 0, 0, IN_ROW(envelope_from)},
    {IDENTIFIERS, "envelope_to", TEXT, 0, 0, IN_ROW(envelope_to)},
    {AUTH, "dkim", INSIDE, DKIM, 0, 0},
    {AUTH, "spf", INSIDE, SPF, 0, 0},
    {DKIM, "domain", TEXT, 0, 0, IN_AUTH(domain)},
    {DKIM, "selector", TEXT, 0, 0, IN_AUTH(selector)},
    {DKIM, "result", WORD, 0, AGGREGATE_KIND_RESULT, IN_AUTH(result)},
    {DKIM, "human_result", TEXT, 0, 0, IN_AUTH(human_result)},
    {SPF, "domain", TEXT, 0, 0, IN_AUTH(domain)},
    {SPF, "scope", WORD, 0, AGGREGATE_KIND_SCOPE, IN_AUTH(scope)},
    {SPF, "result", WORD, 0, AGGREGATE_KIND_RESULT, IN_AUTH(result)},
    {SPF, "human_result", TEXT, 0, 0, IN_AUTH(human_result)},
};
/* clang-format on */

struct reading {
    XML_Parser parser;
    struct arena *arena;
    struct aggregate_report *report;
    size_t rows_cap;
    enum err err;          /* why we stopped the parser */
    bool is_done;          /* </feedback> came */
    struct view space;     /* namespace of "feedback" */
    size_t depth, skipped; /* elements open; those of them inside one that is skipped, with it */
    enum place places[AGGREGATE_DEPTH_MAX + 1];
    size_t places_n;
    const struct element *leaf; /* whose text is being read */
    struct buf text;
    /* The record being read. */
    struct aggregate_row row;
    struct aggregate_reason reasons[AGGREGATE_REASONS_MAX];
    struct aggregate_auth dkim[AGGREGATE_RESULTS_MAX], spf[AGGREGATE_RESULTS_MAX];
    void *item; /* the reason or result being read; NULL: over the limit */
};

static void stop(struct reading *r, enum err err) {
    if (r->err == ERR_OK)
        r->err = err;
    XML_StopParser(r->parser, XML_FALSE);
}

static enum place place(const struct reading *r) {
    return r->places_n == 0 ? OUTSIDE : r->places[r->places_n - 1];
}

/* "namespace\nname", or "name" */
static struct view split_name(const char *full, struct view *space) {
    struct view v = view_cstr(full);
    ssize_t at = view_rfind_byte(v, '\n');
    *space = at < 0 ? VIEW_NONE : view_sub(v, 0, (size_t)at);
    return at < 0 ? v : view_skip(v, (size_t)at + 1);
}

static void enter(struct reading *r, enum place where) {
    r->places[r->places_n++] = where;
    if (where == RECORD) {
        r->row = (struct aggregate_row){.reasons = r->reasons, .dkim_results = r->dkim, .spf_results = r->spf};
    } else if (where == REASON) {
        r->item = r->row.reasons_n < AGGREGATE_REASONS_MAX ? &r->reasons[r->row.reasons_n++] : NULL;
        if (r->item != NULL)
            memset(r->item, 0, sizeof(struct aggregate_reason));
    } else if (where == DKIM || where == SPF) {
        size_t *n = where == DKIM ? &r->row.dkim_results_n : &r->row.spf_results_n;
        r->item = *n < AGGREGATE_RESULTS_MAX ? &(where == DKIM ? r->dkim : r->spf)[(*n)++] : NULL;
        if (r->item != NULL)
            memset(r->item, 0, sizeof(struct aggregate_auth));
    }
}

static void XMLCALL on_start(void *arg, const char *full, const char **attributes) {
    struct reading *r = arg;
    (void)attributes;
    if (++r->depth > AGGREGATE_DEPTH_MAX) {
        stop(r, ERR_LIMIT);
        return;
    }
    if (r->skipped > 0 || r->leaf != NULL) {
        r->skipped++;
        return;
    }
    struct view space, name = split_name(full, &space);
    if (r->places_n == 0) { /* some wrap it in a schema: the first "feedback" is the report, wherever it is */
        if (!view_eq(name, VIEW("feedback")))
            return;
        if (arena_view(r->arena, space, &r->space) != ERR_OK)
            stop(r, ERR_LIMIT);
        enter(r, FEEDBACK);
        return;
    }
    /* RFC7489-C: elements inside are without a namespace; RFC9990-A: all are in one. Extensions have another (RFC9990-5). */
    if (space.n == 0 || view_eq(space, r->space)) {
        for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
            const struct element *element = &elements[i];
            if (element->in != place(r) || !view_eq(name, view_cstr(element->name)))
                continue;
            if (element->leaf == INSIDE) {
                enter(r, element->place);
            } else {
                r->leaf = element;
                buf_clear(&r->text);
            }
            return;
        }
    }
    r->skipped = 1;
}

static void XMLCALL on_text(void *arg, const char *p, int n) {
    struct reading *r = arg;
    if (r->leaf == NULL || r->skipped > 0)
        return;
    /* A little more than is kept, so that the cut can be at a character. */
    size_t room = AGGREGATE_TEXT_MAX + 4 - MIN(r->text.n, AGGREGATE_TEXT_MAX + 4);
    buf_put(&r->text, view_sub(view_of(p, (size_t)n), 0, room));
    if (buf_err(&r->text) != ERR_OK)
        stop(r, buf_err(&r->text));
}

static void put_text(struct reading *r, struct view text, struct view *out) {
    if (out->p == NULL && arena_view(r->arena, text, out) != ERR_OK)
        stop(r, ERR_LIMIT);
}

static void put_problem(struct reading *r, struct view text) {
    struct aggregate_report *report = r->report;
    if (text.n == 0 || report->errors_n == AGGREGATE_ERRORS_MAX)
        return;
    if (report->errors == NULL)
        report->errors = ARENA_ARRAY(r->arena, AGGREGATE_ERRORS_MAX, struct view);
    if (report->errors == NULL)
        stop(r, ERR_LIMIT);
    else
        put_text(r, text, &report->errors[report->errors_n++]);
}

static void end_leaf(struct reading *r) {
    const struct element *leaf = r->leaf;
    struct view text = view_trim(utf8_truncate(buf_view(&r->text), AGGREGATE_TEXT_MAX));
    void *base = leaf->in == REASON || leaf->in == DKIM || leaf->in == SPF             ? r->item
                 : leaf->in == ROW || leaf->in == EVALUATED || leaf->in == IDENTIFIERS ? (void *)&r->row
                                                                                       : (void *)r->report;
    r->leaf = NULL;
    if (base == NULL)
        return;
    void *member = (uint8_t *)base + leaf->offset;
    uint64_t number;
    int word, old;
    switch (leaf->leaf) {
    case TEXT:
        put_text(r, text, member);
        break;
    case WORD: /* an enum, which is as wide as an int */
        word = aggregate_word(leaf->words, text);
        memcpy(&old, member, sizeof(old));
        if (old == 0)
            memcpy(member, &word, sizeof(word));
        break;
    case SECONDS:
        if (view_to_u64(text, INT64_MAX / 1000000, &number) == ERR_OK && *(int64_t *)member == 0)
            *(int64_t *)member = (int64_t)number;
        break;
    case COUNT:
        if (view_to_u64(text, UINT64_MAX / 2, &number) == ERR_OK && *(uint64_t *)member == 0)
            *(uint64_t *)member = number;
        break;
    case PERCENT:
        if (view_to_u64(text, 100, &number) == ERR_OK && *(int *)member < 0)
            *(int *)member = (int)number;
        break;
    case ADDRESS:
        if (((struct netaddr *)member)->family == 0) {
            struct netaddr addr;
            if (netaddr_parse(text, 0, &addr) == ERR_OK) {
                addr.port = 0;
                *(struct netaddr *)member = addr;
            }
        }
        break;
    case PROBLEM:
        put_problem(r, text);
        break;
    case INSIDE:
    case NO_LEAF:
        break;
    }
}

static void *keep(struct reading *r, const void *list, size_t n, size_t size) {
    if (n == 0)
        return NULL;
    void *copy = arena_array(r->arena, n, size);
    if (copy == NULL)
        stop(r, ERR_LIMIT);
    else
        memcpy(copy, list, n * size);
    return copy;
}

static void end_record(struct reading *r) {
    struct aggregate_report *report = r->report;
    if (report->rows_n == AGGREGATE_ROWS_MAX) {
        report->rows_left_out++;
        return;
    }
    if (report->rows_n == r->rows_cap) {
        size_t cap = r->rows_cap == 0 ? 16 : 2 * r->rows_cap;
        struct aggregate_row *grown =
            arena_grow(r->arena, report->rows, r->rows_cap, cap, sizeof(struct aggregate_row));
        if (grown == NULL) {
            stop(r, ERR_LIMIT);
            return;
        }
        report->rows = grown;
        r->rows_cap = cap;
    }
    struct aggregate_row row = r->row;
    row.reasons = keep(r, row.reasons, row.reasons_n, sizeof(*row.reasons));
    row.dkim_results = keep(r, row.dkim_results, row.dkim_results_n, sizeof(*row.dkim_results));
    row.spf_results = keep(r, row.spf_results, row.spf_results_n, sizeof(*row.spf_results));
    report->rows[report->rows_n++] = row;
}

/* Some programs always write a reason, with nothing in it. */
static void end_reason(struct reading *r) {
    const struct aggregate_reason *reason = r->item;
    if (reason != NULL && reason->type == AGGREGATE_OVERRIDE_UNSAID && reason->comment.n == 0)
        r->row.reasons_n--;
}

static void XMLCALL on_end(void *arg, const char *full) {
    struct reading *r = arg;
    (void)full;
    r->depth--;
    if (r->skipped > 0) {
        r->skipped--;
        return;
    }
    if (r->leaf != NULL) {
        end_leaf(r);
        return;
    }
    if (r->places_n == 0)
        return;
    switch (r->places[--r->places_n]) {
    case RECORD:
        end_record(r);
        break;
    case REASON:
        end_reason(r);
        break;
    case FEEDBACK:
        r->is_done = true;
        stop(r, ERR_OK);
        break;
    default:
        break;
    }
}

/* No report needs one, and all of XML's bombs do. */
static void XMLCALL on_doctype(void *arg, const char *name, const char *system_id, const char *public_id,
                               int has_subset) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    stop(arg, ERR_SYNTAX);
}

/* encoding: NULL, what the document says. *error: expat's, for a second try. */
static enum err read_once(struct arena *arena, struct view xml, const char *encoding, struct aggregate_report *out,
                          enum XML_Error *error) {
    struct reading *r = ARENA_NEW(arena, struct reading);
    if (r == NULL)
        return ERR_LIMIT;
    r->parser = XML_ParserCreateNS(encoding, '\n');
    if (r->parser == NULL)
        return ERR_NO_MEMORY;
    *out = (struct aggregate_report){.percent = -1};
    r->arena = arena;
    r->report = out;
    buf_init(&r->text, AGGREGATE_TEXT_MAX + 4);
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    enum XML_Status status = XML_Parse(r->parser, (const char *)xml.p, (int)xml.n, 1);
    *error = status == XML_STATUS_OK ? XML_ERROR_NONE : XML_GetErrorCode(r->parser);
    XML_ParserFree(r->parser);
    buf_fini(&r->text);
    if (r->err != ERR_OK)
        return r->err;
    if (*error == XML_ERROR_NO_MEMORY)
        return ERR_NO_MEMORY;
    return r->is_done && out->domain.n > 0 ? ERR_OK : ERR_SYNTAX;
}

enum err aggregate_read(struct arena *arena, struct view xml, struct aggregate_report *out) {
    struct aggregate_report report;
    enum XML_Error error = XML_ERROR_NONE;
    if (xml.n > AGGREGATE_XML_MAX)
        return ERR_LIMIT;
    xml = view_trim(xml); /* a declaration must be the first, and is not always */
    enum err err = read_once(arena, xml, NULL, &report, &error);
    /* A charset that expat lacks or octets that are none of it: ASCII and domains in A-labels are what matters. */
    if (err == ERR_SYNTAX &&
        (error == XML_ERROR_UNKNOWN_ENCODING || (error == XML_ERROR_INVALID_TOKEN && !utf8_is_valid(xml)))) {
        struct buf clean;
        buf_init(&clean, 3 * xml.n); /* U+FFFD has three octets */
        buf_put_utf8_lossy(&clean, xml);
        err =
            buf_err(&clean) != ERR_OK ? buf_err(&clean) : read_once(arena, buf_view(&clean), "UTF-8", &report, &error);
        buf_fini(&clean);
    }
    if (err == ERR_OK)
        *out = report;
    return err;
}
