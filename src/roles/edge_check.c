/*
 * Who sent this: SPF, DKIM, ARC and DMARC over a message from outside, before
 * anybody is asked to take it. What they say goes into the message
 * (Received-SPF, Authentication-Results); what its author's domain wants done
 * with forgeries becomes the reply.
 */
#include "roles/edge.h"

#include "arc/arc.h"
#include "authres/authres.h"
#include "dmarc/suffixes.h"
#include "dns/budget.h"
#include "dns/reverse.h"
#include "roles/peer_dns.h"
#include "spf/spf.h"

#include <string.h>

#define CHECK_QUESTIONS 150           /* of one message: what honest mail asks is below thirty */
#define CHECK_TIME_US (60 * US_PER_S) /* RFC5321-4.5.3.2.6: the client waits ten minutes for all of it */
#define CHECK_ARENA (16u << 20)
#define CHECK_FIELDS_MAX 4096    /* octets of our fields: they travel with Received in one prefix */
#define CHECK_SIGNATURES_SHOWN 3 /* when all would not fit */

/* All verdicts about one message. */
struct findings {
    struct spf_query spf_query;
    struct spf_verdict spf;
    struct iprev iprev;
    bool has_iprev;
    struct dkim_report dkim;
    struct arc_report arc;
    struct dmarc_verdict dmarc; /* the worst of all authors */
    struct view author;         /* whose that is; empty: there is no author */
};

struct checking {
    struct edge_connection *c;
    const struct smtp_session_facts *facts;
    struct smtp_transaction *t;
    struct arena *arena;
    struct dns_client *dns;
    struct dkim_input *input;
    struct findings found;
};

bool edge_checks_mail(const struct edge_connection *c) {
    return !c->auth && c->listener->offer.protocol == PROTOCOL_SMTP && c->edge->env->config->check_mail;
}

/* ---- the verdicts ---- */

static enum err check_sender(struct checking *k) {
    struct findings *f = &k->found;
    struct role_env *env = k->c->edge->env;
    f->spf_query = (struct spf_query){
        .identity = SPF_MAIL_FROM, .ip = k->c->peer, .helo = k->facts->helo, .mail_from = k->t->sender.whole};
    struct spf_env spf = {.dns = k->dns, .clock = loop_clock(env->loop), .receiver = env->config->hostname};
    TRY(spf_check(&spf, &f->spf_query, k->arena, &f->spf));
    f->has_iprev = !netaddr_is_private(&k->c->peer);
    return f->has_iprev ? iprev_check(k->dns, &k->c->peer, k->arena, &f->iprev) : ERR_OK;
}

/* How much a verdict weighs against the message. */
static int weight(const struct dmarc_verdict *v) {
    switch (v->result) {
    case DMARC_FAIL:
        return 10 + (int)v->policy;
    case DMARC_TEMPERROR:
        return 5;
    case DMARC_PERMERROR:
    case DMARC_NONE:
        return 1;
    default:
        return 0;
    }
}

static enum err check_author(struct checking *k) {
    struct findings *f = &k->found;
    struct dmarc_identifier ids[DKIM_SIGNATURES_MAX + 1];
    struct dmarc_query query = {.identifiers = ids};
    query.identifiers_temporary = f->spf.result == SPF_TEMPERROR;
    for (size_t i = 0; i < f->dkim.n; i++) {
        const struct dkim_verdict *v = &f->dkim.verdicts[i];
        query.identifiers_temporary |= v->result == DKIM_TEMPERROR;
        if (v->result == DKIM_PASS)
            ids[query.identifiers_n++] = (struct dmarc_identifier){DMARC_DKIM, v->signature.domain};
    }
    if (f->spf.result == SPF_PASS)
        ids[query.identifiers_n++] = (struct dmarc_identifier){DMARC_SPF, f->spf.domain};
    struct view authors[DMARC_AUTHORS_MAX];
    size_t n;
    bool has_bad;
    TRY(dmarc_authors(k->arena, dkim_input_header(k->input), authors, &n, &has_bad));
    const struct dmarc_env env = {.dns = k->dns, .suffixes = k->c->edge->tools->suffixes};
    for (size_t i = 0; i < n; i++) {
        struct dmarc_verdict verdict;
        query.author = authors[i];
        TRY(dmarc_check(&env, &query, k->arena, &verdict));
        if (i == 0 || weight(&verdict) > weight(&f->dmarc)) {
            f->dmarc = verdict;
            f->author = authors[i];
        }
    }
    return ERR_OK;
}

static enum err check_all_of_it(struct checking *k) {
    int64_t now_us = loop_wall_us(k->c->edge->env->loop);
    TRY(check_sender(k));
    TRY(edge_feed(k->t, k->arena, k->input));
    if (dkim_input_is_over(k->input))
        return ERR_OK;
    TRY(dkim_verify(k->input, k->dns, now_us, NULL, k->arena, &k->found.dkim));
    TRY(arc_verify(k->input, k->dns, now_us, k->arena, &k->found.arc));
    return check_author(k);
}

/* ---- what goes into the message ---- */

/* A property unless there is nothing to say. */
static enum err property(struct checking *k, struct authres *a, struct view type, struct view name, struct view value) {
    return value.n > 0 ? authres_add_property(a, k->arena, type, name, value) : ERR_OK;
}

/* RFC6008-4: enough of the signature to tell it from others. */
static enum err show_b(struct checking *k, struct authres *a, struct view signature) {
    struct buf b;
    struct view text = VIEW_NONE;
    buf_init(&b, 64);
    buf_put_base64(&b, view_sub(signature, 0, 6));
    enum err err = buf_err(&b) != ERR_OK ? buf_err(&b) : arena_view(k->arena, buf_view(&b), &text);
    buf_fini(&b);
    TRY(err);
    return property(k, a, VIEW("header"), VIEW("b"), text);
}

/* RFC8601-2.7.1 */
static enum err show_signatures(struct checking *k, struct authres *a, size_t most) {
    const struct dkim_report *dkim = &k->found.dkim;
    if (dkim->n == 0)
        return authres_add(a, k->arena, VIEW("dkim"), VIEW("none"));
    for (size_t i = 0; i < dkim->n && i < most; i++) {
        const struct dkim_verdict *v = &dkim->verdicts[i];
        TRY(authres_add(a, k->arena, VIEW("dkim"), dkim_result_name(v->result)));
        a->results[a->results_n - 1].reason = v->why;
        if (v->signature.domain.n == 0)
            continue;
        TRY(property(k, a, VIEW("header"), VIEW("d"), v->signature.domain));
        TRY(property(k, a, VIEW("header"), VIEW("s"), v->signature.selector));
        TRY(property(k, a, VIEW("header"), VIEW("a"), dkim_algorithm_name(v->signature.algorithm)));
        TRY(show_b(k, a, v->signature.b));
    }
    return ERR_OK;
}

static enum err put_fields(struct checking *k, size_t signatures, struct buf *out) {
    const struct findings *f = &k->found;
    struct role_env *env = k->c->edge->env;
    struct authres a = {.authserv_id = env->config->hostname, .version = 1};
    TRY(spf_add_authres(&f->spf, &a, k->arena));
    TRY(show_signatures(k, &a, signatures));
    if (f->arc.status != ARC_NONE) {
        TRY(authres_add(&a, k->arena, VIEW("arc"), arc_status_name(f->arc.status)));
        a.results[a.results_n - 1].reason = f->arc.why;
    }
    TRY(authres_add(&a, k->arena, VIEW("dmarc"), view_cstr(dmarc_result_name(f->dmarc.result))));
    TRY(property(k, &a, VIEW("header"), VIEW("from"), f->author));
    if (f->dmarc.result == DMARC_FAIL) /* RFC9989-9.1 */
        TRY(property(k, &a, VIEW("policy"), VIEW("dmarc"), view_cstr(dmarc_policy_name(f->dmarc.published))));
    if (f->has_iprev)
        TRY(authres_add_iprev(&a, k->arena, &f->iprev, &k->c->peer));
    struct spf_env spf = {.clock = loop_clock(env->loop), .receiver = env->config->hostname};
    buf_clear(out);
    buf_put_authres(out, &a);
    buf_put_received_spf(out, &spf, &f->spf_query, &f->spf);
    return buf_err(out);
}

static enum err make_fields(struct checking *k, struct edge_checks *out) {
    static const size_t most[] = {DKIM_SIGNATURES_MAX, CHECK_SIGNATURES_SHOWN, 1};
    struct buf fields;
    buf_init(&fields, CHECK_FIELDS_MAX);
    enum err err = ERR_LIMIT;
    for (size_t i = 0; i < ARRAY_LEN(most) && err == ERR_LIMIT; i++)
        err = put_fields(k, most[i], &fields);
    if (err == ERR_LIMIT) /* nothing that is said about it is longer than the prefix may be: then nothing is said */
        err = ERR_OK;
    else if (err == ERR_OK)
        err = arena_view(k->t->arena, buf_view(&fields), &out->fields);
    buf_fini(&fields);
    return err;
}

/* RFC8601-5: fields that claim to be ours were not made by us. */
static enum err find_forged(struct checking *k, struct edge_checks *out) {
    size_t n, room = 0;
    const struct dkim_field *fields = dkim_input_fields(k->input, &n);
    const struct view header = dkim_input_header(k->input), hostname = k->c->edge->env->config->hostname;
    for (size_t i = 0; i < n; i++)
        room += authres_is_forged(fields[i].name, dkim_field_value(&fields[i]), &hostname, 1);
    if (room == 0)
        return ERR_OK;
    out->cuts = ARENA_ARRAY(k->t->arena, room, struct edge_cut);
    if (!out->cuts)
        return ERR_LIMIT;
    for (size_t i = 0; i < n && out->cuts_n < room; i++)
        if (authres_is_forged(fields[i].name, dkim_field_value(&fields[i]), &hostname, 1))
            out->cuts[out->cuts_n++] =
                (struct edge_cut){.offset = (size_t)(fields[i].raw.p - header.p), .size = fields[i].raw.n};
    return ERR_OK;
}

/* ---- the reply ---- */

static enum err refuse(struct checking *k, uint16_t code, struct view status, struct view text,
                       struct edge_checks *out) {
    struct view kept;
    TRY(arena_view(k->t->arena, text, &kept));
    smtp_reply_set(&out->reply, code, status, kept);
    return ERR_OK;
}

static enum err decide(struct checking *k, struct edge_checks *out) {
    const struct findings *f = &k->found;
    struct view text;
    if (dkim_input_is_over(k->input)) /* signatures and forged fields behind the limit would go unseen */
        return refuse(k, 554, VIEW("5.6.0"),
                      VIEW("The header of this message is too large, or has too many fields, to be checked"), out);
    if (f->dmarc.result == DMARC_FAIL && f->dmarc.policy == DMARC_POLICY_REJECT) {
        /* RFC7372-3.3: 5.7.26, several checks failed. */
        TRY(arena_printf(
            k->arena, &text,
            "%.*s refuses mail in its name that neither SPF nor DKIM vouches for (DMARC p=reject); send it "
            "through that domain's own servers",
            VIEW_FMT(view_sub(f->author, 0, 200))));
        return refuse(k, 550, VIEW("5.7.26"), text, out);
    }
    out->is_junk = f->dmarc.result == DMARC_FAIL && f->dmarc.policy == DMARC_POLICY_QUARANTINE;
    if (f->dmarc.result == DMARC_TEMPERROR) {
        TRY(arena_printf(k->arena, &text,
                         "DNS does not say now what %.*s wants done with mail in its name; try again later",
                         VIEW_FMT(view_sub(f->author, 0, 200))));
        return refuse(k, 451, VIEW("4.4.3"), text, out);
    }
    return ERR_OK;
}

static void tell(const struct checking *k) {
    const struct findings *f = &k->found;
    log_event(&k->c->log, LOG_INFO, "message.checked", LF_TEXT("spf", spf_result_name(f->spf.result)),
              LF_VIEW("dkim", dkim_result_name(f->dkim.result)), LF_VIEW("arc", arc_status_name(f->arc.status)),
              LF_TEXT("dmarc", dmarc_result_name(f->dmarc.result)),
              LF_TEXT("policy", dmarc_policy_name(f->dmarc.policy)), LF_VIEW("author", f->author));
}

enum err edge_check(struct edge_connection *c, const struct smtp_session_facts *facts, struct smtp_transaction *t,
                    struct edge_checks *out) {
    struct role_env *env = c->edge->env;
    struct checking k = {.c = c, .facts = facts, .t = t};
    struct edge_checks checks = {0};
    struct peer_dns peer;
    struct dns_budget budget;
    peer_dns_init(&peer, env->loop, &c->edge->resolver, &message_dns_lookup_edge,
                  loop_now_us(env->loop) + CHECK_TIME_US);
    dns_budget_init(&budget, &peer.client, loop_clock(env->loop), CHECK_QUESTIONS, CHECK_TIME_US);
    k.dns = &budget.client;
    k.arena = arena_new("checks", CHECK_ARENA);
    enum err err = k.arena ? dkim_input_new(c->edge->tools->crypto, &k.input) : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = check_all_of_it(&k);
    if (err == ERR_OK) {
        tell(&k);
        err = decide(&k, &checks);
    }
    if (err == ERR_OK)
        err = make_fields(&k, &checks);
    if (err == ERR_OK)
        err = find_forged(&k, &checks);
    dkim_input_free(k.input);
    arena_free(k.arena);
    if (err == ERR_OK)
        *out = checks;
    return err;
}
