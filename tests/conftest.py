"""What all tests share: nodes that tests start speak multicast DNS on this machine only, and time is generous.

Hypothesis holds each example to a time. It is there to find what does not end, not to fail on a busy machine.
"""

import os
from datetime import timedelta

from hypothesis import settings

os.environ["NZCORE_LAN"] = "loopback"

settings.register_profile("patient", deadline=timedelta(seconds=5))
settings.load_profile("patient")
