"""Reasons of `nzcore.kernel`: supervision and the event bus."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-capacity": Reason("a subscriber's queue needs room for one event", "give a capacity of at least 1"),
    "bad-name": Reason(
        "not a name for a service", "use 1 to 64 of a-z, 0-9, - and _, so that the name fits into a topic"
    ),
    "bad-overflow": Reason("not an overflow policy", "choose block, drop_oldest or error"),
    "bad-policy": Reason("a supervision policy that makes no sense", "give positive times and a known restart type"),
    "bad-topic": Reason(
        "not a topic or pattern", "write words joined by single dots; * stands for one word, ** for the rest"
    ),
    "busy-subscription": Reason("a subscription serves one task, once", "subscribe again for every task that listens"),
    "cut-short": Reason(
        "the service cancelled itself instead of returning", "let start() return; it may cancel scopes of its own"
    ),
    "dependency-cycle": Reason(
        "services require each other in a circle", "break the circle that the error names, by events or a third service"
    ),
    "drill": Reason("crashed on purpose, as a fault drill", "nothing to do: watch the service come back"),
    "duplicate-name": Reason("two services of one name", "rename one of them"),
    "essential": Reason("an essential service is not stopped by the way", "add --force if you mean it"),
    "group-failed": Reason(
        "a service inside the group has failed", "look at the group's facts, mend the service, start the group again"
    ),
    "has-dependants": Reason("running services require it", "stop them first, or add --force to stop them with it"),
    "hung": Reason(
        "the service did not answer its health check in time", "nothing to do: it is restarted by its policy"
    ),
    "init-timeout": Reason("init() took longer than allowed", "look for what it waits for, or allow it more time"),
    "mutable-event": Reason("an event's value can be changed after it was sent", "send a tuple or a frozen value"),
    "never-ready": Reason("the service ended before it was ready", "call task_status.started() when it can serve"),
    "no-transition": Reason(
        "a service can't go from this state by this signal", "report this: it is a fault of nzcore"
    ),
    "not-open": Reason("the supervisor is not open", "use it inside `async with`, once"),
    "not-running": Reason("the service is not running", "start it: nzcore service start NAME"),
    "not-started": Reason("the service did not get to run", "see how it ended: nzcore service show NAME"),
    "not-subscribed": Reason("the subscription is not open", "iterate inside `async with bus.subscribe(…)`"),
    "overrun": Reason(
        "the subscriber was too slow, and chose to be told", "read faster, ask for more capacity, or drop the oldest"
    ),
    "returned": Reason("a permanent service returned", "make it transient if returning is its normal end"),
    "start-timeout": Reason(
        "start() did not become ready in time", "look for what it waits for, or allow it more time"
    ),
    "started-twice": Reason("the service said twice that it is ready", "call task_status.started() once"),
    "still-running": Reason("the service is not stopped", "stop it first: nzcore service stop NAME"),
    "stop-timeout": Reason("stop() took longer than allowed", "nothing to do: it was cancelled"),
    "unknown-dependency": Reason(
        "a service requires one that does not exist", "add the missing service or mend the name"
    ),
    "unknown-service": Reason("no such service", "see their names: nzcore service list"),
}
