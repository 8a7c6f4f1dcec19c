"""What all tests share: nodes that tests start speak multicast DNS on this machine only."""

import os

os.environ["NZCORE_LAN"] = "loopback"
