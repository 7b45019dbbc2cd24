/*
 * Records on the wire. One walk over a type's field table for each thing to
 * do with it; depth is bounded by the types themselves and checked.
 */
#include "base/record.h"

#include "base/log.h"
#include "base/reader.h"

#include <stdlib.h>
#include <string.h>

#define PRINT_VIEW_MAX 256 /* octets of a view that record_print shows */
#define SCRATCH_SIZE 1024  /* records up to here are decoded without asking the heap */

static const void *at_const(const struct field *field, const void *record) {
    return (const uint8_t *)record + field->offset;
}

static void *at(const struct field *field, void *record) {
    return (uint8_t *)record + field->offset;
}

static uint32_t list_count(const struct field *field, const void *record) {
    return *(const uint32_t *)(const void *)((const uint8_t *)record + field->count_offset);
}

static void set_list(const struct field *field, void *record, void *elements, uint32_t count) {
    *(void **)at(field, record) = elements;
    *(uint32_t *)(void *)((uint8_t *)record + field->count_offset) = count;
}

static const uint8_t *list_elements(const struct field *field, const void *record) {
    return *(uint8_t *const *)at_const(field, record);
}

static size_t addr_octets(uint8_t family) {
    return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static void encode(const struct record_type *type, const void *record, struct buf *out, int depth);

static void encode_field(const struct field *field, const void *record, struct buf *out, int depth) {
    const void *p = at_const(field, record);
    switch (field->kind) {
    case FIELD_U8:
        buf_put_byte(out, *(const uint8_t *)p);
        break;
    case FIELD_BOOL:
        buf_put_byte(out, *(const bool *)p ? 1 : 0);
        break;
    case FIELD_U16:
        buf_put_be16(out, *(const uint16_t *)p);
        break;
    case FIELD_U32:
        buf_put_be32(out, *(const uint32_t *)p);
        break;
    case FIELD_U64:
    case FIELD_I64:
        buf_put_be64(out, *(const uint64_t *)p);
        break;
    case FIELD_VIEW: {
        struct view v = *(const struct view *)p;
        if (v.n > field->max) {
            out->err = out->err == ERR_OK ? ERR_LIMIT : out->err;
            break;
        }
        buf_put_be32(out, (uint32_t)v.n);
        buf_put(out, v);
        break;
    }
    case FIELD_ADDR: {
        const struct netaddr *addr = p;
        BUG_IF(addr->family != 0 && addr->family != 4 && addr->family != 6);
        buf_put_byte(out, addr->family);
        buf_put(out, view_of(addr->ip, addr_octets(addr->family)));
        buf_put_be16(out, addr->port);
        break;
    }
    case FIELD_LIST: {
        uint32_t count = list_count(field, record);
        if (count > field->max) {
            out->err = out->err == ERR_OK ? ERR_LIMIT : out->err;
            break;
        }
        buf_put_be32(out, count);
        for (uint32_t i = 0; i < count; i++)
            encode(field->sub, list_elements(field, record) + i * field->sub->size, out, depth + 1);
        break;
    }
    case FIELD_RECORD:
        encode(field->sub, p, out, depth + 1);
        break;
    }
}

static void encode(const struct record_type *type, const void *record, struct buf *out, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    for (size_t i = 0; i < type->n; i++)
        encode_field(&type->fields[i], record, out, depth);
}

enum err record_encode(const struct record_type *type, const void *record, struct buf *out) {
    encode(type, record, out, 0);
    return buf_err(out);
}

static enum err list_alloc(const struct field *field, struct arena *arena, uint32_t count, void **out) {
    size_t octets;
    if (__builtin_mul_overflow((size_t)count, field->sub->size, &octets) ||
        octets > arena_budget(arena) - arena_used(arena))
        return ERR_LIMIT;
    void *p = arena_alloc(arena, octets);
    if (p == NULL)
        return ERR_NO_MEMORY;
    *out = p;
    return ERR_OK;
}

static enum err decode(const struct record_type *type, struct reader *r, struct arena *arena, void *record, int depth);

static enum err decode_list(const struct field *field, struct reader *r, struct arena *arena, void *record, int depth) {
    uint32_t count = reader_be32(r);
    TRY(reader_err(r));
    if (count > field->max)
        return ERR_LIMIT;
    /* An element is at least one octet: a count without its elements must not cost memory. */
    if (count > reader_rest(r).n)
        return ERR_SYNTAX;
    if (count == 0) {
        set_list(field, record, NULL, 0);
        return ERR_OK;
    }
    void *elements;
    TRY(list_alloc(field, arena, count, &elements));
    for (uint32_t i = 0; i < count; i++)
        TRY(decode(field->sub, r, arena, (uint8_t *)elements + i * field->sub->size, depth + 1));
    set_list(field, record, elements, count);
    return ERR_OK;
}

static enum err decode_field(const struct field *field, struct reader *r, struct arena *arena, void *record,
                             int depth) {
    void *p = at(field, record);
    switch (field->kind) {
    case FIELD_U8:
        *(uint8_t *)p = reader_be8(r);
        break;
    case FIELD_BOOL: {
        uint8_t value = reader_be8(r);
        if (value > 1)
            return ERR_SYNTAX;
        *(bool *)p = value == 1;
        break;
    }
    case FIELD_U16:
        *(uint16_t *)p = reader_be16(r);
        break;
    case FIELD_U32:
        *(uint32_t *)p = reader_be32(r);
        break;
    case FIELD_U64:
    case FIELD_I64:
        *(uint64_t *)p = reader_be64(r);
        break;
    case FIELD_VIEW: {
        uint32_t n = reader_be32(r);
        if (reader_err(r) == ERR_OK && n > field->max)
            return ERR_LIMIT;
        *(struct view *)p = reader_take(r, n);
        break;
    }
    case FIELD_ADDR: {
        struct netaddr addr = {.family = reader_be8(r)};
        if (addr.family != 0 && addr.family != 4 && addr.family != 6)
            return ERR_SYNTAX;
        struct view ip = reader_take(r, addr_octets(addr.family));
        if (ip.n > 0)
            memcpy(addr.ip, ip.p, ip.n);
        addr.port = reader_be16(r);
        *(struct netaddr *)p = addr;
        break;
    }
    case FIELD_LIST:
        return decode_list(field, r, arena, record, depth);
    case FIELD_RECORD:
        return decode(field->sub, r, arena, p, depth + 1);
    }
    return reader_err(r);
}

static enum err decode(const struct record_type *type, struct reader *r, struct arena *arena, void *record, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    for (size_t i = 0; i < type->n; i++)
        TRY(decode_field(&type->fields[i], r, arena, record, depth));
    return ERR_OK;
}

static enum err check(const struct record_type *type, struct reader *r, int depth);

static enum err check_field(const struct field *field, struct reader *r, int depth) {
    static const size_t octets[] = {
        [FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4, [FIELD_U64] = 8, [FIELD_I64] = 8,
    };
    switch (field->kind) {
    case FIELD_U8:
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_I64:
        (void)reader_take(r, octets[field->kind]);
        break;
    case FIELD_BOOL:
        if (reader_be8(r) > 1)
            return ERR_SYNTAX;
        break;
    case FIELD_VIEW: {
        uint32_t n = reader_be32(r);
        if (reader_err(r) == ERR_OK && n > field->max)
            return ERR_LIMIT;
        (void)reader_take(r, n);
        break;
    }
    case FIELD_ADDR: {
        uint8_t family = reader_be8(r);
        if (family != 0 && family != 4 && family != 6)
            return ERR_SYNTAX;
        (void)reader_take(r, addr_octets(family) + sizeof(uint16_t));
        break;
    }
    case FIELD_LIST: {
        uint32_t count = reader_be32(r);
        TRY(reader_err(r));
        if (count > field->max)
            return ERR_LIMIT;
        if (count > reader_rest(r).n)
            return ERR_SYNTAX;
        for (uint32_t i = 0; i < count; i++)
            TRY(check(field->sub, r, depth + 1));
        break;
    }
    case FIELD_RECORD:
        return check(field->sub, r, depth + 1);
    }
    return reader_err(r);
}

static enum err check(const struct record_type *type, struct reader *r, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    for (size_t i = 0; i < type->n; i++)
        TRY(check_field(&type->fields[i], r, depth));
    return ERR_OK;
}

enum err record_check(const struct record_type *type, struct view in) {
    struct reader r = reader_of(in);
    TRY(check(type, &r, 0));
    return reader_at_end(&r) ? ERR_OK : ERR_SYNTAX;
}

static enum err copy(const struct record_type *type, const void *from, struct arena *arena, void *to, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    for (size_t i = 0; i < type->n; i++) {
        const struct field *field = &type->fields[i];
        const void *source = at_const(field, from);
        if (field->kind == FIELD_VIEW) {
            TRY(arena_view(arena, *(const struct view *)source, (struct view *)at(field, to)));
        } else if (field->kind == FIELD_RECORD) {
            TRY(copy(field->sub, source, arena, at(field, to), depth + 1));
        } else if (field->kind == FIELD_LIST) {
            uint32_t count = list_count(field, from);
            void *elements = NULL;
            if (count > 0)
                TRY(list_alloc(field, arena, count, &elements));
            for (uint32_t k = 0; k < count; k++)
                TRY(copy(field->sub, list_elements(field, from) + k * field->sub->size, arena,
                         (uint8_t *)elements + k * field->sub->size, depth + 1));
            set_list(field, to, elements, count);
        } else {
            static const size_t sizes[] = {
                [FIELD_U8] = sizeof(uint8_t),          [FIELD_U16] = sizeof(uint16_t), [FIELD_U32] = sizeof(uint32_t),
                [FIELD_U64] = sizeof(uint64_t),        [FIELD_I64] = sizeof(int64_t),  [FIELD_BOOL] = sizeof(bool),
                [FIELD_ADDR] = sizeof(struct netaddr),
            };
            memcpy(at(field, to), source, sizes[field->kind]);
        }
    }
    return ERR_OK;
}

/* Runs decode or copy into memory of its own first, so that the caller's record changes only when all went well. */
static enum err fill(const struct record_type *type, struct view in, const void *from, struct arena *arena,
                     void *record) {
    _Alignas(16) uint8_t scratch[SCRATCH_SIZE];
    void *made = type->size <= sizeof(scratch) ? scratch : malloc(type->size);
    if (made == NULL)
        return ERR_NO_MEMORY;
    memset(made, 0, type->size);
    enum err err;
    if (from != NULL) {
        err = copy(type, from, arena, made, 0);
    } else {
        struct reader r = reader_of(in);
        err = decode(type, &r, arena, made, 0);
        if (err == ERR_OK && !reader_at_end(&r))
            err = ERR_SYNTAX;
    }
    if (err == ERR_OK)
        memcpy(record, made, type->size);
    if (made != scratch)
        free(made);
    return err;
}

enum err record_decode(const struct record_type *type, struct view in, struct arena *arena, void *record) {
    return fill(type, in, NULL, arena, record);
}

enum err record_copy(const struct record_type *type, const void *from, struct arena *arena, void *to) {
    return fill(type, VIEW_NONE, from, arena, to);
}

static bool equal(const struct record_type *type, const void *a, const void *b, int depth);

static bool field_equal(const struct field *field, const void *a, const void *b, int depth) {
    const void *pa = at_const(field, a), *pb = at_const(field, b);
    switch (field->kind) {
    case FIELD_U8:
        return *(const uint8_t *)pa == *(const uint8_t *)pb;
    case FIELD_BOOL:
        return *(const bool *)pa == *(const bool *)pb;
    case FIELD_U16:
        return *(const uint16_t *)pa == *(const uint16_t *)pb;
    case FIELD_U32:
        return *(const uint32_t *)pa == *(const uint32_t *)pb;
    case FIELD_U64:
    case FIELD_I64:
        return *(const uint64_t *)pa == *(const uint64_t *)pb;
    case FIELD_VIEW:
        return view_eq(*(const struct view *)pa, *(const struct view *)pb);
    case FIELD_ADDR:
        return netaddr_ip_eq(pa, pb) && ((const struct netaddr *)pa)->port == ((const struct netaddr *)pb)->port;
    case FIELD_LIST: {
        uint32_t count = list_count(field, a);
        if (count != list_count(field, b))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            size_t offset = i * field->sub->size;
            if (!equal(field->sub, list_elements(field, a) + offset, list_elements(field, b) + offset, depth + 1))
                return false;
        }
        return true;
    }
    case FIELD_RECORD:
        return equal(field->sub, pa, pb, depth + 1);
    }
    return false;
}

static bool equal(const struct record_type *type, const void *a, const void *b, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    for (size_t i = 0; i < type->n; i++) {
        if (!field_equal(&type->fields[i], a, b, depth))
            return false;
    }
    return true;
}

bool record_equal(const struct record_type *type, const void *a, const void *b) {
    return equal(type, a, b, 0);
}

static bool is_hidden(const struct field *field) {
    struct view name = view_cstr(field->name);
    return view_eq(name, VIEW("proof")) || view_eq(name, VIEW("password")) || view_eq(name, VIEW("key"));
}

static void print(const struct record_type *type, const void *record, struct buf *out, int depth);

static void print_value(const struct field *field, const void *record, struct buf *out, int depth) {
    const void *p = at_const(field, record);
    switch (field->kind) {
    case FIELD_U8:
        buf_put_u64(out, *(const uint8_t *)p);
        break;
    case FIELD_BOOL:
        buf_put_str(out, *(const bool *)p ? "true" : "false");
        break;
    case FIELD_U16:
        buf_put_u64(out, *(const uint16_t *)p);
        break;
    case FIELD_U32:
        buf_put_u64(out, *(const uint32_t *)p);
        break;
    case FIELD_U64:
        buf_put_u64(out, *(const uint64_t *)p);
        break;
    case FIELD_I64:
        buf_put_i64(out, *(const int64_t *)p);
        break;
    case FIELD_VIEW:
        buf_put_byte(out, '"');
        buf_put_escaped(out, *(const struct view *)p, PRINT_VIEW_MAX);
        buf_put_byte(out, '"');
        break;
    case FIELD_ADDR:
        buf_put_netaddr(out, p);
        break;
    case FIELD_LIST:
        buf_put_byte(out, '[');
        for (uint32_t i = 0; i < list_count(field, record); i++) {
            if (i > 0)
                buf_put_byte(out, ' ');
            print(field->sub, list_elements(field, record) + i * field->sub->size, out, depth + 1);
        }
        buf_put_byte(out, ']');
        break;
    case FIELD_RECORD:
        print(field->sub, p, out, depth + 1);
        break;
    }
}

static void print(const struct record_type *type, const void *record, struct buf *out, int depth) {
    BUG_IF(depth > RECORD_DEPTH_MAX);
    buf_put_str(out, type->name);
    buf_put_byte(out, '{');
    for (size_t i = 0; i < type->n; i++) {
        if (i > 0)
            buf_put_byte(out, ' ');
        buf_put_str(out, type->fields[i].name);
        buf_put_byte(out, '=');
        if (is_hidden(&type->fields[i]))
            buf_put_str(out, "(hidden)");
        else
            print_value(&type->fields[i], record, out, depth);
    }
    buf_put_byte(out, '}');
}

void record_print(const struct record_type *type, const void *record, struct buf *out) {
    print(type, record, out, 0);
}
