/* LIST (RFC3501-6.3.8, with the attributes of RFC6154 and RFC3348) and LSUB (RFC3501-6.3.9). */
#include "imap/engine.h"

#include "imap/list_match.h"

#include <stdlib.h>

struct list_args {
    bool only_special; /* RFC6154-5.2: LIST (SPECIAL-USE) */
    struct view pattern;
    bool is_root; /* LIST x "": asks for the separator */
};

/* "(" options ")" behind LIST or RETURN; those of RFC5258 that change nothing here are taken as well. */
static enum err parse_options(struct imap_parser *p, bool *special_use) {
    if (!reader_accept(&p->r, '('))
        return imap_wrong(p, ERR_SYNTAX, "Expected a list of options");
    if (reader_accept(&p->r, ')'))
        return ERR_OK;
    do {
        struct view option;
        TRY(imap_parse_atom(p, &option));
        if (view_eq_nocase(option, VIEW("SPECIAL-USE")))
            *special_use = true;
        else if (!view_eq_nocase(option, VIEW("CHILDREN")) && !view_eq_nocase(option, VIEW("REMOTE")))
            return imap_wrong(p, ERR_SYNTAX, "Unknown option of LIST");
    } while (reader_accept(&p->r, ' '));
    return reader_accept(&p->r, ')') ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "A list of options does not end");
}

static enum err parse_reference_and_pattern(struct imap_parser *p, struct list_args *args) {
    struct view reference, pattern;
    TRY(imap_parse_mailbox(p, &reference));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_list_mailbox(p, &pattern));
    args->is_root = pattern.n == 0;
    if (reference.n + pattern.n > ACCOUNT_NAME_MAX)
        return imap_wrong(p, ERR_SYNTAX, "The pattern is too long");
    return arena_printf(p->arena, &args->pattern, "%.*s%.*s", VIEW_FMT(reference), VIEW_FMT(pattern));
}

enum err imap_parse_list(struct imap_parser *p, struct imap_job *job) {
    struct list_args *args = ARENA_NEW(p->arena, struct list_args);
    bool returns_special = false; /* it is always returned */
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    if (reader_peek(&p->r) == '(') {
        TRY(parse_options(p, &args->only_special));
        TRY(imap_parse_sp(p));
    }
    TRY(parse_reference_and_pattern(p, args));
    if (reader_accept_nocase(&p->r, VIEW(" RETURN ")))
        TRY(parse_options(p, &returns_special));
    job->args = args;
    return imap_parse_end(p);
}

enum err imap_parse_lsub(struct imap_parser *p, struct imap_job *job) {
    struct list_args *args = ARENA_NEW(p->arena, struct list_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(parse_reference_and_pattern(p, args));
    job->args = args;
    return imap_parse_end(p);
}

struct name {
    struct view name;
    uint8_t use;
};
struct names {
    struct arena *arena;
    struct name *list;
    size_t n, cap;
};

static int by_name(const void *a, const void *b) {
    return view_cmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

static enum err add_name(struct names *names, struct view name, uint8_t use) {
    if (names->n == names->cap) {
        size_t more = names->cap == 0 ? 64 : names->cap * 2;
        struct name *list = arena_grow(names->arena, names->list, names->cap, more, sizeof(*list));
        if (list == NULL)
            return ERR_LIMIT;
        names->list = list;
        names->cap = more;
    }
    struct name *added = &names->list[names->n];
    TRY(arena_view(names->arena, name, &added->name));
    added->use = use;
    names->n++;
    return ERR_OK;
}

static enum err load_mailboxes(struct imap_session *s, struct names *names) {
    struct mailbox_list_args args = {0};
    struct mailbox_list_result result;
    do {
        arena_clear(s->work);
        TRY(account_do_mailbox_list(s->account, &args, NULL, s->work, &result));
        for (uint32_t i = 0; i < result.mailboxes_n; i++)
            TRY(add_name(names, result.mailboxes[i].name, result.mailboxes[i].use));
        if (names->n > 0)
            args.after_name = names->list[names->n - 1].name;
    } while (result.more && result.mailboxes_n > 0);
    if (names->n > 0)
        qsort(names->list, names->n, sizeof(*names->list), by_name);
    return ERR_OK;
}

static enum err load_subscriptions(struct imap_session *s, struct names *names) {
    struct subscription_list_args args = {0};
    struct subscription_list_result result;
    do {
        arena_clear(s->work);
        TRY(account_do_subscription_list(s->account, &args, NULL, s->work, &result));
        for (uint32_t i = 0; i < result.names_n; i++)
            TRY(add_name(names, result.names[i].name, USE_NONE));
        if (names->n > 0)
            args.after_name = names->list[names->n - 1].name;
    } while (result.more && result.names_n > 0);
    if (names->n > 0)
        qsort(names->list, names->n, sizeof(*names->list), by_name);
    return ERR_OK;
}

/* Is there a name that begins with this one and a separator? */
static bool has_children(const struct names *names, struct view parent) {
    size_t low = 0, high = names->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct view name = names->list[mid].name;
        int order = view_cmp(view_sub(name, 0, parent.n), parent);
        if (order == 0)
            order = name.n <= parent.n ? -1 : (int)name.p[parent.n] - ACCOUNT_SEPARATOR;
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static struct view use_attribute(uint8_t use) {
    /* RFC6154-2 */
    static const struct view attributes[] = {
        [USE_NONE] = VIEW_INIT(""),
        [USE_ARCHIVE] = VIEW_INIT(" \\Archive"),
        [USE_DRAFTS] = VIEW_INIT(" \\Drafts"),
        [USE_JUNK] = VIEW_INIT(" \\Junk"),
        [USE_SENT] = VIEW_INIT(" \\Sent"),
        [USE_TRASH] = VIEW_INIT(" \\Trash"),
        [USE_ALL] = VIEW_INIT(" \\All"),
        [USE_FLAGGED] = VIEW_INIT(" \\Flagged"),
    };
    return use < ARRAY_LEN(attributes) ? attributes[use] : VIEW("");
}

static enum err put_row(struct imap_session *s, struct view command, struct view attributes, struct view use,
                        struct view name) {
    struct buf *b = &s->out.buf;
    buf_put(b, VIEW("* "));
    buf_put(b, command);
    buf_put(b, VIEW(" ("));
    buf_put(b, attributes);
    buf_put(b, use);
    buf_put(b, VIEW(") \"/\" "));
    imap_put_mailbox(b, name);
    buf_put(b, VIEW("\r\n"));
    if (!imap_out_breathe(&s->out))
        return ERR_CLOSED;
    return co_breathe();
}

static enum err list(struct imap_session *s, const struct list_args *args, struct names *names) {
    TRY(load_mailboxes(s, names));
    for (size_t i = 0; i < names->n; i++) {
        const struct name *n = &names->list[i];
        if ((args->only_special && n->use == USE_NONE) || !imap_list_match(args->pattern, n->name))
            continue;
        /* RFC3348-3 */
        struct view children = has_children(names, n->name) ? VIEW("\\HasChildren") : VIEW("\\HasNoChildren");
        TRY(put_row(s, VIEW("LIST"), children, use_attribute(n->use), n->name));
    }
    return ERR_OK;
}

static enum err lsub(struct imap_session *s, const struct list_args *args, struct names *names) {
    struct view told_parent = VIEW_NONE;
    TRY(load_subscriptions(s, names));
    for (size_t i = 0; i < names->n; i++) {
        struct view name = names->list[i].name;
        if (imap_list_match(args->pattern, name)) {
            TRY(put_row(s, VIEW("LSUB"), VIEW(""), VIEW(""), name));
            continue;
        }
        /* RFC3501-6.3.9: with "%", a level above a subscribed name is returned with \Noselect when it is not subscribed */
        if (args->pattern.n == 0 || args->pattern.p[args->pattern.n - 1] != '%')
            continue;
        for (size_t end = 1; end < name.n; end++) {
            struct view parent = view_sub(name, 0, end);
            struct name key = {.name = parent};
            if (name.p[end] != ACCOUNT_SEPARATOR || view_eq(parent, told_parent) ||
                !imap_list_match(args->pattern, parent) ||
                bsearch(&key, names->list, names->n, sizeof(key), by_name) != NULL)
                continue;
            told_parent = parent;
            TRY(put_row(s, VIEW("LSUB"), VIEW("\\Noselect"), VIEW(""), parent));
        }
    }
    return ERR_OK;
}

static void run(struct imap_session *s, struct imap_job *job,
                enum err (*each)(struct imap_session *, const struct list_args *, struct names *)) {
    const struct list_args *args = job->args;
    enum err err = ERR_OK;
    if (args->is_root) {
        /* RFC3501-6.3.8: the separator and the root of the reference */
        err = put_row(s, job->command->name, VIEW("\\Noselect"), VIEW(""), VIEW(""));
    } else {
        struct names names = {.arena = arena_new("imap_list", IMAP_LIST_ARENA)};
        err = names.arena == NULL ? ERR_NO_MEMORY : each(s, args, &names);
        arena_free(names.arena);
    }
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else
        imap_ok(job, "Listed");
}

void imap_run_list(struct imap_session *s, struct imap_job *job) {
    run(s, job, list);
}

void imap_run_lsub(struct imap_session *s, struct imap_job *job) {
    run(s, job, lsub);
}
