/* Address lists. */
#include "message/testing.h"

#include "message/address.h"

/* RFC5322-3.4 with groups, RFC5322-4.4 obsolete lists, routes and comments (the examples of RFC5322-A.1.3, RFC5322-A.4 and
 * RFC5322-A.5), RFC5322-3.4.1 domain literals, RFC6854-2.1 groups in any field, RFC6532-3.2 UTF-8, and what real mail has. */
static const struct {
    const char *value;
    const char *list; /* entries: name,adl,mailbox,host| with "-" for none; {name| and }| for groups */
} cases[] = {
    {"", ""},
    {" , ,, ", ""},
    {"a@b", "-,-,a,b|"},
    {"A B <a@b>, c@d", "A B,-,a,b|-,-,c,d|"},
    {"\"B, A\" <a@b>", "B, A,-,a,b|"},
    {"\"a \\\"b\\\"\\\\c\" <a@b>", "a \"b\"\\c,-,a,b|"},
    {"a@b (Joe (the) Doe)", "Joe (the) Doe,-,a,b|"},
    {"(pre) a(x)@(y)b (Joe)", "Joe,-,a,b|"},
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public,-,john.q.public,example.com|"},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith,@node.test,mary,example.net|-,-,jdoe,test.example|"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete,-,pete,silly.test|"},
    {"A Group(Some people)\r\n :Chris Jones <c@(Chris's host.)public.example>,\r\n joe@example.org,\r\n"
     " John <jdoe@one.test> (my dear friend); (the end of the group)",
     "{A Group|Chris Jones,-,c,public.example|-,-,joe,example.org|John,-,jdoe,one.test|}|"},
    {"(Empty list)(start)Undisclosed recipients  :(nobody(that I know))  ;", "{Undisclosed recipients|}|"},
    {"g1: a@b; g2: c@d", "{g1|-,-,a,b|}|{g2|-,-,c,d|}|"},
    {"g1: a@b, g2: c@d;", "{g1|-,-,a,b|}|{g2|-,-,c,d|}|"},
    {"\"john doe\"@example.org", "-,-,john doe,example.org|"},
    {"\"a@b\" <c@d>", "a@b,-,c,d|"},
    {"a@b <c@d>", "a@b,-,c,d|"},
    {"a@b@c", "-,-,a@b,c|"},
    {"joe@[192.0.2.1], x@[IPv6:::1]", "-,-,joe,[192.0.2.1]|-,-,x,[IPv6:::1]|"},
    {"joe", "-,-,joe,|"},
    {"Someone\r\n Else", "-,-,Someone Else,|"},
    {"<>", "-,-,,|"},
    {"<joe>", "-,-,joe,|"},
    {"Joe <joe@example.org", "Joe,-,joe,example.org|"},
    {"Joe <joe@example.org, b@c", "Joe,-,joe,example.org|-,-,b,c|"},
    {"Joe <<joe@example.org>>", "Joe,-,joe,example.org|"},
    {"\"unclosed <a@b>, c@d", "\"unclosed,-,a,b|-,-,c,d|"},
    {"unclosed (comment <a@b>", "unclosed (comment,-,a,b|"},
    {"=?utf-8?q?J=C3=B6rg?= <j@x>", "=?utf-8?q?J=C3=B6rg?=,-,j,x|"},
    {"J\xc3\xb6rg <j\xc3\xb6@x\xc3\xa9>", "J\xc3\xb6rg,-,j\xc3\xb6,x\xc3\xa9|"},
    {"a@b;c@d", "-,-,a,b|-,-,c,d|"},
    {"A\r\n B\r\n <a\r\n @b>", "A B,-,a,b|"},
    {"\"\" <a@b>", "-,-,a,b|"},
    {"\"A B\" <a@b>, \"unclosed <c@d>", "A B,-,a,b|\"unclosed,-,c,d|"},
    {"(x) A (y) <a@b>, (unclosed <c@d>", "A,-,a,b|(unclosed,-,c,d|"},
    {"<@a (c:d):b@c>", "c:d,@a,b,c|"},
    /* Commas forgotten, and names without their angle brackets. */
    {"A A <a@x> B B <b@x>", "A A,-,a,x|B B,-,b,x|"},
    {"A <a@x> b@x, c@x", "A,-,a,x|-,-,b,x|-,-,c,x|"},
    {"<a@x> (Ann) spare", "Ann,-,a,x|"},
    {"a@x b@x", "-,-,a,x|-,-,b,x|"},
    {"a@x b@x c@x d@x;", "-,-,a,x|-,-,b,x|-,-,c,x|-,-,d,x|"},
    {"a@x b@x <c@x>", "a@x b@x,-,c,x|"},
    {"a . b @ x . y (Ann)", "Ann,-,a.b,x.y|"},
    {"Big Bug bb@bug.example", "Big Bug,-,bb,bug.example|"},
    {"\"Bug, Big\" bb@bug.example", "Bug, Big,-,bb,bug.example|"},
    {"a@x and more", "-,-,a,x|"},
    {"<a@x>>", "-,-,a,x|"},
    {"<a:@x;>", "{a|}|"},
    {"(only a comment)", ""},
    {"a@b, (comment)", "-,-,a,b|"},
    /* RFC5322-A.1.1 to RFC5322-A.1.3, RFC5322-A.5, RFC5322-A.6.1 */
    {"John Doe <jdoe@machine.example>", "John Doe,-,jdoe,machine.example|"},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public,-,john.q.public,example.com|"},
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "Mary Smith,-,mary,x.test|-,-,jdoe,example.org|Who?,-,one,y.test|"},
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "-,-,boss,nil.test|Giant; \"Big\" Box,-,sysservices,example.net|"},
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "{A Group|Ed Jones,-,c,a.test|-,-,joe,where.test|John,-,jdoe,one.test|}|"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete,-,pete,silly.test|"},
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public,-,john.q.public,example.com|"},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith,@node.test,mary,example.net|-,-,jdoe,test.example|"},
    {"John Doe <jdoe@machine(comment).  example>", "John Doe,-,jdoe,machine.example|"},
    {"\"Joe & J. Harvey\" <ddd @Org>, JJV @ BBN", "Joe & J. Harvey,-,ddd,Org|-,-,JJV,BBN|"},
    {"Wilt . Chamberlain@NBA.US, \"a\" . b . \"c d\" @ e", "-,-,Wilt.Chamberlain,NBA.US|-,-,a.b.c d,e|"},
    {"<@a,@b.test,,@c : d@e>", "-,@a,@b.test,,@c,d,e|"},
    /* RFC6854-4 */
    {"Managing Partners:ben@example.com,carol@example.com;",
     "{Managing Partners|-,-,ben,example.com|-,-,carol,example.com|}|"},
    {"Undisclosed Sender:;", "{Undisclosed Sender|}|"},
    {"<Undisclosed-Recipient:@relay.example;>, a@b", "{Undisclosed-Recipient|}|-,-,a,b|"},
    {"<undisclosed-recipients:;>", "{undisclosed-recipients|}|"},
    {"<@a:b@c;>", "-,@a,b,c|"},
    /* encoded words are atoms, whatever is in them */
    {"=?utf-8?q?Doe,_Joe?= <a@b>", "=?utf-8?q?Doe,_Joe?=,-,a,b|"},
    {"=?utf-8?q?a<b>(c)@\"d:e;?= <a@b>, c@d", "=?utf-8?q?a<b>(c)@\"d:e;?=,-,a,b|-,-,c,d|"},
    {"=?utf-8?q?a,=?utf-8?q?b,c?= <a@b>", "=?utf-8?q?a,=?utf-8?q?b,c?=,-,a,b|"},
    {"=?utf-8?x?a,b?= <a@b>", "=?utf-8?x?a,b?=,-,a,b|"},
    /* no angle brackets */
    {"Joe Doe joe@example.org", "Joe Doe,-,joe,example.org|"},
    {"\"Doe, Joe\" joe@example.org", "Doe, Joe,-,joe,example.org|"},
    {"Joe Doe joe@example.org>", "Joe Doe,-,joe,example.org|"},
    {"joe@example.org>", "-,-,joe,example.org|"},
    {"joe@example.org garbage here", "-,-,joe,example.org|"},
    {"joe@example.org (Joe) garbage", "Joe,-,joe,example.org|"},
    {"Joe Doe", "-,-,Joe Doe,|"},
    {"Joe  Doe, a@b", "-,-,Joe Doe,|-,-,a,b|"},
    {"<joe doe@x>", "-,-,joe doe,x|"},
    {"'joe@example.org' <joe@example.org>", "'joe@example.org',-,joe,example.org|"},
    {"\"joe@example.org\"", "-,-,joe,example.org|"},
    {"\"joe@example.org\" <joe@example.org>", "joe@example.org,-,joe,example.org|"},
    {"\"@example.org\", \"joe@\"", "-,-,@example.org,|-,-,joe@,|"},
    /* Outlook: brackets, semicolons, URLs */
    {"Joe [mailto:joe@example.org]", "Joe,-,joe,example.org|"},
    {"Joe [SMTP:joe@example.org]; <mailto:b@c>", "Joe,-,joe,example.org|-,-,b,c|"},
    {"mailto:joe@example.org", "-,-,joe,example.org|"},
    {"Doe, Joe [joe@example.org]", "Doe, Joe,-,joe,example.org|"},
    {"[x] <a@b>, joe@[192.0.2.1] , [192.0.2.1]", "[x],-,a,b|-,-,joe,[192.0.2.1]|-,-,[192.0.2.1],|"},
    {"Joe <a@b>; Mary <c@d>; ", "Joe,-,a,b|Mary,-,c,d|"},
    /* commas in names that nobody quoted; a lower-case word is a user */
    {"Doe, Joe <joe@example.org>", "Doe, Joe,-,joe,example.org|"},
    {"Doe, Joe, M.D. <joe@example.org>, c@d", "Doe, Joe, M.D.,-,joe,example.org|-,-,c,d|"},
    {"c@d, \xc3\x96zil, M <m@x>", "-,-,c,d|\xc3\x96zil, M,-,m,x|"},
    {"joe, Mary <mary@x>", "-,-,joe,|Mary,-,mary,x|"},
    {"Joe, mary@x", "-,-,Joe,|-,-,mary,x|"},
    {"Joe, Mary", "-,-,Joe,|-,-,Mary,|"},
    {"Joe, Mary,", "-,-,Joe,|-,-,Mary,|"},
    {"Joe, g: Doe, Mary <m@x>;", "-,-,Joe,|{g|Doe, Mary,-,m,x|}|"},
    /* commas that are missing */
    {"Joe <a@b> Mary <c@d>", "Joe,-,a,b|Mary,-,c,d|"},
    {"<a@b><c@d> e@f", "-,-,a,b|-,-,c,d|-,-,e,f|"},
    {"Joe <a@b> garbage, c@d", "Joe,-,a,b|-,-,c,d|"},
    {"a@b c@d\r\n e@f, g@h", "-,-,a,b|-,-,c,d|-,-,e,f|-,-,g,h|"},
    {"a@b Joe <c@d>", "a@b Joe,-,c,d|"},
    {"Joe <work> <joe@x>", "Joe,-,joe,x|"},
    {"a @ b . c @ d", "-,-,a@b.c,d|"},
    /* dots, odd octets, nothing of use */
    {"joe.@x, .joe@x, a..b@x., a@.x", "-,-,joe.,x|-,-,.joe,x|-,-,a..b,x.|-,-,a,.x|"},
    {"@x, a@, @, <@>, <a@>, <@x>", "-,-,,x|-,-,a,|-,-,,|-,-,,|-,-,a,|-,-,,x|"},
    {"(a (b (c) d) e) f@g", "a (b (c) d) e,-,f,g|"},
    {"Joe \\<x\\> <a@b>", "Joe <x>,-,a,b|"},
    {">, >>", ""},
};

static void put(struct buf *out, struct view v) {
    if (v.p == NULL)
        buf_put_byte(out, '-');
    else
        buf_put(out, v);
}

static void test_cases(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct address_list list;
        address_parse(arena, view_cstr(cases[i].value), &list);
        buf_clear(&out);
        for (size_t k = 0; k < list.count; k++) {
            const struct address *a = &list.list[k];
            if (a->kind == ADDRESS_MAILBOX) {
                put(&out, a->name);
                buf_put_byte(&out, ',');
                put(&out, a->adl);
                buf_put_byte(&out, ',');
                put(&out, a->mailbox);
                buf_put_byte(&out, ',');
                put(&out, a->host);
            } else if (a->kind == ADDRESS_GROUP_START) {
                buf_put_byte(&out, '{');
                put(&out, a->mailbox);
            } else {
                buf_put_byte(&out, '}');
            }
            buf_put_byte(&out, '|');
        }
        assert_view(buf_view(&out), cases[i].list);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void test_first(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536);
    struct address_list list;
    struct address a;
    address_parse(arena, VIEW("g: joe, <x@y>;"), &list);
    assert_true(address_first(&list, &a));
    assert_view(a.mailbox, "x");
    address_parse(arena, VIEW("joe"), &list);
    assert_false(address_first(&list, &a));
    arena_free(arena);
}

static void test_limits(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 16 * 1024 * 1024);
    struct buf text;
    struct address_list list;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < ADDRESSES_MAX + 10; i++)
        buf_put_str(&text, "a@b,");
    address_parse(arena, buf_view(&text), &list);
    assert_int_equal(list.count, ADDRESSES_MAX);
    assert_true(list.truncated);
    arena_free(arena);
    arena = arena_new("test", 1000);
    address_parse(arena, buf_view(&text), &list);
    assert_true(list.truncated && list.count < 10);
    arena_free(arena);
    /* Text that would be quadratic to a careless scanner; the test's time limit would show it. */
    static const char *const hostile[] = {"\"",       "(",        "<",     "[",     "\"a(",  "(\"<[",
                                          "@",        ":",        "a@b ",  "<a@b>", "A,",    "=?a?q?",
                                          "=?a?q?b,", "<a@b> c ", "[a@b]", "a ",    "A, <>,"};
    arena = arena_new("test", 64 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        buf_clear(&text);
        while (text.n < 300000)
            buf_put_str(&text, hostile[i]);
        address_parse(arena, buf_view(&text), &list);
        arena_clear(arena);
    }
    arena_free(arena);
    buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
