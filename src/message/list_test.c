/* Fields of mailing lists. */
#include "message/testing.h"

#include "message/list.h"

static void put(struct buf *out, struct view v) {
    if (v.p == NULL)
        buf_put_byte(out, '-');
    else
        buf_put(out, v);
}

/* RFC2919-3 with its examples, RFC2919-2 */
static void test_id(void **state) {
    (void)state;
    static const struct {
        const char *value, *shown; /* description|id; NULL: none */
    } cases[] = {
        {" List Header Mailing List <list-header.nisto.com>", "List Header Mailing List|list-header.nisto.com"},
        {" <commonspace-users.list-id.within.com>", "-|commonspace-users.list-id.within.com"},
        {" \"Lena's Personal Joke List\"\r\n   <lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost>",
         "Lena's Personal Joke List|lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost"},
        {"\"An internal CMU List\" <0Jks9449.list-id.cmu.edu>", "An internal CMU List|0Jks9449.list-id.cmu.edu"},
        {"<da39efc25c530ad145d41b86f7420c3b.052000.localhost>", "-|da39efc25c530ad145d41b86f7420c3b.052000.localhost"},
        {"=?utf-8?q?J=C3=B6?= <x.example>", "J\xc3\xb6|x.example"},
        {"News: all, of <it> <x.example> (comment)", "News: all, of <it>|x.example"},
        {"x.example", "-|x.example"},
        {"x.example (comment)", "-|x.example"},
        {"<x_y.example>", "-|x_y.example"},
        {"A list without any", NULL},
        {"list", NULL},
        {"<>", NULL},
        {"<a b.example>", NULL},
        {"<x.example", NULL},
        {"", NULL},
    };
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct list_id id;
        bool there = list_id_parse(arena, NULL, view_cstr(cases[i].value), &id);
        if (there != (cases[i].shown != NULL))
            fail_msg("%s", cases[i].value);
        buf_clear(&out);
        if (there) {
            put(&out, id.description);
            buf_put_byte(&out, '|');
            put(&out, id.id);
            assert_view(buf_view(&out), cases[i].shown);
        }
        arena_free(arena);
    }
    /* RFC2919-3: at most 255 octets */
    struct list_id id;
    buf_clear(&out);
    buf_put_byte(&out, '<');
    for (int i = 0; i < LIST_ID_MAX; i++)
        buf_put_byte(&out, 'x');
    buf_put_byte(&out, '>');
    struct arena *arena = arena_new("test", 65536);
    assert_true(list_id_parse(arena, NULL, buf_view(&out), &id));
    out.p[LIST_ID_MAX + 1] = 'x';
    buf_put_byte(&out, '>');
    assert_false(list_id_parse(arena, NULL, buf_view(&out), &id));
    arena_free(arena);
    buf_fini(&out);
}

/* RFC2369-3.2 and RFC8058-3.1 */
static void test_unsubscribe(void **state) {
    (void)state;
#define LU "List-Unsubscribe: <mailto:u@x>, <https://x/u?a>, <https://y>\r\n"
#define LUP "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    static const struct {
        const char *header, *shown; /* https|mailto|number of URLs, "+": one click */
    } cases[] = {
        {LU LUP, "https://x/u?a|mailto:u@x|3+"},
        {"list-unsubscribe-post:\r\n List-Unsubscribe=One-Click (x)\r\n" LU, "https://x/u?a|mailto:u@x|3+"},
        {LU, "https://x/u?a|mailto:u@x|3"},
        {LU "List-Unsubscribe-Post: List-Unsubscribe=One-Click, x\r\n", "https://x/u?a|mailto:u@x|3"},
        {LU "List-Unsubscribe-Post: yes\r\n", "https://x/u?a|mailto:u@x|3"},
        {LU LUP LUP, "https://x/u?a|mailto:u@x|3"},
        {LU LU LUP, "https://x/u?a|mailto:u@x|3"},
        {"List-Unsubscribe: <mailto:u@x>, <http://x>\r\n" LUP, "-|mailto:u@x|2"},
        {"List-Unsubscribe: <HTTPS://x>\r\n" LUP, "HTTPS://x|-|1+"},
        {"List-Unsubscribe: https://x\r\n" LUP, "-|-|0"},
        {LUP, "-|-|0"},
        {"", "-|-|0"},
    };
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct list_unsubscribe u;
        list_unsubscribe_read(arena, view_cstr(cases[i].header), &u);
        buf_clear(&out);
        put(&out, u.https);
        buf_put_byte(&out, '|');
        put(&out, u.mailto);
        buf_put_byte(&out, '|');
        buf_put_u64(&out, u.urls.count);
        buf_put(&out, u.one_click ? VIEW("+") : VIEW(""));
        assert_int_equal(u.urls.is_null, u.urls.count == 0);
        assert_view(buf_view(&out), cases[i].shown);
        arena_free(arena);
    }
    buf_fini(&out);
    /* RFC8058-4: both fields are signed */
    assert_true(list_one_click_is_signed(VIEW("from: list-unsubscribe : List-Unsubscribe-Post:to")));
    assert_false(list_one_click_is_signed(VIEW("from:list-unsubscribe:to")));
    assert_false(list_one_click_is_signed(VIEW("from:list-unsubscribe-post")));
    assert_false(list_one_click_is_signed(VIEW("")));
    /* RFC2369-3.4 */
    assert_true(list_post_is_closed(VIEW(" NO (posting not allowed on this list)")));
    assert_true(list_post_is_closed(VIEW("(x) no")));
    assert_false(list_post_is_closed(VIEW("<mailto:no@x>")));
    assert_false(list_post_is_closed(VIEW("")));
}

/* RFC6068-2, RFC6068-6 examples */
static void test_mailto(void **state) {
    (void)state;
    static const struct {
        const char *url, *shown; /* to|cc|bcc|subject|body|in-reply-to */
    } cases[] = {
        {"mailto:chris@example.com", "chris@example.com|-|-|-|-|-"},
        {"mailto:infobot@example.com?subject=current-issue", "infobot@example.com|-|-|current-issue|-|-"},
        {"mailto:infobot@example.com?body=send%20current-issue%0D%0Asend%20index",
         "infobot@example.com|-|-|-|send current-issue\r\nsend index|-"},
        {"mailto:list@example.org?In-Reply-To=%3C3469A91.D10AF4C@example.com%3E",
         "list@example.org|-|-|-|-|<3469A91.D10AF4C@example.com>"},
        {"mailto:?to=joe@example.com&cc=bob@example.com&body=hello", "joe@example.com|bob@example.com|-|-|hello|-"},
        {"mailto:addr1@an.example?to=addr2@an.example", "addr1@an.example,addr2@an.example|-|-|-|-|-"},
        {"mailto:gorby%25kremvax@example.com", "gorby%kremvax@example.com|-|-|-|-|-"},
        {"mailto:%22not%40me%22@example.org", "\"not@me\"@example.org|-|-|-|-|-"},
        {"mailto:user@example.org?subject=caf%C3%A9&body=caf%C3%A9", "user@example.org|-|-|caf\xc3\xa9|caf\xc3\xa9|-"},
        {"MAILTO:a+b@x?SUBJECT=a+b&amp;bcc=c@d#x", "a+b@x|-|c@d|a+b|-|-"},
        /* nothing makes a field of its own, nothing that is no UTF-8 comes out */
        {"mailto:a@b%0D%0AX:y?subject=s%0Ar%00%FF%&attach=/etc/passwd", "a@b  X:y|-|-|s r \xef\xbf\xbd%|-|-"},
        {"mailto:", "|-|-|-|-|-"},
        {"http://x", NULL},
    };
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct mailto m;
        bool there = list_mailto_parse(arena, view_cstr(cases[i].url), &m);
        assert_int_equal(there, cases[i].shown != NULL);
        buf_clear(&out);
        if (there) {
            struct view parts[] = {m.to, m.cc, m.bcc, m.subject, m.body, m.in_reply_to};
            for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
                if (k > 0)
                    buf_put_byte(&out, '|');
                put(&out, parts[k]);
            }
            assert_view(buf_view(&out), cases[i].shown);
        }
        arena_free(arena);
    }
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_unsubscribe),
        cmocka_unit_test(test_mailto),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
