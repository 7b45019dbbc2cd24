/* Tag lists and what is made of their values: parsers end, and what they say about places is true. */
#include "base/err.h"
#include "dkim/key.h"
#include "dkim/tags.h"

#include <stdlib.h>

#define BUDGET (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text = view_of(data, size);
    struct arena *arena = arena_new("fuzz", BUDGET);
    struct dkim_tags tags;
    enum err err = dkim_tags_parse(text, &tags);
    BUG_IF(err != ERR_OK && !tags.why);
    size_t end = 0;
    for (size_t i = 0; err == ERR_OK && i < tags.n; i++) {
        const struct dkim_tag *tag = &tags.tags[i];
        BUG_IF(tag->at < end || tag->n > size - tag->at);
        end = tag->at + tag->n;
        BUG_IF(!view_eq(view_trim(view_sub(text, tag->at, tag->n)), tag->value));
        struct view out, rest = tag->value, item;
        size_t items = 0;
        if (dkim_tag_base64(arena, tag->value, &out) == ERR_OK)
            BUG_IF(out.n > tag->value.n);
        while (dkim_tag_next(&rest, &item))
            BUG_IF(++items > tag->value.n + 1);
    }
    struct dkim_key_record record;
    const char *why = NULL;
    enum err key_err = dkim_key_parse(text, arena, &record, &why);
    BUG_IF(key_err == ERR_OK && err != ERR_OK);
    BUG_IF(key_err == ERR_SYNTAX && !why);
    arena_free(arena);
    return 0;
}
