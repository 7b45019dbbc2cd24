/* Base subjects, message ids, keys. */
#include "message/testing.h"

#include "message/thread.h"

/* RFC5256-2.1 base subjects by the grammar of RFC5256-5. */
static const struct {
    const char *subject, *base;
    bool is_reply;
} subjects[] = {
    {"", "", false},
    {"hello", "hello", false},
    {"Re: hello", "hello", true},
    {"RE : fwd: FW: hello", "hello", true},
    {"Re[2]: hello", "hello", true},
    {"re [x] : hello", "hello", true},
    {"[list] Re: [list] hello", "hello", true},
    {"[list] hello", "hello", false},
    {"[list]", "[list]", false},
    {"[a] [b]", "[b]", false},
    {"Re: [list]", "[list]", true},
    {"hello (fwd)", "hello", true},
    {"hello (FWD)  (fwd) ", "hello", true},
    {"[fwd: hello]", "hello", true},
    {"Re: [Fwd: [list] Re: hello (fwd)]", "hello", true},
    {"[fwd: hello", "[fwd: hello", false},
    {"a  \t b\r\n  c", "a b c", false},
    {"regarding: x", "regarding: x", false},
    {"Reply: x", "Reply: x", false},
    {"=?utf-8?q?Re:_caf=C3=A9?=", "caf\xc3\xa9", true},
    {"Re: ", "", true},
    {"Re:", "", true},
    {"(fwd)", "", true},
    {"[a[b]] x", "[a[b]] x", false},
    {"AW: hello", "AW: hello", false},
};

static void test_subjects(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        bool is_reply;
        buf_clear(&out);
        thread_base_subject(NULL, view_cstr(subjects[i].subject), &out, &is_reply);
        assert_view(buf_view(&out), subjects[i].base);
        if (is_reply != subjects[i].is_reply)
            fail_msg("\"%s\"", subjects[i].subject);
    }
    buf_fini(&out);
}

static void put_ids(struct buf *out, const struct thread_ids *ids) {
    buf_clear(out);
    for (size_t i = 0; i < ids->count; i++) {
        buf_put(out, ids->list[i]);
        buf_put_byte(out, '|');
    }
}

/* RFC5322-3.6.4 identification fields; RFC5256-3: ids that differ only in quoting are the same. */
static void test_ids(void **state) {
    (void)state;
    static const struct {
        const char *value, *ids;
    } table[] = {
        {"", ""},
        {"<a@b>", "a@b|"},
        {" <a@b>\r\n <c@d><e@f> (comment) text <g@h>", "a@b|c@d|e@f|g@h|"},
        {"<\"a b\"@c>", "a b@c|"},
        {"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", "01KF8JCEOCBS0045PS@xxx.yyy.com|"},
        {"<a @\r\n b>", "a@b|"},
        {"<unclosed <a@b>", "a@b|"},
        {"<> <a@b> <", "a@b|"},
        {"a@b", ""},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct thread_ids ids;
        thread_ids_parse(arena, view_cstr(table[i].value), &ids);
        put_ids(&out, &ids);
        assert_view(buf_view(&out), table[i].ids);
        arena_free(arena);
    }
    struct arena *arena = arena_new("test", 1 << 20);
    struct buf many;
    struct thread_ids ids;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 3 * THREAD_REFERENCES_MAX; i++)
        buf_printf(&many, "<%d@x> ", i);
    thread_ids_parse(arena, buf_view(&many), &ids);
    assert_int_equal(ids.count, THREAD_REFERENCES_MAX);
    assert_view(ids.list[0], "0@x");
    assert_view(ids.list[1], "201@x");
    assert_view(ids.list[ids.count - 1], "299@x");
    arena_free(arena);
    buf_fini(&many);
    buf_fini(&out);
}

static void test_headers(void **state) {
    (void)state;
    static const struct {
        const char *header, *id, *references;
    } table[] = {
        {"Message-ID: <a@b>\nReferences: <c@d>\n <e@f>\nIn-Reply-To: <g@h>\n", "a@b", "c@d|e@f|"},
        {"Message-ID: a@b\nIn-Reply-To: <g@h> <i@j>\n", "a@b", "g@h|"},
        {"Message-ID: none\nReferences: rubbish\nIn-Reply-To: Your message of <x@y>\n", NULL, "x@y|"},
        {"Subject: x\n", NULL, ""},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct thread_ids ids;
        struct view id = thread_message_id(arena, view_cstr(table[i].header));
        if (table[i].id == NULL)
            assert_null(id.p);
        else
            assert_view(id, table[i].id);
        thread_references(arena, view_cstr(table[i].header), &ids);
        put_ids(&out, &ids);
        assert_view(buf_view(&out), table[i].references);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void test_keys(void **state) {
    (void)state;
    static const uint8_t key[16] = {1, 2, 3}, other[16] = {1, 2, 4};
    uint8_t big[3000] = {0};
    assert_true(thread_id_key(key, VIEW("a@b")) == thread_id_key(key, VIEW("a@b")));
    assert_true(thread_id_key(key, VIEW("a@b")) != thread_id_key(other, VIEW("a@b")));
    assert_true(thread_id_key(key, VIEW("a@b")) != thread_id_key(key, VIEW("A@b")));
    assert_true(thread_id_key(key, VIEW("a@b")) != thread_subject_key(key, VIEW("a@b")));
    assert_true(thread_subject_key(key, VIEW("Hello")) == thread_subject_key(key, VIEW("hELLO")));
    uint64_t before = thread_id_key(key, view_of(big, sizeof(big)));
    big[2999] = 1;
    assert_true(before != thread_id_key(key, view_of(big, sizeof(big))));
    assert_true(thread_id_key(key, view_of(big, 1024)) != thread_id_key(key, view_of(big, 1025)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
