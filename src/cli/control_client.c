/* The command line's end of the control socket. */
#include "cli/control_client.h"

#include "cli/names.h"
#include "cli/place.h"
#include "roles/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROWS_MAX 10000000 /* of one answer: more than a server has accounts */

/* Through the directory's descriptor, so the path's length does not matter. */
static int connect_to(const struct invocation *in, struct view dir) {
    char *path = arena_cstr(in->arena, dir);
    int dir_fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int fd = dir_fd < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = -1;
    if (fd >= 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SERVE_CONTROL_SOCKET, dir_fd);
        struct timeval wait = {.tv_sec = CONTROL_CLIENT_WAIT_S};
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    }
    int error = errno;
    if (dir_fd >= 0)
        (void)close(dir_fd);
    if (rc == 0)
        return fd;
    if (error == EACCES || error == EPERM)
        cli_say("may not talk to the server of %.*s. Be root, or the user that started it.", VIEW_FMT(dir));
    else if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
        cli_say("no server runs on %.*s. Start it (veredus serve), or say where it is: --dir DIR or --config FILE.",
                VIEW_FMT(dir));
    else
        cli_say("cannot reach the server of %.*s: %s.", VIEW_FMT(dir), strerror(error));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static bool send_all(int fd, struct view v) {
    while (v.n) {
        ssize_t sent = send(fd, v.p, v.n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        v = view_skip(v, (size_t)sent);
    }
    return true;
}

/* The next line, without its newline, at the front of `in`; the caller consumes it. */
static bool receive_line(int fd, struct buf *in, struct view *line) {
    size_t seen = 0;
    for (;;) {
        ssize_t end = view_find_byte(view_skip(buf_view(in), seen), '\n');
        if (end >= 0) {
            *line = view_sub(buf_view(in), 0, seen + (size_t)end);
            return true;
        }
        seen = in->n;
        uint8_t *room = buf_room(in, 16384);
        if (!room)
            return false;
        ssize_t got = recv(fd, room, 16384, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        buf_added(in, (size_t)got);
    }
}

/* One line of the answer. ERR_AGAIN: more follow. */
static enum err take_reply(struct view line, json_t *rows) {
    json_error_t error;
    json_t *reply = json_loadb((const char *)line.p, line.n, 0, &error);
    json_t *part = json_object_get(reply, "rows"), *text = json_object_get(reply, "text");
    enum err err = ERR_SYNTAX;
    if (json_is_true(json_object_get(reply, "ok")) && json_is_array(part)) {
        bool fits = json_array_size(rows) + json_array_size(part) <= ROWS_MAX && json_array_extend(rows, part) == 0;
        err = !fits ? ERR_LIMIT : json_is_true(json_object_get(reply, "more")) ? ERR_AGAIN : ERR_OK;
    } else if (json_is_string(text)) {
        cli_say("%s", json_string_value(text));
        err = ERR_PERMANENT;
    }
    json_decref(reply);
    return err;
}

static enum err converse(int fd, struct control_request *request, json_t *rows) {
    struct buf out, in;
    buf_init_secret(&out, CONTROL_LINE_MAX);
    buf_init(&in, CONTROL_REPLY_LINE_MAX + 16384);
    enum err err = control_put_request(request, &out);
    if (err == ERR_LIMIT)
        cli_say("this is too much for one request (64 KiB). Split it.");
    else if (err == ERR_OK) {
        bool sent = send_all(fd, buf_view(&out));
        struct view line;
        for (err = ERR_AGAIN; err == ERR_AGAIN;) {
            err = sent && receive_line(fd, &in, &line) ? take_reply(line, rows) : ERR_CLOSED;
            if (err == ERR_AGAIN)
                buf_consume(&in, line.n + 1);
        }
        if (err == ERR_CLOSED)
            cli_say("the server ended the conversation. Its log says why; try again.");
        else if (err != ERR_OK && err != ERR_PERMANENT)
            cli_say("the server's answer was not understood. Is it of the same version?");
    }
    buf_fini(&out);
    buf_fini(&in);
    return err;
}

enum err control_ask(const struct invocation *in, struct control_request *request, json_t **rows) {
    struct view dir;
    TRY(place_data_dir(in, &dir));
    int fd = connect_to(in, dir);
    if (fd < 0)
        return ERR_CLOSED;
    request->id = 1;
    json_t *all = json_array();
    enum err err = all ? converse(fd, request, all) : ERR_NO_MEMORY;
    (void)close(fd);
    if (err == ERR_OK)
        *rows = all;
    else
        json_decref(all);
    return err;
}

int control_do(const struct invocation *in, struct control_request *request) {
    json_t *rows;
    if (control_ask(in, request, &rows) != ERR_OK)
        return CLI_FAILED;
    json_decref(rows);
    return CLI_OK;
}

static enum err name_argument(const struct invocation *in, size_t index, struct view *out,
                              enum err (*read)(struct view, struct arena *, struct view *, struct buf *)) {
    struct buf why;
    buf_init(&why, 1000);
    enum err err = read(view_cstr(in->positional[index]), in->arena, out, &why);
    if (err != ERR_OK)
        cli_say("%.*s", VIEW_FMT(buf_view(&why)));
    buf_fini(&why);
    return err;
}

enum err control_address(const struct invocation *in, size_t index, struct view *out) {
    return name_argument(in, index, out, names_address);
}

enum err control_domain(const struct invocation *in, size_t index, struct view *out) {
    return name_argument(in, index, out, names_domain);
}

void control_print_json(const json_t *rows) {
    (void)puts(json_array_size(rows) ? "[" : "[]");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        (void)json_dumpf(json_array_get(rows, i), stdout, JSON_COMPACT);
        (void)puts(i + 1 < json_array_size(rows) ? "," : "\n]");
    }
}
