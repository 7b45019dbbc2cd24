/* Passwords on their way in. */
#include "cli/password.h"

#include "sasl/scram.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_ALPHABET "abcdefghjkmnpqrstuvwxyz23456789" /* nothing that looks like something else */

void password_make(struct random *random, struct buf *out) {
    static const char alphabet[] = PASSWORD_ALPHABET;
    for (unsigned i = 0; i < 20; i++) {
        if (i && i % 5 == 0)
            buf_put_byte(out, '-');
        buf_put_byte(out, (uint8_t)alphabet[random_below(random, sizeof(alphabet) - 1)]);
    }
}

/* Up to the newline, which is taken but not kept; octet by octet, since what follows is not ours. */
static enum err read_line(int fd, struct buf *out) {
    for (;;) {
        uint8_t byte;
        ssize_t got = read(fd, &byte, 1);
        if (got < 0)
            return ERR_IO;
        if (got == 0 || byte == '\n')
            break;
        buf_put_byte(out, byte);
        wipe(&byte, 1);
    }
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    return buf_err(out);
}

static enum err ask(int fd, const char *what, struct buf *out) {
    struct termios before, quiet;
    if (tcgetattr(fd, &before) != 0)
        return ERR_IO;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)dprintf(fd, "%s", what);
    if (tcsetattr(fd, TCSAFLUSH, &quiet) != 0)
        return ERR_IO;
    enum err err = read_line(fd, out);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    return err;
}

static enum err ask_twice(struct buf *out, bool *made) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    struct buf again;
    buf_init_secret(&again, SCRAM_PASSWORD_MAX);
    enum err err = ask(fd, "Password (empty: one is made): ", out);
    *made = err == ERR_OK && out->n == 0;
    if (err == ERR_OK && !*made)
        err = ask(fd, "The same again: ", &again);
    if (err == ERR_OK && !*made && !view_eq(buf_view(out), buf_view(&again))) {
        cli_say("the two passwords differ. Nothing was changed; try again.");
        err = ERR_DENIED;
    } else if (err != ERR_OK) {
        cli_say("cannot read a password from the terminal. Use --password-stdin.");
    }
    buf_fini(&again);
    (void)close(fd);
    return err;
}

enum err password_obtain(const struct invocation *in, struct buf *out, bool *made) {
    enum err err = ERR_OK;
    *made = false;
    if (cli_has(in, "--password-stdin")) {
        err = read_line(STDIN_FILENO, out);
        if (err != ERR_OK)
            cli_say("cannot read the password from standard input%s.",
                    err == ERR_LIMIT ? ": it is longer than 1024 octets" : "");
        else if (out->n == 0) {
            cli_say("standard input held no password. Write it as the first line, or leave --password-stdin out and "
                    "one is made.");
            err = ERR_SYNTAX;
        }
        return err;
    }
    if (!cli_has(in, "--generate") && isatty(STDIN_FILENO))
        err = ask_twice(out, made);
    else
        *made = true;
    if (err == ERR_OK && *made)
        password_make(random_system(), out);
    return err;
}

enum err password_verifiers(struct view password, struct random *random, struct arena *arena,
                            struct scram_verifier **out, size_t *n) {
    struct buf prepared;
    buf_init_secret(&prepared, SCRAM_PASSWORD_MAX * 2);
    struct scram_verifier *verifier = ARENA_NEW(arena, struct scram_verifier);
    uint8_t salt[SCRAM_SALT_SIZE];
    random_fill(random, salt, sizeof(salt));
    struct scram_keys keys;
    size_t size = scram_key_size(SCRAM_SHA256);
    enum err err = verifier ? sasl_prepare_password(password, &prepared) : ERR_NO_MEMORY;
    if (err != ERR_OK)
        cli_say("this password cannot be used: it must be UTF-8 text without control characters, at most %d octets.",
                SCRAM_PASSWORD_MAX);
    if (err == ERR_OK)
        err = scram_make_keys(SCRAM_SHA256, buf_view(&prepared), view_of(salt, sizeof(salt)), SCRAM_ITERATIONS_DEFAULT,
                              &keys);
    if (err == ERR_OK) {
        *verifier = (struct scram_verifier){.mechanism = SCRAM_SHA256, .iterations = SCRAM_ITERATIONS_DEFAULT};
        err = arena_view(arena, view_of(salt, sizeof(salt)), &verifier->salt);
    }
    if (err == ERR_OK)
        err = arena_view(arena, view_of(keys.stored_key, size), &verifier->stored_key);
    if (err == ERR_OK)
        err = arena_view(arena, view_of(keys.server_key, size), &verifier->server_key);
    wipe(&keys, sizeof(keys));
    buf_fini(&prepared);
    if (err != ERR_OK)
        return err;
    *out = verifier;
    *n = 1;
    return ERR_OK;
}
