/*
 * For tests: the messages of the conformance corpus, read into memory one after
 * the other, and the shape of a part tree as text.
 */
#ifndef MESSAGE_CORPUS_TESTING_H
#define MESSAGE_CORPUS_TESTING_H

#include "message/parse.h"

#include "base/buf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS_DIR CONFORMANCE_DIR "/mime"

static inline bool corpus_read(const char *path, struct buf *out) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    buf_clear(out);
    for (;;) {
        uint8_t *room = buf_room(out, 65536);
        if (room == NULL)
            break;
        size_t n = fread(room, 1, 65536, file);
        buf_added(out, n);
        if (n == 0)
            break;
    }
    fclose(file);
    return buf_err(out) == ERR_OK;
}

/* Calls fn for every .eml and .raw file below CORPUS_DIR/sub; returns how many there were. name is relative to CORPUS_DIR. */
static inline size_t corpus_each(const char *sub, void (*fn)(const char *name, struct view bytes, void *arg),
                                 void *arg) {
    char path[1024];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/%s", CORPUS_DIR, sub);
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        struct view v = view_cstr(name);
        char below[512];
        snprintf(below, sizeof(below), "%s%s%s", sub, *sub == 0 ? "" : "/", name);
        if (name[0] != '.' && (view_ends(v, VIEW(".eml")) || view_ends(v, VIEW(".raw")))) {
            struct buf bytes;
            buf_init(&bytes, 16 * 1024 * 1024);
            snprintf(path, sizeof(path), "%s/%s", CORPUS_DIR, below);
            if (corpus_read(path, &bytes)) {
                /* An exact copy, so that the sanitizer sees a read past the end. */
                uint8_t *copy = malloc(bytes.n + 1);
                if (copy != NULL) {
                    uint8_t *exact = realloc(copy, bytes.n == 0 ? 1 : bytes.n);
                    if (bytes.n > 0)
                        memcpy(exact, bytes.p, bytes.n);
                    fn(below, view_of(exact, bytes.n), arg);
                    free(exact);
                    count++;
                }
            }
            buf_fini(&bytes);
        } else if (name[0] != '.' && entries[i]->d_type == DT_DIR) {
            count += corpus_each(below, fn, arg);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return count;
}

/* "multipart/mixed(text/plain message/rfc822[text/plain])", in lower case. */
static inline void shape_put(struct buf *buf, const struct mime_part *part) {
    for (size_t i = 0; i < part->type.n; i++)
        buf_put_byte(buf, ascii_lower(part->type.p[i]));
    buf_put_byte(buf, '/');
    for (size_t i = 0; i < part->subtype.n; i++)
        buf_put_byte(buf, ascii_lower(part->subtype.p[i]));
    if (part->is_multipart) {
        buf_put_byte(buf, '(');
        for (const struct mime_part *child = part->first_child; child != NULL; child = child->next) {
            if (child != part->first_child)
                buf_put_byte(buf, ' ');
            shape_put(buf, child);
        }
        buf_put_byte(buf, ')');
    }
    if (part->is_message) {
        buf_put_byte(buf, '[');
        shape_put(buf, part->embedded);
        buf_put_byte(buf, ']');
    }
}

#endif
