/* Keywords: one spelling an account, texts of sorted names, and which are in use in a mailbox. */
#include "store/sqlite/account_impl.h"

#include <string.h>

#define KEYWORDS_ACCOUNT_MAX 5000 /* different ones; each costs every SELECT of a mailbox that uses it */

/* RFC3501-9: flag-keyword is an atom; the system flags' backslash is no atom character. */
static bool is_keyword(struct view name) {
    if (name.n == 0 || name.n > ACCOUNT_KEYWORD_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): eight octets, no string */
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || memchr("(){%*\"\\]", name.p[i], 8) != NULL)
            return false;
    return true;
}

static enum err first_spelling(struct sqlite_account *account, struct view name, bool add, struct arena *arena,
                               struct view *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt, "SELECT name FROM keyword WHERE name=?", "t", name));
    TRY(db_next(account->db, stmt, &is_row));
    if (is_row) {
        enum err err = arena_view(arena, column_view(stmt, 0), out);
        db_done(stmt);
        return err;
    }
    if (!add) {
        *out = VIEW_NONE;
        return ERR_OK;
    }
    int64_t count;
    TRY(db_get(account->db, &count, "SELECT count(*) FROM keyword", ""));
    if (count >= KEYWORDS_ACCOUNT_MAX)
        return ERR_LIMIT;
    TRY(db_run(account->db, "INSERT INTO keyword(name) VALUES(?)", "t", name));
    *out = name;
    return ERR_OK;
}

/* Names with spaces between. */
static enum err join(const struct view *names, size_t n, struct arena *arena, struct view *out) {
    size_t octets = 0;
    for (size_t i = 0; i < n; i++)
        octets += names[i].n + 1;
    uint8_t *p = arena_alloc(arena, octets), *at = p;
    if (p == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *at++ = ' ';
        memcpy(at, names[i].p, names[i].n);
        at += names[i].n;
    }
    *out = view_of(p, (size_t)(at - p));
    return ERR_OK;
}

enum err keywords_canonical(struct sqlite_account *account, const struct keyword *list, uint32_t n, bool add,
                            struct arena *arena, struct view *out) {
    struct view names[ACCOUNT_KEYWORDS_MAX];
    size_t used = 0;
    if (n > ACCOUNT_KEYWORDS_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < n; i++) {
        struct view name;
        if (!is_keyword(list[i].name))
            return ERR_SYNTAX;
        TRY(first_spelling(account, list[i].name, add, arena, &name));
        if (name.p == NULL)
            continue;
        size_t at = 0;
        while (at < used && view_cmp(names[at], name) < 0)
            at++;
        if (at < used && view_eq(names[at], name))
            continue;
        memmove(&names[at + 1], &names[at], (used - at) * sizeof(names[0]));
        names[at] = name;
        used++;
    }
    return join(names, used, arena, out);
}

/* The next name of a text; false at the end. */
static bool next_name(struct view *text, struct view *name) {
    if (text->n == 0)
        return false;
    (void)view_split(*text, ' ', name, text);
    return true;
}

enum err keywords_split(struct view text, struct arena *arena, struct keyword **list, uint32_t *n) {
    struct view rest = text, name;
    uint32_t count = 0;
    while (next_name(&rest, &name))
        count++;
    struct keyword *names = ARENA_ARRAY(arena, count, struct keyword);
    if (names == NULL)
        return ERR_NO_MEMORY;
    rest = text;
    for (uint32_t i = 0; i < count; i++)
        (void)next_name(&rest, &names[i].name);
    *list = names;
    *n = count;
    return ERR_OK;
}

/* Walks two sorted texts side by side: keeps names of both, of the first alone and of the second alone as told. */
static enum err merge(struct view a, struct view b, bool both, bool only_a, bool only_b, struct arena *arena,
                      struct view *out) {
    struct view names[2 * ACCOUNT_KEYWORDS_MAX], x = VIEW_NONE, y = VIEW_NONE;
    size_t used = 0;
    bool has_x = next_name(&a, &x), has_y = next_name(&b, &y);
    while (has_x || has_y) {
        int order = !has_y ? -1 : !has_x ? 1 : view_cmp(x, y);
        bool keep = order == 0 ? both : order < 0 ? only_a : only_b;
        if (keep && used == ARRAY_LEN(names))
            return ERR_LIMIT;
        if (keep)
            names[used++] = order <= 0 ? x : y;
        if (order <= 0)
            has_x = next_name(&a, &x);
        if (order >= 0)
            has_y = next_name(&b, &y);
    }
    return join(names, used, arena, out);
}

enum err keywords_union(struct view a, struct view b, struct arena *arena, struct view *out) {
    return merge(a, b, true, true, true, arena, out);
}

enum err keywords_minus(struct view a, struct view b, struct arena *arena, struct view *out) {
    return merge(a, b, false, true, false, arena, out);
}

enum err keywords_count(struct sqlite_account *account, uint64_t mailbox, struct view old_text, struct view new_text) {
    struct view a = old_text, b = new_text, x = VIEW_NONE, y = VIEW_NONE;
    bool has_x = next_name(&a, &x), has_y = next_name(&b, &y);
    while (has_x || has_y) {
        int order = !has_y ? -1 : !has_x ? 1 : view_cmp(x, y);
        if (order < 0) {
            TRY(db_run(account->db, "UPDATE mailbox_keyword SET in_use=in_use-1 WHERE mailbox=? AND name=?", "it",
                       mailbox, x));
            TRY(db_run(account->db, "DELETE FROM mailbox_keyword WHERE mailbox=? AND name=? AND in_use=0", "it",
                       mailbox, x));
        } else if (order > 0) {
            TRY(db_run(account->db,
                       "INSERT INTO mailbox_keyword(mailbox, name, in_use) VALUES(?, ?, 1)"
                       " ON CONFLICT(mailbox, name) DO UPDATE SET in_use=in_use+1",
                       "it", mailbox, y));
        }
        if (order <= 0)
            has_x = next_name(&a, &x);
        if (order >= 0)
            has_y = next_name(&b, &y);
    }
    return ERR_OK;
}
