/*
 * DMARC aggregate reports (RFC 9990, and the older RFC7489-C that most senders
 * still write): read from XML, from gzip and zip files and from the mail they
 * come in; collected row by row; written.
 *
 * Pure: no process, no socket, no store. What is read lives in the arena given,
 * is UTF-8, and is what a stranger wrote: nothing in it is checked beyond its
 * form, and only the mail's own DMARC pass says who sent it (RFC9990-3.5.2).
 */
#ifndef DMARC_AGGREGATE_H
#define DMARC_AGGREGATE_H

#include "dmarc/dmarc.h"
#include "message/builder.h"
#include "message/parse.h"

#include "base/netaddr.h"

/* Reports of the largest receivers about the largest senders stay below these; what needs more is refused. */
#define AGGREGATE_XML_MAX (16 * 1024 * 1024)   /* octets of a document */
#define AGGREGATE_PACKED_MAX (4 * 1024 * 1024) /* octets of a compressed file */
#define AGGREGATE_DEPTH_MAX 32                 /* elements inside each other; the format has 6 levels */
#define AGGREGATE_ROWS_MAX 20000  /* records of one report that are read; more are counted in rows_left_out */
#define AGGREGATE_RESULTS_MAX 100 /* RFC9990-3.1.3: results of one kind in a record; more are left out */
#define AGGREGATE_REASONS_MAX 10  /* of one record; more are left out */
#define AGGREGATE_ERRORS_MAX 10   /* of one report; more are left out (RFC7489-C has any number, RFC 9990 one) */
#define AGGREGATE_TEXT_MAX 4096   /* octets of one text; longer ones are cut at a character */
#define AGGREGATE_FILES_MAX 8     /* attachments of one mail that are tried */
/* An arena budget that holds every report somebody meant, its mail's parse tree aside. A document at its limit of nothing but empty
 * elements would need more, and is ERR_LIMIT. */
#define AGGREGATE_ARENA_BUDGET (64 * 1024 * 1024)

/* In all of these 0 is what was not said, or is no value of the format. */
enum aggregate_alignment { AGGREGATE_ALIGNMENT_UNSAID, AGGREGATE_RELAXED, AGGREGATE_STRICT };
enum aggregate_policy {
    AGGREGATE_POLICY_UNSAID,
    AGGREGATE_POLICY_NONE,
    AGGREGATE_POLICY_QUARANTINE,
    AGGREGATE_POLICY_REJECT
};
enum aggregate_discovery { AGGREGATE_DISCOVERY_UNSAID, AGGREGATE_SUFFIX_LIST, AGGREGATE_TREE_WALK };
enum aggregate_answer { AGGREGATE_ANSWER_UNSAID, AGGREGATE_NO, AGGREGATE_YES };
/* RFC9990-3.1.1.9: what was done with the message */
enum aggregate_disposition {
    AGGREGATE_DISPOSITION_UNSAID,
    AGGREGATE_DISPOSITION_NONE,
    AGGREGATE_DISPOSITION_PASS, /* nothing, since it passed; RFC 7489 says "none" */
    AGGREGATE_DISPOSITION_QUARANTINE,
    AGGREGATE_DISPOSITION_REJECT
};
enum aggregate_aligned { AGGREGATE_ALIGNED_UNSAID, AGGREGATE_ALIGNED_PASS, AGGREGATE_ALIGNED_FAIL };
enum aggregate_override { /* RFC9990-3.1.6, the last two RFC7489-C */
                          AGGREGATE_OVERRIDE_UNSAID,
                          AGGREGATE_LOCAL_POLICY,
                          AGGREGATE_MAILING_LIST,
                          AGGREGATE_OTHER,
                          AGGREGATE_POLICY_TEST_MODE,
                          AGGREGATE_TRUSTED_FORWARDER,
                          AGGREGATE_FORWARDED,
                          AGGREGATE_SAMPLED_OUT
};
enum aggregate_scope { AGGREGATE_SCOPE_UNSAID, AGGREGATE_MFROM, AGGREGATE_HELO };
enum aggregate_result { /* RFC8601-2.7.1, RFC8601-2.7.2; "hardfail" and "unknown" of RFC 7001 and before are read too */
                        AGGREGATE_RESULT_UNSAID,
                        AGGREGATE_RESULT_NONE,
                        AGGREGATE_RESULT_PASS,
                        AGGREGATE_RESULT_FAIL,
                        AGGREGATE_RESULT_SOFTFAIL, /* of SPF */
                        AGGREGATE_RESULT_POLICY,
                        AGGREGATE_RESULT_NEUTRAL,
                        AGGREGATE_RESULT_TEMPERROR,
                        AGGREGATE_RESULT_PERMERROR
};

struct aggregate_reason {
    enum aggregate_override type;
    struct view comment; /* as all texts: p == NULL when it is not there */
};

struct aggregate_auth {
    struct view domain;
    struct view selector;       /* of DKIM */
    enum aggregate_scope scope; /* of SPF */
    enum aggregate_result result;
    struct view human_result;
};

struct aggregate_row {     /* RFC9990-3.1.1.7 */
    struct netaddr source; /* family 0: not there, or no address */
    uint64_t count;        /* messages */
    enum aggregate_disposition disposition;
    enum aggregate_aligned dkim, spf;
    struct aggregate_reason *reasons;
    size_t reasons_n;
    struct view header_from, envelope_from, envelope_to; /* domains; envelope_from is empty for the null reverse-path */
    struct aggregate_auth *dkim_results, *spf_results;   /* RFC 9990 has at most one of SPF */
    size_t dkim_results_n, spf_results_n;
};

struct aggregate_report {
    struct view version;
    struct view org_name, email, extra_contact_info, report_id, generator;
    int64_t begin_s, end_s; /* seconds since 1970, both in the period; 0: not there */
    struct view *errors;
    size_t errors_n;
    /* policy_published (RFC9990-3.1.1.5) */
    struct view domain;
    enum aggregate_discovery discovery;
    enum aggregate_policy p, sp, np;
    enum aggregate_alignment adkim, aspf;
    enum aggregate_answer testing;
    struct view fo;
    int percent; /* RFC7489-C "pct"; -1: not there. Not written */
    struct aggregate_row *rows;
    size_t rows_n, rows_left_out;
};

/* ---- reading */

/*
 * A document. Elements may come in any order and unknown ones are skipped, with all inside them; the namespace is RFC
 * 9990's, RFC 7489's, any other or none, the same for all. Octets that are no UTF-8 become U+FFFD. What follows the end of
 * "feedback" is not read. ERR_SYNTAX: no XML, a DOCTYPE, no whole "feedback", or no policy domain in it
 * (RFC9990-3.1.1: discard it). ERR_LIMIT: AGGREGATE_XML_MAX, AGGREGATE_DEPTH_MAX, or the arena.
 */
enum err aggregate_read(struct arena *arena, struct view xml, struct aggregate_report *out) MUST_CHECK;
/* What a file holds, told by its first octets: gzip, a zip file's first member, or the octets as they are. Appended to xml, whose
 * limit (AGGREGATE_XML_MAX) it may reach. ERR_SYNTAX: damaged, or a zip file that cannot be read (encrypted, another method).
 * ERR_LIMIT: AGGREGATE_PACKED_MAX, INFLATE_RATIO_MAX, or xml's. */
enum err aggregate_unpack(struct view file, struct buf *xml) MUST_CHECK;
/* The report that a mail brings (RFC9990-3.5.2), found by media types and names. ERR_NOT_FOUND: nothing in it may be one;
 * else the error of the first file that could not be read. */
enum err aggregate_read_message(struct arena *arena, const struct message *message,
                                struct aggregate_report *out) MUST_CHECK;

/* ---- writing */

/* RFC9990-A, in its namespace and order of elements; buf_put_gzip() makes the file to send of it (RFC9990-3.5.2). What is not said is left out where the format lets it, as is what only
 * RFC 7489 has: pct, a second error or SPF result, scope helo; its override types are written "other". ERR_SYNTAX: a policy
 * domain, period, organisation or id is missing, there is no record, or in one the address, a count or result or the author
 * domain is. Errors of buf. */
enum err aggregate_put(struct buf *buf, const struct aggregate_report *report) MUST_CHECK;
/* RFC9990-3.5.2: "receiver!policy-domain!begin!end[!unique-id].xml.gz" and the mail's Subject. ERR_SYNTAX: what is no domain,
 * unique-id (letters and digits; may be empty) or report id in them. */
enum err aggregate_put_file_name(struct buf *buf, struct view receiver, const struct aggregate_report *report,
                                 struct view unique_id) MUST_CHECK;
enum err aggregate_put_subject(struct buf *buf, struct view receiver, const struct aggregate_report *report) MUST_CHECK;

struct aggregate_mail {
    struct view from, to; /* addresses; from's domain must pass DMARC (RFC9990-3.5.2) */
    struct view receiver; /* the domain whose mail was judged: the submitter */
    struct view unique_id;
    struct builder_options options;
};
/* The whole mail that brings a report (RFC9990-3.5.2), line ends CRLF: a text for people, and the gzip file. ERR_SYNTAX: as above,
 * or no address. Errors of buf. */
enum err aggregate_put_mail(struct arena *arena, struct buf *buf, const struct aggregate_mail *mail,
                            const struct aggregate_report *report) MUST_CHECK;

/* ---- collecting */

struct aggregate_collection; /* the rows of one policy domain and one period */

#define AGGREGATE_COLLECT_MAX \
    5000 /* different rows of one report; what comes after is counted in one more (RFC9990-3.1) */

/* rows_max: different rows, at most AGGREGATE_COLLECT_MAX; budget: octets of all of them; seed: 16 random octets. */
enum err aggregate_collection_new(size_t rows_max, size_t budget, const uint8_t seed[16],
                                  struct aggregate_collection **out) MUST_CHECK;
void aggregate_collection_free(struct aggregate_collection *collection);
/* Adds row->count messages to the row equal in all else, or a copy of it. Over rows_max or budget they are counted in a last
 * row, from 0.0.0.0, that says so. ERR_SYNTAX: a row that aggregate_put() would refuse. ERR_NO_MEMORY. Signatures over AGGREGATE_RESULTS_MAX are left out: put
 * them in the order of RFC9990-3.1.3. */
enum err aggregate_collection_add(struct aggregate_collection *collection, const struct aggregate_row *row) MUST_CHECK;
/* The rows so far, in the order they came, the last row last: the collection's, until the next add. */
void aggregate_collection_rows(const struct aggregate_collection *collection, struct aggregate_report *out);

/* ---- names */

/* What applies to all messages of the record and the record itself, as policy_published says it (RFC9990-3.1.1.5). */
void aggregate_set_policy(struct aggregate_report *report, const struct dmarc_verdict *verdict);
/* As written in a report ("quarantine"); "" for what was not said. */
const char *aggregate_alignment_name(enum aggregate_alignment value);
const char *aggregate_policy_name(enum aggregate_policy value);
const char *aggregate_discovery_name(enum aggregate_discovery value);
const char *aggregate_answer_name(enum aggregate_answer value);
const char *aggregate_disposition_name(enum aggregate_disposition value);
const char *aggregate_aligned_name(enum aggregate_aligned value);
const char *aggregate_override_name(enum aggregate_override value);
const char *aggregate_scope_name(enum aggregate_scope value);
const char *aggregate_result_name(enum aggregate_result value);

#endif
