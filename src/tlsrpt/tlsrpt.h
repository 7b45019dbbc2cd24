/*
 * SMTP TLS Reporting (RFC 8460): the record that asks for reports, reports as
 * JSON and as the mail they come in, and a collection of one day's sessions.
 *
 * Pure but for one question to DNS. What is read lives in the arena given, is UTF-8, and is
 * what a stranger wrote: only the mail's own DKIM signature says who sent it (RFC8460-3).
 */
#ifndef TLSRPT_TLSRPT_H
#define TLSRPT_TLSRPT_H

#include "dns/client.h"
#include "message/builder.h"
#include "message/parse.h"

#define TLSRPT_URIS_MAX 10                  /* of one record; more are left out */
#define TLSRPT_JSON_MAX (10 * 1024 * 1024)  /* RFC8460-5.2: "a commonly observed receiver limit is ten megabytes" */
#define TLSRPT_PACKED_MAX (4 * 1024 * 1024) /* octets of a file, compressed or not, as it came by mail */
#define TLSRPT_VALUES_MAX 400000            /* JSON values of a document: what bounds the memory that its tree takes */
#define TLSRPT_DEPTH_MAX 16                 /* levels of JSON; the format has 6 */
#define TLSRPT_POLICIES_MAX 1000            /* of one report that are read; more are left out and counted */
#define TLSRPT_FAILURES_MAX 20000           /* of one report that are read; more are left out and counted */
#define TLSRPT_LINES_MAX 1000               /* of one policy-string, and patterns of one mx-host; more are left out */
#define TLSRPT_TEXT_MAX 4096                /* octets of one text; longer ones are cut at a character */
#define TLSRPT_COUNT_MAX INT64_C(1000000000000) /* sessions; a larger number is no count */
#define TLSRPT_FILES_MAX 8                      /* attachments of one mail that are tried */
#define TLSRPT_ARENA_BUDGET (48 * 1024 * 1024) /* holds every report within these limits, its mail's parse tree aside */

/* ---- the record */

enum tlsrpt_found {
    TLSRPT_NOTHING,   /* no record: no reports */
    TLSRPT_RECORD,    /* with addresses, or with none that we know how to reach */
    TLSRPT_INVALID,   /* several, or one that cannot be read: RFC8460-3, as if there were none */
    TLSRPT_NO_ANSWER, /* DNS has trouble, or is forged */
};
struct tlsrpt_uri {
    bool is_mail;     /* mailto:, else https: */
    struct view text; /* the URI as published */
    struct view to;   /* of mailto: addresses, as in a To field */
};
struct tlsrpt_record {
    struct tlsrpt_uri uris[TLSRPT_URIS_MAX]; /* RFC8460-3: any of them that takes a report will do */
    size_t uris_n;
};
/* RFC8460-3: whether the text begins as such a record does. */
bool tlsrpt_record_is_one(struct view text);
/* URIs of other schemes are left out, unknown fields skipped. ERR_SYNTAX: not by its grammar, or no rua. ERR_LIMIT: arena. */
enum err tlsrpt_record_parse(struct arena *arena, struct view text, struct tlsrpt_record *out) MUST_CHECK;
/* Asks for _smtp._tls.DOMAIN. *record is set when *found is TLSRPT_RECORD. ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY, ERR_LIMIT. */
enum err tlsrpt_discover(struct dns_client *client, struct view domain, struct arena *arena, enum tlsrpt_found *found,
                         struct tlsrpt_record *record) MUST_CHECK;

/* ---- a report */

enum tlsrpt_policy_type { /* RFC8460-4.4 */
                          TLSRPT_OTHER_POLICY,
                          TLSRPT_TLSA,
                          TLSRPT_STS,
                          TLSRPT_NO_POLICY
};
enum tlsrpt_result { /* RFC8460-4.3 and its registry (RFC8460-6.6) */
                     TLSRPT_OTHER_RESULT,
                     TLSRPT_STARTTLS_NOT_SUPPORTED,
                     TLSRPT_HOST_MISMATCH,
                     TLSRPT_EXPIRED,
                     TLSRPT_TLSA_INVALID,
                     TLSRPT_DNSSEC_INVALID,
                     TLSRPT_DANE_REQUIRED,
                     TLSRPT_NOT_TRUSTED,
                     TLSRPT_STS_POLICY_INVALID,
                     TLSRPT_STS_WEBPKI_INVALID,
                     TLSRPT_VALIDATION_FAILURE,
                     TLSRPT_STS_POLICY_FETCH_ERROR
};
struct tlsrpt_failure {
    enum tlsrpt_result result;
    struct view result_text; /* as written; of OTHER_RESULT all there is */
    uint64_t sessions;
    /* p == NULL: not there. Addresses are texts: those of strangers are not checked. */
    struct view sending_ip, receiving_ip, mx_host, mx_helo, additional, reason;
};
struct tlsrpt_policy {
    enum tlsrpt_policy_type type;
    struct view type_text;    /* as written */
    const struct view *lines; /* policy-string: TLSA records, or the lines of the policy (RFC8460-4.5) */
    size_t lines_n;
    struct view domain;
    const struct view *mx; /* patterns of an MTA-STS policy */
    size_t mx_n;
    uint64_t successes, failures; /* sessions */
    const struct tlsrpt_failure *details;
    size_t details_n;
};
struct tlsrpt_report {
    struct view organization, contact, report_id;
    int64_t begin_s, end_s; /* seconds since 1970; 0: not there */
    const struct tlsrpt_policy *policies;
    size_t policies_n;
    size_t left_out; /* policies and failures over the limits */
};

/* RFC8460-4.4. What is missing is empty, as real reports need; members that are not known are skipped, and those of a wrong type are as if they were not there.
 * ERR_SYNTAX: no JSON, or no list of policies. ERR_LIMIT: too large, too deep, too many values, or the arena. */
enum err tlsrpt_read(struct arena *arena, struct view json, struct tlsrpt_report *out) MUST_CHECK;
/* gzip or plain, told by its first octets. */
enum err tlsrpt_read_file(struct arena *arena, struct view file, struct tlsrpt_report *out) MUST_CHECK;
/* The report that a mail brings (RFC8460-5.3), found by media types and names. ERR_NOT_FOUND: nothing in it may be one; else
 * the error of the first file that could not be read. */
enum err tlsrpt_read_message(struct arena *arena, const struct message *message, struct tlsrpt_report *out) MUST_CHECK;
/* RFC8460-4.4, appended. Texts that are no UTF-8 get U+FFFD. Errors of buf; ERR_NO_MEMORY. */
enum err tlsrpt_put_json(struct buf *buf, const struct tlsrpt_report *report) MUST_CHECK;

const char *tlsrpt_policy_type_name(enum tlsrpt_policy_type type); /* "sts"; "" for OTHER */
const char *tlsrpt_result_name(enum tlsrpt_result result);         /* "certificate-expired"; "" for OTHER */

/* ---- one day's sessions with one domain */

#define TLSRPT_COLLECT_POLICIES_MAX 64 /* of one domain and day: one policy, and one for each exchanger with DANE */
/* Different failures of one policy; what comes after is counted in one more, which says so. */
#define TLSRPT_COLLECT_FAILURES_MAX 500

struct tlsrpt_session {
    /* The policy applied. Sessions of one type, domain and text go together. Texts are copied. */
    enum tlsrpt_policy_type policy;
    struct view domain;
    const struct view *lines;
    size_t lines_n;
    const struct view *mx;
    size_t mx_n;
    bool is_success;
    struct tlsrpt_failure failure; /* otherwise; its sessions are 0 or 1 for one, and result_text is not looked at */
};
struct tlsrpt_collection;
/* budget: octets of all texts. */
enum err tlsrpt_collection_new(size_t budget, struct tlsrpt_collection **out) MUST_CHECK;
void tlsrpt_collection_free(struct tlsrpt_collection *collection); /* NULL is fine */
/* Never loses a count but for policies over their maximum or over budget: ERR_LIMIT. ERR_NO_MEMORY. */
enum err tlsrpt_collection_add(struct tlsrpt_collection *collection, const struct tlsrpt_session *session) MUST_CHECK;
/* Sets the policies of *out; they are the collection's until the next add or free. */
void tlsrpt_collection_report(struct tlsrpt_collection *collection, struct tlsrpt_report *out);

/* ---- sent */

struct tlsrpt_mail {
    const struct tlsrpt_report *report; /* contact: an address; its domain is the submitter (RFC8460-5.3) */
    struct view domain;                 /* that the report is about */
    struct view from, to;               /* addresses */
    struct view unique_id;              /* RFC8460-5.1: letters and digits, for the file's name; may be empty */
    int64_t wall_us;
    uint8_t random[16];
};
/* RFC8460-5.3: the whole mail, all 7bit; to be signed by DKIM without "l=", both TLS-Report fields among what is signed. ERR_SYNTAX: a contact,
 * domain or address that is none. ERR_LIMIT: arena, or the report is over TLSRPT_JSON_MAX. Errors of the sink. */
enum err tlsrpt_mail_write(struct arena *arena, const struct tlsrpt_mail *mail, struct builder_sink *sink) MUST_CHECK;
/* RFC8460-5.1: "submitter!domain!begin!end[!unique-id].json.gz", also for what is sent by HTTPS: POST, with TLSRPT_GZIP_TYPE. ERR_SYNTAX. */
enum err tlsrpt_put_file_name(struct buf *buf, const struct tlsrpt_mail *mail) MUST_CHECK;
#define TLSRPT_GZIP_TYPE VIEW("application/tlsrpt+gzip") /* RFC8460-6.5 */
#define TLSRPT_JSON_TYPE VIEW("application/tlsrpt+json") /* RFC8460-6.4 */

#endif
