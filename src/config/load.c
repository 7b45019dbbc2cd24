/*
 * From a file to the snapshot. libconfuse knows the shape (options, sections,
 * includes); every value is read here, in its parse callback, where file and
 * line are known, so that all wrong values of a file are told at once.
 *
 * libconfuse hands its callbacks no pointer of ours. But each option has a
 * "simple value", a place that it writes the parsed number to, copied into every section;
 * ours is the first member of a struct slot that knows the loader.
 */
#include "config/config.h"

#include "base/log.h"
#include "config/values.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE_MAX (1 << 20) /* octets of one file: far more than any real one */
#define CONFIG_FILES_MAX 32       /* with all that are included */

enum kind {
    KIND_HOSTNAME,
    KIND_PATH,
    KIND_NUMBER,
    KIND_PORT,
    KIND_SIZE,
    KIND_TIME,
    KIND_BOOL,
    KIND_ADDRESS,
    KIND_LEVEL,
    KIND_LISTENER_PROTOCOL,
    KIND_LISTENER_ADDRESS,
    KIND_LISTENER_PROXY,
    KIND_LISTENER_PLAIN_LOGIN
};

struct option {
    const char *section, *name; /* section NULL: at the top */
    enum kind kind;
    int place;            /* enum config_option, or -1 */
    size_t offset;        /* in struct config */
    uint64_t least, most; /* numbers; sizes in octets, times in microseconds */
};
#define AT(member) offsetof(struct config, member)
#define SECONDS(n) ((uint64_t)(n) * (uint64_t)US_PER_S)
/* clang-format off */
static const struct option options[] = {
    {NULL, "hostname", KIND_HOSTNAME, CONFIG_HOSTNAME, AT(hostname), 0, 0},
    {NULL, "data_dir", KIND_PATH, CONFIG_DATA_DIR, AT(data_dir), 0, 0},
    {NULL, "log_level", KIND_LEVEL, -1, AT(log_level), 0, 0},
    {"listener", "protocol", KIND_LISTENER_PROTOCOL, -1, 0, 0, 0},
    {"listener", "address", KIND_LISTENER_ADDRESS, -1, 0, 0, 0},
    {"listener", "proxy", KIND_LISTENER_PROXY, -1, 0, 0, 0},
    {"listener", "plain_login", KIND_LISTENER_PLAIN_LOGIN, -1, 0, 0, 0},
    {"tls", "certificate", KIND_PATH, CONFIG_TLS_CERTIFICATE, AT(tls_certificate_file), 0, 0},
    {"tls", "key", KIND_PATH, CONFIG_TLS_KEY, AT(tls_key_file), 0, 0},
    /* RFC5321-4.5.3.1.7: at least 64K octets of content */
    {"limits", "message_size", KIND_SIZE, -1, AT(message_size_max), 64 << 10, 4ull << 30},
    {"limits", "quota", KIND_SIZE, CONFIG_QUOTA, AT(quota_octets), 0, 1ull << 50},
    /* RFC5321-4.5.3.1.8: at least 100 recipients; 1000: what a message between roles holds */
    {"limits", "recipients", KIND_NUMBER, -1, AT(recipients_max), 100, 1000},
    {"limits", "connections", KIND_NUMBER, -1, AT(connections_max), 1, 50000},
    {"limits", "connections_per_network", KIND_NUMBER, CONFIG_CONNECTIONS_PER_NETWORK, AT(connections_per_network), 1, 50000},
    {"limits", "login_attempts", KIND_NUMBER, -1, AT(login_attempts_max), 1, 100},
    {"limits", "spool", KIND_SIZE, CONFIG_SPOOL, AT(spool_budget), 1 << 20, 1ull << 40},
    {"limits", "edges", KIND_NUMBER, -1, AT(edges), 0, 64},
    {"limits", "throttle_loopback", KIND_BOOL, -1, AT(throttle_loopback), 0, 0},
    {"dns", "server", KIND_ADDRESS, -1, AT(dns), 0, 0},
    {"dns", "trust_anchor", KIND_PATH, CONFIG_TRUST_ANCHOR, AT(trust_anchor_file), 0, 0},
    {"queue", "relay", KIND_BOOL, -1, AT(relay), 0, 0},
    {"queue", "port", KIND_PORT, CONFIG_RELAY_PORT, AT(relay_port), 1, 65535},
    {"queue", "lifetime", KIND_TIME, -1, AT(queue_lifetime_us), SECONDS(3600), SECONDS(30 * 24 * 3600)},
    {"queue", "retry", KIND_TIME, CONFIG_QUEUE_RETRY, AT(queue_retry_us), SECONDS(1), SECONDS(24 * 3600)},
    {"users", "account_first", KIND_NUMBER, CONFIG_ACCOUNT_UID_FIRST, AT(account_uid_first), 1000, 4294967293u},
    {"users", "accounts", KIND_NUMBER, CONFIG_ACCOUNT_UIDS, AT(account_uids), 1, 1u << 30},
};
/* clang-format on */
static const char *const sections[] = {"listener", "tls", "limits", "dns", "queue", "users"};
#define SECTION_LISTENER 0

/* A file of the configuration: the one that was named, and those it includes. */
struct config_part {
    const char *path;
    dev_t device;
    ino_t inode;
};

struct loader;
struct slot {
    long number; /* first: libconfuse writes here */
    struct loader *loader;
    const struct option *option;
    uint32_t line; /* where it was set last, 0: not */
    struct view file;
};
struct loader {
    struct arena *arena;
    struct config *config;
    struct buf *problems;
    unsigned failed;
    struct slot slots[ARRAY_LEN(options)];
    struct config_listener draft; /* the listener section being read */
    bool has_protocol, has_address;
    const char *file; /* being read */
    struct config_part parts[CONFIG_FILES_MAX];
    size_t parts_n;
};

__attribute__((format(printf, 3, 4))) static void problem(struct loader *loader, int line, const char *format, ...) {
    char text[1000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_printf(loader->problems, "%s:%d: %s\n", loader->file, line, text);
    loader->failed++;
}

static struct loader *loader_of(const cfg_t *cfg) {
    return ((const struct slot *)(const void *)cfg->opts[0].simple_value.number)->loader;
}

/* ---- values ---- */

static bool read_number(uint64_t value, const struct option *o, void *at) {
    if (value < o->least || value > o->most)
        return false;
    switch (o->kind) {
    case KIND_NUMBER:
        *(uint32_t *)at = (uint32_t)value;
        break;
    case KIND_PORT:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case KIND_TIME:
        *(int64_t *)at = (int64_t)value;
        break;
    default:
        *(uint64_t *)at = value;
        break;
    }
    return true;
}

/* The remedy for a value out of its range, in the units people write. */
static void put_range(const struct option *o, char text[100]) {
    struct buf least, most;
    buf_init(&least, 40);
    buf_init(&most, 40);
    for (int i = 0; i < 2; i++) {
        struct buf *out = i ? &most : &least;
        uint64_t value = i ? o->most : o->least;
        if (o->kind == KIND_SIZE)
            values_put_size(out, value);
        else if (o->kind == KIND_TIME)
            values_put_time(out, (int64_t)value);
        else
            buf_put_u64(out, value);
    }
    (void)snprintf(text, 100, "%.*s to %.*s", VIEW_FMT(buf_view(&least)), VIEW_FMT(buf_view(&most)));
    buf_fini(&least);
    buf_fini(&most);
}

static const char *read_value(struct loader *loader, const struct option *o, struct view v, char remedy[200]) {
    void *at = (uint8_t *)loader->config + o->offset;
    uint64_t value = 0;
    char range[100];
    put_range(o, range);
    switch (o->kind) {
    case KIND_HOSTNAME:
        (void)snprintf(remedy, 200, "Write it like mail.example.org, international names as xn--...");
        return values_hostname(v, loader->arena, at) == ERR_OK ? NULL : "is not a host name";
    case KIND_PATH:
        (void)snprintf(remedy, 200, "Write the whole path, beginning with /.");
        return v.n && v.p[0] == '/' && arena_view(loader->arena, v, at) == ERR_OK ? NULL : "is not an absolute path";
    case KIND_NUMBER:
    case KIND_PORT:
        (void)snprintf(remedy, 200, "Write a number from %s.", range);
        return view_to_u64(v, UINT64_MAX, &value) == ERR_OK && read_number(value, o, at)
                   ? NULL
                   : "is not a number within limits";
    case KIND_SIZE:
        (void)snprintf(remedy, 200, "Write octets, or a number with K, M or G, from %s.", range);
        return values_size(v, &value) == ERR_OK && read_number(value, o, at) ? NULL : "is not a size within limits";
    case KIND_TIME:
        (void)snprintf(remedy, 200, "Write a number with s, m, h or d, from %s.", range);
        int64_t time_us = 0;
        return values_time(v, &time_us) == ERR_OK && read_number((uint64_t)time_us, o, at)
                   ? NULL
                   : "is not a time within limits";
    case KIND_BOOL:
        (void)snprintf(remedy, 200, "Write true or false.");
        return values_bool(v, at) == ERR_OK ? NULL : "is neither true nor false";
    case KIND_ADDRESS:
        (void)snprintf(remedy, 200, "Write IP:PORT, like 127.0.0.1:53 or [::1]:53.");
        return netaddr_parse(v, 53, at) == ERR_OK ? NULL : "is not an address";
    case KIND_LEVEL:
        (void)snprintf(remedy, 200, "Write debug, info, warn or error.");
        return config_log_level(v, at) == ERR_OK ? NULL : "is not a log level";
    case KIND_LISTENER_PROTOCOL:
        (void)snprintf(remedy, 200, "Write smtp, submission, submissions, imap or imaps.");
        loader->has_protocol = true;
        return values_protocol(v, &loader->draft.protocol, &loader->draft.implicit_tls) == ERR_OK ? NULL
                                                                                                  : "is not a protocol";
    case KIND_LISTENER_ADDRESS:
        (void)snprintf(remedy, 200, "Write IP:PORT, like 0.0.0.0:25 or [::]:25.");
        loader->has_address = true;
        return netaddr_parse(v, 0, &loader->draft.address) == ERR_OK && loader->draft.address.port
                   ? NULL
                   : "is not an address with a port";
    case KIND_LISTENER_PROXY:
        (void)snprintf(remedy, 200, "Write true or false.");
        return values_bool(v, &loader->draft.proxy) == ERR_OK ? NULL : "is neither true nor false";
    case KIND_LISTENER_PLAIN_LOGIN:
        (void)snprintf(remedy, 200, "Write true or false.");
        return values_bool(v, &loader->draft.plain_login) == ERR_OK ? NULL : "is neither true nor false";
    }
    return "is of no known kind";
}

/* Always 0: a wrong value is told, and the reading goes on. */
static int parse_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result) {
    struct slot *slot = (struct slot *)(void *)opt->simple_value.number;
    struct loader *loader = slot->loader;
    char remedy[200];
    *(long *)result = 0;
    if (slot->line)
        problem(loader, cfg->line, "%s is set a second time (first at %.*s:%u). Keep one of the two.", opt->name,
                VIEW_FMT(slot->file), slot->line);
    slot->line = (uint32_t)cfg->line;
    slot->file = view_cstr(loader->file);
    const char *what = read_value(loader, slot->option, view_cstr(value), remedy);
    if (what)
        problem(loader, cfg->line, "%s: \"%.100s\" %s. %s", opt->name, value, what, remedy);
    if (slot->option->place >= 0) {
        struct config_place *place = &loader->config->places[slot->option->place];
        *place = (struct config_place){view_cstr(loader->file), (uint32_t)cfg->line};
    }
    return 0;
}

/* ---- sections ---- */

/* At the closing brace of a listener. */
static int end_listener(cfg_t *cfg, cfg_opt_t *opt) {
    (void)opt;
    struct loader *loader = loader_of(cfg);
    uint32_t first = (uint32_t)cfg->line;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct slot *slot = &loader->slots[i];
        if (options[i].section != sections[SECTION_LISTENER])
            continue;
        if (slot->line)
            first = MIN(first, slot->line);
        slot->line = 0;
    }
    loader->draft.line = first;
    loader->draft.file = view_cstr(loader->file);
    if (!loader->has_protocol)
        problem(loader, (int)first,
                "this listener has no protocol. Add one of smtp, submission, submissions, imap, imaps.");
    if (!loader->has_address)
        problem(loader, (int)first,
                "this listener has no address. Add: address = \"0.0.0.0:25\" (with the port it needs).");
    if (loader->config->listeners_n >= CONFIG_LISTENERS_MAX)
        problem(loader, (int)first, "there are more than %d listeners. Remove some.", CONFIG_LISTENERS_MAX);
    else if (loader->has_protocol && loader->has_address)
        loader->config->listeners[loader->config->listeners_n++] = loader->draft;
    loader->draft = (struct config_listener){.line = 0};
    loader->has_protocol = loader->has_address = false;
    return 0;
}

/* Notes a file to be read. The checks come first, since libconfuse's reader ends the process on what is no file. */
static bool add_part(struct loader *loader, const char *path, const char **why) {
    struct stat st;
    *why = NULL;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        *why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        *why = "it is not a file";
    else if (st.st_size > CONFIG_FILE_MAX)
        *why = "it is larger than any configuration";
    else if (loader->parts_n >= CONFIG_FILES_MAX)
        *why = "there are too many files";
    for (size_t i = 0; !*why && i < loader->parts_n; i++)
        if (loader->parts[i].device == st.st_dev && loader->parts[i].inode == st.st_ino)
            *why = "it is part of the configuration already";
    char *copy = *why ? NULL : arena_cstr(loader->arena, view_cstr(path));
    if (!copy) {
        *why = *why ? *why : "out of memory";
        return false;
    }
    loader->parts[loader->parts_n++] = (struct config_part){copy, st.st_dev, st.st_ino};
    return true;
}

/* include("FILE"), relative to the including file. It is read after it: the order of options means nothing. libconfuse's
 * own includes would leave its reader in the middle of a file after an error. */
static int include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv) {
    (void)opt;
    struct loader *loader = loader_of(cfg);
    char path[4096];
    const char *why = "it needs one file name";
    if (argc == 1) {
        struct view from = view_cstr(loader->file);
        ssize_t slash = argv[0][0] == '/' ? -1 : view_rfind_byte(from, '/');
        int n = snprintf(path, sizeof(path), "%.*s%s", VIEW_FMT(view_sub(from, 0, (size_t)(slash + 1))), argv[0]);
        why = "the name is too long";
        if (n > 0 && (size_t)n < sizeof(path) && add_part(loader, path, &why))
            return 0;
    }
    problem(loader, cfg->line, "cannot include %s: %s. Correct the name, or remove the line.",
            argc == 1 ? path : "this", why);
    return 0;
}

static void put_known(const cfg_t *cfg, struct buf *out) {
    for (const cfg_opt_t *opt = cfg->opts; opt && opt->name; opt++)
        buf_printf(out, "%s%s", opt == cfg->opts ? "" : ", ", opt->name);
}

/* What libconfuse itself finds: shape and names. */
static void shape_error(cfg_t *cfg, const char *format, va_list args) {
    struct loader *loader = loader_of(cfg);
    char text[500];
    (void)vsnprintf(text, sizeof(text), format, args);
    struct buf remedy;
    buf_init(&remedy, 1000);
    if (view_starts(view_cstr(format), VIEW("no such option"))) {
        buf_put_str(&remedy, "Known here: ");
        put_known(cfg, &remedy);
        buf_put_str(&remedy, ".");
    } else {
        buf_put_str(&remedy, "Write NAME = VALUE, text in double quotes, sections as NAME { ... }.");
    }
    problem(loader, cfg->line, "%s. %.*s", text, VIEW_FMT(buf_view(&remedy)));
    buf_fini(&remedy);
}

/* ---- the whole ---- */

#define OPTS_MAX 16 /* options of one section, with the end */

static size_t fill_options(struct loader *loader, const char *section, cfg_opt_t *opts) {
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if ((section == NULL) != (options[i].section == NULL) ||
            (section && !view_eq(view_cstr(section), view_cstr(options[i].section))))
            continue;
        opts[n++] = (cfg_opt_t)CFG_INT_CB(options[i].name, 0, CFGF_NONE, parse_value);
        opts[n - 1].simple_value.number = &loader->slots[i].number;
    }
    opts[n] = (cfg_opt_t)CFG_END();
    return n;
}

static enum err read_file(const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0) {
        uint8_t *room = buf_room(out, 4096);
        got = room ? read(fd, room, 4096) : -1;
        if (got > 0)
            buf_added(out, (size_t)got);
    }
    if (fd >= 0)
        (void)close(fd);
    return got < 0 ? ERR_IO : ERR_OK;
}

/* One past the comment that begins at `at`; a line's newline is not part of it. */
static size_t comment_end(struct view text, size_t at) {
    struct view rest = view_skip(text, at);
    bool block = view_starts(rest, VIEW("/*"));
    ssize_t found = block ? view_find(view_skip(rest, 2), VIEW("*/")) : view_find_byte(rest, '\n');
    return found < 0 ? text.n : at + (size_t)found + (block ? 4 : 0);
}

/* libconfuse counts the lines of comments wrongly (3.3): it gets spaces instead. Comments are #, and // and C's between words. */
static void blank_comments(struct buf *text) {
    uint8_t quote = 0;
    bool between = true; /* no word goes on here */
    for (size_t i = 0; i < text->n; i++) {
        uint8_t c = text->p[i], next = i + 1 < text->n ? text->p[i + 1] : 0;
        if (quote) {
            if (c == '\\')
                i++;
            else if (c == quote)
                quote = 0;
            continue;
        }
        if (c == '#' || (between && c == '/' && (next == '/' || next == '*'))) {
            size_t end = comment_end(buf_view(text), i);
            for (; i < end; i++)
                if (text->p[i] != '\n')
                    text->p[i] = ' ';
            i--;
            continue;
        }
        if (c == '"' || c == '\'')
            quote = c;
        between = c <= ' ' || c == '=' || c == '{' || c == '}' || c == '(' || c == ')' || c == ',' || c == '+';
    }
}

/* libconfuse takes the end of the file for the end of a section. Returns the line of the innermost that is still open, 0: none. */
static int unclosed_line(struct view text) {
    int opened[OPTS_MAX] = {0}, line = 1;
    size_t depth = 0;
    uint8_t quote = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '\n')
            line++;
        else if (quote && c == '\\')
            i++;
        else if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '{' && depth < OPTS_MAX)
            opened[depth++] = line;
        else if (c == '}' && depth > 0)
            depth--;
    }
    return depth > 0 ? opened[depth - 1] : 0;
}

static void parse_part(struct loader *loader, const char *path) {
    loader->file = path;
    cfg_opt_t section_opts[ARRAY_LEN(sections)][OPTS_MAX], opts[OPTS_MAX];
    size_t n = fill_options(loader, NULL, opts);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        (void)fill_options(loader, sections[i], section_opts[i]);
        opts[n] = (cfg_opt_t)CFG_SEC(sections[i], section_opts[i], i == SECTION_LISTENER ? CFGF_MULTI : CFGF_NONE);
        if (i == SECTION_LISTENER)
            opts[n].validcb = end_listener;
        n++;
    }
    opts[n++] = (cfg_opt_t)CFG_FUNC("include", include);
    opts[n] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(opts, CFGF_NONE);
    if (!cfg) {
        problem(loader, 0, "out of memory.");
        return;
    }
    (void)cfg_set_error_function(cfg, shape_error);
    struct buf text;
    buf_init(&text, CONFIG_FILE_MAX + 8192);
    unsigned before = loader->failed;
    if (read_file(path, &text) != ERR_OK || view_find_byte(buf_view(&text), 0) >= 0) {
        problem(loader, 1, "this is not text that can be read. Correct the name of the file.");
    } else {
        blank_comments(&text);
        int unclosed = unclosed_line(buf_view(&text));
        buf_put_byte(&text, 0);
        if (cfg_parse_buf(cfg, (const char *)text.p) != CFG_SUCCESS && loader->failed == before)
            problem(loader, cfg->line,
                    "this cannot be read. Write NAME = VALUE, text in double quotes, sections as NAME { ... }.");
        else if (unclosed && loader->failed == before)
            problem(loader, unclosed, "the section that begins here never ends. Add its }.");
    }
    buf_fini(&text);
    (void)cfg_free(cfg);
}

enum err config_load(const char *path, struct arena *arena, struct config *out, struct buf *problems) {
    struct loader *loader = ARENA_NEW(arena, struct loader);
    struct config *config = ARENA_NEW(arena, struct config);
    if (!loader || !config)
        return ERR_NO_MEMORY;
    config_defaults(config);
    config->hostname = config->data_dir = VIEW_NONE;
    *loader = (struct loader){.arena = arena, .config = config, .problems = problems};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        loader->slots[i] = (struct slot){.loader = loader, .option = &options[i]};
    const char *why;
    if (!add_part(loader, path, &why)) {
        buf_printf(problems,
                   "%s:0: cannot read the configuration: %s. Name another with --config FILE, or make one with "
                   "`veredus quickstart`.\n",
                   path, why);
        return ERR_NOT_FOUND;
    }
    config->file = view_cstr(loader->parts[0].path);
    for (size_t i = 0; i < loader->parts_n; i++)
        parse_part(loader, loader->parts[i].path);
    loader->file = loader->parts[0].path;
    if (!loader->failed) {
        if (!config->hostname.n)
            problem(loader, 1, "there is no hostname. Add: hostname = \"mail.example.org\".");
        if (!config->data_dir.n)
            problem(loader, 1, "there is no data_dir. Add: data_dir = \"/var/lib/veredus\".");
        if (!config->listeners_n)
            problem(loader, 1, "there is no listener. Add: listener { protocol = \"smtp\" address = \"0.0.0.0:25\" }.");
    }
    TRY(buf_err(problems));
    if (loader->failed)
        return ERR_SYNTAX;
    *out = *config;
    return ERR_OK;
}
