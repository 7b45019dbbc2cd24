/*
 * `veredus quickstart ADDRESS`: a data directory with a configuration and the
 * first account, and what to do next. No server runs on the directory yet, so
 * the directory's database is opened here, under the server's lock.
 */
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/password.h"
#include "cli/place.h"
#include "base/disk.h"
#include "confine/role.h"
#include "sasl/scram.h"
#include "store/directory.h"
#include "tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUICKSTART_CONFIG_MAX (64 * 1024)

struct quickstart {
    const struct invocation *in;
    struct view address, domain, hostname, dir;
    int dir_fd, lock_fd;
    struct buf password;
};

/* ~/.local/share may be missing on a fresh account. What cannot be made is told by the mkdir that follows. */
static void make_parents(char *path) {
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        (void)!mkdir(path, 0755);
        *at = '/';
    }
}

static enum err open_dir(struct quickstart *q) {
    char *path = arena_cstr(q->in->arena, q->dir);
    if (!path)
        return ERR_NO_MEMORY;
    make_parents(path);
    if (mkdir(path, 0711) != 0 && errno != EEXIST) {
        cli_say("cannot make %s: %s. Choose another directory with --dir DIR, or make its parent first.", path,
                strerror(errno));
        return ERR_IO;
    }
    q->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    q->lock_fd = q->dir_fd < 0 ? -1 : openat(q->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (q->lock_fd < 0) {
        cli_say("cannot write in %s: %s. Choose another directory with --dir DIR.", path, strerror(errno));
        return ERR_IO;
    }
    if (fcntl(q->lock_fd, F_OFD_SETLK, &lock) != 0) {
        cli_say("a server runs on %s. Use `veredus account add` instead.", path);
        return ERR_AGAIN;
    }
    if (faccessat(q->dir_fd, PLACE_CONFIG_NAME, F_OK, 0) == 0) {
        cli_say("%s/" PLACE_CONFIG_NAME " is there already. Run `veredus serve --dir %s` and add accounts with "
                "`veredus account add`, or choose another directory.",
                path, path);
        return ERR_EXISTS;
    }
    return ERR_OK;
}

static enum err add_key(struct directory_store *store, struct view domain, struct view selector,
                        struct view algorithm) {
    struct buf der;
    buf_init_secret(&der, 8192);
    enum err err = tls_make_key(algorithm, &der);
    if (err == ERR_OK) {
        struct domain_key key = {.domain = domain, .selector = selector, .algorithm = algorithm, .key = buf_view(&der)};
        err = directory_key_add(store, &key);
    }
    buf_fini(&der);
    return err;
}

static enum err add_account(struct quickstart *q, struct directory_store *store) {
    struct scram_verifier *verifiers;
    size_t n;
    struct account_row row;
    uint64_t domain;
    password_make(random_system(), &q->password);
    TRY(password_verifiers(buf_view(&q->password), random_system(), q->in->arena, &verifiers, &n));
    enum err err = directory_domain_add(store, q->domain, &domain);
    if (err == ERR_OK) {
        TRY(add_key(store, q->domain, VIEW("ed1"), VIEW("ed25519")));
        err = add_key(store, q->domain, VIEW("rsa1"), VIEW("rsa"));
    }
    if (err == ERR_OK || err == ERR_EXISTS)
        err = directory_account_add(store, q->address, q->in->arena, &row);
    if (err == ERR_OK)
        err = directory_account_set_verifiers(store, row.id, verifiers, n);
    return err;
}

static enum err make_directory(struct quickstart *q) {
    const char *name = role_name(ROLE_DIRECTORY);
    if (mkdirat(q->dir_fd, name, 0700) != 0 && errno != EEXIST)
        return err_from_errno(errno);
    int fd = openat(q->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    struct disk *disk = disk_new_fd(fd);
    if (!disk)
        return ERR_NO_MEMORY;
    struct directory_store *store;
    enum err err = directory_store_open(disk, clock_system(), random_system(), &store);
    if (err == ERR_OK) {
        err = add_account(q, store);
        directory_store_close(store);
    }
    disk_free(disk);
    return err;
}

static enum err write_config(struct quickstart *q) {
    struct buf text;
    buf_init(&text, QUICKSTART_CONFIG_MAX);
    config_write_example(&text, q->hostname, q->dir);
    int fd = openat(q->dir_fd, PLACE_CONFIG_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool good = fd >= 0 && buf_err(&text) == ERR_OK && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0 &&
                fsync(q->dir_fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&text);
    return good ? ERR_OK : ERR_IO;
}

static void show_next(const struct quickstart *q) {
    (void)printf("account   %.*s\npassword  %.*s   (shown this once)\nconfig    %.*s/" PLACE_CONFIG_NAME "\n\n",
                 VIEW_FMT(q->address), VIEW_FMT(buf_view(&q->password)), VIEW_FMT(q->dir));
    (void)printf("Next:\n"
                 "  1. Put these records into the zone %.*s, and one A or AAAA record for %.*s with the address of "
                 "this machine:\n\n"
                 "%.*s. IN MX 10 %.*s.\n%.*s. IN TXT \"v=spf1 mx -all\"\n\n",
                 VIEW_FMT(q->domain), VIEW_FMT(q->hostname), VIEW_FMT(q->domain), VIEW_FMT(q->hostname),
                 VIEW_FMT(q->domain));
    (void)printf("  2. Name a certificate in the configuration (section tls), or stay with the self-signed one for a "
                 "first try.\n"
                 "  3. veredus check-config %.*s/" PLACE_CONFIG_NAME "\n"
                 "  4. veredus serve --dir %.*s      (as root: the standard ports need it)\n"
                 "  5. veredus account add friend@%.*s --dir %.*s\n",
                 VIEW_FMT(q->dir), VIEW_FMT(q->dir), VIEW_FMT(q->domain), VIEW_FMT(q->dir));
}

static int read_names(struct quickstart *q) {
    const struct invocation *in = q->in;
    const char *hostname = cli_value(in, "--hostname");
    struct buf why;
    buf_init(&why, 1000);
    enum err err = names_address(view_cstr(in->positional[0]), in->arena, &q->address, &why);
    if (err == ERR_OK && hostname)
        err = names_domain(view_cstr(hostname), in->arena, &q->hostname, &why);
    int status = err == ERR_OK ? CLI_OK : cli_usage(in, "%.*s", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    if (status != CLI_OK)
        return status;
    q->domain = view_skip(q->address, (size_t)(view_rfind_byte(q->address, '@') + 1));
    if (!hostname && arena_printf(in->arena, &q->hostname, "mail.%.*s", VIEW_FMT(q->domain)) != ERR_OK)
        return CLI_FAILED;
    return place_data_dir(in, &q->dir) == ERR_OK ? CLI_OK : CLI_FAILED;
}

int cmd_quickstart(const struct invocation *in) {
    struct quickstart q = {.in = in, .dir_fd = -1, .lock_fd = -1};
    int status = read_names(&q);
    if (status != CLI_OK)
        return status;
    buf_init_secret(&q.password, 64);
    enum err err = open_dir(&q);
    if (err == ERR_OK) {
        err = make_directory(&q);
        if (err == ERR_EXISTS)
            cli_say("the account %.*s is there already. Choose another directory with --dir DIR.", VIEW_FMT(q.address));
        else if (err != ERR_OK)
            cli_say("cannot make the account in %.*s (%s). Is there space, and is the directory this user's?",
                    VIEW_FMT(q.dir), err_name(err));
        else if ((err = write_config(&q)) != ERR_OK)
            cli_say("cannot write %.*s/" PLACE_CONFIG_NAME ": %s.", VIEW_FMT(q.dir), strerror(errno));
    }
    if (err == ERR_OK)
        show_next(&q);
    buf_fini(&q.password);
    if (q.lock_fd >= 0)
        (void)close(q.lock_fd);
    if (q.dir_fd >= 0)
        (void)close(q.dir_fd);
    return err == ERR_OK ? CLI_OK : CLI_FAILED;
}
