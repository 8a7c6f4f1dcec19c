"""Round trips to a peer, one after the other, and what they come to."""

import time
from typing import TYPE_CHECKING, Any

from nzcore.base.errors import NzError
from nzcore.cli import output
from nzcore.cli.session import Session

if TYPE_CHECKING:
    from nzcore.ipc.client import Client

PATIENCE_S = 5.0  # for each answer, unless --timeout says otherwise
_MARGIN_S = 2.0  # for the node's own word that none came
_SETTLE_S = 2.0  # how long the first waits for a channel: a peer that was just added connects in a moment
_LOOK_S = 0.05
_LOST = "net.", "channel."
"""Codes of these rooms mean that an answer did not come; any other error is the command's own."""


class Pings:
    """What was sent to one peer, and how long each answer took in milliseconds."""

    def __init__(self, session: Session, peer: str) -> None:
        self.peer = peer
        self.sent = 0
        self.trips: list[float] = []
        self._session = session
        self._last_error: NzError | None = None

    def send(self, client: "Client") -> None:
        """Sends one, waits for its answer and tells a person at once. *Raises* NzError where that can't be tried."""
        patience = self._session.timeout or PATIENCE_S
        args = {"peer": self.peer, "timeout_s": min(patience, 600.0)}
        self.sent += 1
        try:
            trip = self._trip(client, args, patience + _MARGIN_S)
        except NzError as error:
            if not error.code.startswith(_LOST):
                raise
            self._last_error = error
            self._tell(output.Line(f"{self.sent}: no answer: {error.message}", "red"))
        else:
            self.trips.append(trip)
            self._tell(f"{self.sent}: {output.milliseconds(trip)}")

    def result(self) -> dict[str, Any]:
        """`{sent, received, rtt_ms: {min, avg, max}}`; the three are null where nothing came back."""
        trips = self.trips
        low, mean, high = (min(trips), sum(trips) / len(trips), max(trips)) if trips else (None, None, None)
        figures = {"min": low, "avg": None if mean is None else round(mean, 3), "max": high}
        return {"sent": self.sent, "received": len(trips), "rtt_ms": figures}

    def summary(self) -> output.Line:
        """The last line for a person."""
        counted = f"{self.sent} sent, {len(self.trips)} received"
        if not self.trips:
            return output.Line(counted, "red")
        figures = self.result()["rtt_ms"]
        spread = ", ".join(f"{name} {output.milliseconds(figures[name])}" for name in ("min", "avg", "max"))
        return output.Line(f"{counted}; {spread}", "green" if len(self.trips) == self.sent else "yellow")

    def explain(self) -> None:
        """Why nothing came back, and what to try."""
        if self._last_error is not None:
            output.fail(self._last_error, as_json=self._session.json)

    def _trip(self, client: "Client", args: dict[str, Any], wait_s: float) -> float:
        settled = time.monotonic() + (_SETTLE_S if self.sent == 1 else 0)
        while True:
            try:
                answer: Any = client.call("peer.ping", args, timeout_s=wait_s)
                return float(answer["rtt_ms"])
            except NzError as error:
                if error.code != "net.not-connected" or time.monotonic() >= settled:
                    raise
            time.sleep(_LOOK_S)

    def _tell(self, line: output.Block) -> None:
        if not self._session.json:
            output.show([line])
