/*
 * Records: structs whose fields are described once and travel as octets.
 *
 * A record is declared by one macro list; from it come the C struct and the
 * table that the encoder, the decoder, the comparer and the fuzz target share:
 *
 *     #define R_auth_begin(F, S) F(S, VIEW, user, 255) F(S, U8, protocol) F(S, LIST, items, auth_item, 10)
 *     RECORD_DECLARE(auth_begin);          // in a header: struct auth_begin, auth_begin_record
 *     RECORD_DEFINE(auth_begin);           // in one .c file
 *
 * Wire form: fields in order; integers most significant octet first; VIEW is a
 * 32-bit length and the octets; LIST a 32-bit count and the elements; BOOL one
 * octet 0 or 1. The decoder checks every maximum, refuses what is left over,
 * and takes its memory from an arena with a budget. Views of a decoded record
 * point into the input.
 */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/netaddr.h"

enum field_kind {
    FIELD_U8,
    FIELD_U16,
    FIELD_U32,
    FIELD_U64,
    FIELD_I64,
    FIELD_BOOL,
    FIELD_VIEW,
    FIELD_ADDR,
    FIELD_LIST,
    FIELD_RECORD
};

struct record_type;
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    size_t count_offset;           /* LIST: where the uint32_t count is */
    const struct record_type *sub; /* LIST, RECORD */
    uint32_t max;                  /* VIEW: octets, LIST: elements */
};
struct record_type {
    const char *name;
    size_t size;
    const struct field *fields;
    size_t n;
};
#define RECORD_DEPTH_MAX 4 /* nesting of lists and records */

/* clang-format off */
#define RECORD_MEMBER(S, kind, ...) RECORD_MEMBER_##kind(__VA_ARGS__)
#define RECORD_MEMBER_U8(name) uint8_t name;
#define RECORD_MEMBER_U16(name) uint16_t name;
#define RECORD_MEMBER_U32(name) uint32_t name;
#define RECORD_MEMBER_U64(name) uint64_t name;
#define RECORD_MEMBER_I64(name) int64_t name;
#define RECORD_MEMBER_BOOL(name) bool name;
#define RECORD_MEMBER_VIEW(name, max) struct view name;
#define RECORD_MEMBER_ADDR(name) struct netaddr name;
#define RECORD_MEMBER_LIST(name, elem, max) struct elem *name; uint32_t name##_n;
#define RECORD_MEMBER_RECORD(name, elem) struct elem name;

#define RECORD_FIELD(S, kind, ...) RECORD_FIELD_##kind(S, __VA_ARGS__)
#define RECORD_FIELD_PLAIN(S, name, K) {#name, K, offsetof(struct S, name), 0, NULL, 0},
#define RECORD_FIELD_U8(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_U8)
#define RECORD_FIELD_U16(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_U16)
#define RECORD_FIELD_U32(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_U32)
#define RECORD_FIELD_U64(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_U64)
#define RECORD_FIELD_I64(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_I64)
#define RECORD_FIELD_BOOL(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_BOOL)
#define RECORD_FIELD_ADDR(S, name) RECORD_FIELD_PLAIN(S, name, FIELD_ADDR)
#define RECORD_FIELD_VIEW(S, name, max) {#name, FIELD_VIEW, offsetof(struct S, name), 0, NULL, (max)},
#define RECORD_FIELD_LIST(S, name, elem, max) \
    {#name, FIELD_LIST, offsetof(struct S, name), offsetof(struct S, name##_n), &elem##_record, (max)},
#define RECORD_FIELD_RECORD(S, name, elem) {#name, FIELD_RECORD, offsetof(struct S, name), 0, &elem##_record, 0},

#define RECORD_DECLARE(tag)                \
    struct tag {                           \
        R_##tag(RECORD_MEMBER, tag)        \
    };                                     \
    extern const struct record_type tag##_record
#define RECORD_DEFINE(tag)                                                      \
    static const struct field tag##_fields[] = {R_##tag(RECORD_FIELD, tag)};    \
    const struct record_type tag##_record = {#tag, sizeof(struct tag), tag##_fields, ARRAY_LEN(tag##_fields)}
/* clang-format on */

/* Appends the wire form. A value over its own maximum is ERR_LIMIT (sticky in buf). */
enum err record_encode(const struct record_type *type, const void *record, struct buf *out) MUST_CHECK;
/* Decodes exactly `in`; *record must have type->size octets. ERR_SYNTAX, ERR_LIMIT, ERR_NO_MEMORY. */
enum err record_decode(const struct record_type *type, struct view in, struct arena *arena, void *record) MUST_CHECK;
/* Whether record_decode would take it, given memory: tells a peer's mistake from a small budget. ERR_SYNTAX, ERR_LIMIT. */
enum err record_check(const struct record_type *type, struct view in) MUST_CHECK;
/* A deep copy whose views and lists live in the arena. */
enum err record_copy(const struct record_type *type, const void *from, struct arena *arena, void *to) MUST_CHECK;
bool record_equal(const struct record_type *type, const void *a, const void *b);
/* One line for people and logs: name{field=value ...}, views escaped. Fields named "proof", "password" or "key" are hidden. */
void record_print(const struct record_type *type, const void *record, struct buf *out);

#endif
