/*
 * mime_compare [--full] PACK: reads messages with our parser and with GMime and
 * writes a line of JSON for each, {"ours": ..., "gmime": ...}. A pack is any
 * number of messages, each after its size as four octets, the highest first.
 * test/mime/test_differential.py makes packs and compares.
 */
#include "compare.h"

#include "base/reader.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define PACK_MAX ((size_t)1024 * 1024 * 1024)

json_t *compare_text(struct view text) {
    struct buf clean;
    buf_init(&clean, 4 * text.n + 4);
    buf_put_utf8_lossy(&clean, text);
    json_t *value = json_stringn(clean.n == 0 ? "" : (const char *)clean.p, clean.n);
    buf_fini(&clean);
    return value;
}

void compare_put_body(json_t *part, struct view body, bool is_text, bool full) {
    json_int_t crc = (json_int_t)crc32(0, body.n == 0 ? (const uint8_t *)"" : body.p, (uInt)body.n);
    if (!is_text)
        (void)json_object_set_new(part, "size", json_integer((json_int_t)body.n));
    (void)json_object_set_new(part, is_text ? "text_crc" : "crc", json_integer(crc));
    if (full) {
        struct buf base64;
        buf_init(&base64, 2 * body.n + 4);
        buf_put_base64(&base64, body);
        (void)json_object_set_new(part, is_text ? "text" : "body", compare_text(buf_view(&base64)));
        buf_fini(&base64);
    }
}

static bool read_file(const char *path, struct buf *out) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    for (size_t n = 1; n > 0;) {
        uint8_t *room = buf_room(out, 1024 * 1024);
        if (room == NULL)
            break;
        n = fread(room, 1, 1024 * 1024, file);
        buf_added(out, n);
    }
    (void)fclose(file);
    return buf_err(out) == ERR_OK;
}

int main(int argc, char **argv) {
    bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
    struct buf pack;
    buf_init(&pack, PACK_MAX);
    if (argc != 2 + full || !read_file(argv[1 + full], &pack)) {
        (void)fprintf(stderr, "usage: mime_compare [--full] PACK\n");
        return 2;
    }
    struct charset_table table;
    if (charset_prepare(&table) != ERR_OK) {
        (void)fprintf(stderr, "mime_compare: no charsets\n");
        return 1;
    }
    read_gmime_prepare();
    struct reader r = reader_of(buf_view(&pack));
    while (!reader_at_end(&r)) {
        struct view size = reader_take(&r, 4);
        if (reader_err(&r) != ERR_OK)
            break;
        struct view message =
            reader_take(&r, (size_t)size.p[0] << 24 | (size_t)size.p[1] << 16 | (size_t)size.p[2] << 8 | size.p[3]);
        if (reader_err(&r) != ERR_OK)
            break;
        json_t *line =
            json_pack("{s:o?, s:o?}", "ours", read_ours(message, &table, full), "gmime", read_gmime(message, full));
        if (line == NULL || json_dumpf(line, stdout, JSON_COMPACT) != 0)
            return 1;
        (void)putchar('\n');
        json_decref(line);
    }
    charset_fini(&table);
    buf_fini(&pack);
    return reader_err(&r) == ERR_OK ? 0 : 1;
}
