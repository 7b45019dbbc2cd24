/* `veredus message ...`: one message in a file, shown. Needs no server. */
#include "cli/cli.h"

#include "cli/message_file.h"
#include "cli/show_message.h"
#include "message/stream_parse.h"
#include "message/text.h"

#include <string.h>

#define TEXT_SHOWN_MAX (64u << 20) /* octets of text that are shown: more than anybody reads */

/* A message, its file, and what it takes to read it. */
struct reading {
    struct message_file file;
    struct charset_table charsets;
    struct arena *arena;
    struct message message;
};

static void reading_close(struct reading *r) {
    message_file_close(&r->file);
    charset_fini(&r->charsets);
    arena_free(r->arena);
}

/* False: it said why not. */
static bool reading_open(struct reading *r, const char *name) {
    if (message_file_open(&r->file, name) != ERR_OK)
        return false;
    r->arena = arena_new("message", MESSAGE_ARENA_BUDGET);
    enum err err = r->arena == NULL ? ERR_NO_MEMORY : ERR_OK;
    if (charset_prepare(&r->charsets) != ERR_OK)
        cli_say(
            "this system converts no charsets: letters of other scripts may be wrong. Install libc's gconv modules.");
    if (err == ERR_OK)
        err = message_parse_source(r->arena, &r->file.source, &r->message);
    if (err == ERR_OK)
        return true;
    if (err == ERR_IO)
        cli_say("cannot read %s: %s.", name, strerror(r->file.error));
    else
        cli_say("there is not enough memory for %s (%s).", name, err_name(err));
    reading_close(r);
    return false;
}

int cmd_message_parse(const struct invocation *in) {
    struct reading r;
    if (!reading_open(&r, in->positional[0]))
        return CLI_FAILED;
    json_t *shown = show_message(&r.message, &r.charsets);
    int status = CLI_OK;
    if (shown == NULL || json_dumpf(shown, stdout, cli_has(in, "--compact") ? JSON_COMPACT : JSON_INDENT(2)) != 0) {
        cli_say("cannot show the message: no memory, or standard output is closed.");
        status = CLI_FAILED;
    } else {
        (void)putchar('\n');
    }
    json_decref(shown);
    reading_close(&r);
    return status;
}

int cmd_message_text(const struct invocation *in) {
    struct reading r;
    struct buf text;
    if (!reading_open(&r, in->positional[0]))
        return CLI_FAILED;
    buf_init(&text, TEXT_SHOWN_MAX);
    message_text_put(&text, &r.charsets, &r.message);
    enum err err = buf_err(&text);
    int status = CLI_OK;
    if (err == ERR_LIMIT)
        cli_say("only the first %u MiB of the text are shown. `veredus message parse` tells where the rest is.",
                TEXT_SHOWN_MAX >> 20);
    if (err != ERR_OK && err != ERR_LIMIT) {
        cli_say("cannot read %s: %s.", in->positional[0], err == ERR_IO ? strerror(r.file.error) : err_name(err));
        status = CLI_FAILED;
    } else if (text.n > 0 && fwrite(text.p, 1, text.n, stdout) != text.n) {
        cli_say("cannot write the text: standard output is closed.");
        status = CLI_FAILED;
    }
    buf_fini(&text);
    reading_close(&r);
    return status;
}
