/* The table of commands: what can be done, in the order that help shows. */
#include "cli/cli.h"
#include "cli/judged_file.h"
#include "cli/lookup.h"

/* clang-format off */
#define OPTION_DIR {"--dir", "DIR", "the data directory of the server", false}
#define OPTION_CONFIG {"--config", "FILE", "the configuration of the server", false}
#define OPTIONS_SERVER OPTION_DIR, OPTION_CONFIG
#define OPTION_JSON {"--json", NULL, "print JSON", false}
#define OPTION_PASSWORD_STDIN {"--password-stdin", NULL, "take the password from the first line of standard input", false}
#define OPTION_GENERATE {"--generate", NULL, "make a password and print it, even on a terminal", false}

const struct command cli_commands[] = {
    {"localserve", NULL, "", "run a whole mail server on loopback, with a self-signed certificate, in the foreground",
     "  veredus localserve\n"
     "  veredus localserve --dir /tmp/mail --account me@example.org:secret --dns 127.0.0.1:5353 --relay-port 2525\n",
     {{"--dir", "DIR", "keep the data in DIR and go on with what is there (default: a new directory, removed at the end)", false},
      {"--port-offset", "N", "standard ports plus N (default 1000: SMTP is 1025)", false},
      {"--account", "ADDRESS:PASSWORD", "make this account and its domain (default user@localhost:veredus)", true},
      {"--dns", "IP:PORT", "ask this server for every name, and relay mail for other domains by MX", false},
      {"--relay-port", "N", "port of outbound delivery instead of 25", false},
      {"--trust-anchor", "FILE", "DNSSEC trust anchor instead of the root's", false},
      {"--log-level", "LEVEL", "debug, info, warn or error (default info)", false}},
     0, 0, cmd_localserve},
    {"quickstart", NULL, "ADDRESS", "write a configuration and make the first account, with a password that is printed once",
     "  veredus quickstart you@example.org\n"
     "  veredus quickstart you@example.org --hostname mail.example.org --dir /var/lib/veredus\n",
     {{"--dir", "DIR", "where data and configuration go (default: /var/lib/veredus as root, else ~/.local/share/veredus)", false},
      {"--hostname", "NAME", "the name of this machine for MX records (default: mail. and the domain of ADDRESS)", false}},
     1, 1, cmd_quickstart},
    {"serve", NULL, "", "run the server in the foreground",
     "  veredus serve --config /var/lib/veredus/veredus.conf\n  veredus serve --dir /var/lib/veredus\n",
     {{"--config", "FILE", "the configuration (default: veredus.conf in the data directory)", false}, OPTION_DIR},
     0, 0, cmd_serve},
    {"check-config", NULL, "[FILE]", "judge a configuration: every problem with file, line and remedy",
     "  veredus check-config /var/lib/veredus/veredus.conf\n", {OPTION_CONFIG, OPTION_DIR}, 0, 1, cmd_check_config},
    {"domain", "add", "NAME", "receive mail for a domain; makes its DKIM keys",
     "  veredus domain add example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_domain_add},
    {"domain", "remove", "NAME", "receive no more mail for a domain that has no addresses",
     "  veredus domain remove example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_domain_remove},
    {"domain", "list", "", "list the domains",
     "  veredus domain list\n  veredus domain list --json\n", {OPTIONS_SERVER, OPTION_JSON}, 0, 0, cmd_domain_list},
    {"domain", "records", "NAME", "print the DNS records of a domain as lines of a zone file",
     "  veredus domain records example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_domain_records},
    {"account", "add", "ADDRESS", "make an account; its domain must be there",
     "  veredus account add you@example.org\n  printf '%s\\n' secret | veredus account add you@example.org --password-stdin\n",
     {OPTIONS_SERVER, OPTION_PASSWORD_STDIN, OPTION_GENERATE}, 1, 1, cmd_account_add},
    {"account", "remove", "ADDRESS", "remove an account's address and logins; its directory of mail stays on disk",
     "  veredus account remove you@example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_account_remove},
    {"account", "list", "", "list the accounts",
     "  veredus account list\n  veredus account list --json\n", {OPTIONS_SERVER, OPTION_JSON}, 0, 0, cmd_account_list},
    {"account", "password", "ADDRESS", "give an account a new password",
     "  veredus account password you@example.org\n", {OPTIONS_SERVER, OPTION_PASSWORD_STDIN, OPTION_GENERATE}, 1, 1,
     cmd_account_password},
    {"account", "disable", "ADDRESS", "refuse logins, and defer mail, until the account is enabled again",
     "  veredus account disable you@example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_account_disable},
    {"account", "enable", "ADDRESS", "undo `account disable`",
     "  veredus account enable you@example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_account_enable},
    {"alias", "add", "ADDRESS TARGET...", "send mail for an address on to other addresses",
     "  veredus alias add team@example.org you@example.org friend@example.com\n", {OPTIONS_SERVER}, 2, 1001, cmd_alias_add},
    {"alias", "remove", "ADDRESS", "remove an alias",
     "  veredus alias remove team@example.org\n", {OPTIONS_SERVER}, 1, 1, cmd_alias_remove},
    {"alias", "list", "", "list the aliases",
     "  veredus alias list\n  veredus alias list --json\n", {OPTIONS_SERVER, OPTION_JSON}, 0, 0, cmd_alias_list},
    {"message", "parse", "FILE", "print the structure, headers and derived values of a message as JSON; - is standard input",
     "  veredus message parse letter.eml\n  veredus message parse --compact - <letter.eml\n",
     {{"--compact", NULL, "print it on one line", false}}, 1, 1, cmd_message_parse},
    {"message", "text", "FILE", "print what a person reads of a message: its text, and a line for each attachment; - is standard input",
     "  veredus message text letter.eml | less\n  curl -sk imaps://localhost:1993/INBOX/\\;MAILINDEX=1 -u user@localhost:veredus | veredus message text -\n",
     {{NULL, NULL, NULL, false}}, 1, 1, cmd_message_text},
    {"dns", "lookup", "TYPE NAME", "ask DNS as the server does: secure, insecure or bogus, then the records",
     "  veredus dns lookup MX example.org\n  veredus dns lookup TXT example.org --dns 127.0.0.1:5353 --trust-anchor example.org.ds\n",
     {OPTION_DNS, OPTION_TRUST_ANCHOR}, 2, 2, cmd_dns_lookup},
    {"spf", "check", "", "judge a sender by SPF: the verdict, and each step that led to it",
     "  veredus spf check --ip 192.0.2.1 --helo mail.example.org --from you@example.org\n",
     {{"--ip", "IP", "the address that the mail comes from", false},
      {"--helo", "NAME", "what the client says in HELO or EHLO", false},
      {"--from", "ADDRESS", "what the client says in MAIL FROM; empty for a report", false},
      OPTION_DNS, OPTION_TRUST_ANCHOR},
     0, 0, cmd_spf_check},
    {"dkim", "verify", "FILE", "judge the DKIM signatures of a message, and say why; - is standard input",
     "  veredus dkim verify letter.eml\n  veredus dkim verify letter.eml --dns 127.0.0.1:5353\n",
     {OPTION_DNS, OPTION_TRUST_ANCHOR, OPTION_KEY_FILE}, 1, 1, cmd_dkim_verify},
    {"arc", "verify", "FILE", "validate the ARC chain of a message, handler by handler; - is standard input",
     "  veredus arc verify letter.eml\n", {OPTION_DNS, OPTION_TRUST_ANCHOR, OPTION_KEY_FILE}, 1, 1, cmd_arc_verify},
    {"dane", "check", "HOST", "find the TLSA records that hold for a mail exchanger, and what they ask of those who send to it",
     "  veredus dane check mail.example.org\n  veredus dane check mail.example.org --dns 127.0.0.1:5353 --trust-anchor example.org.ds\n",
     {{"--port", "N", "the port of the server (default 25)", false}, OPTION_DNS, OPTION_TRUST_ANCHOR}, 1, 1, cmd_dane_check},
    {"confine-test", NULL, "[ROLE]", "confine a process as the role is confined, and try every act that it must be denied",
     "  veredus confine-test edge\n  veredus confine-test\n", {{NULL, NULL, NULL, false}}, 0, 1, cmd_confine_test},
    {"version", NULL, "", "print the version", NULL, {{NULL, NULL, NULL, false}}, 0, 0, cmd_version},
};
/* clang-format on */
const size_t cli_commands_n = sizeof(cli_commands) / sizeof(cli_commands[0]);
