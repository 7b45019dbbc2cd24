/*
 * Feedback reports: complaints about mail (RFC 5965, used as RFC 6650 says) and
 * reports of failed authentication (RFC 6591, RFC 6692, RFC 9991), read from a
 * parsed message and written.
 *
 * What is read lives in the arena given; texts have their folds removed and are
 * what a stranger wrote: whether the report may be believed is for its own
 * authentication to say (RFC6650-5).
 */
#ifndef ARF_ARF_H
#define ARF_ARF_H

#include "message/builder.h"
#include "message/parse.h"

#include "base/netaddr.h"

#define ARF_REPORT_MAX (256 * 1024)   /* octets of the machine-readable part that are looked at */
#define ARF_LIST_MAX 50               /* values of one field that may come more than once; more are left out */
#define ARF_TEXT_MAX 8192             /* octets of one value; longer ones are cut */
#define ARF_CANONICAL_MAX (64 * 1024) /* octets of DKIM-Canonicalized-...; longer ones are left out */

enum arf_type { /* RFC5965-7.3 and its registry; anything else reads as OTHER */
                ARF_OTHER,
                ARF_ABUSE,
                ARF_FRAUD,
                ARF_VIRUS,
                ARF_NOT_SPAM,    /* RFC 6430 */
                ARF_AUTH_FAILURE /* RFC6591-3.1 */
};
enum arf_failure { /* RFC6591-3.3, RFC9991-4 */
                   ARF_FAILURE_UNSAID,
                   ARF_FAILURE_ADSP,
                   ARF_FAILURE_BODY_HASH,
                   ARF_FAILURE_REVOKED,
                   ARF_FAILURE_SIGNATURE,
                   ARF_FAILURE_SPF,
                   ARF_FAILURE_DMARC
};
enum arf_delivery { /* RFC6591-3.2.2 */
                    ARF_DELIVERY_UNSAID,
                    ARF_DELIVERY_DELIVERED,
                    ARF_DELIVERY_SPAM,
                    ARF_DELIVERY_POLICY,
                    ARF_DELIVERY_REJECT,
                    ARF_DELIVERY_OTHER
};
#define ARF_ALIGNMENT_SAID 1u /* RFC9991-4: Identity-Alignment was there; alone it is "none": nothing failed */
#define ARF_ALIGNMENT_DKIM 2u /* failed */
#define ARF_ALIGNMENT_SPF 4u

struct arf_list {
    struct view *list;
    size_t n;
};

struct arf_report {
    enum arf_type type;
    struct view type_text; /* as written */
    struct view user_agent, version;
    int64_t arrival_us; /* 0: not there, or no date */
    struct view original_envelope_id,
        original_mail_from;           /* without angle brackets; p == NULL: not there, as for all texts */
    struct arf_list original_rcpt_to; /* without angle brackets */
    struct view reporting_mta;        /* without "dns;" */
    struct netaddr source;            /* Source-IP, and RFC6692-3 Source-Port; family 0: not there */
    uint32_t incidents;               /* RFC5965-3.2: 1 when not said */
    struct arf_list authentication_results, reported_domains, reported_uris;
    /* RFC 6591 */
    enum arf_failure failure;
    enum arf_delivery delivery;
    uint8_t alignment; /* ARF_ALIGNMENT_... */
    struct view dkim_domain, dkim_identity, dkim_selector, dkim_selector_dns, dkim_adsp_dns;
    struct arf_list spf_dns;
    struct view dkim_canonical_header, dkim_canonical_body; /* base64 decoded */
    /* The message complained about: message/rfc822 or text/rfc822-headers; NULL: none. */
    const struct mime_part *returned;
    struct view returned_header; /* its header block */
};

/*
 * The report in a message: multipart/report with a message/feedback-report part; one without report-type, or whose second part
 * has another type but begins like one, is read too. Fields that should come once keep their first value. ERR_NOT_FOUND: none.
 * ERR_LIMIT: arena.
 */
enum err arf_read(struct arena *arena, const struct message *message, struct arf_report *out) MUST_CHECK;
/* A Message-ID or other field of the returned header, unfolded and trimmed; p == NULL when there is none (RFC9477-3.5: it
 * and CFBL-Feedback-ID say which message is meant). */
enum err arf_returned_field(struct arena *arena, const struct arf_report *report, struct view name,
                            struct view *out) MUST_CHECK;

struct arf_request {
    struct view from, to;     /* addresses */
    struct view subject;      /* UTF-8 */
    struct view text;         /* for people, UTF-8 */
    struct arf_report report; /* returned is not looked at */
    /* What is returned, as it came: the whole message, or (is_header) only its header (RFC6591-3.1). */
    struct view returned;
    bool is_header;
    struct builder_options options;
};
/* The whole mail (RFC5965-2), line ends CRLF, to be sent from the null sender or one that cannot loop (RFC6650-5.3). ERR_SYNTAX: what
 * the format needs is missing (a type, a user agent, a failure; for ARF_FAILURE_DMARC an identity alignment). ERR_LIMIT: arena or buf. */
enum err arf_put(struct arena *arena, struct buf *buf, const struct arf_request *request) MUST_CHECK;

const char *arf_type_name(enum arf_type type); /* "abuse" */
const char *arf_failure_name(enum arf_failure failure);
const char *arf_delivery_name(enum arf_delivery delivery);

#endif
