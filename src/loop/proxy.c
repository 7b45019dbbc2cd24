/*
 * The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): a
 * balancer in front of us says whom it speaks for. The parser wants the header
 * from its first octet and says as early as possible that it is none.
 */
#include "base/reader.h"
#include "loop/stream.h"

#include <string.h>

#define V1_MAX 107 /* the longest line, CR LF included: two IPv6 addresses written in full */
#define V1_MIN 15  /* "PROXY UNKNOWN" CR LF */
#define V2_FIXED 16
#define V2_MAX 536 /* the header that fits in the smallest datagram a host must take */

#define V2_VERSION 0x20
#define V2_LOCAL 0x0
#define V2_PROXY 0x1
#define V2_UNSPEC 0x00
#define V2_TCP4 0x11
#define V2_TCP6 0x21

static const struct view v1_mark = VIEW_INIT("PROXY ");
static const struct view v2_mark = VIEW_INIT("\r\n\r\n\0\r\nQUIT\n");

struct proxied {
    bool is_known;
    struct netaddr peer, local;
};

/* Is in the beginning of mark, or mark the beginning of in? */
static bool agrees(struct view in, struct view mark) {
    size_t n = MIN(in.n, mark.n);
    return view_eq(view_sub(in, 0, n), view_sub(mark, 0, n));
}

static enum err parse_v1_addr(struct view text, uint8_t family, struct netaddr *out) {
    struct netaddr addr;
    /* netaddr_parse() knows forms with brackets and ports, which are no addresses here. */
    if (view_find_byte(text, family == 4 ? ':' : '[') >= 0)
        return ERR_SYNTAX;
    TRY(netaddr_parse(text, 0, &addr));
    if (addr.family != family)
        return ERR_SYNTAX;
    *out = addr;
    return ERR_OK;
}

static enum err parse_v1_port(struct view text, uint16_t *out) {
    uint32_t port;
    if (text.n > 1 && text.p[0] == '0')
        return ERR_SYNTAX;
    if (view_to_u32(text, UINT16_MAX, &port) != ERR_OK)
        return ERR_SYNTAX;
    *out = (uint16_t)port;
    return ERR_OK;
}

/* The line without CR LF and without "PROXY ". */
static enum err parse_v1_line(struct view line, struct proxied *out) {
    /* What follows UNKNOWN is to be ignored, whatever it is, up to the end of the line. */
    if (view_eq(line, VIEW("UNKNOWN")) || view_starts(line, VIEW("UNKNOWN ")))
        return view_find_byte(line, '\r') >= 0 ? ERR_SYNTAX : ERR_OK;
    struct view word[5], rest = line;
    for (size_t i = 0; i < ARRAY_LEN(word); i++)
        if (view_split(rest, ' ', &word[i], &rest) != (i + 1 < ARRAY_LEN(word)))
            return ERR_SYNTAX;
    uint8_t family = view_eq(word[0], VIEW("TCP4")) ? 4 : view_eq(word[0], VIEW("TCP6")) ? 6 : 0;
    if (family == 0)
        return ERR_SYNTAX;
    struct proxied found = {.is_known = true};
    TRY(parse_v1_addr(word[1], family, &found.peer));
    TRY(parse_v1_addr(word[2], family, &found.local));
    TRY(parse_v1_port(word[3], &found.peer.port));
    TRY(parse_v1_port(word[4], &found.local.port));
    *out = found;
    return ERR_OK;
}

static enum err parse_v1(struct view in, size_t *used, size_t *need, struct proxied *out) {
    ssize_t end = view_find_byte(view_sub(in, 0, V1_MAX), '\n');
    if (end < 0) {
        if (in.n >= V1_MAX)
            return ERR_SYNTAX;
        *need = in.n < V1_MIN ? V1_MIN : in.n + 1;
        return ERR_AGAIN;
    }
    struct view line = view_skip(view_sub(in, 0, (size_t)end), v1_mark.n);
    if (line.n == 0 || line.p[line.n - 1] != '\r')
        return ERR_SYNTAX;
    TRY(parse_v1_line(view_sub(line, 0, line.n - 1), out));
    *used = (size_t)end + 1;
    return ERR_OK;
}

static void take_addr(struct reader *r, uint8_t family, struct netaddr *out) {
    struct view ip = reader_take(r, family == 4 ? 4 : 16);
    *out = (struct netaddr){.family = family};
    if (ip.n > 0)
        memcpy(out->ip, ip.p, ip.n);
}

static enum err parse_v2(struct view in, size_t *used, size_t *need, struct proxied *out) {
    *need = V2_FIXED;
    struct reader r = reader_of(in);
    (void)reader_take(&r, v2_mark.n);
    uint8_t command = reader_be8(&r);
    if (reader_err(&r) != ERR_OK)
        return ERR_AGAIN;
    if ((command & 0xf0) != V2_VERSION || (command & 0x0f) > V2_PROXY)
        return ERR_SYNTAX;
    bool is_local = (command & 0x0f) == V2_LOCAL;
    uint8_t family = reader_be8(&r);
    if (reader_err(&r) != ERR_OK)
        return ERR_AGAIN;
    /* Of a LOCAL one the family is to be ignored; datagrams and local sockets have no place before a mail server. */
    if (!is_local && family != V2_UNSPEC && family != V2_TCP4 && family != V2_TCP6)
        return ERR_SYNTAX;
    size_t n = reader_be16(&r);
    if (reader_err(&r) != ERR_OK)
        return ERR_AGAIN;
    size_t addresses = is_local || family == V2_UNSPEC ? 0 : family == V2_TCP4 ? 12 : 36;
    if (n > V2_MAX - V2_FIXED || n < addresses)
        return ERR_SYNTAX;
    *need = V2_FIXED + n;
    if (in.n < *need)
        return ERR_AGAIN;
    struct proxied found = {.is_known = addresses > 0};
    if (found.is_known) {
        uint8_t version = family == V2_TCP4 ? 4 : 6;
        take_addr(&r, version, &found.peer);
        take_addr(&r, version, &found.local);
        found.peer.port = reader_be16(&r);
        found.local.port = reader_be16(&r);
    }
    /* The rest are TLVs; they say nothing that we would believe. */
    BUG_IF(reader_err(&r) != ERR_OK);
    *out = found;
    *used = *need;
    return ERR_OK;
}

/* *need, with ERR_AGAIN: no header is shorter than this, so so many octets may be read without reading beyond it. */
static enum err parse(struct view in, size_t *used, size_t *need, struct proxied *out) {
    if (in.n == 0) {
        *need = V1_MIN;
        return ERR_AGAIN;
    }
    if (agrees(in, v2_mark)) {
        if (in.n >= v2_mark.n)
            return parse_v2(in, used, need, out);
        *need = V2_FIXED;
        return ERR_AGAIN;
    }
    if (!agrees(in, v1_mark))
        return ERR_SYNTAX;
    return parse_v1(in, used, need, out);
}

enum err proxy_parse(struct view in, size_t *used, struct netaddr *peer, struct netaddr *local) {
    struct proxied found = {0};
    size_t n, need;
    TRY(parse(in, &n, &need, &found));
    *used = n;
    if (found.is_known) {
        *peer = found.peer;
        *local = found.local;
    }
    return ERR_OK;
}

enum err proxy_read_header(struct input *input, int64_t deadline_us) {
    for (;;) {
        struct proxied found = {0};
        struct view in = input_pending(input);
        size_t used, need;
        enum err err = parse(in, &used, &need, &found);
        if (err == ERR_OK) {
            input_consume(input, used);
            if (found.is_known) {
                input->stream->peer = found.peer;
                input->stream->local = found.local;
            }
            return ERR_OK;
        }
        if (err != ERR_AGAIN)
            return err;
        /* Never beyond the header: what follows may be a TLS handshake, which is read from the stream itself. */
        uint8_t piece[V2_MAX];
        size_t got;
        BUG_IF(need <= in.n || need > sizeof(piece));
        TRY(stream_read(input->stream, piece, need - in.n, deadline_us, &got));
        buf_put(&input->buf, view_of(piece, got));
        TRY(buf_err(&input->buf));
    }
}
