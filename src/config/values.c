/* The texts of single values in the configuration, and back. */
#include "config/values.h"

#include "base/log.h"

struct unit {
    char letter;
    uint64_t factor;
};
/* largest first */
static const struct unit sizes[] = {{'G', 1u << 30}, {'M', 1u << 20}, {'K', 1u << 10}};
static const struct unit times[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

static enum err with_unit(struct view v, const struct unit *units, size_t n, bool bare, uint64_t *out) {
    uint64_t factor = 0;
    struct view digits = v;
    for (size_t i = 0; v.n && i < n; i++)
        if (v.p[v.n - 1] == (uint8_t)units[i].letter || v.p[v.n - 1] == ascii_lower((uint8_t)units[i].letter)) {
            factor = units[i].factor;
            digits.n--;
        }
    if (!factor && !bare)
        return ERR_SYNTAX;
    factor = factor ? factor : 1;
    uint64_t value;
    TRY(view_to_u64(digits, UINT64_MAX / factor, &value));
    *out = value * factor;
    return ERR_OK;
}

enum err values_size(struct view v, uint64_t *out) {
    return with_unit(v, sizes, ARRAY_LEN(sizes), true, out);
}

enum err values_time(struct view v, int64_t *out_us) {
    uint64_t seconds;
    TRY(with_unit(v, times, ARRAY_LEN(times), false, &seconds));
    if (seconds > (uint64_t)(INT64_MAX / US_PER_S))
        return ERR_LIMIT;
    *out_us = (int64_t)seconds * US_PER_S;
    return ERR_OK;
}

enum err values_bool(struct view v, bool *out) {
    static const struct {
        struct view text;
        bool value;
    } words[] = {{VIEW_INIT("true"), true},   {VIEW_INIT("yes"), true}, {VIEW_INIT("on"), true},
                 {VIEW_INIT("false"), false}, {VIEW_INIT("no"), false}, {VIEW_INIT("off"), false}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (view_eq(v, words[i].text)) {
            *out = words[i].value;
            return ERR_OK;
        }
    return ERR_SYNTAX;
}

enum err values_hostname(struct view v, struct arena *arena, struct view *out) {
    if (v.n == 0 || v.n > 253)
        return ERR_SYNTAX;
    size_t label = 0;
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        bool edge = label == 0 || i + 1 == v.n || v.p[i + 1] == '.';
        if (c == '.' ? label == 0 || i + 1 == v.n : !ascii_is_alnum(c) && (c != '-' || edge))
            return ERR_SYNTAX;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return ERR_SYNTAX;
    }
    uint8_t *lower = arena_alloc(arena, v.n);
    if (!lower)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < v.n; i++)
        lower[i] = ascii_lower(v.p[i]);
    *out = view_of(lower, v.n);
    return ERR_OK;
}

static const struct {
    struct view name;
    enum config_protocol protocol;
    bool implicit_tls;
} protocols[] = {
    {VIEW_INIT("smtp"), CONFIG_SMTP, false},
    {VIEW_INIT("submission"), CONFIG_SUBMISSION, false},
    {VIEW_INIT("submissions"), CONFIG_SUBMISSION, true},
    {VIEW_INIT("imap"), CONFIG_IMAP, false},
    {VIEW_INIT("imaps"), CONFIG_IMAP, true},
};

enum err values_protocol(struct view v, enum config_protocol *protocol, bool *implicit_tls) {
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (view_eq(v, protocols[i].name)) {
            *protocol = protocols[i].protocol;
            *implicit_tls = protocols[i].implicit_tls;
            return ERR_OK;
        }
    return ERR_SYNTAX;
}

const char *config_protocol_name(enum config_protocol protocol, bool implicit_tls) {
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (protocols[i].protocol == protocol && protocols[i].implicit_tls == implicit_tls)
            return (const char *)protocols[i].name.p;
    return "?";
}

enum err config_log_level(struct view name, int *out) {
    static const struct view names[] = {[LOG_DEBUG] = VIEW_INIT("debug"),
                                        [LOG_INFO] = VIEW_INIT("info"),
                                        [LOG_WARN] = VIEW_INIT("warn"),
                                        [LOG_ERROR] = VIEW_INIT("error")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (view_eq(name, names[i])) {
            *out = (int)i;
            return ERR_OK;
        }
    return ERR_SYNTAX;
}

static void put_with_unit(struct buf *out, uint64_t value, const struct unit *units, size_t n) {
    for (size_t i = 0; value && i < n; i++)
        if (value % units[i].factor == 0) {
            buf_put_u64(out, value / units[i].factor);
            buf_put_byte(out, (uint8_t)units[i].letter);
            return;
        }
    buf_put_u64(out, value);
}

void values_put_size(struct buf *out, uint64_t octets) {
    put_with_unit(out, octets, sizes, ARRAY_LEN(sizes));
}

void values_put_time(struct buf *out, int64_t us) {
    put_with_unit(out, (uint64_t)(us / US_PER_S), times, ARRAY_LEN(times));
}
