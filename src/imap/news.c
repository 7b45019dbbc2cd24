/*
 * Telling a session what has changed in its mailbox: the told view follows the
 * store only here, and only in ways that the client is told of (RFC3501-5.2,
 * RFC3501-7.4.1).
 */
#include "imap/engine.h"

#include <string.h>

static const struct {
    uint32_t flag;
    struct view name;
} flag_names[] = {
    {FLAG_ANSWERED, VIEW_INIT("\\Answered")}, {FLAG_FLAGGED, VIEW_INIT("\\Flagged")},
    {FLAG_DELETED, VIEW_INIT("\\Deleted")},   {FLAG_SEEN, VIEW_INIT("\\Seen")},
    {FLAG_DRAFT, VIEW_INIT("\\Draft")},
};

void imap_put_number_line(struct imap_session *s, uint32_t number, struct view what) {
    struct buf *b = &s->out.buf;
    buf_put(b, VIEW("* "));
    buf_put_u64(b, number);
    buf_put_byte(b, ' ');
    buf_put(b, what);
    buf_put(b, VIEW("\r\n"));
}

void imap_put_flags(struct imap_session *s, const struct message_item *item) {
    struct buf *b = &s->out.buf;
    const char *separator = "";
    buf_put(b, VIEW("FLAGS ("));
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if ((item->flags & flag_names[i].flag) == 0)
            continue;
        buf_put_str(b, separator);
        buf_put(b, flag_names[i].name);
        separator = " ";
    }
    if (seqmap_has(&s->sel.recent, item->uid)) {
        buf_put_str(b, separator);
        buf_put(b, VIEW("\\Recent"));
        separator = " ";
    }
    for (uint32_t i = 0; i < item->keywords_n; i++) {
        buf_put_str(b, separator);
        buf_put(b, item->keywords[i].name);
        separator = " ";
    }
    buf_put_byte(b, ')');
}

static void put_flag_list(struct imap_session *s, bool with_star) {
    struct buf *b = &s->out.buf;
    buf_put_byte(b, '(');
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if (i > 0)
            buf_put_byte(b, ' ');
        buf_put(b, flag_names[i].name);
    }
    VEC_EACH(&s->sel.keywords, struct imap_keyword, keyword) {
        buf_put_byte(b, ' ');
        buf_put(b, view_of(keyword->text, keyword->n));
    }
    buf_put(b, with_star ? VIEW(" \\*)") : VIEW(")"));
}

void imap_put_mailbox_flags(struct imap_session *s) {
    struct buf *b = &s->out.buf;
    buf_put(b, VIEW("* FLAGS "));
    put_flag_list(s, false);
    buf_put(b, VIEW("\r\n* OK [PERMANENTFLAGS "));
    /* RFC3501-7.1: \* says that new keywords can be made */
    if (s->sel.is_readonly)
        buf_put(b, VIEW("()"));
    else
        put_flag_list(s, true);
    buf_put(b, VIEW("] Flags that are kept\r\n"));
}

static bool add_keyword(struct imap_session *s, struct view name) {
    VEC_EACH(&s->sel.keywords, struct imap_keyword, keyword) {
        if (view_eq_nocase(view_of(keyword->text, keyword->n), name))
            return false;
    }
    struct imap_keyword *keyword = name.n > 0 && name.n <= ACCOUNT_KEYWORD_MAX ? vec_add(&s->sel.keywords) : NULL;
    if (keyword == NULL) /* more are used than told: nothing depends on the list */
        return false;
    keyword->n = (uint8_t)name.n;
    memcpy(keyword->text, name.p, name.n);
    return true;
}

void imap_tell_keywords(struct imap_session *s, const struct keyword *keywords, uint32_t n) {
    bool is_new = false;
    for (uint32_t i = 0; i < n; i++)
        is_new |= add_keyword(s, keywords[i].name);
    if (is_new)
        imap_put_mailbox_flags(s);
}

void imap_remember_own(struct imap_session *s, uint32_t uid, uint64_t modseq) {
    struct imap_own *own = vec_add(&s->sel.own);
    if (own == NULL) /* then it is told twice, which is harmless */
        return;
    own->uid = uid;
    own->modseq = modseq;
}

static bool is_own(const struct imap_session *s, const struct message_item *item) {
    VEC_EACH(&s->sel.own, struct imap_own, own) {
        if (own->uid == item->uid && own->modseq == item->modseq)
            return true;
    }
    return false;
}

enum err imap_load_map(struct imap_session *s, struct seqmap *map, uint64_t *modseq) {
    struct uid_map_args args = {.mailbox = s->sel.id, .from_uid = 1};
    bool is_first = true;
    while (args.from_uid != 0) {
        struct uid_map_result result;
        arena_clear(s->work);
        TRY(account_do_uid_map(s->account, &args, NULL, s->work, &result));
        /* What comes later is asked for from the first page's moment on. */
        if (is_first)
            *modseq = result.highest_modseq;
        is_first = false;
        for (uint32_t i = 0; i < result.ranges_n; i++)
            TRY(seqmap_add(map, result.ranges[i].first, result.ranges[i].last));
        args.from_uid = result.next_uid;
    }
    return ERR_OK;
}

/* Vanished UIDs that the client knows. */
static enum err mark_gone(struct imap_session *s, uint32_t first, uint32_t last) {
    uint32_t a, b, at = first;
    while (at != 0 && at <= last && seqmap_next_range(&s->sel.told, at, &a, &b) && a <= last) {
        TRY(seqmap_add(&s->sel.gone, a, MIN(b, last)));
        at = b == UINT32_MAX ? 0 : b + 1;
    }
    return ERR_OK;
}

static enum err add_new(struct imap_session *s, uint32_t first, uint32_t last) {
    TRY(seqmap_add(&s->sel.told, first, last));
    s->sel.uidnext = MAX(s->sel.uidnext, last + 1);
    return ERR_OK;
}

/* The tombstones do not reach back far enough: compare the whole map. */
static enum err start_over(struct imap_session *s) {
    struct seqmap now;
    uint32_t first, last, at = 1;
    seqmap_init(&now);
    enum err err = imap_load_map(s, &now, &s->sel.modseq);
    /* Told ranges minus what is there. */
    while (err == ERR_OK && seqmap_next_range(&s->sel.told, at, &first, &last)) {
        uint32_t a, b, from = first;
        while (err == ERR_OK && from != 0 && from <= last) {
            if (!seqmap_next_range(&now, from, &a, &b) || a > last)
                a = last + 1, b = last;
            if (a > from)
                err = seqmap_add(&s->sel.gone, from, a - 1);
            from = b + 1;
        }
        at = last + 1;
        if (at == 0)
            break;
    }
    at = s->sel.uidnext;
    while (err == ERR_OK && at != 0 && seqmap_next_range(&now, at, &first, &last)) {
        err = add_new(s, first, last);
        at = last + 1;
    }
    seqmap_fini(&now);
    return err;
}

/* Changes come in the order of their modseqs: a new message whose flags were changed comes behind newer ones, so what is
 * new is told by the first UID that was unknown when the asking began. */
static enum err take_item(struct imap_session *s, const struct message_item *item, uint32_t first_new) {
    if (item->uid >= first_new)
        return add_new(s, item->uid, item->uid);
    uint32_t seq = seqmap_seq(&s->sel.told, item->uid);
    if (seq == 0 || is_own(s, item))
        return ERR_OK;
    imap_tell_keywords(s, item->keywords, item->keywords_n);
    struct buf *b = &s->out.buf;
    buf_put(b, VIEW("* "));
    buf_put_u64(b, seq);
    buf_put(b, VIEW(" FETCH (UID "));
    buf_put_u64(b, item->uid);
    buf_put_byte(b, ' ');
    imap_put_flags(s, item);
    buf_put(b, VIEW(")\r\n"));
    return imap_out_breathe(&s->out) ? ERR_OK : ERR_CLOSED;
}

static enum err ask_pages(struct imap_session *s) {
    const uint32_t first_new = s->sel.uidnext;
    struct mailbox_changes_args args = {.mailbox = s->sel.id};
    struct mailbox_changes_result result;
    do {
        args.since_modseq = s->sel.modseq;
        arena_clear(s->work);
        TRY(account_do_mailbox_changes(s->account, &args, NULL, s->work, &result));
        if (result.full)
            return start_over(s);
        for (uint32_t i = 0; i < result.changed_n; i++)
            TRY(take_item(s, &result.changed[i], first_new));
        for (uint32_t i = 0; i < result.vanished_n; i++)
            TRY(mark_gone(s, result.vanished[i].first, result.vanished[i].last));
        s->sel.modseq = result.until_modseq;
    } while (result.more);
    vec_clear(&s->sel.own);
    return ERR_OK;
}

/* Asks for what changed; flags are told at once, the rest goes into told and gone. After an error it is as if it had not been
 * asked: half an answer must not move what counts as new. */
static enum err ask(struct imap_session *s) {
    struct imap_selected *sel = &s->sel;
    uint32_t uidnext = sel->uidnext;
    uint64_t modseq = sel->modseq;
    enum err err = ask_pages(s);
    if (err == ERR_OK || seqmap_remove(&sel->told, uidnext, UINT32_MAX) != ERR_OK)
        return err;
    sel->uidnext = uidnext;
    sel->modseq = modseq;
    return err;
}

/* Highest first, so that no number moves another one that is still to be told. */
static enum err tell_gone(struct imap_session *s) {
    struct imap_selected *sel = &s->sel;
    for (size_t i = sel->gone.ranges.n; i > 0; i--) {
        const struct seqmap_range *r = VEC_AT(&sel->gone.ranges, struct seqmap_range, i - 1);
        uint32_t seq = seqmap_seq(&sel->told, r->last);
        for (uint32_t n = r->last - r->first + 1; n > 0; n--, seq--) {
            imap_put_number_line(s, seq, VIEW("EXPUNGE"));
            if (!imap_out_breathe(&s->out))
                return ERR_CLOSED;
        }
    }
    TRY(seqmap_subtract(&sel->told, &sel->gone));
    TRY(seqmap_subtract(&sel->recent, &sel->gone));
    seqmap_clear(&sel->gone);
    return ERR_OK;
}

/* New messages: whose are they? */
static enum err claim_recent(struct imap_session *s) {
    struct mailbox_open_args args = {.id = s->sel.id, .claim_recent = !s->sel.is_readonly};
    struct mailbox_open_result result;
    arena_clear(s->work);
    TRY(account_do_mailbox_open(s->account, &args, NULL, s->work, &result));
    if (result.recent_from == 0 || result.recent_from >= result.mailbox.uidnext)
        return ERR_OK;
    return seqmap_add(&s->sel.recent, result.recent_from, result.mailbox.uidnext - 1);
}

void imap_tell_news(struct imap_session *s, bool may_expunge) {
    struct imap_selected *sel = &s->sel;
    if (sel->id == 0 || s->is_over) {
        s->is_noted = false;
        return;
    }
    s->is_failing = false;
    uint32_t uidnext = sel->uidnext;
    enum err err = ERR_OK;
    if (s->is_noted) {
        /* First, so that a change while we ask is noted again. */
        s->is_noted = false;
        err = ask(s);
    }
    bool any_gone = seqmap_count(&sel->gone) > 0 && may_expunge;
    if (err == ERR_OK && any_gone)
        err = tell_gone(s);
    if (err == ERR_OK && sel->uidnext != uidnext) {
        err = claim_recent(s);
        imap_put_number_line(s, seqmap_count(&sel->told), VIEW("EXISTS"));
    }
    if (err == ERR_OK && (any_gone || sel->uidnext != uidnext)) {
        uint32_t recent = seqmap_common(&sel->recent, &sel->told);
        /* RFC3501-7.3.2 */
        if (recent != sel->told_recent)
            imap_put_number_line(s, recent, VIEW("RECENT"));
        sel->told_recent = recent;
    }
    if (err == ERR_OK)
        return;
    if (err == ERR_NOT_FOUND) {
        /* RFC2180-3.3: another session deleted it; the client must be told to start anew */
        buf_put(&s->out.buf, VIEW("* BYE The selected mailbox was deleted\r\n"));
        imap_end(s, IMAP_SESSION_CLOSED);
        return;
    }
    /* The store is in trouble: what was not told is asked for again with the next command. */
    s->is_noted = s->is_failing = true;
    imap_note(s, "news_failed", VIEW_NONE, err);
}
