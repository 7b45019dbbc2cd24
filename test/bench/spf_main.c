/*
 * bench_spf: SPF evaluations a second on one core, over a DNS that is a table in
 * memory (a cached zone): a plain record, one with three includes, and one full
 * of macros that uses every lookup it may.
 */
#include "bench/bench.h"

#include "dns/table_testing.h"
#include "spf/spf.h"

struct zone {
    const char *name;
    const char *records[14][2]; /* name, "TYPE text" */
};

static const struct zone zones[] = {
    {"plain", {{"example.org", "TXT v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/32 ip4:192.0.2.1 -all"}}},
    {"includes",
     {{"example.org", "TXT v=spf1 include:a.example include:b.example include:c.example -all"},
      {"a.example", "TXT v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ~all"},
      {"b.example", "TXT v=spf1 a mx ~all"},
      {"b.example", "A 198.51.100.9"},
      {"b.example", "MX 10 mx.b.example"},
      {"mx.b.example", "A 198.51.100.10"},
      {"c.example", "TXT v=spf1 ip4:192.0.2.0/24 ~all"}}},
    {"macros",
     {{"example.org", "TXT v=spf1 include:%{d1r}.a.example exists:%{ir}.%{v}.%{l1r-}.%{d2} ptr:other.example "
                      "a:%{l}.%{o} mx:%{h} include:b.example ?all"},
      {"example.a.example", "TXT v=spf1 a:x.example mx:x.example a:x.example ~all"},
      {"x.example", "A 198.51.100.9"},
      {"x.example", "MX 10 x.example"},
      {"1.2.0.192.in-addr.arpa", "PTR x.example"},
      {"me-too.example.org", "A 198.51.100.11"},
      {"mail.example.org", "MX 5 x.example"},
      {"b.example", "TXT v=spf1 ip4:192.0.2.77 ~all"},
      {"1.2.0.192.in-addr.too.example.org", "A 127.0.0.2"}}},
};

static void fill(struct dns_table *table, const struct zone *zone) {
    dns_table_init(table);
    for (size_t i = 0; i < ARRAY_LEN(zone->records) && zone->records[i][0]; i++) {
        struct view type, text;
        (void)view_split(view_cstr(zone->records[i][1]), ' ', &type, &text);
        uint16_t number = view_eq(type, VIEW("TXT"))   ? DNS_TXT
                          : view_eq(type, VIEW("A"))   ? DNS_A
                          : view_eq(type, VIEW("PTR")) ? DNS_PTR
                                                       : DNS_MX;
        dns_table_add(table, view_cstr(zone->records[i][0]), number, text);
    }
}

static void measure(const struct zone *zone, uint64_t seconds, struct buf *out) {
    struct dns_table table;
    struct arena *arena = arena_new("bench.spf", SPF_ARENA);
    if (!arena)
        bench_die("spf", "no memory");
    fill(&table, zone);
    struct spf_env env = {.dns = &table.client, .clock = clock_system(), .receiver = VIEW("mx.example.net")};
    struct spf_query query = {.identity = SPF_MAIL_FROM,
                              .ip = {.family = 4, .ip = {192, 0, 2, 1}},
                              .helo = VIEW("mail.example.org"),
                              .mail_from = VIEW("me-too@example.org")};
    struct spf_verdict verdict = {.result = SPF_NONE};
    uint64_t n = 0;
    int64_t start_us = bench_now_us(), now_us = start_us;
    while (now_us - start_us < (int64_t)seconds * US_PER_S) {
        for (unsigned i = 0; i < 100; i++, n++) {
            arena_clear(arena);
            if (spf_check(&env, &query, arena, &verdict) != ERR_OK)
                bench_die("spf", "the check failed");
        }
        now_us = bench_now_us();
    }
    buf_printf(out, "{\"zone\":\"%s\",\"verdict\":\"%s\",\"lookups\":%u,\"evaluations\":%llu,\"per_second\":%.0f}",
               zone->name, spf_result_name(verdict.result), verdict.lookups, (unsigned long long)n,
               (double)n * (double)US_PER_S / (double)(now_us - start_us));
    bench_print(out);
    dns_table_fini(&table);
    arena_free(arena);
}

int main(int argc, char **argv) {
    uint64_t seconds = 1;
    const struct bench_option options[] = {{"--seconds", BENCH_NUMBER, &seconds, 60, "for each zone (default 1)"}};
    bench_options(argc, argv, options, ARRAY_LEN(options));
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        measure(&zones[i], seconds, &out);
    buf_fini(&out);
    return 0;
}
