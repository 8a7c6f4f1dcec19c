"""Limits of NZ-FABRIC-01, each with its unit and its reason."""

from nzcore.base import limits

FABRIC = "/nz/fabric/1"
"""The line: one stream for both directions; the channel's initiator opens it."""

TOPICS = "/nz/topics/1"
"""Publications in one direction; the publisher opens it. Apart, so that a slow subscriber holds up nothing else."""

FRAME_BYTES = limits.MESSAGE_BYTES
"""Largest frame without its length."""

BODY_BYTES = FRAME_BYTES - 4096
"""Largest body in MessagePack: the rest of a frame, or of a row of the store, fits beside it."""

TOPIC_CHARACTERS = 256
OPERATION_CHARACTERS = 128
KEY_CHARACTERS = 128
CODE_CHARACTERS = 64
DETAIL_CHARACTERS = 512

PATTERNS = 256
"""Patterns to which one peer can be subscribed: each costs a comparison per new topic."""

REQUESTS = 32
"""Requests of one side that are under way at once."""

REQUEST_BYTES = 4 << 20
"""Bodies of these together."""

DEADLINE_S = 3600.0
"""Longest deadline: what is asked for longer is a delivery."""

WINDOW = 64
"""Deliveries of one side that are neither acknowledged nor refused."""

WINDOW_BYTES = 2 << 20
"""Bodies of these together, from the second on: one always fits."""

OUTBOX_BYTES = 16
"""Random bytes that name the numbering of one origin's deliveries to one node."""

MAX_NUMBER = (1 << 63) - 1
