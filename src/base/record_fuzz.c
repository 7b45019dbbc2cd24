/* Whatever record_decode() accepts is encoded to the same octets, copied to an equal record and printed in one line. */
#include "base/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define R_fuzz_leaf(F, S) F(S, BOOL, flag) F(S, VIEW, text, 20)
RECORD_DECLARE(fuzz_leaf);
RECORD_DEFINE(fuzz_leaf);
#define R_fuzz_branch(F, S) F(S, U16, id) F(S, LIST, leaves, fuzz_leaf, 5) F(S, ADDR, peer)
RECORD_DECLARE(fuzz_branch);
RECORD_DEFINE(fuzz_branch);
#define R_fuzz_tree(F, S) \
    F(S, U8, kind) F(S, LIST, branches, fuzz_branch, 4) F(S, RECORD, leaf, fuzz_leaf) F(S, I64, time) F(S, VIEW, key, 9)
RECORD_DECLARE(fuzz_tree);
RECORD_DEFINE(fuzz_tree);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct arena *arena = arena_new("fuzz", 100000);
    struct fuzz_tree tree, twin;
    enum err checked = record_check(&fuzz_tree_record, in);
    enum err err = arena == NULL ? ERR_NO_MEMORY : record_decode(&fuzz_tree_record, in, arena, &tree);
    BUG_IF(err == ERR_OK && checked != ERR_OK);
    BUG_IF(err == ERR_SYNTAX && checked != err); /* the other classes may come from the budget */
    if (err == ERR_OK) {
        struct buf out;
        buf_init(&out, 1000000);
        BUG_IF(record_encode(&fuzz_tree_record, &tree, &out) != ERR_OK);
        BUG_IF(!view_eq(buf_view(&out), in));
        BUG_IF(record_copy(&fuzz_tree_record, &tree, arena, &twin) != ERR_OK);
        BUG_IF(!record_equal(&fuzz_tree_record, &tree, &twin));
        buf_clear(&out);
        record_print(&fuzz_tree_record, &tree, &out);
        BUG_IF(buf_err(&out) != ERR_OK);
        BUG_IF(view_find_byte(buf_view(&out), '\n') >= 0);
        buf_fini(&out);
    }
    arena_free(arena);
    return 0;
}
