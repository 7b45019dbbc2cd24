/* libpsl behind struct dmarc_suffixes. It takes C strings in lower case, A-labels or U-labels. */
#include "dmarc/suffixes.h"

#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

struct list {
    struct dmarc_suffixes suffixes; /* first */
    psl_ctx_t *psl;
};

static size_t organizational(const struct dmarc_suffixes *suffixes, struct view domain) {
    const struct list *list = (const struct list *)suffixes;
    char name[SUFFIX_NAME_MAX + 1];
    if (domain.n == 0 || domain.n > SUFFIX_NAME_MAX || domain.p[domain.n - 1] == '.')
        return 0;
    for (size_t i = 0; i < domain.n; i++) {
        if (domain.p[i] == 0 || (domain.p[i] == '.' && (i == 0 || domain.p[i - 1] == '.')))
            return 0;
        name[i] = (char)ascii_lower(domain.p[i]);
    }
    name[domain.n] = 0;
    const char *found = psl_registrable_domain(list->psl, name);
    return found == NULL ? 0 : domain.n - (size_t)(found - name);
}

enum err dmarc_suffixes_new(const char *path, struct dmarc_suffixes **out) {
    struct list *list = calloc(1, sizeof(*list));
    if (list == NULL)
        return ERR_NO_MEMORY;
    list->suffixes.organizational = organizational;
    list->psl = path != NULL ? psl_load_file(path) : psl_latest(NULL);
    if (list->psl == NULL) {
        free(list);
        return ERR_NOT_FOUND;
    }
    *out = &list->suffixes;
    return ERR_OK;
}

void dmarc_suffixes_free(struct dmarc_suffixes *suffixes) {
    if (suffixes == NULL)
        return;
    struct list *list = (struct list *)suffixes;
    psl_free(list->psl);
    free(list);
}
