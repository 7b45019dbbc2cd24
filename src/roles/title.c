/* The title that ps shows. */
#include "roles/title.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TITLE_ENVIRONMENT_MAX 4096 /* variables that are moved; more than that and only the arguments' room is used */

void title_init(struct title *title, int argc, char **argv) {
    *title = (struct title){0};
    if (argc == 0)
        return;
    char *end = argv[0];
    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end = argv[i] + strlen(argv[i]) + 1; /* NOLINT: our own arguments, terminated by the kernel */
    size_t n = 0;
    while (environ && environ[n])
        n++;
    char **moved = n <= TITLE_ENVIRONMENT_MAX ? calloc(n + 1, sizeof(*moved)) : NULL;
    if (moved) {
        bool complete = true;
        for (size_t i = 0; i < n; i++)
            complete = (moved[i] = strdup(environ[i])) != NULL && complete;
        if (complete) {
            for (size_t i = 0; i < n; i++)
                if (environ[i] == end)
                    end = environ[i] + strlen(environ[i]) + 1; /* NOLINT: as above */
            environ = moved;                                   /* lives as long as the process */
        } else {
            for (size_t i = 0; i < n; i++)
                free(moved[i]);
            free(moved);
        }
    }
    title->start = argv[0];
    title->room = (size_t)(end - argv[0]);
}

void title_set(const struct title *title, struct view text) {
    static const char prefix[] = "veredus: ";
    const size_t fixed = sizeof(prefix) - 1;
    if (title->room > fixed + 1) {
        size_t n = MIN(text.n, title->room - fixed - 1);
        memset(title->start, 0, title->room);
        memcpy(title->start, prefix, fixed);
        memcpy(title->start + fixed, text.p, n);
    }
    char comm[16] = {0}; /* PR_SET_NAME takes 15 octets */
    memcpy(comm, "veredus", 7);
    if (text.n) {
        comm[7] = '-';
        memcpy(comm + 8, text.p, MIN(text.n, sizeof(comm) - 9));
        for (size_t i = 8; i < sizeof(comm); i++)
            if (comm[i] == ' ')
                comm[i] = 0;
    }
    (void)prctl(PR_SET_NAME, comm);
}
