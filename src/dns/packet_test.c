/* Responses: what they say, every beginning of them, and lies. */
#include "dns/dns_testing.h"

#define RESPONSE 0x8180u

/* Parses, and makes sure that no beginning of the message passes for a response of the same status with data. */
static enum err parse(const struct buf *packet, const char *name, uint16_t type, struct arena *arena,
                      struct dns_answer *out) {
    enum err err = dns_packet_answer(buf_view(packet), view_cstr(name), type, arena, out);
    for (size_t n = 0; err == ERR_OK && out->data_n && n < packet->n; n++) {
        struct dns_answer part;
        struct arena *other = arena_new("part", 1024 * 1024);
        assert_int_equal(dns_packet_answer(view_sub(buf_view(packet), 0, n), view_cstr(name), type, other, &part),
                         ERR_SYNTAX);
        arena_free(other);
    }
    return err;
}

struct fixture {
    struct buf packet;
    struct arena *arena;
    struct dns_answer answer;
};

static int set_up(void **state) {
    struct fixture *f = test_malloc(sizeof(*f));
    buf_init(&f->packet, PACKET_ROOM);
    f->arena = arena_new("test", 4 * 1024 * 1024);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    buf_fini(&f->packet);
    arena_free(f->arena);
    test_free(f);
    return 0;
}

/* A name with a space can be asked for (RFC7208-7.1: "%_"); no record leads to one. */
static void test_space(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 1, 0);
    put_question(&f->packet, "a b.example.org", DNS_A);
    put_record(&f->packet, "a b.example.org", DNS_A, 50, VIEW("\300\0\2\1"));
    assert_int_equal(parse(&f->packet, "a b.example.org", DNS_A, f->arena, &f->answer), ERR_OK);
    assert_int_equal(f->answer.data_n, 1);
    static const struct {
        uint16_t type;
        struct view data;
    } cases[] = {
        {DNS_MX, VIEW_INIT("\0\1\3m x\0")}, {DNS_PTR, VIEW_INIT("\3m x\0")}, {DNS_CNAME, VIEW_INIT("\3m x\0")}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint16_t asked = cases[i].type == DNS_CNAME ? DNS_A : cases[i].type;
        buf_clear(&f->packet);
        put_header(&f->packet, RESPONSE, 1, 1, 0);
        put_question(&f->packet, "example.org", asked);
        put_record(&f->packet, "example.org", cases[i].type, 50, cases[i].data);
        assert_int_equal(parse(&f->packet, "example.org", asked, f->arena, &f->answer), ERR_SYNTAX);
    }
}

static void test_chain(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 4, 0);
    put_question(&f->packet, "www.Example.org", DNS_A);
    put_record(&f->packet, "b.example.org", DNS_A, 50, VIEW("\300\0\2\1")); /* the order is nobody's promise */
    put_record(&f->packet, "www.example.org", DNS_CNAME, 100, VIEW("\1a\7example\3org\0"));
    put_record(&f->packet, "a.example.org", DNS_CNAME, 20, VIEW("\1b\7example\3org\0"));
    put_record(&f->packet, "other.example.org", DNS_A, 1, VIEW("\300\0\2\2"));
    assert_int_equal(parse(&f->packet, "WWW.example.org.", DNS_A, f->arena, &f->answer), ERR_OK);
    assert_int_equal(f->answer.status, DNS_OK);
    assert_true(view_eq(f->answer.canonical, VIEW("b.example.org")));
    assert_int_equal(f->answer.data_n, 1);
    assert_true(view_eq(f->answer.data[0].data, VIEW("\300\0\2\1")));
    assert_int_equal(f->answer.ttl, 20);
    /* An answer to another question is none. */
    assert_int_equal(parse(&f->packet, "www.example.org", DNS_AAAA, f->arena, &f->answer), ERR_SYNTAX);
    assert_int_equal(parse(&f->packet, "example.org", DNS_A, f->arena, &f->answer), ERR_SYNTAX);
}

static void test_circle(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 2, 0);
    put_question(&f->packet, "a", DNS_A);
    put_record(&f->packet, "a", DNS_CNAME, 1, VIEW("\1b\0"));
    put_record(&f->packet, "b", DNS_CNAME, 1, VIEW("\1a\0"));
    assert_int_equal(parse(&f->packet, "a", DNS_A, f->arena, &f->answer), ERR_SYNTAX);
}

static void test_compressed_mx(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 1, 0);
    put_question(&f->packet, "example.org", DNS_MX);
    put_record(&f->packet, "example.org", DNS_MX, 60, VIEW("\0\12\2mx\xc0\xc"));
    assert_int_equal(parse(&f->packet, "example.org", DNS_MX, f->arena, &f->answer), ERR_OK);
    assert_true(view_eq(f->answer.data[0].data, VIEW("\0\12\2mx\7example\3org\0"))); /* uncompressed */
}

/* RFC2308-5 */
static void test_negative(void **state) {
    static const struct view soa = VIEW_INIT("\2ns\0\2me\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x1e"); /* MINIMUM 30 */
    static const struct {
        uint16_t rcode;
        uint32_t ttl;
        enum dns_status status;
        uint32_t want;
    } cases[] = {
        {3, 100, DNS_NXDOMAIN, 30}, {3, 10, DNS_NXDOMAIN, 10},
        {0, 100, DNS_NODATA, 30},   {2, 100, DNS_TEMPORARY, 0}, /* SERVFAIL */
        {5, 100, DNS_TEMPORARY, 0},                             /* REFUSED */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&f->packet);
        put_header(&f->packet, (uint16_t)(RESPONSE | cases[i].rcode), 1, 0, 1);
        put_question(&f->packet, "nothing.org", DNS_MX);
        put_record(&f->packet, "org", DNS_SOA, cases[i].ttl, soa);
        assert_int_equal(parse(&f->packet, "nothing.org", DNS_MX, f->arena, &f->answer), ERR_OK);
        assert_int_equal(f->answer.status, cases[i].status);
        assert_int_equal(f->answer.ttl, cases[i].want);
        assert_int_equal(f->answer.data_n, 0);
    }
}

/* RFC2181-8: a TTL with its first bit set is 0. */
static void test_ttl(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 1, 0);
    put_question(&f->packet, "a", DNS_A);
    put_record(&f->packet, "a", DNS_A, 0x80000001u, VIEW("\300\0\2\1"));
    assert_int_equal(parse(&f->packet, "a", DNS_A, f->arena, &f->answer), ERR_OK);
    assert_int_equal(f->answer.ttl, 0);
}

/* An owner that has no text of ours is passed over, and is no reason to lose the rest. */
static void test_odd_owner(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, 2, 0);
    put_question(&f->packet, "a", DNS_A);
    buf_put(&f->packet, VIEW("\3x.y\0\0\1\0\1\0\0\0\1\0\4\1\2\3\4"));
    put_record(&f->packet, "a", DNS_A, 7, VIEW("\300\0\2\1"));
    assert_int_equal(parse(&f->packet, "a", DNS_A, f->arena, &f->answer), ERR_OK);
    assert_int_equal(f->answer.data_n, 1);
}

static void test_lies(void **state) {
    static const struct {
        uint16_t flags, questions, answers;
        struct view rest;
    } cases[] = {
        {0x0100, 1, 0, VIEW_INIT("")},                                    /* a query */
        {RESPONSE | 0x0200, 1, 0, VIEW_INIT("")},                         /* truncated */
        {RESPONSE, 0, 0, VIEW_INIT("")},                                  /* no question */
        {RESPONSE, 2, 0, VIEW_INIT("")},                                  /* two */
        {RESPONSE, 1, 1, VIEW_INIT("")},                                  /* fewer records than it says */
        {RESPONSE, 1, 1, VIEW_INIT("\1a\0\0\1\0\1\0\0\0\1\0\5\1\2\3\4")}, /* a longer one than there is */
        {RESPONSE, 1, 1, VIEW_INIT("\1a\0\0\5\0\1\0\0\0\1\0\2\xc0\x40")}, /* an alias into nowhere */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&f->packet);
        put_header(&f->packet, cases[i].flags, cases[i].questions, cases[i].answers, 0);
        put_question(&f->packet, "a", DNS_A);
        buf_put(&f->packet, cases[i].rest);
        assert_int_equal(parse(&f->packet, "a", DNS_A, f->arena, &f->answer), ERR_SYNTAX);
    }
}

static void test_too_many(void **state) {
    struct fixture *f = *state;
    put_header(&f->packet, RESPONSE, 1, DNS_RECORDS_MAX + 1, 0);
    put_question(&f->packet, "a", DNS_A);
    for (int i = 0; i <= DNS_RECORDS_MAX; i++)
        put_record(&f->packet, "a", DNS_A, 7, VIEW("\300\0\2\1"));
    assert_int_equal(dns_packet_answer(buf_view(&f->packet), VIEW("a"), DNS_A, f->arena, &f->answer), ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(space), TEST(chain),     TEST(circle), TEST(compressed_mx), TEST(negative),
        TEST(ttl),   TEST(odd_owner), TEST(lies),   TEST(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
