/* SEARCH, RFC3501-6.4.4: what the store keeps decides first; messages are read only for text. */
#include "imap/engine.h"

#include "message/date.h"
#include "message/search.h"
#include "store/blob_source.h"

#define SEARCH_FIELD_MAX ((size_t)8 * 1024 * 1024) /* octets of one field's text */
#define US_PER_DAY (INT64_C(86400) * US_PER_S)

enum err imap_parse_search_command(struct imap_parser *p, struct imap_job *job) {
    struct imap_search_key *key;
    TRY(imap_parse_search(p, &key));
    job->args = key;
    return ERR_OK;
}

struct search {
    struct imap_session *s;
    bool is_uid;
    uint32_t items;
    uint32_t low, high; /* UIDs that can match at all */
    unsigned printed;
    /* The message in hand, as far as it was needed. */
    const struct message_item *item;
    uint32_t seq;
    bool has_header, has_body;
    struct buf header, work;
    struct arena *parts;
    struct blob_source source; /* bodies stay in the store until they are looked at */
    struct message message;
};

/* Puts sets in order, folds texts, and adds up what is needed of the store. */
static enum err prepare(struct search *q, struct imap_search_key *key) {
    struct imap_session *s = q->s;
    struct buf folded;
    switch (key->kind) {
    case IMAP_SEARCH_SEQ:
        imap_set_settle(&key->set, seqmap_count(&s->sel.told));
        break;
    case IMAP_SEARCH_UID:
        imap_set_settle(&key->set, seqmap_last(&s->sel.told));
        break;
    case IMAP_SEARCH_FLAG:
    case IMAP_SEARCH_KEYWORD:
    case IMAP_SEARCH_NEW:
        q->items |= ITEM_FLAGS;
        break;
    case IMAP_SEARCH_LARGER:
    case IMAP_SEARCH_SMALLER:
        q->items |= ITEM_SIZE;
        break;
    case IMAP_SEARCH_BEFORE:
    case IMAP_SEARCH_ON:
    case IMAP_SEARCH_SINCE:
        q->items |= ITEM_DATES;
        break;
    case IMAP_SEARCH_SENTBEFORE:
    case IMAP_SEARCH_SENTON:
    case IMAP_SEARCH_SENTSINCE:
        q->items |= ITEM_DATES | ITEM_ENVELOPE;
        break;
    case IMAP_SEARCH_HEADER:
    case IMAP_SEARCH_BODY:
    case IMAP_SEARCH_TEXT: {
        q->items |= ITEM_SIZE | ITEM_IDS;
        buf_init(&folded, IMAP_COMMAND_ARENA);
        search_fold(&folded, key->text);
        enum err err =
            buf_err(&folded) != ERR_OK ? buf_err(&folded) : arena_view(s->arena, buf_view(&folded), &key->text);
        buf_fini(&folded);
        if (err != ERR_OK)
            return err;
        break;
    }
    case IMAP_SEARCH_ALL:
    case IMAP_SEARCH_AND:
    case IMAP_SEARCH_OR:
    case IMAP_SEARCH_NOT:
    case IMAP_SEARCH_RECENT:
        break;
    }
    for (struct imap_search_key *k = key->a; k != NULL; k = k->next)
        TRY(prepare(q, k));
    return key->b != NULL ? prepare(q, key->b) : ERR_OK;
}

/* Sets among the outermost keys bound what must be looked at. */
static void bound(struct search *q, const struct imap_search_key *all) {
    for (const struct imap_search_key *k = all->a; k != NULL; k = k->next) {
        if ((k->kind != IMAP_SEARCH_UID && k->kind != IMAP_SEARCH_SEQ) || k->set.n == 0)
            continue;
        uint32_t low = k->set.list[0].first, high = k->set.list[k->set.n - 1].last;
        if (k->kind == IMAP_SEARCH_SEQ) {
            low = low == 0 ? 1 : seqmap_uid(&q->s->sel.told, low);
            high = high >= seqmap_count(&q->s->sel.told) ? UINT32_MAX : seqmap_uid(&q->s->sel.told, high);
            if (low == 0)
                low = UINT32_MAX;
        }
        q->low = MAX(q->low, low);
        q->high = MIN(q->high, high);
    }
}

static enum err need_header(struct search *q) {
    if (q->has_header)
        return ERR_OK;
    uint64_t size = MIN(q->item->size, (uint64_t)q->item->header_size);
    TRY(imap_load_blob(q->s, q->item->blob, 0, MIN(size, (uint64_t)IMAP_HEADER_MAX), &q->header));
    q->has_header = true;
    return ERR_OK;
}

static enum err need_body(struct search *q) {
    if (q->has_body)
        return ERR_OK;
    if (q->parts == NULL)
        q->parts = arena_new("imap_search", MESSAGE_ARENA_BUDGET);
    if (q->parts == NULL)
        return ERR_NO_MEMORY;
    arena_clear(q->parts);
    blob_source_init(&q->source, q->s->account, q->item->blob, q->item->size, q->s->chunk);
    TRY(message_parse_source(q->parts, &q->source.source, &q->message));
    q->has_body = true;
    return ERR_OK;
}

/* The day in the Date field as written, whatever its time zone (RFC3501-6.4.4: disregarding time and timezone); of a message
 * without a date the day it came. */
static int64_t sent_day(struct search *q) {
    struct imap_parser p;
    struct view text;
    struct message_date date;
    int64_t unix_s;
    int64_t came = q->item->internal_us / US_PER_DAY;
    struct arena *arena = arena_new("imap_date", (size_t)4 * 1024);
    if (arena == NULL)
        return came;
    /* RFC3501-7.4.2: the first field of an envelope is the date */
    imap_parser_init(&p, q->item->envelope, arena);
    if (reader_accept(&p.r, '(') && imap_parse_nstring(&p, &text) == ERR_OK && text.n > 0 &&
        message_date_parse(text, &date) == ERR_OK) {
        struct date day = {.year = date.local.year, .month = date.local.month, .day = date.local.day};
        if (date_to_unix(&day, &unix_s) == ERR_OK)
            came = unix_s / 86400;
    }
    arena_free(arena);
    return came;
}

static bool has_keyword(const struct message_item *item, struct view name) {
    for (uint32_t i = 0; i < item->keywords_n; i++) {
        if (view_eq_nocase(item->keywords[i].name, name))
            return true;
    }
    return false;
}

static enum err match_text(struct search *q, const struct imap_search_key *key, bool *out) {
    const struct charset_table *charsets = q->s->charsets;
    if (key->kind == IMAP_SEARCH_HEADER) {
        TRY(need_header(q));
        *out = search_header(charsets, buf_view(&q->header), key->name, key->text, &q->work);
        return ERR_OK;
    }
    *out = false;
    if (key->kind == IMAP_SEARCH_TEXT) {
        TRY(need_header(q));
        *out = search_header(charsets, buf_view(&q->header), VIEW(""), key->text, &q->work);
    }
    if (*out)
        return ERR_OK;
    TRY(need_body(q));
    *out = search_body(charsets, &q->message, key->text, &q->work);
    return *out ? ERR_OK : buf_err(&q->work); /* reading failed */
}

static enum err match(struct search *q, const struct imap_search_key *key, bool *out) {
    const struct message_item *item = q->item;
    switch (key->kind) {
    case IMAP_SEARCH_ALL:
        *out = true;
        return ERR_OK;
    case IMAP_SEARCH_AND:
        *out = true;
        for (const struct imap_search_key *k = key->a; k != NULL && *out; k = k->next)
            TRY(match(q, k, out));
        return ERR_OK;
    case IMAP_SEARCH_OR:
        TRY(match(q, key->a, out));
        return *out ? ERR_OK : match(q, key->b, out);
    case IMAP_SEARCH_NOT:
        TRY(match(q, key->a, out));
        *out = !*out;
        return ERR_OK;
    case IMAP_SEARCH_SEQ:
        *out = imap_set_has(&key->set, q->seq);
        return ERR_OK;
    case IMAP_SEARCH_UID:
        *out = imap_set_has(&key->set, item->uid);
        return ERR_OK;
    case IMAP_SEARCH_FLAG:
        *out = (item->flags & key->number) != 0;
        return ERR_OK;
    case IMAP_SEARCH_KEYWORD:
        *out = has_keyword(item, key->name);
        return ERR_OK;
    case IMAP_SEARCH_RECENT:
        *out = seqmap_has(&q->s->sel.recent, item->uid);
        return ERR_OK;
    case IMAP_SEARCH_NEW: /* RFC3501-6.4.4: RECENT UNSEEN */
        *out = seqmap_has(&q->s->sel.recent, item->uid) && (item->flags & FLAG_SEEN) == 0;
        return ERR_OK;
    case IMAP_SEARCH_LARGER:
        *out = item->size > key->number;
        return ERR_OK;
    case IMAP_SEARCH_SMALLER:
        *out = item->size < key->number;
        return ERR_OK;
    case IMAP_SEARCH_BEFORE:
        *out = item->internal_us / US_PER_DAY < key->day;
        return ERR_OK;
    case IMAP_SEARCH_ON:
        *out = item->internal_us / US_PER_DAY == key->day;
        return ERR_OK;
    case IMAP_SEARCH_SINCE:
        *out = item->internal_us / US_PER_DAY >= key->day;
        return ERR_OK;
    case IMAP_SEARCH_SENTBEFORE:
        *out = sent_day(q) < key->day;
        return ERR_OK;
    case IMAP_SEARCH_SENTON:
        *out = sent_day(q) == key->day;
        return ERR_OK;
    case IMAP_SEARCH_SENTSINCE:
        *out = sent_day(q) >= key->day;
        return ERR_OK;
    case IMAP_SEARCH_HEADER:
    case IMAP_SEARCH_BODY:
    case IMAP_SEARCH_TEXT:
        return match_text(q, key, out);
    }
    return ERR_BUG;
}

static enum err try_message(struct search *q, const struct imap_search_key *key, const struct message_item *item) {
    bool is_match = false;
    q->seq = seqmap_seq(&q->s->sel.told, item->uid);
    q->has_header = q->has_body = false;
    if (q->seq == 0)
        return ERR_OK;
    q->item = item;
    enum err err = match(q, key, &is_match);
    q->item = NULL;
    if (err != ERR_OK || !is_match)
        return err;
    buf_put_byte(&q->s->out.buf, ' ');
    buf_put_u64(&q->s->out.buf, q->is_uid ? item->uid : q->seq);
    return imap_out_breathe(&q->s->out) ? ERR_OK : ERR_CLOSED;
}

/* Keys over numbers alone: nothing is asked of the store. */
static enum err search_numbers(struct search *q, const struct imap_search_key *key) {
    uint32_t first, last, at = q->low;
    while (at != 0 && at <= q->high && seqmap_next_range(&q->s->sel.told, at, &first, &last)) {
        last = MIN(last, q->high);
        for (uint32_t uid = first; uid <= last && uid != 0; uid++) {
            struct message_item item = {.uid = uid};
            TRY(try_message(q, key, &item));
            TRY(co_breathe());
        }
        at = last == UINT32_MAX ? 0 : last + 1;
    }
    return ERR_OK;
}

static enum err search_messages(struct search *q, const struct imap_search_key *key) {
    struct imap_session *s = q->s;
    struct uid_range bounds = {.first = MAX(q->low, 1), .last = q->high};
    struct message_fetch_args args = {
        .mailbox = s->sel.id, .ranges = &bounds, .ranges_n = 1, .from_uid = bounds.first, .items = q->items};
    if (bounds.first > bounds.last)
        return ERR_OK;
    while (args.from_uid != 0) {
        struct message_fetch_result result;
        arena_clear(s->work);
        TRY(account_do_message_fetch(s->account, &args, NULL, s->work, &result));
        for (uint32_t i = 0; i < result.messages_n; i++) {
            TRY(try_message(q, key, &result.messages[i]));
            TRY(co_breathe());
        }
        args.from_uid = result.next_uid;
    }
    return ERR_OK;
}

void imap_run_search_command(struct imap_session *s, struct imap_job *job) {
    struct imap_search_key *key = job->args;
    struct search q = {.s = s, .is_uid = job->is_uid, .low = 1, .high = UINT32_MAX};
    buf_init(&q.header, IMAP_HEADER_MAX);
    buf_init(&q.work, SEARCH_FIELD_MAX);
    enum err err = prepare(&q, key);
    if (err == ERR_OK) {
        bound(&q, key);
        buf_put(&s->out.buf, VIEW("* SEARCH"));
        err = q.items == 0 ? search_numbers(&q, key) : search_messages(&q, key);
        buf_put(&s->out.buf, VIEW("\r\n"));
    }
    buf_fini(&q.header);
    buf_fini(&q.work);
    arena_free(q.parts);
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else
        imap_ok(job, "Searched");
}
