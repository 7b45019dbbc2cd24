/* Messages to be judged. */
#include "cli/judged_file.h"

#include "base/log.h"
#include "cli/message_file.h"
#include "dns/idna.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX (1 << 20) /* octets */
#define KEYS_MAX 1000
#define SHOWN_MAX 2000 /* octets of a peer's text that are shown */

/* ---- keys from a file ---- */

struct key_file {
    struct dns_client client;
    struct {
        struct view name, wire; /* the strings as RFC1035-3.3 has them */
    } keys[KEYS_MAX];
    size_t n;
};

static enum err key_file_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                                struct dns_answer *out) {
    struct key_file *file = (struct key_file *)client;
    struct dns_answer answer = {.status = DNS_NXDOMAIN, .security = DNS_INSECURE, .canonical = name};
    answer.data = ARENA_ARRAY(arena, file->n, struct dns_rdata);
    if (!answer.data)
        return ERR_LIMIT;
    for (size_t i = 0; i < file->n && type == DNS_TXT && answer.data_n < DNS_RECORDS_MAX; i++)
        if (view_eq_nocase(file->keys[i].name, name))
            answer.data[answer.data_n++].data = file->keys[i].wire;
    if (answer.data_n > 0)
        answer.status = DNS_OK;
    *out = answer;
    return ERR_OK;
}

static struct view next_word(struct view *rest) {
    size_t n = 0;
    *rest = view_trim(*rest);
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    struct view word = view_sub(*rest, 0, n);
    *rest = view_trim(view_skip(*rest, n));
    return word;
}

static void put_strings(struct buf *wire, struct view text) {
    do {
        struct view piece = view_sub(text, 0, DKIM_TXT_PIECE);
        buf_put_byte(wire, (uint8_t)piece.n);
        buf_put(wire, piece);
        text = view_skip(text, piece.n);
    } while (text.n > 0);
}

/* RFC1035-5.1: strings in quotes; or one bare text. */
static void put_text(struct buf *wire, struct view rest) {
    if (!view_starts(rest, VIEW("\"")) && !view_starts(rest, VIEW("("))) {
        put_strings(wire, rest);
        return;
    }
    struct buf text;
    buf_init(&text, KEY_FILE_MAX);
    bool is_inside = false;
    for (size_t i = 0; i < rest.n; i++) {
        uint8_t c = rest.p[i];
        if (c == '"')
            is_inside = !is_inside;
        else if (is_inside)
            buf_put_byte(&text, c == '\\' && i + 1 < rest.n ? rest.p[++i] : c);
    }
    put_strings(wire, buf_view(&text));
    buf_fini(&text);
}

/* NAME [TTL] [IN] [TXT] TEXT */
static enum err read_key_line(struct key_file *file, struct view line, struct arena *arena) {
    struct view rest = view_trim(line), word = next_word(&rest), name;
    if (word.n == 0 || word.p[0] == ';' || word.p[0] == '#')
        return ERR_OK;
    TRY(dns_idna_to_ascii(word, arena, &name));
    for (struct view after = rest; rest.n > 0; rest = after) {
        word = next_word(&after);
        uint64_t ttl;
        if (!view_eq_nocase(word, VIEW("IN")) && !view_eq_nocase(word, VIEW("TXT")) &&
            view_to_u64(word, UINT32_MAX, &ttl) != ERR_OK)
            break;
    }
    if (rest.n == 0)
        return ERR_SYNTAX;
    if (file->n == KEYS_MAX)
        return ERR_LIMIT;
    struct buf wire;
    buf_init(&wire, KEY_FILE_MAX);
    put_text(&wire, rest);
    enum err err = buf_err(&wire);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&wire), &file->keys[file->n].wire);
    buf_fini(&wire);
    file->keys[file->n++].name = name;
    return err;
}

static enum err read_keys(const struct invocation *in, const char *name, struct dns_client **out) {
    struct key_file *file = ARENA_NEW(in->arena, struct key_file);
    struct message_file source;
    if (!file)
        return ERR_NO_MEMORY;
    TRY(message_file_open(&source, name));
    struct buf text;
    buf_init(&text, KEY_FILE_MAX);
    enum err err = source.source.size > KEY_FILE_MAX
                       ? ERR_LIMIT
                       : message_source_read(&source.source, 0, (size_t)source.source.size, &text);
    message_file_close(&source);
    unsigned number = 0;
    for (struct view rest = buf_view(&text), line; err == ERR_OK && rest.n > 0;) {
        (void)view_split(rest, '\n', &line, &rest);
        number++;
        err = read_key_line(file, line, in->arena);
    }
    buf_fini(&text);
    if (err != ERR_OK)
        cli_say("%s line %u is no key (%s): a line is NAME TXT \"v=DKIM1; ...\".", name, number, err_name(err));
    file->client.lookup = key_file_lookup;
    *out = &file->client;
    return err;
}

/* ---- the message ---- */

static enum err feed_file(struct dkim_input *input, struct message_source *source) {
    /* RFC5321-2.3.8 has CRLF; files of this system have LF. */
    dkim_input_fix_lines(input);
    uint8_t window[16384];
    size_t got;
    for (uint64_t at = 0;; at += got) {
        TRY(source->read(source, at, window, sizeof(window), &got));
        if (got == 0)
            return dkim_input_end(input);
        TRY(dkim_input_feed(input, view_of(window, got)));
    }
}

struct work {
    struct judged judged;
    int (*body)(struct judged *judged);
};

static int run_with_dns(struct lookup *lookup, void *ctx) {
    struct work *work = ctx;
    work->judged.dns = lookup->dns;
    return work->body(&work->judged);
}

static int run_work(struct work *work) {
    const struct invocation *in = work->judged.in;
    const char *keys = cli_value(in, "--key-file");
    work->judged.arena = in->arena;
    work->judged.now_us = clock_system()->wall_us(clock_system());
    if (!keys)
        return lookup_run(in, run_with_dns, work);
    return read_keys(in, keys, &work->judged.dns) == ERR_OK ? work->body(&work->judged) : CLI_FAILED;
}

static int run_input(struct work *work, struct message_file *file) {
    const char *name = work->judged.in->positional[0];
    enum err err = feed_file(work->judged.input, &file->source);
    if (err != ERR_OK) {
        cli_say("cannot read %s: %s.", name, file->error != 0 ? strerror(file->error) : err_name(err));
        return CLI_FAILED;
    }
    buf_init(&work->judged.text, SHOWN_MAX * 4);
    int status = run_work(work);
    buf_fini(&work->judged.text);
    return status;
}

int judged_run(const struct invocation *in, int (*body)(struct judged *judged)) {
    struct work work = {.judged = {.in = in}, .body = body};
    struct message_file file;
    if (message_file_open(&file, in->positional[0]) != ERR_OK)
        return CLI_FAILED;
    struct dkim_crypto *crypto = NULL;
    enum err err = dkim_crypto_new(&crypto);
    if (err == ERR_OK)
        err = dkim_input_new(crypto, &work.judged.input);
    int status = CLI_FAILED;
    if (err == ERR_OK)
        status = run_input(&work, &file);
    else
        cli_say("OpenSSL cannot be set up (%s).", err_name(err));
    dkim_input_free(work.judged.input);
    dkim_crypto_free(crypto);
    message_file_close(&file);
    return status;
}

/* ---- printing ---- */

struct view judged_escape(struct judged *judged, struct view text) {
    buf_clear(&judged->text);
    buf_put_escaped(&judged->text, text, SHOWN_MAX);
    return buf_view(&judged->text);
}

static void print_key(struct judged *judged, const struct dkim_verdict *verdict) {
    if (verdict->key.name.n == 0)
        return;
    (void)printf("  key at %.*s", VIEW_FMT(judged_escape(judged, verdict->key.name)));
    if (verdict->key.status != DKIM_KEY_OK) {
        (void)printf(": %.*s\n", VIEW_FMT(judged_escape(judged, verdict->key.why)));
        return;
    }
    (void)printf(" (%s", lookup_security_name(verdict->security));
    if (verdict->key_bits > 0)
        (void)printf(", %u bits", verdict->key_bits);
    (void)printf("%s)\n", verdict->is_testing ? ", its owner is testing: t=y" : "");
    for (size_t i = 0; i < verdict->key.n; i++)
        (void)printf("    %.*s\n", VIEW_FMT(judged_escape(judged, verdict->key.records[i].text)));
}

void judged_print_signature(struct judged *judged, const struct dkim_verdict *verdict) {
    const struct dkim_signature *s = &verdict->signature;
    if (s->domain_as_written.n > 0)
        (void)printf("  domain %.*s", VIEW_FMT(judged_escape(judged, s->domain_as_written)));
    if (s->selector.n > 0)
        (void)printf(", selector %.*s", VIEW_FMT(judged_escape(judged, s->selector)));
    if (s->b.n > 0)
        (void)printf(", %s", s->is_sha1                        ? "rsa-sha1"
                             : s->algorithm == DKIM_RSA_SHA256 ? "rsa-sha256"
                                                               : "ed25519-sha256");
    (void)puts("");
    if (s->names_n > 0) {
        (void)printf("  signs (%s)", s->header_canon == DKIM_RELAXED ? "relaxed" : "simple");
        for (size_t i = 0; i < s->names_n; i++)
            (void)printf("%s%.*s", i == 0 ? " " : ":", VIEW_FMT(judged_escape(judged, s->names[i])));
        (void)puts("");
    }
    print_key(judged, verdict);
}
