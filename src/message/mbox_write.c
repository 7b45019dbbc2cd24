/* mbox, written: mboxrd, whose quoting can be undone exactly. */
#include "message/mbox.h"

#include "base/clock.h"

static const struct view from_mark = VIEW_INIT("From ");

void mbox_put_from(struct buf *buf, struct mbox_writer *w, struct view sender, int64_t wall_us) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    *w = (struct mbox_writer){0};
    buf_put(buf, from_mark);
    if (sender.n == 0)
        buf_put(buf, VIEW("MAILER-DAEMON"));
    /* The line must be one line, no longer than readers take, and the sender one word. */
    sender = view_sub(sender, 0, MBOX_FROM_MAX - 100);
    for (size_t i = 0; i < sender.n; i++)
        buf_put_byte(buf, sender.p[i] <= ' ' || sender.p[i] == 127 || sender.p[i] == '"' ? '_' : sender.p[i]);
    /* RFC4155-A: asctime in UTC. Rounded down also before 1970. */
    int64_t unix_s = wall_us / US_PER_S - (wall_us % US_PER_S < 0);
    struct date d = date_from_unix(unix_s, 0);
    buf_printf(buf, " %s %s %2d %02d:%02d:%02d %04d\n", days[date_weekday(&d)], months[d.month - 1], d.day, d.hour,
               d.minute, d.second, d.year);
}

/* Gives out what was held back at the start of a line, quoted when it is a "From " line. */
static void put_held(struct buf *buf, struct mbox_writer *w) {
    size_t quotes = w->quotes + (w->matched == from_mark.n);
    for (size_t i = 0; i < quotes; i++)
        buf_put_byte(buf, '>');
    buf_put(buf, view_sub(from_mark, 0, w->matched));
    w->quotes = 0;
    w->matched = 0;
    w->in_line = true;
}

void mbox_put_octets(struct buf *buf, struct mbox_writer *w, struct view octets) {
    size_t at = 0;
    while (at < octets.n && buf_err(buf) == ERR_OK) {
        uint8_t c = octets.p[at];
        if (w->held_cr) {
            w->held_cr = false;
            if (c != '\n')
                buf_put_byte(buf, '\r');
        }
        if (!w->in_line) {
            if (c == '>' && w->matched == 0) {
                w->quotes++;
                at++;
                continue;
            }
            if (w->matched < from_mark.n && c == from_mark.p[w->matched]) {
                w->matched++;
                at++;
                continue;
            }
            put_held(buf, w);
        }
        struct view rest = view_skip(octets, at);
        ssize_t end = view_find_byte(rest, '\n');
        struct view line = end < 0 ? rest : view_sub(rest, 0, (size_t)end);
        at += line.n + (end >= 0);
        if (line.n > 0 && line.p[line.n - 1] == '\r') {
            line.n--;
            w->held_cr = end < 0;
        }
        buf_put(buf, line);
        if (end >= 0) {
            buf_put_byte(buf, '\n');
            w->in_line = false;
        }
    }
}

void mbox_put_end(struct buf *buf, struct mbox_writer *w) {
    if (w->quotes > 0 || w->matched > 0)
        put_held(buf, w);
    if (w->held_cr)
        buf_put_byte(buf, '\r');
    if (w->in_line)
        buf_put_byte(buf, '\n');
    buf_put_byte(buf, '\n');
}
