/*
 * Random commands on three sessions of one account. The client keeps a model of
 * what it was told and every response is checked against it: message numbers
 * exist, EXPUNGE comes only where it may (RFC3501-7.4.1), UIDs keep their
 * messages and rise, and after a NOOP the flags it was told of are those that
 * are. The same commands with sessions saved and restored between any two, and
 * with input octet by octet, give the same transcript.
 */
#include "session/imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ACTORS 3
#define COMMANDS 150
#define MESSAGES_MAX 4000
#define FLAGS_MAX 80

struct told {
    uint32_t uid;          /* 0: not told */
    char flags[FLAGS_MAX]; /* without \Recent; "?": not known */
};
struct actor {
    struct imap_peer *peer;
    struct told told[MESSAGES_MAX];
    uint32_t exists;
    bool is_selected, is_readonly;
};
struct run {
    struct imap_world world;
    struct random_seeded dice;
    struct actor actors[ACTORS];
    char complaint[3000];
    bool hides_expunge;
    unsigned tag;
    char status[200]; /* of the last command: "OK ..." */
};

static void complain(struct run *r, const char *what, struct view line) {
    if (r->complaint[0] == '\0')
        snprintf(r->complaint, sizeof(r->complaint), "command %u: %s: %.*s", r->tag, what, (int)MIN(line.n, 2000),
                 (const char *)line.p);
}

static unsigned dice(struct run *r, unsigned n) {
    return (unsigned)random_below(&r->dice.random, n);
}

/* The text behind " FLAGS (" up to ")", without \Recent. */
static bool take_flags(struct view line, char *out) {
    ssize_t at = view_find(line, VIEW("FLAGS ("));
    if (at < 0)
        return false;
    struct view rest = view_skip(line, (size_t)at + 7), flags, word;
    size_t n = 0;
    if (!view_split(rest, ')', &flags, &rest))
        return false;
    while (flags.n > 0) {
        if (!view_split(flags, ' ', &word, &flags))
            flags = VIEW_NONE;
        if (view_eq(word, VIEW("\\Recent")) || n + word.n + 2 > FLAGS_MAX)
            continue;
        memcpy(out + n, word.p, word.n);
        n += word.n;
        out[n++] = ' ';
    }
    out[n] = '\0';
    return true;
}

static void take_fetch(struct run *r, struct actor *a, uint32_t seq, struct view line) {
    if (seq < 1 || seq > a->exists) {
        complain(r, "FETCH of a message that is not there", line);
        return;
    }
    struct told *told = &a->told[seq - 1];
    ssize_t at = view_find(line, VIEW("UID "));
    if (at >= 0) {
        struct reader reader = reader_of(view_skip(line, (size_t)at + 4));
        uint32_t uid = (uint32_t)reader_u64(&reader, UINT32_MAX);
        if (told->uid != 0 && told->uid != uid)
            complain(r, "a message changed its UID", line);
        told->uid = uid;
        for (uint32_t i = 0; i < a->exists; i++) {
            if (a->told[i].uid != 0 && i != seq - 1 && (a->told[i].uid < uid) != (i < seq - 1))
                complain(r, "UIDs do not rise", line);
        }
    }
    (void)take_flags(line, told->flags);
}

static void take_untagged(struct run *r, struct actor *a, struct view line) {
    struct reader reader = reader_of(line);
    uint32_t n = 0;
    (void)reader_take(&reader, 2);
    if (reader_peek(&reader) >= '0' && reader_peek(&reader) <= '9')
        n = (uint32_t)reader_u64(&reader, UINT32_MAX);
    struct view rest = reader_rest(&reader);
    if (view_starts(rest, VIEW(" EXISTS"))) {
        if (n < a->exists || n > MESSAGES_MAX)
            complain(r, "EXISTS goes down", line);
        for (; a->exists < n && a->exists < MESSAGES_MAX; a->exists++)
            a->told[a->exists] = (struct told){0, "?"};
    } else if (view_starts(rest, VIEW(" EXPUNGE"))) {
        if (n < 1 || n > a->exists || r->hides_expunge) {
            complain(r, r->hides_expunge ? "EXPUNGE where it may not be" : "EXPUNGE of nothing", line);
            return;
        }
        memmove(&a->told[n - 1], &a->told[n], (a->exists - n) * sizeof(a->told[0]));
        a->exists--;
    } else if (view_starts(rest, VIEW(" FETCH "))) {
        take_fetch(r, a, n, line);
    } else if (view_starts(rest, VIEW(" RECENT"))) {
        if (n > a->exists)
            complain(r, "more recent messages than messages", line);
    }
}

/* Sends a command and takes its responses. */
static bool command(struct run *r, struct actor *a, const char *text) {
    char tag[20];
    struct buf out;
    if (r->complaint[0] != '\0')
        return false;
    buf_init(&out, 100000);
    snprintf(tag, sizeof(tag), "t%u ", ++r->tag);
    buf_put_str(&out, tag);
    buf_put_str(&out, text);
    buf_put_str(&out, "\r\n");
    imap_world_send(&r->world, a->peer, buf_view(&out));
    r->hides_expunge = view_starts(view_cstr(text), VIEW("FETCH")) || view_starts(view_cstr(text), VIEW("STORE")) ||
                       view_starts(view_cstr(text), VIEW("SEARCH"));
    for (;;) {
        struct view line = view_trim(imap_world_line(&r->world, a->peer));
        if (view_starts(line, view_cstr(tag))) {
            line = view_skip(line, strlen(tag));
            snprintf(r->status, sizeof(r->status), "%.*s", (int)MIN(line.n, 150), (const char *)line.p);
            if (view_starts(line, VIEW("BAD")))
                complain(r, text, line);
            break;
        }
        if (!view_starts(line, VIEW("* "))) {
            complain(r, "not a response", line);
            break;
        }
        if (line.n > 0 && line.p[line.n - 1] == '}') {
            /* One literal a line, at its end: its octets, then the rest. */
            struct reader reader = reader_of(view_skip(line, (size_t)view_rfind_byte(line, '{') + 1));
            size_t n = (size_t)reader_u64(&reader, 1000000);
            size_t from = a->peer->at;
            (void)imap_world_octets(&r->world, a->peer, n);
            struct view rest = imap_world_line(&r->world, a->peer);
            size_t head = from - 2;
            while (head > 0 && a->peer->received.p[head - 1] != '\n')
                head--;
            line = view_of(a->peer->received.p + head, from + n + rest.n - head);
        }
        take_untagged(r, a, line);
    }
    buf_fini(&out);
    return r->complaint[0] == '\0' && strncmp(r->status, "OK", 2) == 0;
}

static void printf_command(struct run *r, struct actor *a, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void printf_command(struct run *r, struct actor *a, const char *format, ...) {
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)command(r, a, text);
}

static const char *some_mailbox(struct run *r) {
    static const char *names[] = {"INBOX", "b1", "b2"};
    return names[dice(r, 3)];
}

static const char *some_flags(struct run *r) {
    static const char *flags[] = {"",           "\\Seen",         "\\Deleted",  "\\Deleted \\Flagged",
                                  "\\Answered", "\\Draft \\Seen", "$Forwarded", "$Forwarded kw \\Deleted"};
    return flags[dice(r, 8)];
}

static void some_set(struct run *r, const struct actor *a, bool is_uid, char *out, size_t size) {
    uint32_t top = is_uid ? a->exists + 10 : a->exists;
    uint32_t x = 1 + dice(r, MAX(top, 1)), y = 1 + dice(r, MAX(top, 1));
    switch (dice(r, 5)) {
    case 0:
        snprintf(out, size, "%u", x);
        break;
    case 1:
        snprintf(out, size, "%u:%u", x, y);
        break;
    case 2:
        snprintf(out, size, "%u:*", x);
        break;
    case 3:
        snprintf(out, size, "%u,*,%u", x, y);
        break;
    default:
        snprintf(out, size, "1:*");
    }
}

static void forget_flags(struct actor *a) {
    for (uint32_t i = 0; i < a->exists; i++)
        memcpy(a->told[i].flags, "?", 2);
}

static void open_mailbox(struct run *r, struct actor *a, const char *name) {
    a->exists = 0;
    a->is_readonly = dice(r, 4) == 0;
    char text[100];
    snprintf(text, sizeof(text), "%s %s", a->is_readonly ? "EXAMINE" : "SELECT", name);
    a->is_selected = command(r, a, text);
}

static void act_on_messages(struct run *r, struct actor *a) {
    static const char *atts[] = {"FLAGS",        "(UID FLAGS)", "UID",
                                 "(UID BODY[])", "ENVELOPE",    "(UID RFC822.SIZE INTERNALDATE)"};
    static const char *keys[] = {"ALL",       "SEEN",      "UNDELETED", "NOT KEYWORD kw", "OR FLAGGED ANSWERED",
                                 "SUBJECT 3", "BODY text", "LARGER 40", "UID 3:5",        "RECENT"};
    static const char *signs[] = {"", "+", "-"};
    char set[60];
    bool is_uid = dice(r, 2) == 0;
    const char *uid = is_uid ? "UID " : "";
    some_set(r, a, is_uid, set, sizeof(set));
    switch (a->exists == 0 ? 9 : dice(r, 10)) {
    case 0:
    case 1:
    case 2:
        printf_command(r, a, "%sFETCH %s %s", uid, set, atts[dice(r, 6)]);
        break;
    case 3:
    case 4:
        printf_command(r, a, "%sSTORE %s %sFLAGS (%s)", uid, set, signs[dice(r, 3)], some_flags(r));
        break;
    case 5:
        forget_flags(a);
        printf_command(r, a, "%sSTORE %s %sFLAGS.SILENT (%s)", uid, set, signs[dice(r, 3)], some_flags(r));
        break;
    case 6:
        printf_command(r, a, "%sCOPY %s %s", uid, set, some_mailbox(r));
        break;
    case 7:
        printf_command(r, a, "%sMOVE %s %s", uid, set, some_mailbox(r));
        break;
    case 8:
        printf_command(r, a, "%sSEARCH %s", uid, keys[dice(r, 10)]);
        break;
    default:
        if (dice(r, 2) == 0)
            printf_command(r, a, "EXPUNGE");
        else
            printf_command(r, a, "UID EXPUNGE 1:%u", 1 + dice(r, 20));
    }
}

static void act(struct run *r) {
    struct actor *a = &r->actors[dice(r, ACTORS)];
    switch (dice(r, 10)) {
    case 0:
    case 1:
        printf_command(r, a, "APPEND %s (%s) {%u+}\r\nSubject: message %u\r\n\r\n%s", some_mailbox(r), some_flags(r),
                       26 + (r->tag >= 9) + (r->tag >= 99) + (r->tag >= 999), r->tag + 1, "text");
        break;
    case 2:
        if (dice(r, 3) == 0 && a->is_selected) {
            printf_command(r, a, dice(r, 2) == 0 ? "CLOSE" : "UNSELECT");
            a->is_selected = false;
            a->exists = 0;
            break;
        }
        open_mailbox(r, a, some_mailbox(r));
        break;
    case 3:
        printf_command(r, a, dice(r, 2) == 0 ? "NOOP" : "STATUS b1 (MESSAGES RECENT UIDNEXT UNSEEN)");
        break;
    default:
        if (a->is_selected)
            act_on_messages(r, a);
        else
            open_mailbox(r, a, some_mailbox(r));
    }
}

/* After a NOOP everything is told: the flags that are must be those that the model holds. */
static void check_flags(struct run *r, struct actor *a) {
    if (!a->is_selected || r->complaint[0] != '\0')
        return;
    (void)command(r, a, "NOOP");
    struct told *before = malloc(sizeof(a->told));
    assert_non_null(before);
    memcpy(before, a->told, sizeof(a->told));
    uint32_t exists = a->exists;
    if (exists > 0)
        (void)command(r, a, "FETCH 1:* (UID FLAGS)");
    for (uint32_t i = 0; i < exists; i++) {
        if (before[i].flags[0] != '?' && strcmp(before[i].flags, a->told[i].flags) != 0)
            complain(r, "flags changed without a word", view_cstr(before[i].flags));
        if (before[i].uid != 0 && before[i].uid != a->told[i].uid)
            complain(r, "the numbers were wrong", view_cstr(before[i].flags));
    }
    free(before);
}

static void client(void *arg) {
    struct run *r = arg;
    for (size_t i = 0; i < ACTORS; i++) {
        r->actors[i].peer = imap_world_open(&r->world, i);
        (void)imap_world_line(&r->world, r->actors[i].peer);
    }
    (void)command(r, &r->actors[0], "CREATE b1");
    (void)command(r, &r->actors[0], "CREATE b2");
    for (int i = 0; i < COMMANDS && r->complaint[0] == '\0'; i++) {
        act(r);
        if (i % 20 == 19)
            check_flags(r, &r->actors[dice(r, ACTORS)]);
    }
    for (size_t i = 0; i < ACTORS; i++)
        check_flags(r, &r->actors[i]);
    for (size_t i = 0; i < ACTORS; i++) {
        struct view left = imap_world_close(&r->world, r->actors[i].peer);
        if (left.n > 0)
            complain(r, "more than was asked for", left);
    }
}

/* The transcripts of all sessions. */
static void run_once(uint64_t seed, bool by_octet, bool by_saving, struct buf *transcript) {
    struct run *r = calloc(1, sizeof(*r));
    struct buf problems;
    assert_non_null(r);
    buf_init(&problems, 100000);
    random_seeded_init(&r->dice, seed);
    imap_world_init(&r->world, by_octet, by_saving);
    imap_world_run(&r->world, client, r);
    for (size_t i = 0; i < ACTORS; i++)
        buf_put(transcript, buf_view(&r->actors[i].peer->received));
    imap_world_fini(&r->world, &problems);
    if (r->complaint[0] != '\0')
        fail_msg("seed %llu%s%s: %s", (unsigned long long)seed, by_octet ? " by octet" : "", by_saving ? " saving" : "",
                 r->complaint);
    if (problems.n > 0)
        fail_msg("seed %llu: the store: %.*s", (unsigned long long)seed, VIEW_FMT(buf_view(&problems)));
    assert_int_equal(buf_err(transcript), ERR_OK);
    buf_fini(&problems);
    free(r);
}

static void run_seed(uint64_t seed) {
    struct buf plain, other;
    buf_init(&plain, (size_t)64 * 1024 * 1024);
    buf_init(&other, (size_t)64 * 1024 * 1024);
    run_once(seed, false, false, &plain);
    for (int how = 1; how < 3; how++) {
        buf_clear(&other);
        run_once(seed, how == 2, how == 1, &other);
        size_t same = 0;
        while (same < MIN(plain.n, other.n) && plain.p[same] == other.p[same])
            same++;
        if (plain.n != other.n || same != plain.n)
            fail_msg("seed %llu, %s: another transcript: ...%.*s... and ...%.*s...", (unsigned long long)seed,
                     how == 1 ? "saving" : "by octet", 200, (const char *)plain.p + same - MIN(same, 60), 200,
                     (const char *)other.p + same - MIN(same, 60));
    }
    buf_fini(&plain);
    buf_fini(&other);
}

static void test_random(void **state) {
    const uint64_t *seeds = *state;
    for (uint64_t seed = seeds[0]; seed <= seeds[1]; seed++)
        run_seed(seed);
}

/* imap_random_test [FIRST LAST]: other seeds than those of every run. */
int main(int argc, char **argv) {
    static uint64_t seeds[2] = {1, 12};
    if (argc == 3 && (view_to_u64(view_cstr(argv[1]), UINT64_MAX, &seeds[0]) != ERR_OK ||
                      view_to_u64(view_cstr(argv[2]), UINT64_MAX, &seeds[1]) != ERR_OK))
        return 2;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_random, seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
