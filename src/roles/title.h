/*
 * The title that ps shows: "veredus: edge". Written over the area of the
 * program's arguments, so it needs no privilege; the area must be contiguous.
 */
#ifndef ROLES_TITLE_H
#define ROLES_TITLE_H

#include "base/view.h"

struct title {
    char *start;
    size_t room;
};
/* Call first in main(), before threads or setenv; moves the environment away so that its room can be used too. */
void title_init(struct title *title, int argc, char **argv);
/* "veredus: " text, cut to the room there is. */
void title_set(const struct title *title, struct view text);

#endif
