/*
 * Records and their evaluation. The input is lines: the first is the query "ip helo
 * sender", each other one a record "name TYPE text". Nothing that is published may
 * do more than lead to a verdict, within the limits; what is written of it is one
 * well-formed field and one reply.
 */
#include "dns/table_testing.h"
#include "spf/record.h"
#include "spf/spf.h"

#define LOOKUPS_EVER 200 /* ten terms with ten names each, the records, explanations */
#define RECORDS_MAX 200

static void add_line(struct dns_table *table, struct view line) {
    static const struct {
        const char *name;
        uint16_t type;
    } types[] = {{"A", DNS_A},
                 {"AAAA", DNS_AAAA},
                 {"MX", DNS_MX},
                 {"TXT", DNS_TXT},
                 {"PTR", DNS_PTR},
                 {"CNAME", DNS_CNAME},
                 {"TIMEOUT", DNS_TABLE_TIMEOUT}};
    struct view name, type, text;
    (void)view_split(line, ' ', &name, &text);
    (void)view_split(text, ' ', &type, &text);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (view_eq(type, view_cstr(types[i].name)) && table->entries.n < RECORDS_MAX)
            dns_table_add(table, name, types[i].type, text);
}

static void check_texts(const struct spf_env *env, const struct spf_query *query, const struct spf_verdict *verdict) {
    struct buf out;
    buf_init(&out, 65536);
    buf_put_received_spf(&out, env, query, verdict);
    BUG_IF(buf_err(&out) != ERR_OK || !view_ends(buf_view(&out), VIEW("\r\n")));
    for (size_t i = 0; i + 2 < out.n; i++) {
        BUG_IF(out.p[i] >= 0x7f || (out.p[i] < ' ' && out.p[i] != '\t' && out.p[i] != '\r' && out.p[i] != '\n'));
        BUG_IF(out.p[i] == '\n' && (out.p[i - 1] != '\r' || out.p[i + 1] != '\t'));
        BUG_IF(out.p[i] == '\r' && out.p[i + 1] != '\n');
    }
    buf_clear(&out);
    buf_put_spf_reply_text(&out, verdict);
    for (size_t i = 0; i < out.n; i++)
        BUG_IF(out.p[i] < ' ' || out.p[i] >= 0x7f);
    buf_fini(&out);
    for (size_t i = 0; i < verdict->explanation.n; i++)
        BUG_IF(verdict->explanation.p[i] < ' ' || verdict->explanation.p[i] >= 0x7f);
}

static void run(struct dns_table *table, struct view line, struct arena *arena) {
    struct view ip, helo, from;
    (void)view_split(line, ' ', &ip, &helo);
    (void)view_split(helo, ' ', &helo, &from);
    struct virtual_clock clock;
    virtual_clock_init(&clock, INT64_C(1700000000) * US_PER_S);
    struct spf_env env = {.dns = &table->client, .clock = &clock.clock, .receiver = VIEW("mx.example"), .trace = true};
    struct spf_query query = {.identity = SPF_MAIL_FROM, .helo = helo, .mail_from = from};
    if (netaddr_parse(ip, 0, &query.ip) != ERR_OK)
        query.ip = (struct netaddr){.family = 4, .ip = {192, 0, 2, 1}};
    struct spf_verdict verdict;
    enum err err = spf_check(&env, &query, arena, &verdict);
    BUG_IF(err != ERR_OK);
    BUG_IF(table->asked > LOOKUPS_EVER);
    check_texts(&env, &query, &verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct dns_table table;
    struct arena *arena = arena_new("spf.fuzz", SPF_ARENA);
    if (!arena)
        return 0;
    dns_table_init(&table);
    struct view rest = view_of(data, size), query, line;
    (void)view_split(rest, '\n', &query, &rest);
    for (bool more = rest.n > 0; more;) {
        more = view_split(rest, '\n', &line, &rest);
        add_line(&table, line);
    }
    struct spf_record record;
    struct view problem;
    enum err err = spf_record_parse(view_of(data, size), arena, &record, &problem);
    BUG_IF(err != ERR_OK && err != ERR_SYNTAX);
    arena_clear(arena);
    run(&table, query, arena);
    dns_table_fini(&table);
    arena_free(arena);
    return 0;
}
