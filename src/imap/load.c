/* Octets of stored messages, and names of mailboxes, for the commands. */
#include "imap/engine.h"

#include "base/utf8.h"

void imap_send_blob(struct imap_session *s, uint64_t blob, uint64_t from, uint64_t n) {
    while (n > 0 && s->out.err == ERR_OK) {
        struct blob_read_args args = {.blob = blob, .offset = from, .length = (uint32_t)MIN(n, ACCOUNT_READ_MAX)};
        struct blob_read_result result;
        arena_clear(s->chunk);
        enum err err = account_do_blob_read(s->account, &args, NULL, s->chunk, &result);
        if (err == ERR_OK && (result.bytes.n == 0 || result.bytes.n > n))
            err = ERR_IO;
        if (err != ERR_OK) {
            /* The literal's size was promised: nothing true can follow. */
            imap_note(s, "blob_failed", VIEW_NONE, err);
            imap_out_flush(&s->out);
            s->out.err = ERR_IO;
            return;
        }
        imap_out_octets(&s->out, result.bytes);
        from += result.bytes.n;
        n -= result.bytes.n;
    }
}

enum err imap_load_blob(struct imap_session *s, uint64_t blob, uint64_t from, uint64_t n, struct buf *out) {
    buf_clear(out);
    while (n > 0) {
        struct blob_read_args args = {.blob = blob, .offset = from, .length = (uint32_t)MIN(n, ACCOUNT_READ_MAX)};
        struct blob_read_result result;
        arena_clear(s->chunk);
        TRY(account_do_blob_read(s->account, &args, NULL, s->chunk, &result));
        if (result.bytes.n == 0 || result.bytes.n > n)
            return ERR_IO;
        buf_put(out, result.bytes);
        TRY(buf_err(out));
        from += result.bytes.n;
        n -= result.bytes.n;
    }
    return ERR_OK;
}

void imap_put_mailbox(struct buf *out, struct view name) {
    struct buf text;
    buf_init(&text, ACCOUNT_NAME_MAX * 6);
    if (utf7_encode(name, &text) != ERR_OK)
        buf_clear(&text);
    bool is_atom = text.n > 0 && !view_eq_nocase(buf_view(&text), VIEW("NIL"));
    for (size_t i = 0; i < text.n && is_atom; i++)
        is_atom = imap_is_atom_char(text.p[i]) || text.p[i] == ']';
    if (is_atom)
        buf_put(out, buf_view(&text));
    else
        imap_put_string(out, buf_view(&text));
    buf_fini(&text);
}

enum err imap_find_mailbox(struct imap_session *s, struct view name, struct mailbox *out) {
    struct mailbox_get_args args = {.name = name};
    if (name.n == 0 || name.n > ACCOUNT_NAME_MAX)
        return ERR_NOT_FOUND;
    return account_do_mailbox_get(s->account, &args, NULL, s->arena, out);
}

struct view imap_trim_name(struct view name) {
    if (name.n > 1 && name.p[name.n - 1] == ACCOUNT_SEPARATOR)
        name.n--;
    return name;
}
