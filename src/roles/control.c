/* The lines of the control socket. jansson reads JSON; depth and sizes are bounded before and after it. */
#include "roles/control.h"

#include "base/utf8.h"

#include <jansson.h>
#include <string.h>

#define CONTROL_LOCAL_MAX 64   /* RFC5321-4.5.3.1.1 */
#define CONTROL_DOMAIN_MAX 253 /* RFC1035-2.3.4: 255 octets on the wire */
#define CONTROL_LABEL_MAX 63   /* RFC1035-2.3.4 */

/* Which keys an operation takes, besides id and op. */
enum need { NEED_NOTHING = 0, NEED_DOMAIN = 1, NEED_ADDRESS = 2, NEED_VERIFIERS = 4, NEED_TARGETS = 8 };
static const struct {
    const char *name;
    unsigned needs;
} ops[CONTROL_OP_COUNT] = {
    [CONTROL_DOMAIN_ADD] = {"domain.add", NEED_DOMAIN},
    [CONTROL_DOMAIN_REMOVE] = {"domain.remove", NEED_DOMAIN},
    [CONTROL_DOMAIN_LIST] = {"domain.list", NEED_NOTHING},
    [CONTROL_DOMAIN_RECORDS] = {"domain.records", NEED_DOMAIN},
    [CONTROL_ACCOUNT_ADD] = {"account.add", NEED_ADDRESS | NEED_VERIFIERS},
    [CONTROL_ACCOUNT_REMOVE] = {"account.remove", NEED_ADDRESS},
    [CONTROL_ACCOUNT_LIST] = {"account.list", NEED_NOTHING},
    [CONTROL_ACCOUNT_PASSWORD] = {"account.password", NEED_ADDRESS | NEED_VERIFIERS},
    [CONTROL_ACCOUNT_DISABLE] = {"account.disable", NEED_ADDRESS},
    [CONTROL_ACCOUNT_ENABLE] = {"account.enable", NEED_ADDRESS},
    [CONTROL_ALIAS_ADD] = {"alias.add", NEED_ADDRESS | NEED_TARGETS},
    [CONTROL_ALIAS_REMOVE] = {"alias.remove", NEED_ADDRESS},
    [CONTROL_ALIAS_LIST] = {"alias.list", NEED_NOTHING},
};

const char *control_op_name(enum control_op op) {
    return op < CONTROL_OP_COUNT ? ops[op].name : "?";
}

/* ---- names ---- */

bool control_domain_ok(struct view name) {
    if (name.n == 0 || name.n > CONTROL_DOMAIN_MAX)
        return false;
    for (struct view rest = name, label; rest.p;) {
        bool more = view_split(rest, '.', &label, &rest);
        if (label.n == 0 || label.n > CONTROL_LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!ascii_is_digit(label.p[i]) && !(label.p[i] >= 'a' && label.p[i] <= 'z') && label.p[i] != '-')
                return false;
        if (!more)
            break;
        if (rest.n == 0)
            return false;
    }
    return true;
}

/* RFC5322-3.2.3 atext in lower case, and RFC6531-3.3 UTF-8. */
static bool is_local_octet(uint8_t c) {
    static const char special[] = "!#$%&'*+-/=?^_`{|}~";
    return ascii_is_digit(c) || (c >= 'a' && c <= 'z') || c >= 0x80 || (c && memchr(special, c, sizeof(special) - 1));
}

bool control_address_ok(struct view address) {
    ssize_t at = view_rfind_byte(address, '@');
    if (!address.p || at <= 0 || at > CONTROL_LOCAL_MAX || address.n > DIRECTORY_ADDRESS_MAX || !utf8_is_valid(address))
        return false;
    for (size_t i = 0; i < (size_t)at; i++) {
        bool dot = address.p[i] == '.';
        if (dot ? i == 0 || i + 1 == (size_t)at || address.p[i - 1] == '.' : !is_local_octet(address.p[i]))
            return false;
    }
    return control_domain_ok(view_skip(address, (size_t)at + 1));
}

/* ---- reading ---- */

/* Brackets outside of strings: what jansson would recurse into. */
static bool depth_is_fine(struct view line) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < line.n; i++) {
        uint8_t c = line.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '{' || c == '[') && ++depth > CONTROL_DEPTH_MAX) {
            return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

static struct view string_of(const json_t *value) {
    return json_is_string(value) ? view_of(json_string_value(value), json_string_length(value)) : VIEW_NONE;
}

static enum err complain(struct buf *why, const char *what) {
    buf_put_str(why, what);
    return ERR_SYNTAX;
}

static enum err read_octets(const json_t *object, const char *key, size_t most, struct arena *arena, struct view *out) {
    struct buf octets;
    buf_init_secret(&octets, most);
    enum err err = base64_decode(string_of(json_object_get(object, key)), &octets);
    if (err == ERR_OK && octets.n == 0)
        err = ERR_SYNTAX;
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&octets), out);
    buf_fini(&octets);
    return err;
}

static enum err read_verifiers(const json_t *list, struct arena *arena, struct control_request *out, struct buf *why) {
    size_t n = json_array_size(list);
    if (n == 0 || n > CONTROL_VERIFIERS_MAX)
        return complain(why, "verifiers must be a list of one to four.");
    out->verifiers = ARENA_ARRAY(arena, n, struct scram_verifier);
    if (!out->verifiers)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        const json_t *from = json_array_get(list, i), *iterations = json_object_get(from, "iterations");
        struct scram_verifier *to = &out->verifiers[i];
        struct view mechanism = string_of(json_object_get(from, "mechanism"));
        to->mechanism = view_eq(mechanism, VIEW("SCRAM-SHA-1"))     ? SCRAM_SHA1
                        : view_eq(mechanism, VIEW("SCRAM-SHA-256")) ? SCRAM_SHA256
                        : view_eq(mechanism, VIEW("SCRAM-SHA-512")) ? SCRAM_SHA512
                                                                    : 0;
        json_int_t count = json_integer_value(iterations);
        if (!to->mechanism || json_object_size(from) != 5 || count < CONTROL_ITERATIONS_LEAST ||
            count > SCRAM_ITERATIONS_MAX)
            return complain(why, "a verifier needs mechanism, iterations, salt, stored_key and server_key.");
        to->iterations = (uint32_t)count;
        size_t size = scram_key_size((enum scram_hash)to->mechanism);
        enum err err = read_octets(from, "salt", 64, arena, &to->salt);
        if (err == ERR_OK)
            err = read_octets(from, "stored_key", 64, arena, &to->stored_key);
        if (err == ERR_OK)
            err = read_octets(from, "server_key", 64, arena, &to->server_key);
        if (err != ERR_OK || to->stored_key.n != size || to->server_key.n != size)
            return complain(why,
                            "salt, stored_key and server_key of a verifier must be base64 of the mechanism's size.");
    }
    out->verifiers_n = n;
    return ERR_OK;
}

static enum err read_address(const json_t *value, struct arena *arena, struct view *out, struct buf *why) {
    struct view text = string_of(value);
    if (!control_address_ok(text))
        return complain(why, "an address must be lower case, with a domain of A-labels.");
    return arena_view(arena, text, out);
}

static enum err read_targets(const json_t *list, struct arena *arena, struct control_request *out, struct buf *why) {
    size_t n = json_array_size(list);
    if (n == 0 || n > DIRECTORY_TARGETS_MAX)
        return complain(why, "targets must be a list of 1 to 1000 addresses.");
    out->targets = ARENA_ARRAY(arena, n, struct alias_target);
    if (!out->targets)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        TRY(read_address(json_array_get(list, i), arena, &out->targets[i].address, why));
    out->targets_n = n;
    return ERR_OK;
}

static enum err read_request(const json_t *root, struct arena *arena, struct control_request *out, struct buf *why) {
    const json_t *id = json_object_get(root, "id");
    if (!json_is_object(root) || !json_is_integer(id) || json_integer_value(id) < 0)
        return complain(why, "a request is an object with an id.");
    out->id = (uint64_t)json_integer_value(id);
    struct view name = string_of(json_object_get(root, "op"));
    enum control_op op = 0;
    while (op < CONTROL_OP_COUNT && !view_eq(name, view_cstr(ops[op].name)))
        op++;
    if (op == CONTROL_OP_COUNT)
        return complain(why, "there is no such operation. Is the program on both sides of the same version?");
    out->op = op;
    size_t keys = 2;
    if (ops[op].needs & NEED_DOMAIN) {
        struct view domain = string_of(json_object_get(root, "domain"));
        if (!control_domain_ok(domain))
            return complain(why, "a domain must be lower case A-labels.");
        TRY(arena_view(arena, domain, &out->domain));
        keys++;
    }
    if (ops[op].needs & NEED_ADDRESS) {
        TRY(read_address(json_object_get(root, "address"), arena, &out->address, why));
        keys++;
    }
    if (ops[op].needs & NEED_VERIFIERS) {
        TRY(read_verifiers(json_object_get(root, "verifiers"), arena, out, why));
        keys++;
    }
    if (ops[op].needs & NEED_TARGETS) {
        TRY(read_targets(json_object_get(root, "targets"), arena, out, why));
        keys++;
    }
    return json_object_size(root) == keys ? ERR_OK
                                          : complain(why, "the request has keys that this operation does not take.");
}

enum err control_parse(struct view line, struct arena *arena, struct control_request *out, struct buf *why) {
    *out = (struct control_request){0};
    if (line.n > CONTROL_LINE_MAX || !depth_is_fine(line)) {
        buf_put_str(why, "the request is too long or nested too deeply.");
        return ERR_LIMIT;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return complain(why, "the request is not JSON.");
    enum err err = read_request(root, arena, out, why);
    json_decref(root);
    if (err == ERR_LIMIT)
        buf_put_str(why, "the request needs too much memory.");
    return err;
}

/* ---- writing ---- */

static json_t *text(struct view v) {
    return json_stringn((const char *)v.p, v.n);
}

static json_t *octets(struct view v) {
    struct buf base64;
    buf_init_secret(&base64, 256);
    buf_put_base64(&base64, v);
    json_t *value = text(buf_view(&base64));
    buf_fini(&base64);
    return value;
}

static json_t *verifiers_json(const struct control_request *request) {
    json_t *list = json_array();
    for (size_t i = 0; i < request->verifiers_n; i++) {
        const struct scram_verifier *v = &request->verifiers[i];
        const char *mechanism = v->mechanism == SCRAM_SHA1     ? "SCRAM-SHA-1"
                                : v->mechanism == SCRAM_SHA512 ? "SCRAM-SHA-512"
                                                               : "SCRAM-SHA-256";
        json_t *one = json_pack("{s:s, s:I, s:o, s:o, s:o}", "mechanism", mechanism, "iterations",
                                (json_int_t)v->iterations, "salt", octets(v->salt), "stored_key", octets(v->stored_key),
                                "server_key", octets(v->server_key));
        (void)json_array_append_new(list, one);
    }
    return list;
}

static int put_octets(const char *p, size_t n, void *out) {
    buf_put(out, view_of(p, n));
    return buf_err(out) == ERR_OK ? 0 : -1;
}

enum err control_put_request(const struct control_request *request, struct buf *out) {
    json_t *root = json_pack("{s:I, s:s}", "id", (json_int_t)request->id, "op", control_op_name(request->op));
    unsigned needs = ops[request->op].needs;
    int failed = !root;
    if (needs & NEED_DOMAIN)
        failed |= json_object_set_new(root, "domain", text(request->domain));
    if (needs & NEED_ADDRESS)
        failed |= json_object_set_new(root, "address", text(request->address));
    if (needs & NEED_VERIFIERS)
        failed |= json_object_set_new(root, "verifiers", verifiers_json(request));
    if (needs & NEED_TARGETS) {
        json_t *list = json_array();
        for (size_t i = 0; i < request->targets_n; i++)
            failed |= json_array_append_new(list, text(request->targets[i].address));
        failed |= json_object_set_new(root, "targets", list);
    }
    if (!failed)
        failed = json_dump_callback(root, put_octets, out, JSON_COMPACT);
    json_decref(root);
    buf_put_byte(out, '\n');
    TRY(buf_err(out));
    return failed ? ERR_NO_MEMORY : ERR_OK;
}
