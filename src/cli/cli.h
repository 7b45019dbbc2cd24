/*
 * The command line: one table of commands (commands.c), one reader of arguments
 * (cli.c), one file a noun (cmd_*.c).
 *
 * Exit status: 0 success, 1 a negative verdict or a failure, 2 wrong usage. What
 * goes wrong is one line on stderr that says what to do next. Results go to stdout.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/buf.h"
#include "roles/title.h"

#include <stdio.h>

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

#define CLI_OPTIONS_MAX 12     /* of one command, in the table */
#define CLI_BUDGET (64u << 20) /* octets of memory for one run: a list of many accounts */
#define CLI_PATH_MAX 4096      /* octets of a path */

struct cli_option {
    const char *name;     /* "--dir" */
    const char *argument; /* "DIR", or NULL: a flag */
    const char *help;
    bool many; /* may be given more than once */
};

struct invocation;
struct command {
    const char *noun, *verb; /* verb NULL: the noun is the whole command */
    const char *arguments;   /* "ADDRESS [TARGET]...", may be "" */
    const char *summary;     /* one line */
    const char *examples;    /* lines, each with its newline; may be NULL */
    struct cli_option
        options[CLI_OPTIONS_MAX]; /* ends at a NULL name; --dir, --config, --json stand here too when taken */
    unsigned least, most;         /* positional arguments */
    int (*run)(const struct invocation *in);
};
extern const struct command cli_commands[];
extern const size_t cli_commands_n;

struct cli_value {
    const char *name, *value; /* value NULL: a flag */
};
/* One run: strings are those of argv, alive as long as main, but not readable after title_set(): copy what must last. */
struct invocation {
    const struct command *command;
    const struct title *title; /* NULL in tests */
    struct arena *arena;
    struct cli_value *values;
    size_t values_n;
    const char **positional;
    size_t positional_n;
};

/* Reads the arguments (argv[0] is the program) into *out. CLI_OK: go on with out->command->run. Else the status to exit
 * with (CLI_OK never), or -1 when help was asked for and written to `text`. On wrong usage `text` is the complaint. */
int cli_parse(int argc, char **argv, struct arena *arena, struct invocation *out, struct buf *text);
/* The whole program after title_init(). */
int cli_main(int argc, char **argv, const struct title *title);

/* The last value of an option, or NULL; whether it was given at all. */
const char *cli_value(const struct invocation *in, const char *name);
bool cli_has(const struct invocation *in, const char *name);
/* A decimal option within limits; fallback when it is not given. Complains and returns false when it is no such number. */
bool cli_number(const struct invocation *in, const char *name, uint64_t least, uint64_t most, uint64_t fallback,
                uint64_t *out);

/* "veredus: ..." and a newline on stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and what to type for help; returns CLI_USAGE. */
int cli_usage(const struct invocation *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- commands, found through the table ---- */
int cmd_localserve(const struct invocation *in);
int cmd_serve(const struct invocation *in);
int cmd_check_config(const struct invocation *in);
int cmd_quickstart(const struct invocation *in);
int cmd_version(const struct invocation *in);
int cmd_confine_test(const struct invocation *in);
int cmd_domain_add(const struct invocation *in);
int cmd_domain_remove(const struct invocation *in);
int cmd_domain_list(const struct invocation *in);
int cmd_domain_records(const struct invocation *in);
int cmd_account_add(const struct invocation *in);
int cmd_account_remove(const struct invocation *in);
int cmd_account_list(const struct invocation *in);
int cmd_account_password(const struct invocation *in);
int cmd_account_disable(const struct invocation *in);
int cmd_account_enable(const struct invocation *in);
int cmd_alias_add(const struct invocation *in);
int cmd_alias_remove(const struct invocation *in);
int cmd_alias_list(const struct invocation *in);
int cmd_message_parse(const struct invocation *in);
int cmd_message_text(const struct invocation *in);
int cmd_dns_lookup(const struct invocation *in);
int cmd_dkim_verify(const struct invocation *in);
int cmd_arc_verify(const struct invocation *in);
int cmd_spf_check(const struct invocation *in);
int cmd_dane_check(const struct invocation *in);

#endif
