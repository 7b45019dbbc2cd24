/* The control socket's parser over any octets; what it takes, it must write and take again. */
#include "roles/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 1 << 20);
    struct buf why, line;
    buf_init(&why, 1000);
    buf_init(&line, CONTROL_LINE_MAX * 2);
    struct control_request request, again;
    enum err err = control_parse(view_of(data, size), arena, &request, &why);
    BUG_IF(err != ERR_OK && err != ERR_SYNTAX && err != ERR_LIMIT);
    BUG_IF((err == ERR_OK) != (why.n == 0));
    if (err == ERR_OK && control_put_request(&request, &line) == ERR_OK && line.n <= CONTROL_LINE_MAX) {
        BUG_IF(control_parse(view_sub(buf_view(&line), 0, line.n - 1), arena, &again, &why) == ERR_SYNTAX);
    }
    buf_fini(&why);
    buf_fini(&line);
    arena_free(arena);
    return 0;
}
