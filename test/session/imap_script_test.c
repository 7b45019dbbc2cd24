/*
 * IMAP session scripts: C: and S: lines against the real session engine on the
 * real store (a simulated disk), over stream pairs on a virtual clock. One
 * behaviour a file, in src/imap/scripts/. Every script runs four times: as it
 * is, with input octet by octet, with each session saved and restored between
 * any two commands (DESIGN.md section 3), and with both.
 *
 *   C: text      session 1 sends the line; C2: session 2, and so on up to 4
 *   C-: text     without a line end; \r \n \0 \\ are written so, in C: as well
 *   C*: N text   the text N times, without a line end
 *   S: text      the next line received must be this: <n> is digits, <*> anything
 *   T: seconds   time passes
 *   X: N         the client of session N goes away
 *   # text       says why
 *
 * A session begins with its first C: or S: line; its login has the tag "login".
 * Nothing may be left unread at the end. S: <end> is the end of the stream.
 */
#include "session/imap_world.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct run {
    struct imap_world world;
    const char *name;
    struct view script;
    char complaint[4000];
    bool is_done;
};

static void complain(struct run *w, unsigned line, const char *what, struct view expected, struct view got) {
    if (w->complaint[0] == '\0')
        snprintf(w->complaint, sizeof(w->complaint), "%s:%u: %s\nexpected: %.*s\n     got: %.*s", w->name, line, what,
                 (int)MIN(expected.n, 1500), (const char *)expected.p, (int)MIN(got.n, 1500), (const char *)got.p);
}

static bool matches(struct view pattern, struct view text) {
    while (pattern.n > 0) {
        if (view_starts(pattern, VIEW("<n>"))) {
            size_t digits = 0;
            while (digits < text.n && ascii_is_digit(text.p[digits]))
                digits++;
            if (digits == 0)
                return false;
            pattern = view_skip(pattern, 3);
            text = view_skip(text, digits);
        } else if (view_starts(pattern, VIEW("<*>"))) {
            pattern = view_skip(pattern, 3);
            for (size_t i = 0; i <= text.n; i++) {
                if (matches(pattern, view_skip(text, i)))
                    return true;
            }
            return false;
        } else if (text.n == 0 || pattern.p[0] != text.p[0]) {
            return false;
        } else {
            pattern = view_skip(pattern, 1);
            text = view_skip(text, 1);
        }
    }
    return text.n == 0;
}

static void expect_line(struct run *w, unsigned number, struct imap_peer *peer, struct view expected) {
    struct view line = imap_world_line(&w->world, peer);
    if (view_eq(expected, VIEW("<end>"))) {
        if (line.n > 0 || !peer->is_ended)
            complain(w, number, "the stream should have ended", expected, line);
        return;
    }
    struct view text = line;
    if (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n > 0 && text.p[text.n - 1] == '\r')
        text.n--;
    if (line.n == 0 || !matches(expected, text))
        complain(w, number, "another response", expected, text);
}

static void unescape(struct view text, struct buf *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '\\' && i + 1 < text.n && text.p[i + 1] == 'r')
            c = '\r', i++;
        else if (c == '\\' && i + 1 < text.n && text.p[i + 1] == 'n')
            c = '\n', i++;
        else if (c == '\\' && i + 1 < text.n && text.p[i + 1] == '0')
            c = '\0', i++;
        else if (c == '\\' && i + 1 < text.n && text.p[i + 1] == '\\')
            i++;
        buf_put_byte(out, c);
    }
}

static void send_line(struct run *w, struct imap_peer *peer, char form, struct view text) {
    struct buf out;
    buf_init(&out, (size_t)16 * 1024 * 1024);
    if (form == '*') {
        struct view count, rest;
        uint32_t n = 0;
        assert_true(view_split(text, ' ', &count, &rest));
        assert_int_equal(view_to_u32(count, 10000000, &n), ERR_OK);
        for (uint32_t i = 0; i < n; i++)
            unescape(rest, &out);
    } else {
        unescape(text, &out);
        if (form != '-')
            buf_put(&out, VIEW("\r\n"));
    }
    assert_int_equal(buf_err(&out), ERR_OK);
    imap_world_send(&w->world, peer, buf_view(&out));
    buf_fini(&out);
}

/* "C2-" and the text behind ": " */
static void run_line(struct run *w, unsigned number, struct view head, struct view text) {
    size_t session = head.n > 1 && ascii_is_digit(head.p[1]) ? (size_t)(head.p[1] - '1') : 0;
    char form = (char)head.p[head.n - 1];
    uint32_t value = 0;
    switch (head.p[0]) {
    case 'C':
        send_line(w, imap_world_open(&w->world, session), form, text);
        break;
    case 'S':
        expect_line(w, number, imap_world_open(&w->world, session), text);
        break;
    case 'T':
        assert_int_equal(view_to_u32(text, 1000000, &value), ERR_OK);
        (void)!co_sleep((int64_t)value * US_PER_S);
        break;
    case 'X':
        assert_int_equal(view_to_u32(text, IMAP_WORLD_SESSIONS, &value), ERR_OK);
        stream_shutdown(w->world.peers[value - 1].client);
        break;
    default:
        complain(w, number, "not a line of a script", head, text);
    }
}

static void run_script(void *arg) {
    struct run *w = arg;
    struct view rest = w->script, line;
    for (unsigned number = 1; rest.n > 0 && w->complaint[0] == '\0'; number++) {
        if (!view_split(rest, '\n', &line, &rest))
            rest = VIEW_NONE;
        struct view head, text;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (!view_split(line, ':', &head, &text) || head.n == 0) {
            complain(w, number, "not a line of a script", line, VIEW_NONE);
            break;
        }
        run_line(w, number, head, view_skip(text, text.n > 0 && text.p[0] == ' ' ? 1 : 0));
    }
    for (size_t i = 0; i < IMAP_WORLD_SESSIONS; i++) {
        struct imap_peer *peer = &w->world.peers[i];
        struct view left = peer->is_open ? imap_world_close(&w->world, peer) : VIEW_NONE;
        if (left.n > 0)
            complain(w, 0, "responses that the script does not know", VIEW_NONE, left);
    }
    w->is_done = true;
}

static void run_once(const char *name, struct view script, bool by_octet, bool by_saving, unsigned *saves) {
    struct run *w = calloc(1, sizeof(*w));
    struct buf problems;
    assert_non_null(w);
    w->name = name;
    w->script = script;
    buf_init(&problems, 100000);
    imap_world_init(&w->world, by_octet, by_saving);
    imap_world_run(&w->world, run_script, w);
    *saves += w->world.saves;
    imap_world_fini(&w->world, &problems);
    if (w->complaint[0] != '\0')
        fail_msg("%s%s: %s", by_octet ? "[by octet] " : "", by_saving ? "[saving]" : "", w->complaint);
    assert_true(w->is_done);
    if (problems.n > 0)
        fail_msg("%s: the store is damaged: %.*s", name, VIEW_FMT(buf_view(&problems)));
    buf_fini(&problems);
    free(w);
}

static void run_file(void **state) {
    const char *name = *state;
    struct buf script;
    char path[1000];
    unsigned saves = 0;
    snprintf(path, sizeof(path), "%s/src/imap/scripts/%s", SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    buf_init(&script, (size_t)1024 * 1024);
    uint8_t octets[4096];
    size_t got;
    while ((got = fread(octets, 1, sizeof(octets), file)) > 0)
        buf_put(&script, view_of(octets, got));
    fclose(file);
    for (int how = 0; how < 4; how++)
        run_once(name, buf_view(&script), (how & 1) != 0, (how & 2) != 0, &saves);
    assert_true(saves > 0);
    buf_fini(&script);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv) {
    static struct CMUnitTest tests[500];
    static char *names[500];
    size_t n = 0;
    DIR *dir = opendir(SOURCE_DIR "/src/imap/scripts");
    if (dir == NULL)
        return 1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && n < ARRAY_LEN(names);) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".txt") != 0)
            continue;
        if (argc > 1 && strcmp(argv[1], entry->d_name) != 0)
            continue;
        names[n++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){.name = names[i], .test_func = run_file, .initial_state = names[i]};
    int failed = _cmocka_run_group_tests("imap_script", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return n == 0 ? 1 : failed;
}
