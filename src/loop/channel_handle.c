/* Handles: what can travel beside a record, and the descriptors under them. */
#include "loop/channel_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void handle_close(struct handle *handle) {
    switch (handle->kind) {
    case HANDLE_NONE:
        break;
    case HANDLE_FILE:
        file_unref(handle->file);
        break;
    case HANDLE_STREAM:
        stream_free(handle->stream);
        break;
    case HANDLE_CHANNEL:
        channel_free(handle->channel);
        break;
    case HANDLE_LISTENER:
        listener_free(handle->listener);
        break;
    }
    *handle = (struct handle){.kind = HANDLE_NONE};
}

void handles_close(struct handle *handles, size_t n) {
    for (size_t i = 0; i < n; i++)
        handle_close(&handles[i]);
}

/* The object keeps its descriptor: the copy travels. */
static enum err copy_fd(int fd, int *out) {
    if (fd < 0)
        return ERR_PERMANENT;
    int copied = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copied < 0)
        return err_from_errno(errno);
    *out = copied;
    return ERR_OK;
}

enum err handle_to_fd(struct handle *handle, int *fd) {
    enum err err = ERR_PERMANENT;
    int taken = -1;
    switch (handle->kind) {
    case HANDLE_NONE:
        break;
    case HANDLE_FILE:
        err = copy_fd(file_fd(handle->file), &taken);
        break;
    case HANDLE_LISTENER:
        err = copy_fd(handle->listener->ops->fd(handle->listener), &taken);
        break;
    case HANDLE_STREAM: /* taking frees the object */
        taken = stream_take_fd(handle->stream);
        break;
    case HANDLE_CHANNEL:
        taken = channel_take_fd(handle->channel);
        break;
    }
    if (taken >= 0 && (handle->kind == HANDLE_STREAM || handle->kind == HANDLE_CHANNEL)) {
        err = ERR_OK;
        handle->kind = HANDLE_NONE;
    }
    handle_close(handle);
    if (err == ERR_OK)
        *fd = taken;
    return err;
}

static int socket_option(int fd, int option) {
    int value = 0;
    socklen_t n = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &n) == 0 ? value : -1;
}

/* A peer may send any descriptor; one of another kind could block us (a FIFO as a file) or surprise the code behind. */
static bool is_of_kind(int fd, enum handle_kind kind) {
    struct stat st;
    switch (kind) {
    case HANDLE_FILE:
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    case HANDLE_STREAM:
        return socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 0;
    case HANDLE_CHANNEL:
        return socket_option(fd, SO_TYPE) == SOCK_SEQPACKET && socket_option(fd, SO_DOMAIN) == AF_UNIX &&
               socket_option(fd, SO_ACCEPTCONN) == 0;
    case HANDLE_LISTENER:
        return socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 1;
    case HANDLE_NONE:
        break;
    }
    return false;
}

enum err handle_from_fd(struct loop *loop, enum handle_kind kind, int fd, struct handle *out) {
    int flags;
    if (!is_of_kind(fd, kind)) {
        (void)close(fd);
        return ERR_SYNTAX;
    }
    if (kind != HANDLE_FILE &&
        ((flags = fcntl(fd, F_GETFL)) < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0))) {
        (void)close(fd);
        return ERR_IO;
    }
    struct handle handle = {.kind = kind};
    enum err err = ERR_BUG;
    switch (kind) {
    case HANDLE_NONE:
        break;
    case HANDLE_FILE:
        handle.file = file_new_fd(fd);
        err = handle.file == NULL ? ERR_NO_MEMORY : ERR_OK;
        break;
    case HANDLE_STREAM:
        err = stream_new_socket(loop, fd, &handle.stream);
        break;
    case HANDLE_CHANNEL:
        err = channel_new_fd(loop, fd, &handle.channel);
        break;
    case HANDLE_LISTENER:
        err = listener_new_fd(loop, fd, &handle.listener);
        break;
    }
    if (err == ERR_OK)
        *out = handle;
    return err;
}
