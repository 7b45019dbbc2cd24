/* The table of commands: what is allowed when, and who does it. */
#include "imap/engine.h"

#define AUTH IMAP_IN_AUTHENTICATED
#define SEL IMAP_IN_SELECTED
#define ANY IMAP_ANYTIME
/* clang-format off */
const struct imap_command imap_commands[] = {
    {VIEW_INIT("APPEND"), ANY, false, false, false, false, imap_parse_append, imap_run_append},
    {VIEW_INIT("CAPABILITY"), ANY, false, false, false, false, NULL, imap_run_capability},
    {VIEW_INIT("CHECK"), SEL, false, false, false, false, NULL, imap_run_check},
    {VIEW_INIT("CLOSE"), SEL, false, false, false, false, NULL, imap_run_close},
    {VIEW_INIT("COPY"), SEL, true, false, false, false, imap_parse_copy, imap_run_copy},
    {VIEW_INIT("CREATE"), ANY, false, false, false, false, imap_parse_create, imap_run_create},
    {VIEW_INIT("DELETE"), ANY, false, false, false, false, imap_parse_one_mailbox, imap_run_delete},
    {VIEW_INIT("ENABLE"), ANY, false, false, false, false, imap_parse_enable, imap_run_enable},
    {VIEW_INIT("EXAMINE"), ANY, false, false, false, false, imap_parse_select, imap_run_examine},
    {VIEW_INIT("EXPUNGE"), SEL, false, false, false, true, NULL, imap_run_expunge},
    {VIEW_INIT("EXPUNGE"), SEL, true, true, false, true, imap_parse_uid_expunge, imap_run_uid_expunge},
    {VIEW_INIT("FETCH"), SEL, true, false, true, false, imap_parse_fetch, imap_run_fetch},
    {VIEW_INIT("ID"), ANY, false, false, false, false, imap_parse_id_command, imap_run_id_command},
    {VIEW_INIT("IDLE"), ANY, false, false, false, false, NULL, imap_run_idle},
    {VIEW_INIT("LIST"), ANY, false, false, false, false, imap_parse_list, imap_run_list},
    {VIEW_INIT("LOGOUT"), ANY, false, false, false, false, NULL, imap_run_logout},
    {VIEW_INIT("LSUB"), ANY, false, false, false, false, imap_parse_lsub, imap_run_lsub},
    {VIEW_INIT("MOVE"), SEL, true, false, false, true, imap_parse_copy, imap_run_move},
    {VIEW_INIT("NAMESPACE"), ANY, false, false, false, false, NULL, imap_run_namespace},
    {VIEW_INIT("NOOP"), ANY, false, false, false, false, NULL, imap_run_noop},
    {VIEW_INIT("RENAME"), ANY, false, false, false, false, imap_parse_rename, imap_run_rename},
    {VIEW_INIT("SEARCH"), SEL, true, false, true, false, imap_parse_search_command, imap_run_search_command},
    {VIEW_INIT("SELECT"), ANY, false, false, false, false, imap_parse_select, imap_run_select},
    {VIEW_INIT("STATUS"), ANY, false, false, false, false, imap_parse_status, imap_run_status},
    {VIEW_INIT("STORE"), SEL, true, false, true, true, imap_parse_store, imap_run_store},
    {VIEW_INIT("SUBSCRIBE"), ANY, false, false, false, false, imap_parse_subscribe, imap_run_subscribe},
    {VIEW_INIT("UNAUTHENTICATE"), ANY, false, false, false, false, NULL, imap_run_unauthenticate},
    {VIEW_INIT("UNSELECT"), SEL, false, false, false, false, NULL, imap_run_unselect},
    {VIEW_INIT("UNSUBSCRIBE"), ANY, false, false, false, false, imap_parse_subscribe, imap_run_unsubscribe},
};
/* clang-format on */
const size_t imap_commands_n = ARRAY_LEN(imap_commands);

static const struct imap_command *find(struct view name, bool is_uid) {
    for (size_t i = 0; i < imap_commands_n; i++) {
        const struct imap_command *c = &imap_commands[i];
        if (view_eq_nocase(name, c->name) && (is_uid ? c->has_uid : !c->only_uid))
            return c;
    }
    return NULL;
}

enum err imap_command_parse(struct imap_parser *p, struct imap_job *job) {
    struct view name;
    TRY(imap_parse_tag(p, &job->tag));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_atom(p, &name));
    if (view_eq_nocase(name, VIEW("UID"))) {
        job->is_uid = true;
        TRY(imap_parse_sp(p));
        TRY(imap_parse_atom(p, &name));
    }
    const struct imap_command *command = find(name, job->is_uid);
    if (command == NULL) {
        static const struct view before_login[] = {VIEW_INIT("LOGIN"), VIEW_INIT("AUTHENTICATE"),
                                                   VIEW_INIT("STARTTLS")};
        for (size_t i = 0; i < ARRAY_LEN(before_login); i++) {
            if (!job->is_uid && view_eq_nocase(name, before_login[i]))
                return imap_wrong(p, ERR_SYNTAX, "Already logged in");
        }
        return imap_wrong(p, ERR_SYNTAX, "Unknown command");
    }
    job->command = command;
    if (command->parse == NULL)
        return imap_parse_end(p);
    TRY(imap_parse_sp(p));
    return command->parse(p, job);
}

enum err imap_parse_one_mailbox(struct imap_parser *p, struct imap_job *job) {
    struct view *name = ARENA_NEW(p->arena, struct view);
    if (name == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_mailbox(p, name));
    job->args = name;
    return imap_parse_end(p);
}
