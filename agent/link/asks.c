/*
 * What the control plane asks of every agent, and the answers. A purge comes in
 * the log (log.c), in order with the changes; it is done before the answer is
 * sent, so an answer means that nothing older is served from here. A question
 * comes as an event, which may be lost: then there is no answer.
 */
#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"

enum {
    EXPLAINED_MAX = 512 << 10
};

static void
ignore_reply(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    (void)call;
    (void)reply;
}

/* Once: where it is lost, the control plane says so. */
static void
send_answer(struct ps_uplink *u, Portside__Answer *answer)
{
    Portside__Call call;
    portside__call__init(&call);
    call.body_case = PORTSIDE__CALL__BODY_ANSWER;
    call.answer = answer;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, ignore_reply);
}

bool
ps_uplink_purge(struct ps_uplink *u, const Portside__Purge *message)
{
    struct ps_purge purge;
    struct ps_purged purged;
    if (ps_codec_purge(message, &purge) != PS_OK)
        return false;
    u->conf.purge(u->conf.arg, &purge, &purged);
    Portside__PurgeDone done;
    portside__purge_done__init(&done);
    Portside__Answer answer;
    portside__answer__init(&answer);
    done.entries = purged.entries;
    done.id = purged.id;
    done.known = purged.known;
    done.wider = purged.wider;
    answer.ask_id = message->ask_id;
    answer.body_case = PORTSIDE__ANSWER__BODY_PURGE;
    answer.purge = &done;
    send_answer(u, &answer);
    return true;
}

void
ps_uplink_asked(struct ps_uplink *u, const Portside__Ask *message)
{
    struct ps_uplink_explain ask;
    struct ps_buf json;
    if (message->body_case != PORTSIDE__ASK__BODY_EXPLAIN ||
        ps_codec_explain(message->explain, &ask) != PS_OK)
        return; /* of a newer control plane */
    ps_buf_init(&json, EXPLAINED_MAX);
    u->conf.explain(u->conf.arg, &ask, &json);
    Portside__Explained explained;
    portside__explained__init(&explained);
    Portside__Answer answer;
    portside__answer__init(&answer);
    ps_buf_append_char(&json, '\0');
    if (ps_buf_rc(&json) == PS_OK)
        explained.json = json.data;
    answer.ask_id = message->ask_id;
    answer.body_case = PORTSIDE__ANSWER__BODY_EXPLAIN;
    answer.explain = &explained;
    send_answer(u, &answer);
    ps_buf_done(&json);
}
