"""Floor 4: services under supervision, and the event bus between them; knows no protocol.

Usable alone: `from nzcore.kernel import Supervisor, Service, Bus` (spec/core.md).
"""

from nzcore.kernel.bus import Bus, Event, Subscription
from nzcore.kernel.deadlines import Deadlines
from nzcore.kernel.group import Group
from nzcore.kernel.policy import Backoff, Restart, Strategy
from nzcore.kernel.service import Context, Service, ServiceSpec
from nzcore.kernel.states import State
from nzcore.kernel.supervisor import ServiceInfo, Supervisor

__all__ = [
    "Backoff",
    "Bus",
    "Context",
    "Deadlines",
    "Event",
    "Group",
    "Restart",
    "Service",
    "ServiceInfo",
    "ServiceSpec",
    "State",
    "Strategy",
    "Subscription",
    "Supervisor",
]
