/* Mailboxes: names, making, removing, renaming, subscriptions, opening. */
#include "store/sqlite/account_impl.h"

#include "base/utf8.h"

#include <string.h>

static const struct view inbox = VIEW_INIT("INBOX");

/*
 * The one spelling of a name: INBOX as a first level in capitals (RFC3501-5.1),
 * no separator at the end. ERR_SYNTAX for what cannot be a name.
 */
static enum err canonical_name(struct arena *arena, struct view name, struct view *out) {
    if (name.n > 1 && name.p[name.n - 1] == ACCOUNT_SEPARATOR)
        name.n--; /* RFC3501-6.3.3: only tells that children will follow */
    if (name.n == 0 || name.n > ACCOUNT_NAME_MAX || !utf8_is_valid(name))
        return name.n > ACCOUNT_NAME_MAX ? ERR_LIMIT : ERR_SYNTAX;
    struct view rest = name, level;
    unsigned depth = 0;
    bool more = true;
    while (more) {
        more = view_split(rest, ACCOUNT_SEPARATOR, &level, &rest);
        if (level.n == 0)
            return ERR_SYNTAX;
        if (++depth > ACCOUNT_DEPTH_MAX)
            return ERR_LIMIT;
    }
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 0x20 || name.p[i] == 0x7f)
            return ERR_SYNTAX;
    (void)view_split(name, ACCOUNT_SEPARATOR, &level, &rest);
    if (!view_eq_nocase(level, inbox)) {
        *out = name;
        return ERR_OK;
    }
    struct view copy;
    TRY(arena_view(arena, name, &copy));
    memcpy((uint8_t *)(uintptr_t)copy.p, inbox.p, inbox.n);
    *out = copy;
    return ERR_OK;
}

#define MAILBOX_COLUMNS                                                                                              \
    "m.id, m.name, m.use, EXISTS(SELECT 1 FROM subscription s WHERE s.name=m.name), m.uidvalidity, m.uidnext, "      \
    "m.exists_n,"                                                                                                    \
    "(SELECT count(*) FROM message g WHERE g.mailbox=m.id AND g.uid>=m.recent_from), m.unseen, m.deleted, m.octets," \
    "m.content_modseq, m.created, m.property_modseq"

static enum err read_mailbox(sqlite3_stmt *stmt, struct arena *arena, struct mailbox *out) {
    struct mailbox m = {
        .id = column_u64(stmt, 0),
        .use = (uint8_t)column_u32(stmt, 2),
        .subscribed = column_i64(stmt, 3) != 0,
        .uidvalidity = column_u32(stmt, 4),
        .uidnext = column_u32(stmt, 5),
        .exists = column_u32(stmt, 6),
        .recent = column_u32(stmt, 7),
        .unseen = column_u32(stmt, 8),
        .deleted = column_u32(stmt, 9),
        .octets = column_u64(stmt, 10),
        .highest_modseq = column_u64(stmt, 11),
        .created_modseq = column_u64(stmt, 12),
        .modified_modseq = column_u64(stmt, 13),
    };
    TRY(arena_view(arena, column_view(stmt, 1), &m.name));
    *out = m;
    return ERR_OK;
}

enum err mailbox_load(struct sqlite_account *account, uint64_t id, struct arena *arena, struct mailbox *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt, "SELECT " MAILBOX_COLUMNS " FROM mailbox m WHERE m.id=?", "i", id));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    enum err err = read_mailbox(stmt, arena, out);
    db_done(stmt);
    return err;
}

enum err mailbox_find(struct sqlite_account *account, struct view name, uint64_t *id) {
    int64_t found;
    TRY(db_get(account->db, &found, "SELECT id FROM mailbox WHERE name=?", "v", name));
    *id = (uint64_t)found;
    return ERR_OK;
}

enum err mailbox_exists(struct sqlite_account *account, uint64_t id) {
    int64_t found;
    return db_get(account->db, &found, "SELECT 1 FROM mailbox WHERE id=?", "i", id);
}

enum err op_account_info(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    *(struct account_info_result *)call->result = (struct account_info_result){
        .epoch = account->epoch,
        .modseq = account->counters.modseq,
        .octets = account->counters.octets,
        .quota_octets = account->params.quota_octets,
        .messages = account->counters.messages,
    };
    return ERR_OK;
}

enum err op_mailbox_list(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_list_args *args = call->args;
    struct mailbox_list_result result = {0};
    sqlite3_stmt *stmt;
    size_t octets = 0;
    result.mailboxes = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct mailbox);
    if (result.mailboxes == NULL)
        return ERR_NO_MEMORY;
    struct view after = args->after_name.p == NULL ? VIEW("") : args->after_name;
    TRY(db_query(account->db, &stmt, "SELECT " MAILBOX_COLUMNS " FROM mailbox m WHERE m.name>? ORDER BY m.name", "v",
                 after));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            break;
        octets += (size_t)sqlite3_column_bytes(stmt, 1) + 100;
        if (result.mailboxes_n == ACCOUNT_BATCH_MAX || octets > RESULT_OCTETS_MAX) {
            result.more = true;
            db_done(stmt);
            break;
        }
        enum err err = read_mailbox(stmt, call->arena, &result.mailboxes[result.mailboxes_n]);
        if (err != ERR_OK) {
            db_done(stmt);
            return err;
        }
        result.mailboxes_n++;
    }
    *(struct mailbox_list_result *)call->result = result;
    return ERR_OK;
}

enum err op_mailbox_get(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_get_args *args = call->args;
    uint64_t id = args->id;
    if (id == 0) {
        struct view name;
        if (canonical_name(call->arena, args->name, &name) != ERR_OK)
            return ERR_NOT_FOUND;
        TRY(mailbox_find(account, name, &id));
    }
    return mailbox_load(account, id, call->arena, call->result);
}

/* ---- making ---- */

static enum err create_one(struct sqlite_account *account, struct view name, enum special_use use, uint64_t *id) {
    int64_t count;
    TRY(db_get(account->db, &count, "SELECT count(*) FROM mailbox", ""));
    if (count >= ACCOUNT_MAILBOXES_MAX)
        return ERR_LIMIT;
    *id = next_id(account);
    uint64_t modseq = next_modseq(account);
    /* RFC3501-2.3.1.1: a counter of the account, so that a name made again never has an old value. */
    uint32_t uidvalidity = ++account->turn.uidvalidity;
    TRY(db_run(account->db,
               "INSERT INTO mailbox(id, name, use, uidvalidity, uidnext, recent_from, created, content_modseq, "
               "property_modseq,"
               " count_modseq, vanished_floor) VALUES(?1, ?2, ?3, ?4, 1, 1, ?5, ?5, ?5, ?5, 0)",
               "ivuui", *id, name, (uint32_t)use, uidvalidity, modseq));
    return note_change(account, CHANGE_TOUCHED, 0, 0, modseq);
}

/* With the parents that are missing. */
static enum err create_with_parents(struct sqlite_account *account, struct view name, enum special_use use,
                                    uint64_t *id) {
    for (size_t i = 1; i < name.n; i++) {
        if (name.p[i] != ACCOUNT_SEPARATOR)
            continue;
        uint64_t parent;
        enum err err = mailbox_find(account, view_sub(name, 0, i), &parent);
        if (err == ERR_NOT_FOUND)
            err = create_one(account, view_sub(name, 0, i), USE_NONE, &parent);
        TRY(err);
    }
    return create_one(account, name, use, id);
}

enum err mailbox_create_standard(struct sqlite_account *account) {
    static const struct {
        struct view name;
        enum special_use use;
    } standard[] = {
        {VIEW_INIT("INBOX"), USE_NONE},      {VIEW_INIT("Drafts"), USE_DRAFTS}, {VIEW_INIT("Sent"), USE_SENT},
        {VIEW_INIT("Archive"), USE_ARCHIVE}, {VIEW_INIT("Junk"), USE_JUNK},     {VIEW_INIT("Trash"), USE_TRASH},
    };
    for (size_t i = 0; i < ARRAY_LEN(standard); i++) {
        uint64_t id;
        TRY(create_one(account, standard[i].name, standard[i].use, &id));
        TRY(db_run(account->db, "INSERT INTO subscription(name, created) VALUES(?, ?)", "vi", standard[i].name,
                   account->turn.modseq));
    }
    return ERR_OK;
}

enum err op_mailbox_create(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_create_args *args = call->args;
    struct view name;
    uint64_t id;
    if (args->use > USE_FLAGGED)
        return ERR_SYNTAX;
    TRY(canonical_name(call->arena, args->name, &name));
    enum err err = mailbox_find(account, name, &id);
    if (err != ERR_NOT_FOUND)
        return err == ERR_OK ? ERR_EXISTS : err;
    TRY(create_with_parents(account, name, (enum special_use)args->use, &id));
    return mailbox_load(account, id, call->arena, call->result);
}

/* ---- removing ---- */

/* "name/" and "name0": the octet after the separator, so that children lie between. */
static enum err child_bounds(struct arena *arena, struct view name, struct view *from, struct view *to) {
    uint8_t *p = arena_alloc(arena, 2 * (name.n + 1));
    if (p == NULL)
        return ERR_NO_MEMORY;
    memcpy(p, name.p, name.n);
    p[name.n] = ACCOUNT_SEPARATOR;
    *from = view_of(p, name.n + 1);
    memcpy(p + name.n + 1, p, name.n + 1);
    p[2 * name.n + 1] = ACCOUNT_SEPARATOR + 1;
    *to = view_of(p + name.n + 1, name.n + 1);
    return ERR_OK;
}

static enum err has_children(struct sqlite_account *account, struct arena *arena, struct view name, bool *out) {
    struct view from, to;
    int64_t found;
    TRY(child_bounds(arena, name, &from, &to));
    TRY(db_get(account->db, &found, "SELECT EXISTS(SELECT 1 FROM mailbox WHERE name>? AND name<?)", "vv", from, to));
    *out = found != 0;
    return ERR_OK;
}

static enum err remove_messages(struct sqlite_account *account, uint64_t mailbox) {
    for (;;) {
        struct message_row row = {.mailbox = mailbox};
        int64_t email;
        enum err err = db_get(account->db, &email, "SELECT email FROM message WHERE mailbox=? LIMIT 1", "i", mailbox);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        TRY(err);
        row.email = (uint64_t)email;
        int64_t octets, messages;
        TRY(db_get(account->db, &octets, "SELECT sum(size) FROM message WHERE mailbox=? AND email=?", "ii", mailbox,
                   row.email));
        TRY(db_run(account->db,
                   "DELETE FROM message_private WHERE message IN (SELECT id FROM message WHERE mailbox=? AND email=?)",
                   "ii", mailbox, row.email));
        TRY(db_run(account->db, "DELETE FROM message WHERE mailbox=? AND email=?", "ii", mailbox, row.email));
        messages = (int64_t)db_changes(account->db);
        account->turn.octets -= (uint64_t)octets;
        account->turn.messages -= (uint64_t)messages;
        TRY(email_refresh(account, row.email, next_modseq(account)));
    }
}

static enum err remove_mailbox(struct sqlite_account *account, uint64_t id) {
    TRY(remove_messages(account, id));
    TRY(db_run(account->db, "DELETE FROM vanished WHERE mailbox=?", "i", id));
    TRY(db_run(account->db, "DELETE FROM mailbox_keyword WHERE mailbox=?", "i", id));
    TRY(db_run(account->db, "DELETE FROM annotation WHERE type=? AND object=?", "ui", (uint32_t)OBJECT_MAILBOX, id));
    int64_t created;
    TRY(db_get(account->db, &created, "SELECT created FROM mailbox WHERE id=?", "i", id));
    TRY(db_run(account->db, "DELETE FROM mailbox WHERE id=?", "i", id));
    uint64_t modseq = next_modseq(account);
    TRY(db_run(account->db, "INSERT INTO tombstone(type, modseq, object, created) VALUES(?, ?, ?, ?)", "uiii",
               (uint32_t)OBJECT_MAILBOX, modseq, id, created));
    TRY(note_change(account, CHANGE_GONE, id, 0, modseq));
    return note_change(account, CHANGE_TOUCHED, 0, 0, modseq);
}

enum err op_mailbox_delete(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_delete_args *args = call->args;
    struct mailbox mailbox;
    TRY(mailbox_load(account, args->id, call->arena, &mailbox));
    bool is_parent;
    TRY(has_children(account, call->arena, mailbox.name, &is_parent));
    /* RFC3501-6.3.4: INBOX cannot be deleted; a name with inferiors is refused. */
    if (view_eq(mailbox.name, inbox) || is_parent)
        return ERR_DENIED;
    TRY(remove_mailbox(account, args->id));
    *(struct nothing *)call->result = (struct nothing){0};
    return ERR_OK;
}

/* ---- renaming ---- */

static enum err rename_one(struct sqlite_account *account, uint64_t id, struct view name) {
    uint64_t modseq = next_modseq(account);
    TRY(db_run(account->db, "UPDATE mailbox SET name=?, property_modseq=? WHERE id=?", "vii", name, modseq, id));
    return note_change(account, CHANGE_TOUCHED, 0, 0, modseq);
}

struct child {
    uint64_t id;
    struct view name;
    struct child *next;
};

static enum err list_children(struct sqlite_account *account, struct arena *arena, struct view name,
                              struct child **out) {
    struct view from, to;
    sqlite3_stmt *stmt;
    struct child *first = NULL;
    TRY(child_bounds(arena, name, &from, &to));
    TRY(db_query(account->db, &stmt, "SELECT id, name FROM mailbox WHERE name>? AND name<?", "vv", from, to));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            break;
        struct child *child = ARENA_NEW(arena, struct child);
        enum err err = child == NULL ? ERR_NO_MEMORY : arena_view(arena, column_view(stmt, 1), &child->name);
        if (err != ERR_OK) {
            db_done(stmt);
            return err;
        }
        child->id = column_u64(stmt, 0);
        child->next = first;
        first = child;
    }
    *out = first;
    return ERR_OK;
}

/* RFC3501-6.3.5: renaming INBOX moves its messages to a new mailbox and leaves INBOX empty; its children stay. */
static enum err rename_inbox(struct sqlite_account *account, struct arena *arena, uint64_t id, struct view name) {
    uint64_t target;
    TRY(create_with_parents(account, name, USE_NONE, &target));
    uint32_t after = 0;
    for (;;) {
        struct uid_range all = {after + 1, UINT32_MAX};
        struct message_copy_args args = {.mailbox = id, .ranges = &all, .ranges_n = 1, .target = target, .move = true};
        struct message_copy_result result;
        struct op_call move = {.args = &args, .result = &result, .arena = arena};
        int64_t next;
        enum err err =
            db_get(account->db, &next, "SELECT uid FROM message WHERE mailbox=? AND uid>? LIMIT 1", "iu", id, after);
        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        TRY(err);
        TRY(op_message_copy(account, &move));
    }
}

enum err op_mailbox_rename(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_rename_args *args = call->args;
    struct mailbox mailbox;
    struct view name, from, to;
    uint64_t other;
    TRY(canonical_name(call->arena, args->name, &name));
    TRY(mailbox_load(account, args->id, call->arena, &mailbox));
    TRY(child_bounds(call->arena, mailbox.name, &from, &to));
    enum err err = mailbox_find(account, name, &other);
    if (err != ERR_NOT_FOUND)
        return err == ERR_OK ? ERR_EXISTS : err;
    *(struct nothing *)call->result = (struct nothing){0};
    if (view_eq(mailbox.name, inbox))
        return rename_inbox(account, call->arena, args->id, name);
    if (view_starts(name, from))
        return ERR_DENIED; /* below itself */
    struct child *children;
    TRY(list_children(account, call->arena, mailbox.name, &children));
    for (size_t i = 1; i < name.n; i++) {
        if (name.p[i] != ACCOUNT_SEPARATOR)
            continue;
        err = mailbox_find(account, view_sub(name, 0, i), &other);
        if (err == ERR_NOT_FOUND)
            err = create_one(account, view_sub(name, 0, i), USE_NONE, &other);
        TRY(err);
    }
    TRY(rename_one(account, args->id, name));
    for (struct child *child = children; child != NULL; child = child->next) {
        struct view renamed, checked;
        TRY(arena_printf(call->arena, &renamed, "%.*s%.*s", VIEW_FMT(name),
                         VIEW_FMT(view_skip(child->name, mailbox.name.n))));
        TRY(canonical_name(call->arena, renamed, &checked));
        TRY(rename_one(account, child->id, checked));
    }
    return ERR_OK;
}

/* ---- subscriptions ---- */

enum err op_subscribe(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct subscribe_args *args = call->args;
    struct view name;
    TRY(canonical_name(call->arena, args->name, &name));
    uint64_t modseq = next_modseq(account);
    if (args->on)
        TRY(db_run(account->db, "INSERT OR IGNORE INTO subscription(name, created) VALUES(?, ?)", "vi", name, modseq));
    else
        TRY(db_run(account->db, "DELETE FROM subscription WHERE name=?", "v", name));
    TRY(db_run(account->db, "UPDATE mailbox SET property_modseq=? WHERE name=?", "iv", modseq, name));
    TRY(note_change(account, CHANGE_TOUCHED, 0, 0, modseq));
    *(struct nothing *)call->result = (struct nothing){0};
    return ERR_OK;
}

enum err op_subscription_list(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct subscription_list_args *args = call->args;
    struct subscription_list_result result = {0};
    sqlite3_stmt *stmt;
    size_t octets = 0;
    result.names = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct subscription);
    if (result.names == NULL)
        return ERR_NO_MEMORY;
    struct view after = args->after_name.p == NULL ? VIEW("") : args->after_name;
    TRY(db_query(account->db, &stmt, "SELECT name FROM subscription WHERE name>? ORDER BY name", "v", after));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            break;
        octets += (size_t)sqlite3_column_bytes(stmt, 0) + 8;
        result.more = result.names_n == ACCOUNT_BATCH_MAX || octets > RESULT_OCTETS_MAX;
        enum err err =
            result.more ? ERR_OK : arena_view(call->arena, column_view(stmt, 0), &result.names[result.names_n].name);
        if (err != ERR_OK || result.more) {
            db_done(stmt);
            TRY(err);
            break;
        }
        result.names_n++;
    }
    *(struct subscription_list_result *)call->result = result;
    return ERR_OK;
}

/* ---- opening ---- */

static enum err list_keywords(struct sqlite_account *account, struct op_call *call,
                              struct mailbox_open_result *result) {
    sqlite3_stmt *stmt;
    result->keywords = ARENA_ARRAY(call->arena, ACCOUNT_BATCH_MAX, struct keyword);
    if (result->keywords == NULL)
        return ERR_NO_MEMORY;
    TRY(db_query(account->db, &stmt, "SELECT name FROM mailbox_keyword WHERE mailbox=? ORDER BY name", "i",
                 result->mailbox.id));
    for (;;) {
        bool is_row;
        TRY(db_next(account->db, stmt, &is_row));
        if (!is_row)
            return ERR_OK;
        enum err err = ERR_LIMIT;
        if (result->keywords_n < ACCOUNT_BATCH_MAX)
            err = arena_view(call->arena, column_view(stmt, 0), &result->keywords[result->keywords_n].name);
        if (err != ERR_OK) {
            db_done(stmt);
            return err == ERR_LIMIT && result->keywords_n == ACCOUNT_BATCH_MAX ? ERR_OK : err;
        }
        result->keywords_n++;
    }
}

enum err op_mailbox_open(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct mailbox_open_args *args = call->args;
    struct mailbox_open_result result = {0};
    int64_t value;
    TRY(mailbox_load(account, args->id, call->arena, &result.mailbox));
    TRY(db_get(account->db, &value, "SELECT recent_from FROM mailbox WHERE id=?", "i", args->id));
    result.recent_from = (uint32_t)value;
    enum err err = db_get(account->db, &value,
                          "SELECT uid FROM message WHERE mailbox=? AND flags&1=0 ORDER BY uid LIMIT 1", "i", args->id);
    if (err == ERR_OK) {
        struct uid_map *map;
        result.first_unseen_uid = (uint32_t)value;
        TRY(uid_map_get(account, args->id, &map));
        VEC_EACH(&map->ranges, struct uid_range, range) {
            if (range->first > result.first_unseen_uid)
                break;
            result.first_unseen_seq += MIN(range->last, result.first_unseen_uid) - range->first + 1;
        }
    } else if (err != ERR_NOT_FOUND) {
        return err;
    }
    TRY(list_keywords(account, call, &result));
    *(struct mailbox_open_result *)call->result = result;
    return ERR_OK;
}

/* In the write turn: the recent messages now belong to the session that opened. */
enum err op_mailbox_claim(struct sqlite_account *account, void *arg) {
    const struct mailbox_open_result *opened = ((struct op_call *)arg)->result;
    return db_run(account->db, "UPDATE mailbox SET recent_from=max(recent_from, ?) WHERE id=?", "ui",
                  opened->mailbox.uidnext, opened->mailbox.id);
}
