/* The program: everything it can do stands in cli/commands.c. */
#include "cli/cli.h"

int main(int argc, char **argv) {
    struct title title;
    title_init(&title, argc, argv);
    return cli_main(argc, argv, &title);
}
