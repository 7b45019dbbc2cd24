/* Reading the arguments, and help made from the table of commands. */
#include "cli/cli.h"

#include "roles/process.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where a server is: these two may also stand before the noun. */
static const char *const leading_options[] = {"--dir", "--config"};

static bool same(const char *a, const char *b) {
    return view_eq(view_cstr(a), view_cstr(b));
}

void cli_say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("veredus: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

int cli_usage(const struct invocation *in, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("veredus: ", stderr);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, " See `veredus %s%s%s --help`.\n", in->command->noun, in->command->verb ? " " : "",
                  in->command->verb ? in->command->verb : "");
    return CLI_USAGE;
}

const char *cli_value(const struct invocation *in, const char *name) {
    for (size_t i = in->values_n; i > 0; i--)
        if (same(in->values[i - 1].name, name))
            return in->values[i - 1].value;
    return NULL;
}

bool cli_has(const struct invocation *in, const char *name) {
    for (size_t i = 0; i < in->values_n; i++)
        if (same(in->values[i].name, name))
            return true;
    return false;
}

bool cli_number(const struct invocation *in, const char *name, uint64_t least, uint64_t most, uint64_t fallback,
                uint64_t *out) {
    const char *text = cli_value(in, name);
    if (!text) {
        *out = fallback;
        return true;
    }
    uint64_t value;
    if (view_to_u64(view_cstr(text), most, &value) != ERR_OK || value < least) {
        (void)cli_usage(in, "%s takes a number from %llu to %llu, not \"%s\".", name, (unsigned long long)least,
                        (unsigned long long)most, text);
        return false;
    }
    *out = value;
    return true;
}

/* ---- help ---- */

static void put_command_line(const struct command *c, struct buf *out) {
    buf_printf(out, "veredus %s", c->noun);
    if (c->verb)
        buf_printf(out, " %s", c->verb);
    if (c->arguments && c->arguments[0])
        buf_printf(out, " %s", c->arguments);
}

static void help_command(const struct command *c, struct buf *out) {
    buf_put_str(out, "usage: ");
    put_command_line(c, out);
    for (const struct cli_option *o = c->options; o->name; o++)
        buf_printf(out, " [%s%s%s]%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "",
                   o->many ? "..." : "");
    buf_printf(out, "\n\n%s\n", c->summary);
    if (c->options[0].name) {
        buf_put_str(out, "\noptions:\n");
        for (const struct cli_option *o = c->options; o->name; o++) {
            char left[64];
            (void)snprintf(left, sizeof(left), "%s%s%s", o->name, o->argument ? " " : "",
                           o->argument ? o->argument : "");
            buf_printf(out, "  %-28s %s\n", left, o->help);
        }
    }
    if (c->examples)
        buf_printf(out, "\nexamples:\n%s", c->examples);
}

/* All commands, or those of one noun. */
static void help_commands(const char *noun, struct buf *out) {
    buf_printf(out, "usage: veredus %s%s[ARGUMENT]...\n\n", noun ? noun : "COMMAND", noun ? " VERB " : " ");
    for (size_t i = 0; i < cli_commands_n; i++) {
        const struct command *c = &cli_commands[i];
        if (noun && !same(c->noun, noun))
            continue;
        struct buf left;
        buf_init(&left, 200);
        put_command_line(c, &left);
        buf_printf(out, "  %-44.*s %s\n", VIEW_FMT(view_skip(buf_view(&left), sizeof("veredus"))), c->summary);
        buf_fini(&left);
    }
    buf_printf(
        out,
        "\n`veredus %s --help` shows options and examples. A running server is found by --dir DIR or --config FILE.\n",
        noun ? noun : "COMMAND");
    if (!noun)
        buf_put_str(out, "\nexamples:\n  veredus localserve\n  veredus quickstart you@example.org\n  veredus account "
                         "list --dir /var/lib/veredus\n");
}

/* ---- arguments ---- */

static bool noun_exists(const char *noun) {
    for (size_t i = 0; i < cli_commands_n; i++)
        if (same(cli_commands[i].noun, noun))
            return true;
    return false;
}

static const struct command *find_command(const char *noun, const char *verb) {
    for (size_t i = 0; i < cli_commands_n; i++) {
        const struct command *c = &cli_commands[i];
        if (same(c->noun, noun) && (!c->verb || (verb && same(c->verb, verb))))
            return c;
    }
    return NULL;
}

static const struct cli_option *find_option(const struct command *c, struct view name) {
    for (const struct cli_option *o = c->options; o->name; o++)
        if (view_eq(view_cstr(o->name), name))
            return o;
    return NULL;
}

/* Options before the noun are kept, and judged once the command is known. */
static int parse_leading(int argc, char **argv, int *at, struct invocation *out, struct buf *text) {
    while (*at < argc && argv[*at][0] == '-') {
        const char *word = argv[*at];
        if (same(word, "--help") || same(word, "-h")) {
            help_commands(NULL, text);
            return -1;
        }
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(leading_options); i++) {
            struct view name, value;
            bool joined = view_split(view_cstr(word), '=', &name, &value);
            if (!view_eq(name, view_cstr(leading_options[i])))
                continue;
            if (!joined && *at + 1 >= argc) {
                buf_printf(text, "%s needs a value. See `veredus --help`.", word);
                return CLI_USAGE;
            }
            out->values[out->values_n++] =
                (struct cli_value){leading_options[i], joined ? (const char *)value.p : argv[++*at]};
            known = true;
        }
        if (!known) {
            buf_printf(text, "%s is not an option that may stand before a command. See `veredus --help`.", word);
            return CLI_USAGE;
        }
        (*at)++;
    }
    return CLI_OK;
}

static void put_name(const struct command *c, struct buf *text) {
    buf_printf(text, "`veredus %s%s%s`", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
}

static int wrong(const struct command *c, struct buf *text, const char *what, const char *word) {
    put_name(c, text);
    buf_printf(text, " %s%s. See `veredus %s%s%s --help`.", what, word, c->noun, c->verb ? " " : "",
               c->verb ? c->verb : "");
    return CLI_USAGE;
}

static int parse_rest(int argc, char **argv, int at, struct invocation *out, struct buf *text) {
    const struct command *c = out->command;
    bool only_arguments = false;
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (!only_arguments && same(word, "--")) {
            only_arguments = true;
            continue;
        }
        if (only_arguments || word[0] != '-' || !word[1]) {
            if (out->positional_n >= c->most)
                return wrong(c, text, c->most ? "has no use for the argument " : "takes no argument, not ", word);
            out->positional[out->positional_n++] = word;
            continue;
        }
        if (same(word, "--help") || same(word, "-h")) {
            help_command(c, text);
            return -1;
        }
        struct view name, value;
        bool joined = view_split(view_cstr(word), '=', &name, &value);
        const struct cli_option *option = find_option(c, name);
        if (!option)
            return wrong(c, text, "has no option ", word);
        if (joined && !option->argument)
            return wrong(c, text, "takes no value after ", option->name);
        if (!joined && option->argument && at + 1 >= argc)
            return wrong(c, text, "needs a value after ", option->name);
        if (!option->many && cli_has(out, option->name))
            return wrong(c, text, "takes only one ", option->name);
        out->values[out->values_n++] = (struct cli_value){option->name, !option->argument ? NULL
                                                                        : joined          ? (const char *)value.p
                                                                                          : argv[++at]};
    }
    if (out->positional_n < c->least)
        return wrong(c, text, "needs ", c->arguments);
    return CLI_OK;
}

int cli_parse(int argc, char **argv, struct arena *arena, struct invocation *out, struct buf *text) {
    *out = (struct invocation){.arena = arena};
    out->values = ARENA_ARRAY(arena, (size_t)argc + 1, struct cli_value);
    out->positional = ARENA_ARRAY(arena, (size_t)argc + 1, const char *);
    if (!out->values || !out->positional) {
        buf_put_str(text, "too many arguments.");
        return CLI_USAGE;
    }
    int at = 1;
    int status = parse_leading(argc, argv, &at, out, text);
    if (status != CLI_OK)
        return status;
    if (at >= argc) {
        help_commands(NULL, text);
        return CLI_USAGE;
    }
    const char *noun = argv[at++];
    if (same(noun, "help")) {
        help_commands(NULL, text);
        return -1;
    }
    if (!noun_exists(noun)) {
        buf_printf(text, "there is no command \"%s\". See `veredus --help`.", noun);
        return CLI_USAGE;
    }
    const char *verb = at < argc ? argv[at] : NULL;
    out->command = find_command(noun, verb);
    if (!out->command) {
        if (verb && (same(verb, "--help") || same(verb, "-h"))) {
            help_commands(noun, text);
            return -1;
        }
        if (verb)
            buf_printf(text, "`veredus %s` has no verb \"%s\". See `veredus %s --help`.", noun, verb, noun);
        else
            buf_printf(text, "`veredus %s` needs a verb. See `veredus %s --help`.", noun, noun);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < out->values_n; i++)
        if (!find_option(out->command, view_cstr(out->values[i].name)))
            return wrong(out->command, text, "has no option ", out->values[i].name);
    return parse_rest(argc, argv, out->command->verb ? at + 1 : at, out, text);
}

int cli_main(int argc, char **argv, const struct title *title) {
    if (argc > 1 && same(argv[1], "role"))
        return process_role_main(argc - 2, argv + 2, title);
    struct arena *arena = arena_new("command", CLI_BUDGET);
    if (!arena) {
        cli_say("out of memory.");
        return CLI_FAILED;
    }
    struct buf text;
    buf_init(&text, 65536);
    struct invocation in;
    int status = cli_parse(argc, argv, arena, &in, &text);
    in.title = title;
    if (status == CLI_OK) {
        status = in.command->run(&in);
        if (fflush(stdout) != 0 && status == CLI_OK) {
            cli_say("cannot write the result to standard output.");
            status = CLI_FAILED;
        }
    } else if (status == -1) {
        (void)fwrite(text.p, 1, text.n, stdout);
        status = CLI_OK;
    } else if (view_starts(buf_view(&text), VIEW("usage:"))) {
        (void)fwrite(text.p, 1, text.n, stderr);
    } else {
        cli_say("%.*s", VIEW_FMT(buf_view(&text)));
    }
    buf_fini(&text);
    arena_free(arena);
    return status;
}
