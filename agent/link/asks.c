/*
 * What the control plane asks of every agent, and the answers. A purge comes in
 * the log (log.c), in order with the changes; it is done before the answer is
 * sent, so an answer means that nothing older is served from here.
 */
#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"

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
