"""Reasons of `nzcore.proto.channel`: why a channel or a stream ends. Numbers below 64 stand in RESET and CLOSE."""

from nzcore.base.reasons import Reason

REASONS = {
    "closed": Reason("the channel was closed in good order", "connect again with `nzcore peer connect`", wire=1),
    "protocol-error": Reason(
        "the other side found that we broke the protocol", "compare the versions of both nodes", wire=2
    ),
    "going-away": Reason("the other node is stopping", "it is dialled again when it is back", wire=3),
    "dead": Reason("the other side was silent for too long", "check the network between both nodes", wire=4),
    "disconnected": Reason("the owner of the other node ended the channel", "ask them, or connect again", wire=6),
    "rekey-stalled": Reason(
        "the keys of the channel could not be renewed in time", "check the network between both nodes", wire=7
    ),
    "key-exhausted": Reason(
        "a key of the channel was used as often as it may be", "the channel is dialled anew", wire=8
    ),
    "control-flood": Reason(
        "the other side causes answers but does not read them", "it is faulty or hostile; look at its log", wire=9
    ),
    "used-up": Reason("the channel has no stream numbers left", "it is dialled anew; nothing to do", wire=10),
    "cancelled": Reason("the other side gave the stream up", "nothing to do, or try again", wire=32),
    "too-many-streams": Reason(
        "as many streams are open as may be", "wait for one to end, or raise the limit on the other node", wire=33
    ),
    "no-protocol": Reason(
        "the other node has no handler for this protocol", "check that the module is enabled there", wire=34
    ),
    "handler-failed": Reason(
        "the other node's handler failed", "look for the stream's protocol in the other node's log", wire=35
    ),
    "out-of-scope": Reason(
        "the other node's trust in us does not allow this", "ask its owner for the scope that is needed", wire=36
    ),
    "unknown-reason": Reason(
        "the other side gave a reason that this version does not know", "a newer version may explain it"
    ),
    "lost": Reason("the connection broke without a word", "it is dialled again; check the network if that fails"),
    "stream-lost": Reason("the channel ended before the stream did", "what was received may be incomplete; try again"),
    "queue-full": Reason("as much waits to be sent as may wait", "wait until the other side reads"),
    "detail-too-long": Reason("the detail of a closing channel has more than 600 bytes", "say less"),
    "hello-too-large": Reason("this node's own greeting exceeds 4,096 bytes", "name fewer features"),
    "stream-closed": Reason("the stream is closed for writing", "open another one"),
    "bad-record": Reason("a record of an impossible size", "the other side is faulty or hostile; look at its log"),
    "bad-frame": Reason("a frame that the specification does not allow", "compare the versions of both nodes"),
    "bad-hello": Reason("the other side did not greet as it must", "compare the versions of both nodes"),
    "bad-protocol": Reason(
        "not a protocol name", "a name is a slash and 1 to 63 of a-z, 0-9, point, underscore, hyphen and slash"
    ),
    "bad-stream": Reason("a frame for a stream that cannot be", "compare the versions of both nodes"),
    "out-of-turn": Reason("a frame that may not come in this state", "compare the versions of both nodes"),
    "over-credit": Reason(
        "more data or credit than is allowed", "the other side is faulty or hostile; look at its log"
    ),
}
