/*
 * Fuzz target: a session against a hostile client, on a made-up account: any
 * octets in pieces of any size, saved and restored between commands when the
 * first octet is odd. The account answers from a table, now and then with an
 * error, and changes under the session. Nothing may crash, hang or leak.
 */
#include "imap/session.h"

#include "loop/stream.h"
#include "message/structure.h"

#include <string.h>

#define MESSAGES 12

static const char text[] =
    "From: a@b\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
    "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--x--\r\n";
#define HEADER_SIZE 68

struct made_up {
    struct account account;
    struct account_watcher *watcher;
    uint64_t modseq, calls, seed;
    uint32_t uidnext;
    bool is_gone[MESSAGES * 4];
    uint32_t flags[MESSAGES * 4];
};

static void put_item(const struct made_up *a, uint32_t uid, struct message_item *item) {
    *item = (struct message_item){
        .uid = uid,
        .id = uid,
        .modseq = a->modseq,
        .flags = a->flags[uid],
        .internal_us = INT64_C(1700000000) * US_PER_S,
        .size = sizeof(text) - 1,
        .header_size = HEADER_SIZE,
        .blob = 1,
        .envelope = VIEW("(\"Mon, 7 Feb 1994 21:52:25 -0800\" \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"),
        .body = uid % 3 == 0 ? VIEW_NONE : VIEW("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)"),
        .bodystructure = VIEW("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL NIL NIL NIL)"),
    };
}

static bool is_there(const struct made_up *a, uint32_t uid) {
    return uid >= 1 && uid < a->uidnext && !a->is_gone[uid];
}

static void changed(struct made_up *a) {
    a->modseq++;
    if (a->watcher != NULL)
        a->watcher->changed(a->watcher, 1, a->modseq);
}

static void put_mailbox(const struct made_up *a, struct mailbox *out) {
    *out = (struct mailbox){
        .id = 1, .name = VIEW("INBOX"), .uidvalidity = 7, .uidnext = a->uidnext, .exists = a->uidnext - 1};
}

static bool in_ranges(const struct uid_range *ranges, uint32_t n, uint32_t uid) {
    for (uint32_t i = 0; i < n; i++) {
        if (uid >= ranges[i].first && uid <= ranges[i].last)
            return true;
    }
    return n == 0;
}

static enum err fetch(struct made_up *a, const struct message_fetch_args *args, struct arena *arena,
                      struct message_fetch_result *out) {
    out->messages = ARENA_ARRAY(arena, MESSAGES * 4, struct message_item);
    for (uint32_t uid = args->from_uid; uid < a->uidnext; uid++) {
        if (!is_there(a, uid) || !in_ranges(args->ranges, args->ranges_n, uid))
            continue;
        if (out->messages_n == 3) { /* small batches, to see the loops */
            out->next_uid = uid;
            break;
        }
        put_item(a, uid, &out->messages[out->messages_n++]);
    }
    return ERR_OK;
}

static enum err changes(struct made_up *a, const struct mailbox_changes_args *args, struct arena *arena,
                        struct mailbox_changes_result *out) {
    out->changed = ARENA_ARRAY(arena, MESSAGES * 4, struct message_item);
    out->vanished = ARENA_ARRAY(arena, MESSAGES * 4, struct uid_range);
    out->until_modseq = a->modseq;
    out->uidnext = a->uidnext;
    out->full = args->since_modseq + 40 < a->modseq;
    for (uint32_t uid = 1; uid < a->uidnext; uid++) {
        if (is_there(a, uid))
            put_item(a, uid, &out->changed[out->changed_n++]);
        else
            out->vanished[out->vanished_n++] = (struct uid_range){uid, uid};
    }
    return ERR_OK;
}

static enum err store(struct made_up *a, const struct message_store_args *args, struct arena *arena,
                      struct message_store_result *out) {
    changed(a);
    out->changed = ARENA_ARRAY(arena, MESSAGES * 4, struct message_item);
    for (uint32_t uid = 1; uid < a->uidnext; uid++) {
        if (!is_there(a, uid) || !in_ranges(args->ranges, args->ranges_n, uid))
            continue;
        a->flags[uid] = args->mode == STORE_REPLACE ? args->flags
                        : args->mode == STORE_ADD   ? a->flags[uid] | args->flags
                                                    : a->flags[uid] & ~args->flags;
        put_item(a, uid, &out->changed[out->changed_n++]);
    }
    return ERR_OK;
}

static void remove_some(struct made_up *a, const struct uid_range *ranges, uint32_t n, uint32_t flag) {
    for (uint32_t uid = 1; uid < a->uidnext; uid++) {
        if (in_ranges(ranges, n, uid) && (flag == 0 || (a->flags[uid] & flag) != 0))
            a->is_gone[uid] = true;
    }
    changed(a);
}

static enum err open_it(const struct made_up *a, struct mailbox_open_result *out) {
    put_mailbox(a, &out->mailbox);
    out->recent_from = a->uidnext / 2;
    out->first_unseen_uid = 2;
    return ERR_OK;
}

static enum err map_it(const struct made_up *a, const struct uid_map_args *args, struct arena *arena,
                       struct uid_map_result *out) {
    out->ranges = ARENA_ARRAY(arena, MESSAGES * 4, struct uid_range);
    out->highest_modseq = a->modseq;
    for (uint32_t uid = args->from_uid; uid < a->uidnext; uid++) {
        if (is_there(a, uid))
            out->ranges[out->ranges_n++] = (struct uid_range){uid, uid};
    }
    return ERR_OK;
}

static enum err copy(struct made_up *a, const struct message_copy_args *args, struct arena *arena,
                     struct message_copy_result *out) {
    out->uidvalidity = 7;
    out->from = out->to = args->ranges;
    out->from_n = out->to_n = args->ranges_n;
    (void)arena;
    if (args->move)
        remove_some(a, args->ranges, args->ranges_n, 0);
    return ERR_OK;
}

static enum err read_blob(const struct blob_read_args *args, struct blob_read_result *out) {
    out->bytes = view_sub(view_of(text, sizeof(text) - 1), (size_t)args->offset, MIN(args->length, 50));
    return ERR_OK;
}

static enum err list_it(const struct mailbox_list_args *args, struct arena *arena, struct mailbox_list_result *out) {
    static const struct view names[] = {VIEW_INIT("Drafts"), VIEW_INIT("INBOX"), VIEW_INIT("a/\xc3\xa9"),
                                        VIEW_INIT("a/b")};
    out->mailboxes = ARENA_ARRAY(arena, ARRAY_LEN(names), struct mailbox);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_cmp(names[i], args->after_name) <= 0)
            continue;
        out->mailboxes[out->mailboxes_n++] = (struct mailbox){.id = i + 1, .name = names[i], .use = (uint8_t)i};
    }
    return ERR_OK;
}

static enum err call(struct account *account, const struct account_op_type *op, const void *args, struct file *file,
                     struct arena *arena, void *result) {
    struct made_up *a = (struct made_up *)account;
    (void)file;
    memset(result, 0, op->result->size);
    /* Errors of every class come up now and then; the store between two commands moves on. */
    if ((++a->calls * 7 + a->seed) % 41 == 0)
        return (enum err)(1 + a->calls % (ERR_BUG - 1));
    if (a->calls % 13 == 0) {
        a->is_gone[1 + a->calls % MESSAGES] = true;
        changed(a);
    }
    switch (op->op) {
    case ACCOUNT_OP_mailbox_get:
        put_mailbox(a, result);
        return ERR_OK;
    case ACCOUNT_OP_mailbox_list:
        return list_it(args, arena, result);
    case ACCOUNT_OP_mailbox_open:
        return open_it(a, result);
    case ACCOUNT_OP_uid_map:
        return map_it(a, args, arena, result);
    case ACCOUNT_OP_mailbox_changes:
        return changes(a, args, arena, result);
    case ACCOUNT_OP_message_fetch:
        return fetch(a, args, arena, result);
    case ACCOUNT_OP_blob_read:
        return read_blob(args, result);
    case ACCOUNT_OP_message_store:
        return store(a, args, arena, result);
    case ACCOUNT_OP_message_copy:
        return copy(a, args, arena, result);
    case ACCOUNT_OP_message_expunge: {
        const struct message_expunge_args *expunge = args;
        remove_some(a, expunge->ranges, expunge->ranges_n, expunge->any ? 0 : FLAG_DELETED);
        return ERR_OK;
    }
    case ACCOUNT_OP_message_append:
        if (a->uidnext < MESSAGES * 4 - 1)
            a->uidnext++;
        changed(a);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static void watch(struct account *account, struct account_watcher *watcher) {
    ((struct made_up *)account)->watcher = watcher;
}

static void unwatch(struct account *account, struct account_watcher *watcher) {
    (void)watcher;
    ((struct made_up *)account)->watcher = NULL;
}

struct world {
    struct loop *loop;
    struct stream *server, *client;
    struct made_up account;
    struct view input;
    size_t step;
    bool by_saving;
};

static void serve(void *arg) {
    struct world *w = arg;
    struct imap_session_params params = {.account = &w->account.account, .stream = w->server};
    struct imap_handover handover = {.tag = VIEW("t")};
    struct imap_session *session;
    enum imap_session_end end;
    BUG_IF(imap_session_new(&params, &handover, &session) != ERR_OK);
    while (imap_session_step(session, &end) == ERR_OK) {
        if (!w->by_saving)
            continue;
        struct buf saved;
        buf_init(&saved, (size_t)1024 * 1024);
        BUG_IF(imap_session_save(session, &saved) != ERR_OK);
        imap_session_free(session);
        BUG_IF(imap_session_restore(&params, buf_view(&saved), &session) != ERR_OK);
        buf_fini(&saved);
    }
    imap_session_free(session);
    stream_free(w->server);
}

static void drain(void *arg) {
    struct world *w = arg;
    uint8_t octets[4096];
    size_t got;
    while (stream_read(w->client, octets, sizeof(octets), US_NEVER, &got) == ERR_OK)
        continue;
}

static void send(void *arg) {
    struct world *w = arg;
    struct view left = w->input;
    while (left.n > 0) {
        struct view piece = view_sub(left, 0, w->step);
        if (stream_write(w->client, piece, US_NEVER) != ERR_OK)
            break;
        left = view_skip(left, piece.n);
    }
    stream_shutdown(w->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct account_ops ops = {.call = call, .watch = watch, .unwatch = unwatch};
    if (size < 2)
        return 0;
    struct virtual_clock clock;
    struct world w = {
        .input = view_of(data + 2, size - 2), .step = 1 + (size_t)data[0] * 2, .by_saving = (data[0] & 1) != 0};
    w.account = (struct made_up){.account = {&ops}, .modseq = 1, .uidnext = MESSAGES + 1, .seed = data[1]};
    virtual_clock_init(&clock, 0);
    w.loop = loop_new_virtual(&clock, NULL, NULL);
    BUG_IF(w.loop == NULL || stream_new_pair(w.loop, 65536, &w.server, &w.client) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "server", serve, &w, NULL) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "drain", drain, &w, NULL) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "send", send, &w, NULL) != ERR_OK);
    loop_run(w.loop);
    stream_free(w.client);
    loop_free(w.loop);
    return 0;
}
