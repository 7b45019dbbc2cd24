/* Every default in one place. The commented example that quickstart writes shows the same values. */
#include "config/config.h"

#include "base/log.h"

void config_defaults(struct config *out) {
    *out = (struct config){
        .hostname = VIEW("localhost"),
        .message_size_max = 50u << 20,
        /* RFC5321-4.5.3.1.8: at least 100 */
        .recipients_max = 1000,
        .connections_max = 10000,
        .connections_per_network = 200,
        .login_attempts_max = 5,
        .spool_budget = 256u << 20,
        /* RFC5321-4.5.4.1: give up after four to five days, try again after half an hour at least */
        .queue_lifetime_us = INT64_C(5) * 24 * 3600 * US_PER_S,
        .queue_retry_us = INT64_C(30) * 60 * US_PER_S,
        .relay = true,
        .relay_port = 25,
        .throttle_loopback = true,
        .log_level = LOG_INFO,
    };
}

void config_write_example(struct buf *out, struct view hostname, struct view data_dir) {
    buf_printf(out,
               "# The configuration of Veredus. `veredus check-config FILE` judges it; `veredus serve --config FILE` "
               "uses it.\n"
               "# What is commented out shows the default. Other files are taken in by: include(\"FILE\")\n"
               "# Sizes take K, M or G (of 1024), times s, m, h or d. Domains and accounts are not here: see\n"
               "# `veredus domain --help` and `veredus account --help`.\n"
               "\n"
               "# The name of this machine in the mail system: what MX records point to.\n"
               "hostname = \"%.*s\"\n"
               "\n"
               "# Everything that is kept. It must be on a disk of this machine, not on a network file system.\n"
               "data_dir = \"%.*s\"\n"
               "\n"
               "# debug, info, warn or error; the log goes to standard error.\n"
               "# log_level = \"info\"\n"
               "\n"
               "# Where it listens. protocol: smtp (mail from other servers), submission and imap (STARTTLS),\n"
               "# submissions and imaps (TLS from the first octet). proxy = true: a PROXY protocol header comes\n"
               "# first, from a load balancer that nobody else can pass for. plain_login = true: passwords are\n"
               "# taken without TLS, on a loopback or private address behind a proxy that speaks TLS. For IPv6\n"
               "# add listeners with addresses like \"[::]:25\".\n"
               "listener {\n    protocol = \"smtp\"\n    address = \"0.0.0.0:25\"\n    # proxy = false\n}\n"
               "listener {\n    protocol = \"submission\"\n    address = \"0.0.0.0:587\"\n}\n"
               "listener {\n    protocol = \"submissions\"\n    address = \"0.0.0.0:465\"\n}\n"
               "listener {\n    protocol = \"imap\"\n    address = \"0.0.0.0:143\"\n}\n"
               "listener {\n    protocol = \"imaps\"\n    address = \"0.0.0.0:993\"\n}\n"
               "\n",
               VIEW_FMT(hostname), VIEW_FMT(data_dir));
    buf_put_str(out,
                "# PEM files. Without them a self-signed certificate is made, which other servers accept and people's\n"
                "# programs ask about.\n"
                "tls {\n"
                "    # certificate = \"/etc/veredus/certificate.pem\"\n"
                "    # key = \"/etc/veredus/key.pem\"\n"
                "}\n"
                "\n"
                "limits {\n"
                "    # message_size = \"50M\"\n"
                "    # quota = \"0\"                      # of an account; 0: none\n"
                "    # recipients = 1000                # of one message\n"
                "    # connections = 10000              # of one edge process\n"
                "    # connections_per_network = 200    # of one /24 or /64\n"
                "    # login_attempts = 5               # of one connection\n"
                "    # spool = \"256M\"                   # messages on their way in, of one edge process\n"
                "    # edges = 0                        # processes that face the network; 0: one a core\n"
                "    # throttle_loopback = true         # slow down wrong passwords from this machine too\n"
                "}\n"
                "\n"
                "# Without a server the root servers are asked; with one, all questions go there.\n"
                "dns {\n"
                "    # server = \"127.0.0.1:53\"\n"
                "    # trust_anchor = \"/usr/share/dns/root.key\"\n"
                "}\n"
                "\n"
                "# Mail that goes out.\n"
                "queue {\n"
                "    # relay = true                     # false: nothing leaves this machine\n"
                "    # port = 25\n"
                "    # lifetime = \"5d\"                  # then it is returned to its sender\n"
                "    # retry = \"30m\"                    # first pause after a failed attempt\n"
                "}\n"
                "\n"
                "# Started as root, each account's process can have a user id of its own from a range that\n"
                "# nothing else on this machine uses. Without a range they share one.\n"
                "users {\n"
                "    # account_first = 1900000000\n"
                "    # accounts = 100000\n"
                "}\n");
}
