"""Reasons of the message fabric."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-frame": Reason("not a frame of the fabric as the specification describes it", "compare the versions of both"),
    "bad-topic": Reason(
        "not a topic or pattern", "topics are dotted words, as in chat.room; `*` is one word, `**` any"
    ),
    "bad-operation": Reason("not the name of an operation", "give it as SERVICE.OPERATION"),
    "bad-key": Reason("an idempotency key has 1 to 128 characters", "use a short text that is new for each request"),
    "bad-deadline": Reason("a deadline is more than 0 and at most 3,600 seconds", "give the seconds to wait"),
    "bad-body": Reason("not a body", "texts, numbers, bytes, true, false, null; lists and maps with text keys, 7 deep"),
    "too-large": Reason("a body has at most 1,044,480 bytes of MessagePack", "send large content as a file"),
    "too-many-patterns": Reason("a peer subscribes to more than 256 patterns", "subscribe to fewer, wider patterns"),
    "key-reused": Reason("the key was used for another request", "use a new key for each request"),
    "busy": Reason("too many requests are under way", "wait for answers before you ask more"),
    "no-line": Reason("there is no way to the peer's services", "see `nzcore doctor PEER`"),
    "not-running": Reason("the message fabric does not run", "`nzcore service start fabric` starts it"),
    "lost": Reason("the channel ended before the answer came", "ask again; with a key, it is carried out once"),
    "too-slow": Reason("no answer came within the deadline", "ask again with a longer one"),
    "cancelled": Reason("the request was given up", "ask again"),
    "no-operation": Reason("the peer has no such operation for others", "ask its owner which module answers it"),
    "is-stream": Reason("an operation that goes on can't be called at a peer", "call one that answers once"),
    "out-of-scope": Reason("the peer does not grant what this needs", "ask its owner for the scope"),
    "handler-failed": Reason("the handler failed at the other node", "ask its owner to look at the log"),
    "failed": Reason("the other node refused the request", "ask its owner"),
    "too-many-waiting": Reason("a peer sends faster than it may before it is answered", "compare the versions of both"),
    "unknown-peer": Reason("deliveries are for known peers only", "pair first, with `nzcore invite` or `nzcore join`"),
    "taken": Reason("another handler has this name", "stop the module that answers it, or choose another name"),
    "outbox-full": Reason("too much waits for this peer", "see `nzcore outbox list`; retry, or drop what is obsolete"),
    "no-delivery": Reason("no such delivery waits", "see `nzcore outbox list`"),
    "inbox-full": Reason("too much waits for the receiver's handlers", "nothing: it is sent again later"),
    "no-handler": Reason("nothing at the receiver takes this topic", "ask its owner to enable the module that does"),
    "not-kept": Reason("the receiver could not store the delivery", "nothing: it is sent again later"),
    "already-committed": Reason("this delivery is done already", "commit once, at the end of the handler"),
}
