/* Messages from files: positioned reads, so that 150 MB need no more memory than 1 KB. */
#include "cli/message_file.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_WINDOW 65536 /* octets of one read from a pipe */

static enum err file_read(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got) {
    struct message_file *file = (struct message_file *)source; /* its first member */
    ssize_t done;
    do
        done = pread(file->fd, p, n, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0) {
        file->error = errno;
        return ERR_IO;
    }
    *got = (size_t)done;
    return ERR_OK;
}

/* Sets errno on failure. */
static bool write_all(int fd, const uint8_t *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* A pipe cannot be read twice: its octets wait in a file without a name. -1 with errno. */
static int spool(int from) {
    const char *folder = getenv("TMPDIR");
    int fd = open(folder != NULL && folder[0] != 0 ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    uint8_t window[COPY_WINDOW];
    while (fd >= 0) {
        ssize_t n = read(from, window, sizeof(window));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return fd;
        if (n < 0 || !write_all(fd, window, (size_t)n)) {
            int error = errno;
            (void)close(fd);
            errno = error;
            return -1;
        }
    }
    return -1;
}

enum err message_file_open(struct message_file *file, const char *name) {
    struct stat about;
    bool is_stdin = view_eq(view_cstr(name), VIEW("-"));
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        cli_say("cannot read %s: %s. Give a file that holds one message, or - for standard input.",
                is_stdin ? "standard input" : name, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return ERR_IO;
    }
    if (S_ISDIR(about.st_mode)) {
        cli_say("%s is a directory. Give a file that holds one message, or - for standard input.", name);
        (void)close(fd);
        return ERR_IO;
    }
    if (!S_ISREG(about.st_mode) || (is_stdin && lseek(fd, 0, SEEK_CUR) != 0)) {
        int copy = spool(fd);
        int error = errno;
        (void)close(fd);
        fd = copy;
        if (fd < 0 || fstat(fd, &about) != 0) {
            cli_say("cannot keep the message while it is read: %s. Save it to a file and name that.", strerror(error));
            if (fd >= 0)
                (void)close(fd);
            return ERR_IO;
        }
    }
    *file = (struct message_file){.source = {.size = (uint64_t)about.st_size, .read = file_read}, .fd = fd};
    return ERR_OK;
}

void message_file_close(struct message_file *file) {
    (void)close(file->fd);
    file->fd = -1;
}
