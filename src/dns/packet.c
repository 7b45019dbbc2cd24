/* DNS messages: from a response to an answer. */
#include "dns/packet.h"

#include "dns/name.h"

#define CLASS_IN 1
#define FLAG_RESPONSE 0x8000u
#define FLAG_TRUNCATED 0x0200u
#define RCODE_MASK 0x000fu
#define RCODE_OK 0
#define RCODE_NXDOMAIN 3
#define TTL_MAX 604800u /* a week; RFC8767-4: recommended cap */

struct record {
    struct view owner; /* text */
    uint16_t type;
    uint32_t ttl;
    size_t at, n; /* of the data in the message */
};

struct section {
    struct record *records;
    size_t n;
};

static enum err read_text_name(struct reader *r, struct buf *text, struct arena *arena, struct view *out) {
    buf_clear(text);
    TRY(dns_name_read_compressed(r, text));
    return arena_view(arena, buf_view(text), out);
}

/* A record whose owner cannot be a name of ours is passed over. */
static enum err read_record(struct reader *r, struct buf *text, struct arena *arena, struct record *out,
                            bool *is_known) {
    struct reader owner = *r;
    TRY(dns_name_skip(r));
    *is_known = read_text_name(&owner, text, arena, &out->owner) == ERR_OK;
    out->type = reader_be16(r);
    uint16_t class = reader_be16(r);
    out->ttl = reader_be32(r);
    if (out->ttl & 0x80000000u) /* RFC2181-8: the top bit set counts as 0 */
        out->ttl = 0;
    out->ttl = MIN(out->ttl, TTL_MAX);
    uint16_t length = reader_be16(r);
    out->at = r->at;
    out->n = reader_take(r, length).n;
    *is_known = *is_known && class == CLASS_IN;
    return reader_err(r);
}

static enum err read_section(struct reader *r, uint16_t count, struct buf *text, struct arena *arena,
                             struct section *out) {
    if (count > DNS_SECTION_MAX)
        return ERR_LIMIT;
    out->records = ARENA_ARRAY(arena, count, struct record);
    if (!out->records)
        return ERR_NO_MEMORY;
    for (uint16_t i = 0; i < count; i++) {
        bool is_known;
        TRY(read_record(r, text, arena, &out->records[out->n], &is_known));
        out->n += is_known;
    }
    return ERR_OK;
}

/* How many octets stand before the one name in a record's data, and whether octets follow it: the types that RFC1035-3.3 lets compress. */
static bool has_names(uint16_t type, size_t *before, unsigned *names, size_t *after) {
    *before = *after = 0;
    *names = 1;
    switch (type) {
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        return true;
    case DNS_MX:
        *before = 2;
        return true;
    case DNS_SOA:
        *names = 2;
        *after = 20;
        return true;
    case DNS_SRV: /* RFC2782: must not be compressed; RFC3597-4 lets receivers cope */
        *before = 6;
        return true;
    default:
        return false;
    }
}

static enum err copy_data(struct view packet, const struct record *record, struct arena *arena, struct view *out) {
    size_t before, after;
    unsigned names;
    if (!has_names(record->type, &before, &names, &after))
        return arena_view(arena, view_sub(packet, record->at, record->n), out);
    size_t end = record->at + record->n;
    struct reader r = reader_of(view_sub(packet, 0, end));
    r.at = record->at;
    struct buf wire, text;
    buf_init(&wire, 2 * DNS_NAME_WIRE_MAX + before + after);
    buf_init(&text, DNS_NAME_WIRE_MAX);
    buf_put(&wire, reader_take(&r, before));
    enum err err = reader_err(&r);
    for (unsigned i = 0; err == ERR_OK && i < names; i++) {
        buf_clear(&text);
        err = dns_name_read_compressed(&r, &text);
        if (err == ERR_OK && view_find_byte(buf_view(&text), ' ') >= 0)
            err = ERR_SYNTAX; /* a name with a space can be asked for, not led to (dns/rdata.h) */
        if (err == ERR_OK)
            err = dns_name_to_wire(buf_view(&text), &wire);
    }
    if (err == ERR_OK) {
        buf_put(&wire, reader_take(&r, after));
        err = reader_err(&r) != ERR_OK || !reader_at_end(&r) ? ERR_SYNTAX : buf_err(&wire);
    }
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&wire), out);
    buf_fini(&wire);
    buf_fini(&text);
    return err;
}

static const struct record *find(const struct section *section, struct view owner, uint16_t type) {
    for (size_t i = 0; i < section->n; i++)
        if (section->records[i].type == type && view_eq(section->records[i].owner, owner))
            return &section->records[i];
    return NULL;
}

/* RFC1035-3.6.2: the name after all aliases in the message. */
static enum err follow(struct view packet, const struct section *answers, uint16_t type, struct buf *text,
                       struct arena *arena, struct dns_answer *out) {
    for (unsigned i = 0; type != DNS_CNAME; i++) {
        const struct record *alias = find(answers, out->canonical, DNS_CNAME);
        if (!alias)
            return ERR_OK;
        if (i >= DNS_CHAIN_MAX)
            return ERR_SYNTAX;
        struct reader r = reader_of(packet);
        r.at = alias->at;
        TRY(read_text_name(&r, text, arena, &out->canonical));
        if (view_find_byte(out->canonical, ' ') >= 0)
            return ERR_SYNTAX;
        out->ttl = MIN(out->ttl, alias->ttl);
    }
    return ERR_OK;
}

/* RFC2308-5: a negative answer lives as long as the lesser of the SOA's TTL and its MINIMUM. */
static void negative_ttl(struct view packet, const struct section *authority, struct dns_answer *out) {
    uint32_t ttl = 0;
    for (size_t i = 0; i < authority->n; i++) {
        const struct record *soa = &authority->records[i];
        if (soa->type != DNS_SOA || soa->n < 20)
            continue;
        struct reader r = reader_of(view_sub(packet, soa->at + soa->n - 4, 4));
        uint32_t minimum = reader_be32(&r);
        ttl = MIN(soa->ttl, minimum);
        break;
    }
    out->ttl = MIN(out->ttl, ttl);
}

static enum err collect(struct view packet, const struct section *answers, uint16_t type, struct arena *arena,
                        struct dns_answer *out) {
    uint32_t n = 0;
    for (size_t i = 0; i < answers->n; i++)
        n += answers->records[i].type == type && view_eq(answers->records[i].owner, out->canonical);
    if (n > DNS_RECORDS_MAX)
        return ERR_LIMIT;
    out->data = ARENA_ARRAY(arena, n, struct dns_rdata);
    if (!out->data)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < answers->n; i++) {
        const struct record *record = &answers->records[i];
        if (record->type != type || !view_eq(record->owner, out->canonical))
            continue;
        TRY(copy_data(packet, record, arena, &out->data[out->data_n].data));
        out->data_n++;
        out->ttl = MIN(out->ttl, record->ttl);
    }
    return ERR_OK;
}

static enum err check_question(struct reader *r, struct view name, uint16_t type, struct buf *text, struct arena *arena,
                               struct dns_answer *out) {
    struct buf wire;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_to_wire(name, &wire);
    if (err == ERR_OK) {
        struct reader asked = reader_of(buf_view(&wire));
        buf_clear(text);
        err = dns_name_read(&asked, text); /* one spelling */
    }
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(text), &out->canonical);
    buf_fini(&wire);
    TRY(err);
    struct view question;
    TRY(read_text_name(r, text, arena, &question));
    bool is_ours = view_eq(question, out->canonical) && reader_be16(r) == type && reader_be16(r) == CLASS_IN;
    return reader_err(r) == ERR_OK && is_ours ? ERR_OK : ERR_SYNTAX;
}

enum err dns_packet_answer(struct view packet, struct view name, uint16_t type, struct arena *arena,
                           struct dns_answer *out) {
    struct dns_answer answer = {.ttl = TTL_MAX};
    struct section answers = {0}, authority = {0};
    struct reader r = reader_of(packet);
    struct buf text;
    (void)reader_be16(&r); /* the id was the transport's business */
    uint16_t flags = reader_be16(&r);
    uint16_t questions = reader_be16(&r), answers_n = reader_be16(&r), authority_n = reader_be16(&r);
    (void)reader_be16(&r);
    if (reader_err(&r) != ERR_OK || !(flags & FLAG_RESPONSE) || (flags & FLAG_TRUNCATED) || questions != 1)
        return ERR_SYNTAX;
    buf_init(&text, DNS_NAME_WIRE_MAX);
    enum err err = check_question(&r, name, type, &text, arena, &answer);
    unsigned rcode = flags & RCODE_MASK;
    if (err == ERR_OK && rcode != RCODE_OK && rcode != RCODE_NXDOMAIN) {
        answer.status = DNS_TEMPORARY;
        answer.ttl = 0;
        *out = answer;
        buf_fini(&text);
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = read_section(&r, answers_n, &text, arena, &answers);
    if (err == ERR_OK)
        err = read_section(&r, authority_n, &text, arena, &authority);
    if (err == ERR_OK)
        err = follow(packet, &answers, type, &text, arena, &answer);
    if (err == ERR_OK)
        err = collect(packet, &answers, type, arena, &answer);
    if (err == ERR_OK) {
        answer.status = answer.data_n ? DNS_OK : rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA;
        if (!answer.data_n)
            negative_ttl(packet, &authority, &answer);
        *out = answer;
    }
    buf_fini(&text);
    return err;
}
