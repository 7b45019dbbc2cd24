/* Arguments against the table of commands: what is understood, what is complained about, help everywhere. */
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/password.h"
#include "cli/scratch.h"

#include "sasl/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 12

struct parsed {
    struct arena *arena;
    struct buf text;
    struct invocation in;
    int status;
};

/* `line` is split at spaces. */
static void parse(struct parsed *p, const char *line) {
    p->arena = arena_new("test", 1 << 20);
    buf_init(&p->text, 65536);
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    for (struct view rest = view_cstr(line), word; rest.n && argc < WORDS_MAX;) {
        (void)view_split(rest, ' ', &word, &rest);
        argv[argc++] = arena_cstr(p->arena, word);
    }
    p->status = cli_parse(argc, argv, p->arena, &p->in, &p->text);
}

static void done(struct parsed *p) {
    buf_fini(&p->text);
    arena_free(p->arena);
}

static const struct {
    const char *line;
    int status;
    const char *text; /* of a complaint or of help: begins so */
} cases[] = {
    {"veredus version", CLI_OK, ""},
    {"veredus localserve --dir /x --account a@b:c --account d@e:f --port-offset 0", CLI_OK, ""},
    {"veredus --dir /x domain list", CLI_OK, ""},
    {"veredus --config=/x domain list --json", CLI_OK, ""},
    {"veredus domain list --dir /x", CLI_OK, ""},
    {"veredus domain add -- --odd", CLI_OK, ""},
    {"veredus alias add a@b c@d e@f", CLI_OK, ""},
    {"veredus", CLI_USAGE, "usage: veredus COMMAND"},
    {"veredus --help", -1, "usage: veredus COMMAND"},
    {"veredus -h", -1, "usage: veredus COMMAND"},
    {"veredus help", -1, "usage: veredus COMMAND"},
    {"veredus account --help", -1, "usage: veredus account VERB"},
    {"veredus account add --help", -1, "usage: veredus account add ADDRESS"},
    {"veredus account add x --help", -1, "usage: veredus account add ADDRESS"},
    {"veredus --dir", CLI_USAGE, "--dir needs a value."},
    {"veredus --json domain list", CLI_USAGE, "--json is not an option that may stand before a command."},
    {"veredus frobnicate", CLI_USAGE, "there is no command \"frobnicate\"."},
    {"veredus account", CLI_USAGE, "`veredus account` needs a verb."},
    {"veredus account frobnicate", CLI_USAGE, "`veredus account` has no verb \"frobnicate\"."},
    {"veredus account add", CLI_USAGE, "`veredus account add` needs ADDRESS."},
    {"veredus account add a b", CLI_USAGE, "`veredus account add` has no use for the argument b."},
    {"veredus version x", CLI_USAGE, "`veredus version` takes no argument, not x."},
    {"veredus alias add a@b", CLI_USAGE, "`veredus alias add` needs ADDRESS TARGET..."},
    {"veredus domain list --dir", CLI_USAGE, "`veredus domain list` needs a value after --dir."},
    {"veredus domain list --json=1", CLI_USAGE, "`veredus domain list` takes no value after --json."},
    {"veredus domain list --colour", CLI_USAGE, "`veredus domain list` has no option --colour."},
    {"veredus domain list --dir a --dir b", CLI_USAGE, "`veredus domain list` takes only one --dir."},
    {"veredus --dir a domain list --dir b", CLI_USAGE, "`veredus domain list` takes only one --dir."},
    {"veredus --dir a version", CLI_USAGE, "`veredus version` has no option --dir."},
};

static void test_parse(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i].line);
        bool good = cases[i].text[0] ? view_starts(buf_view(&p.text), view_cstr(cases[i].text)) : p.text.n == 0;
        if (p.status != cases[i].status || !good)
            fail_msg("%s: %d, %.*s", cases[i].line, p.status, VIEW_FMT(buf_view(&p.text)));
        done(&p);
    }
}

static void test_values(void **state) {
    (void)state;
    struct parsed p;
    parse(&p, "veredus --dir=/before domain list --json");
    assert_string_equal(cli_value(&p.in, "--dir"), "/before");
    assert_true(cli_has(&p.in, "--json") && !cli_has(&p.in, "--config"));
    assert_null(cli_value(&p.in, "--json"));
    done(&p);
    parse(&p, "veredus alias add a@b -- --c");
    assert_int_equal(p.in.positional_n, 2);
    assert_string_equal(p.in.positional[1], "--c");
    done(&p);
    parse(&p, "veredus localserve --port-offset 7 --relay-port x");
    uint64_t value = 1;
    assert_true(cli_number(&p.in, "--port-offset", 0, 10, 5, &value));
    assert_int_equal(value, 7);
    done(&p);
    parse(&p, "veredus localserve");
    assert_true(cli_number(&p.in, "--port-offset", 0, 10, 5, &value));
    assert_int_equal(value, 5);
    done(&p);
}

/* Every row of the table is whole: help with examples, a verb where there are several, something to run. */
static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < cli_commands_n; i++) {
        const struct command *c = &cli_commands[i];
        assert_true(c->noun && c->summary && c->run && c->arguments && c->least <= c->most);
        assert_true((c->most > 0) == (c->arguments[0] != 0));
        char line[100];
        (void)snprintf(line, sizeof(line), "veredus %s%s%s --help", c->noun, c->verb ? " " : "",
                       c->verb ? c->verb : "");
        struct parsed p;
        parse(&p, line);
        assert_int_equal(p.status, -1);
        struct view help = buf_view(&p.text);
        assert_true(view_find(help, view_cstr(c->summary)) > 0);
        if (!c->examples) /* only what takes nothing has none */
            assert_true(c->most == 0 && !c->options[0].name);
        else
            assert_true(view_find(help, VIEW("\nexamples:\n  veredus ")) > 0 ||
                        view_find(help, VIEW("| veredus ")) > 0);
        done(&p);
        for (size_t j = 0; j < i; j++) { /* a noun is a command or has verbs, and no row hides another */
            const struct command *d = &cli_commands[j];
            if (view_eq(view_cstr(c->noun), view_cstr(d->noun)))
                assert_true(c->verb && d->verb && !view_eq(view_cstr(c->verb), view_cstr(d->verb)));
        }
    }
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *text, *domain, *address; /* NULL: refused */
    } names[] = {
        {"Example.ORG", "example.org", NULL},
        {"example.org.", "example.org", NULL},
        {"localhost", "localhost", NULL},
        {"B\xc3\xbc\x63her.example", "xn--bcher-kva.example", NULL}, /* RFC5891-5 */
        {"xn--bcher-kva.example", "xn--bcher-kva.example", NULL},
        {"User@Example.ORG", NULL, "user@example.org"},
        {"a.b+c@B\xc3\xbc\x63her.example", NULL, "a.b+c@xn--bcher-kva.example"},
        {"J\xc3\xb6@example.org", NULL, "j\xc3\xb6@example.org"}, /* RFC6531-3.3 */
        {"", NULL, NULL},
        {"..", NULL, NULL},
        {"a b", NULL, NULL},
        {"a_b.example", NULL, NULL},
        {"@example.org", NULL, NULL},
        {"a@", NULL, NULL},
        {"a b@example.org", NULL, NULL},
        {"a@b@example.org", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct buf why;
        buf_init(&why, 2000);
        struct view out;
        enum err err = names_domain(view_cstr(names[i].text), arena, &out, &why);
        if ((err == ERR_OK) != (names[i].domain != NULL) ||
            (err == ERR_OK && !view_eq(out, view_cstr(names[i].domain))))
            fail_msg("domain %s: %s", names[i].text, err_name(err));
        assert_true((err == ERR_OK) == (why.n == 0));
        buf_clear(&why);
        err = names_address(view_cstr(names[i].text), arena, &out, &why);
        if ((err == ERR_OK) != (names[i].address != NULL) ||
            (err == ERR_OK && !view_eq(out, view_cstr(names[i].address))))
            fail_msg("address %s: %s", names[i].text, err_name(err));
        assert_true((err == ERR_OK) == (why.n == 0));
        buf_fini(&why);
        arena_free(arena);
    }
}

static void test_password(void **state) {
    (void)state;
    struct random_seeded seeded;
    random_seeded_init(&seeded, 1);
    struct buf a, b;
    buf_init_secret(&a, PASSWORD_MADE_SIZE);
    buf_init_secret(&b, PASSWORD_MADE_SIZE);
    password_make(&seeded.random, &a);
    password_make(&seeded.random, &b);
    assert_true(buf_err(&a) == ERR_OK && a.n == PASSWORD_MADE_SIZE && !view_eq(buf_view(&a), buf_view(&b)));
    struct arena *arena = arena_new("test", 65536);
    struct scram_verifier *verifiers;
    size_t n;
    assert_int_equal(password_verifiers(buf_view(&a), &seeded.random, arena, &verifiers, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_true(verifiers->mechanism == SCRAM_SHA256 && verifiers->iterations == SCRAM_ITERATIONS_DEFAULT &&
                verifiers->salt.n == SCRAM_SALT_SIZE);
    /* the verifier is the password's: derived again, it is the same; and no octet of the password is in it */
    struct scram_keys keys;
    assert_int_equal(scram_make_keys(SCRAM_SHA256, buf_view(&a), verifiers->salt, verifiers->iterations, &keys),
                     ERR_OK);
    assert_true(view_eq(verifiers->stored_key, view_of(keys.stored_key, 32)) &&
                view_eq(verifiers->server_key, view_of(keys.server_key, 32)));
    arena_free(arena);
    buf_fini(&a);
    buf_fini(&b);
}

static void test_scratch(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536);
    struct view path, below;
    assert_int_equal(scratch_make(arena, &path), ERR_OK);
    char *name = arena_cstr(arena, path);
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const dirs[] = {"a", "a/b", "a/b/c"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        assert_int_equal(arena_printf(arena, &below, "%s/%s", name, dirs[i]), ERR_OK);
        assert_int_equal(mkdir(arena_cstr(arena, below), 0700), 0);
    }
    /* a link is removed, what it points to stays */
    assert_int_equal(arena_printf(arena, &below, "%s/a/b/link", name), ERR_OK);
    assert_int_equal(symlink("/tmp", arena_cstr(arena, below)), 0);
    scratch_remove(arena, path);
    assert_int_equal(stat(name, &st), -1);
    assert_int_equal(stat("/tmp", &st), 0);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_values),   cmocka_unit_test(test_table),
        cmocka_unit_test(test_names), cmocka_unit_test(test_password), cmocka_unit_test(test_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
