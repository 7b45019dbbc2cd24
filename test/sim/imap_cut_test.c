/*
 * At every tagged OK of a changing IMAP command the power goes: the server that
 * starts on what was synced shows the same mailboxes, messages and flags as the
 * one before showed. And any one fsync left out is noticed.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost"};

/* The first ones make the account and messages to work with. \1 in a command: a literal of 2,000 octets, \2: one of 300,000 (a file). */
static const char *const COMMANDS[] = {
    "APPEND INBOX \1",
    "APPEND INBOX (\\Seen) \2",
    "CREATE Work",
    "CREATE Work/Deep",
    "SELECT INBOX",
    "STORE 1 +FLAGS (\\Flagged $Label)",
    "STORE 1:2 FLAGS (\\Seen)",
    "COPY 1 Work",
    "MOVE 2 Work/Deep",
    "APPEND Work \1",
    "RENAME Work Play",
    "SUBSCRIBE Play",
    "STORE 1 +FLAGS.SILENT (\\Deleted)",
    "EXPUNGE",
    "SELECT Play",
    "UID STORE 1 FLAGS (\\Deleted)",
    "UID EXPUNGE 1",
    "CREATE Gone",
    "DELETE Gone",
    "UNSUBSCRIBE Play",
    "STORE 1 -FLAGS (\\Seen)",
    "SELECT Play/Deep",
    "MOVE 1 INBOX",
    "CLOSE",
};
#define FIRST_JUDGED 2 /* commands before this one also make the database */

static enum err command(struct sim_client *client, const char *text, bool *ok) {
    struct view whole = view_cstr(text);
    size_t octets = whole.p[whole.n - 1] == 1 ? 2000 : whole.p[whole.n - 1] == 2 ? 300000 : 0;
    if (!octets)
        return sim_imap(client, text, NULL, ok);
    struct buf buf;
    buf_init(&buf, 400000);
    buf_put_str(&buf, "x ");
    buf_put(&buf, view_sub(whole, 0, whole.n - 1));
    buf_printf(&buf, "{%zu+}\r\n", octets);
    size_t start = buf.n;
    buf_printf(&buf, "Subject: %zu\r\n\r\n", octets);
    while (buf.n - start < octets)
        buf_put_byte(&buf, (buf.n - start) % 70 == 69 ? '\n' : 'a');
    buf_put_str(&buf, "\r\n");
    enum err err = sim_write(client, buf_view(&buf));
    buf_fini(&buf);
    while (err == ERR_OK) {
        struct view line;
        err = sim_read_line(client, &line);
        if (err == ERR_OK && view_starts(line, VIEW("x "))) {
            *ok = view_starts(line, VIEW("x OK"));
            return ERR_OK;
        }
    }
    return err;
}

/* Everything a client can see that is to last: names, subscriptions, UIDVALIDITY, UIDs, flags, sizes. \Recent and RECENT are a session's. */
static enum err dump(struct sim *sim, struct buf *out) {
    struct sim_client client;
    TRY(sim_imap_login(sim, ACCOUNTS[0], &client));
    struct buf list, part;
    buf_init(&list, 1 << 16);
    buf_init(&part, 1 << 16);
    bool ok = false;
    enum err err = sim_imap(&client, "LSUB \"\" *", out, &ok);
    if (err == ERR_OK)
        err = sim_imap(&client, "LIST \"\" *", &list, &ok);
    buf_put(out, buf_view(&list));
    struct view rest = buf_view(&list), line;
    while (err == ERR_OK && view_split(rest, '\n', &line, &rest)) {
        ssize_t at = view_find(line, VIEW("\"/\" "));
        if (at < 0)
            continue;
        char text[300];
        struct view name = view_skip(line, (size_t)at + 4);
        (void)snprintf(text, sizeof(text), "STATUS %.*s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", VIEW_FMT(name));
        err = sim_imap(&client, text, out, &ok);
        (void)snprintf(text, sizeof(text), "EXAMINE %.*s", VIEW_FMT(name));
        if (err == ERR_OK)
            err = sim_imap(&client, text, NULL, &ok);
        buf_clear(&part);
        if (err == ERR_OK && ok)
            err = sim_imap(&client, "UID FETCH 1:* (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])", &part, &ok);
        struct view fetched = buf_view(&part), one;
        while (view_split(fetched, '\n', &one, &fetched)) { /* without \Recent */
            ssize_t recent = view_find(one, VIEW("\\Recent"));
            buf_put(out, recent < 0 ? one : view_sub(one, 0, (size_t)recent));
            if (recent >= 0)
                buf_put(out, view_skip(one, (size_t)recent + 7 + (one.p[(size_t)recent + 7] == ' ')));
            buf_put_byte(out, '\n');
        }
    }
    sim_close(&client);
    buf_fini(&list);
    buf_fini(&part);
    return err;
}

struct moment {
    struct disk *image;
    struct buf expected;
    const char *command;
};
struct cut {
    uint64_t skip, syncs;
    struct moment moments[ARRAY_LEN(COMMANDS)];
    size_t n;
    bool complete;
    bool is_select
        [64]; /* syncs that only keep who has claimed \Recent: losing one shows a message as recent once more */
};

static void story(struct sim *sim, void *arg) {
    struct cut *cut = arg;
    struct sim_client client;
    uint64_t before = 0;
    if (sim_start(sim) == ERR_OK && sim_imap_login(sim, ACCOUNTS[0], &client) == ERR_OK) {
        enum err err = ERR_OK;
        for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(COMMANDS); i++) {
            if (i == FIRST_JUDGED) {
                before = disk_sim_syncs(sim->disk);
                disk_sim_skip_sync(sim->disk, cut->skip);
            }
            bool ok = false;
            uint64_t at = disk_sim_syncs(sim->disk);
            err = command(&client, COMMANDS[i], &ok);
            for (uint64_t n = at - before + 1;
                 i >= FIRST_JUDGED && n <= disk_sim_syncs(sim->disk) - before && n < ARRAY_LEN(cut->is_select); n++)
                cut->is_select[n] = view_starts(view_cstr(COMMANDS[i]), VIEW("SELECT"));
            if (sim->verbose)
                fprintf(stderr, "sim: syncs %llu to %llu: %s\n", (unsigned long long)(at - before + 1),
                        (unsigned long long)(disk_sim_syncs(sim->disk) - before), COMMANDS[i]);
            if (err != ERR_OK || !ok || i < FIRST_JUDGED || view_starts(view_cstr(COMMANDS[i]), VIEW("SELECT")))
                continue;
            struct moment *moment = &cut->moments[cut->n++];
            moment->command = COMMANDS[i];
            moment->image = disk_sim_power_cut(sim->disk, NULL); /* before anybody else asks anything */
            buf_init(&moment->expected, 1 << 18);
            err = dump(sim, &moment->expected);
            cut->complete = i + 1 == ARRAY_LEN(COMMANDS);
        }
        cut->syncs = disk_sim_syncs(sim->disk) - before;
        sim_close(&client);
    }
    disk_sim_skip_sync(sim->disk, 0);
    sim_stop(sim);
}

static void story_dump(struct sim *sim, void *arg) {
    struct buf *out = arg;
    if (sim_start(sim) != ERR_OK || dump(sim, out) != ERR_OK)
        buf_put_str(out, "the server does not start, or does not answer");
    sim_stop(sim);
}

/* How many moments look different after the cut; frees them. */
static unsigned judge(struct cut *cut, bool say) {
    unsigned different = 0;
    for (size_t i = 0; i < cut->n; i++) {
        struct moment *moment = &cut->moments[i];
        struct sim sim;
        struct buf seen;
        buf_init(&seen, 1 << 18);
        sim_init(&sim, 3, moment->image, ACCOUNTS, 1);
        if (!sim_run(&sim, story_dump, &seen))
            buf_put_str(&seen, "stuck");
        disk_free(sim_fini(&sim));
        if (!view_eq(buf_view(&seen), buf_view(&moment->expected))) {
            different++;
            if (say)
                fprintf(stderr, "after %s:\nbefore the cut:\n%.*s\nafter it:\n%.*s\n", moment->command,
                        VIEW_FMT(buf_view(&moment->expected)), VIEW_FMT(buf_view(&seen)));
        }
        buf_fini(&seen);
        buf_fini(&moment->expected);
    }
    return different;
}

static void play(struct cut *cut) {
    struct sim sim;
    sim_init(&sim, 9, NULL, ACCOUNTS, 1);
    if (!sim_run(&sim, story, cut))
        fail_msg("stuck with sync %llu left out", (unsigned long long)cut->skip);
    disk_free(sim_fini(&sim));
}

static void test_power_cut_at_every_ok(void **state) {
    (void)state;
    struct cut cut = {0};
    play(&cut);
    assert_true(cut.complete);
    assert_int_equal(judge(&cut, true), 0);
}

/* All of them with SIM_LONG, every fourth otherwise. */
static void test_every_sync_is_needed(void **state) {
    (void)state;
    struct cut whole = {0};
    play(&whole);
    (void)judge(&whole, false);
    assert_true(whole.syncs >= 15);
    for (uint64_t n = 1; n <= whole.syncs; n += getenv("SIM_LONG") ? 1 : 4) {
        if (whole.is_select[n])
            continue;
        struct cut cut = {.skip = n};
        play(&cut);
        if (judge(&cut, false) == 0)
            fail_msg("sync %llu of %llu is not missed", (unsigned long long)n, (unsigned long long)whole.syncs);
    }
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cut_at_every_ok),
        cmocka_unit_test(test_every_sync_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
