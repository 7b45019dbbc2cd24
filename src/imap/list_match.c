/* Matching with two places to go back to: the last "*", and the last "%" behind it. */
#include "imap/list_match.h"

#include "store/account.h"

struct retry {
    size_t pattern, name;
    bool is_set;
};

bool imap_list_match(struct view pattern, struct view name) {
    bool fold = view_eq(name, VIEW("INBOX"));
    struct retry star = {0}, percent = {0};
    size_t p = 0, n = 0;
    for (;;) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = (struct retry){++p, n, true};
            percent.is_set = false;
            continue;
        }
        if (p < pattern.n && pattern.p[p] == '%') {
            percent = (struct retry){++p, n, true};
            continue;
        }
        if (n == name.n && p == pattern.n)
            return true;
        if (n < name.n && p < pattern.n &&
            (pattern.p[p] == name.p[n] || (fold && ascii_upper(pattern.p[p]) == name.p[n]))) {
            p++;
            n++;
            continue;
        }
        /* The shortest match of a wildcard did not do: one octet more. */
        if (percent.is_set && percent.name < name.n && name.p[percent.name] != ACCOUNT_SEPARATOR) {
            n = ++percent.name;
            p = percent.pattern;
        } else if (star.is_set && star.name < name.n) {
            n = ++star.name;
            p = star.pattern;
            percent.is_set = false;
        } else {
            return false;
        }
    }
}
