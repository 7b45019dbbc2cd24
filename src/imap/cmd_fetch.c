/* FETCH, RFC3501-6.4.5: batches of messages from the store, bodies in pieces. */
#include "imap/engine.h"

#include "message/header.h"
#include "message/index.h"
#include "store/blob_source.h"

struct fetch_args {
    struct imap_set set;
    struct imap_fetch_atts atts;
};

enum err imap_parse_fetch(struct imap_parser *p, struct imap_job *job) {
    struct fetch_args *args = ARENA_NEW(p->arena, struct fetch_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_set(p, &args->set));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_fetch_atts(p, &args->atts));
    job->args = args;
    return imap_parse_end(p);
}

struct fetch {
    struct imap_session *s;
    const struct imap_fetch_atts *atts;
    bool with_uid;        /* UID FETCH: UID in each response (RFC3501-6.4.8) */
    bool has_flags;       /* FLAGS was asked for */
    uint32_t items;       /* ITEM_* */
    uint32_t found;       /* messages sent */
    struct seqmap marked; /* \Seen was set by this command */
    /* The message whose parts are being sent, when it had to be parsed; its bodies stay in the store. */
    uint64_t loaded_blob;
    bool is_loaded;
    struct blob_source source;
    struct arena *parts;
    struct message message;
    struct buf index, header, built;
};

static uint32_t items_of(const struct imap_fetch_atts *atts) {
    static const uint32_t items[] = {
        [IMAP_FETCH_FLAGS] = ITEM_FLAGS,
        [IMAP_FETCH_UID] = 0,
        [IMAP_FETCH_INTERNALDATE] = ITEM_DATES,
        [IMAP_FETCH_SIZE] = ITEM_SIZE,
        [IMAP_FETCH_ENVELOPE] = ITEM_ENVELOPE,
        [IMAP_FETCH_BODY] = ITEM_BODY,
        [IMAP_FETCH_BODYSTRUCTURE] = ITEM_BODYSTRUCTURE,
        [IMAP_FETCH_SECTION] = ITEM_SIZE | ITEM_IDS,
    };
    uint32_t mask = 0;
    for (size_t i = 0; i < atts->n; i++) {
        mask |= items[atts->list[i].kind];
        if (atts->list[i].section.depth > 0)
            mask |= ITEM_INDEX;
    }
    /* A structure over ACCOUNT_DERIVED_MAX is computed again from the message. */
    if ((mask & (ITEM_ENVELOPE | ITEM_BODY | ITEM_BODYSTRUCTURE)) != 0)
        mask |= ITEM_SIZE | ITEM_IDS;
    return mask;
}

static void put_internal_date(struct buf *b, int64_t us) {
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t unix_s = us / US_PER_S;
    struct date d = date_from_unix(unix_s, 0);
    buf_printf(b, "\"%2d-%s-%04d %02d:%02d:%02d +0000\"", d.day, months[d.month - 1], d.year, d.hour, d.minute,
               d.second);
}

/* Parses the message as it comes from the store: for what was too long to be kept beside it. */
static enum err load(struct fetch *f, const struct message_item *item) {
    if (f->is_loaded && f->loaded_blob == item->blob)
        return ERR_OK;
    f->is_loaded = false;
    if (f->parts == NULL)
        f->parts = arena_new("imap_parts", MESSAGE_ARENA_BUDGET);
    if (f->parts == NULL)
        return ERR_NO_MEMORY;
    arena_clear(f->parts);
    blob_source_init(&f->source, f->s->account, item->blob, item->size, f->s->chunk);
    TRY(message_parse_source(f->parts, &f->source.source, &f->message));
    buf_clear(&f->index);
    message_index_put(&f->index, &f->message);
    TRY(buf_err(&f->index));
    f->loaded_blob = item->blob;
    f->is_loaded = true;
    return ERR_OK;
}

static void clamp(const struct imap_fetch_att *att, uint64_t *from, uint64_t *n) {
    if (!att->has_partial)
        return;
    /* RFC3501-6.4.5: a partial fetch beyond the end gives what there is, or an empty string */
    uint64_t skip = MIN((uint64_t)att->partial_from, *n);
    *from += skip;
    *n = MIN(*n - skip, (uint64_t)att->partial_count);
}

static void put_literal_size(struct fetch *f, uint64_t n) {
    struct buf *b = &f->s->out.buf;
    buf_put(b, VIEW(" {"));
    buf_put_u64(b, n);
    buf_put(b, VIEW("}\r\n"));
}

/* Where a section is: whole messages by their sizes, parts by the stored index, or by one that is made again. */
static enum err find_range(struct fetch *f, const struct imap_fetch_att *att, const struct message_item *item,
                           struct message_range *out) {
    const struct section *section = &att->section;
    uint64_t head = MIN((uint64_t)item->header_size, item->size);
    if (section->depth > 0 || section->text == SECTION_MIME) {
        enum err err = message_index_section(item->part_index, item->size, section, out);
        if (err == ERR_OK || err == ERR_NOT_FOUND)
            return err;
        TRY(load(f, item));
        return message_index_section(buf_view(&f->index), item->size, section, out);
    }
    *out = (struct message_range){.size = item->size};
    if (section->text == SECTION_TEXT)
        *out = (struct message_range){.offset = head, .size = item->size - head};
    else if (section->text != SECTION_ALL)
        *out = (struct message_range){.size = head, .is_subset = section->text != SECTION_HEADER};
    return ERR_OK;
}

/* HEADER.FIELDS and HEADER.FIELDS.NOT; of a header over IMAP_HEADER_MAX the beginning. */
static enum err make_subset(struct fetch *f, const struct section *section, const struct message_item *item,
                            const struct message_range *range, struct view *out) {
    TRY(imap_load_blob(f->s, item->blob, range->offset, MIN(range->size, (uint64_t)IMAP_HEADER_MAX), &f->header));
    buf_clear(&f->built);
    header_put_subset(&f->built, buf_view(&f->header), section->names, section->name_count,
                      section->text == SECTION_HEADER_FIELDS_NOT);
    *out = buf_view(&f->built);
    return buf_err(&f->built);
}

static enum err put_section(struct fetch *f, const struct imap_fetch_att *att, const struct message_item *item) {
    struct imap_session *s = f->s;
    struct message_range range = {0};
    struct view octets = VIEW_NONE;
    enum err err = find_range(f, att, item, &range);
    if (err == ERR_OK && range.is_subset)
        err = make_subset(f, &att->section, item, &range, &octets);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    buf_put(&s->out.buf, att->label);
    if (err == ERR_NOT_FOUND) {
        buf_put(&s->out.buf, VIEW(" NIL"));
        return ERR_OK;
    }
    uint64_t from = range.is_subset ? 0 : range.offset, n = range.is_subset ? octets.n : range.size;
    clamp(att, &from, &n);
    put_literal_size(f, n);
    if (range.is_subset)
        imap_out_octets(&s->out, view_sub(octets, (size_t)from, (size_t)n));
    else
        imap_send_blob(s, item->blob, from, n);
    return ERR_OK;
}

/* ENVELOPE, BODY, BODYSTRUCTURE: as stored, or computed again when it was too long to be stored. */
static enum err put_derived(struct fetch *f, enum imap_fetch_kind kind, const struct message_item *item) {
    struct view stored = kind == IMAP_FETCH_ENVELOPE ? item->envelope
                         : kind == IMAP_FETCH_BODY   ? item->body
                                                     : item->bodystructure;
    if (stored.n > 0) {
        imap_out_octets(&f->s->out, stored);
        return ERR_OK;
    }
    TRY(load(f, item));
    buf_clear(&f->built);
    if (kind == IMAP_FETCH_ENVELOPE)
        structure_put_envelope(&f->built, f->parts, message_part_header(&f->message, f->message.root));
    else
        structure_put_body(&f->built, f->parts, &f->message, kind == IMAP_FETCH_BODYSTRUCTURE);
    TRY(buf_err(&f->built));
    imap_out_octets(&f->s->out, buf_view(&f->built));
    return ERR_OK;
}

static enum err put_att(struct fetch *f, const struct imap_fetch_att *att, const struct message_item *item) {
    struct buf *b = &f->s->out.buf;
    switch (att->kind) {
    case IMAP_FETCH_FLAGS:
        imap_put_flags(f->s, item);
        return ERR_OK;
    case IMAP_FETCH_UID:
        buf_put(b, VIEW("UID "));
        buf_put_u64(b, item->uid);
        return ERR_OK;
    case IMAP_FETCH_INTERNALDATE:
        buf_put(b, VIEW("INTERNALDATE "));
        put_internal_date(b, item->internal_us);
        return ERR_OK;
    case IMAP_FETCH_SIZE:
        buf_put(b, VIEW("RFC822.SIZE "));
        buf_put_u64(b, item->size);
        return ERR_OK;
    case IMAP_FETCH_ENVELOPE:
        buf_put(b, VIEW("ENVELOPE "));
        return put_derived(f, att->kind, item);
    case IMAP_FETCH_BODY:
        buf_put(b, VIEW("BODY "));
        return put_derived(f, att->kind, item);
    case IMAP_FETCH_BODYSTRUCTURE:
        buf_put(b, VIEW("BODYSTRUCTURE "));
        return put_derived(f, att->kind, item);
    case IMAP_FETCH_SECTION:
        return put_section(f, att, item);
    }
    return ERR_BUG;
}

static enum err put_message(struct fetch *f, const struct message_item *item) {
    struct imap_session *s = f->s;
    struct buf *b = &s->out.buf;
    uint32_t seq = seqmap_seq(&s->sel.told, item->uid);
    if (seq == 0)
        return ERR_OK;
    f->found++;
    if (f->has_flags)
        imap_tell_keywords(s, item->keywords, item->keywords_n);
    buf_put(b, VIEW("* "));
    buf_put_u64(b, seq);
    buf_put(b, VIEW(" FETCH ("));
    const char *separator = "";
    if (f->with_uid) {
        buf_put(b, VIEW("UID "));
        buf_put_u64(b, item->uid);
        separator = " ";
    }
    for (size_t i = 0; i < f->atts->n; i++) {
        const struct imap_fetch_att *att = &f->atts->list[i];
        if (att->kind == IMAP_FETCH_UID && f->with_uid)
            continue;
        buf_put_str(b, separator);
        separator = " ";
        enum err err = put_att(f, att, item);
        if (err != ERR_OK) {
            /* In the middle of a response nothing true can follow. */
            imap_note(s, "fetch_failed", VIEW_NONE, err);
            s->out.err = s->out.err == ERR_OK ? ERR_IO : s->out.err;
            return err;
        }
    }
    /* RFC3501-6.4.5: flags changed by this FETCH should be among its responses */
    if (!f->has_flags && seqmap_has(&f->marked, item->uid)) {
        buf_put_str(b, separator);
        imap_put_flags(s, item);
    }
    buf_put(b, VIEW(")\r\n"));
    return imap_out_breathe(&s->out) ? ERR_OK : ERR_CLOSED;
}

static enum err fetch_batch(struct fetch *f, struct uid_range *ranges, uint32_t n, uint32_t items,
                            enum err (*each)(struct fetch *, const struct message_item *)) {
    struct imap_session *s = f->s;
    struct message_fetch_args args = {
        .mailbox = s->sel.id, .ranges = ranges, .ranges_n = n, .from_uid = 1, .items = items};
    /* The ranges live in s->work, and the results in an arena of their own per answer. */
    struct arena *arena = arena_new("imap_fetch", IMAP_WORK_ARENA);
    if (arena == NULL)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    while (err == ERR_OK && args.from_uid != 0) {
        struct message_fetch_result result;
        arena_clear(arena);
        err = account_do_message_fetch(s->account, &args, NULL, arena, &result);
        for (uint32_t i = 0; err == ERR_OK && i < result.messages_n; i++)
            err = each(f, &result.messages[i]);
        if (err == ERR_OK)
            err = co_breathe();
        if (err == ERR_OK)
            args.from_uid = result.next_uid;
    }
    arena_free(arena);
    return err;
}

static enum err note_unseen(struct fetch *f, const struct message_item *item) {
    return (item->flags & FLAG_SEEN) != 0 ? ERR_OK : seqmap_add(&f->marked, item->uid, item->uid);
}

/* RFC3501-6.4.5: BODY[...] sets \Seen. */
static enum err mark_seen(struct fetch *f, struct uid_range *ranges, uint32_t n) {
    struct imap_session *s = f->s;
    seqmap_clear(&f->marked);
    TRY(fetch_batch(f, ranges, n, ITEM_FLAGS, note_unseen));
    if (seqmap_count(&f->marked) == 0)
        return ERR_OK;
    uint32_t unseen = (uint32_t)f->marked.ranges.n;
    struct uid_range *list = ARENA_ARRAY(s->work, unseen, struct uid_range);
    if (list == NULL)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < unseen; i++) {
        const struct seqmap_range *r = VEC_AT(&f->marked.ranges, struct seqmap_range, i);
        list[i] = (struct uid_range){.first = r->first, .last = r->last};
    }
    struct message_store_args args = {
        .mailbox = s->sel.id, .ranges = list, .ranges_n = unseen, .mode = STORE_ADD, .flags = FLAG_SEEN};
    struct message_store_result result;
    TRY(account_do_message_store(s->account, &args, NULL, s->work, &result));
    for (uint32_t i = 0; i < result.changed_n; i++)
        imap_remember_own(s, result.changed[i].uid, result.changed[i].modseq);
    return ERR_OK;
}

static bool sets_seen(const struct fetch *f) {
    for (size_t i = 0; i < f->atts->n && !f->s->sel.is_readonly; i++) {
        if (f->atts->list[i].kind == IMAP_FETCH_SECTION && !f->atts->list[i].is_peek)
            return true;
    }
    return false;
}

static enum err fetch_all(struct fetch *f, const struct imap_set *set, uint32_t *asked) {
    bool seen = sets_seen(f);
    uint32_t from = 1;
    while (from != 0) {
        struct uid_range *ranges;
        uint32_t n, messages;
        arena_clear(f->s->work);
        TRY(imap_uids(f->s, set, f->with_uid, from, ACCOUNT_BATCH_MAX, ACCOUNT_RANGES_MAX, &ranges, &n, &messages,
                      &from));
        if (n == 0)
            break;
        *asked += messages;
        if (seen)
            TRY(mark_seen(f, ranges, n));
        TRY(fetch_batch(f, ranges, n, f->items | (seen ? ITEM_FLAGS : 0), put_message));
    }
    return ERR_OK;
}

void imap_run_fetch(struct imap_session *s, struct imap_job *job) {
    struct fetch_args *args = job->args;
    struct fetch f = {.s = s, .atts = &args->atts, .with_uid = job->is_uid, .items = items_of(&args->atts)};
    f.has_flags = (f.items & ITEM_FLAGS) != 0;
    if (!imap_settle(s, job, &args->set))
        return;
    seqmap_init(&f.marked);
    buf_init(&f.index, MESSAGE_INDEX_MAX);
    buf_init(&f.header, IMAP_HEADER_MAX);
    buf_init(&f.built, IMAP_BUILT_MAX);
    uint32_t asked = 0;
    enum err err = fetch_all(&f, &args->set, &asked);
    seqmap_fini(&f.marked);
    buf_fini(&f.index);
    buf_fini(&f.header);
    buf_fini(&f.built);
    arena_free(f.parts);
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else if (f.found < asked && !job->is_uid)
        imap_no(job, VIEW("EXPUNGEISSUED"), "Some of the messages are gone"); /* RFC2180-4.1.2, RFC5530-3 */
    else
        imap_ok(job, "Fetched");
    if (err == ERR_OK && f.found < asked)
        s->is_noted = true;
}
