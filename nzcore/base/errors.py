"""The three error roots: an error's class says whose fault it is, its code says what happened.

A code is `room.slug`; `nzcore/base/reasons/<room>.py` holds its meaning and the next step, which
`nzcore explain CODE` prints. Facts live in attributes, never in the message's wording.
"""

from nzcore.base.reasons import Reason, reason


class NzError(Exception):
    """Root of all errors that nzcore raises on purpose; raise one of its three kinds.

    `code` is the stable name of the reason. `message` is lower case, without a full stop and without secrets;
    it defaults to the reason's meaning. `facts` are the values that a program would want to look at.
    """

    def __init__(self, code: str, message: str = "", *, hint: str = "", **facts: object) -> None:
        self.code = code
        self.facts = facts
        self._message = message
        self._hint = hint
        super().__init__(code)

    @property
    def reason(self) -> Reason:
        """What the code means, from the catalogue. *Raises* KeyError for a code that no room declares."""
        return reason(self.code)

    @property
    def message(self) -> str:
        return self._message or self.reason.meaning

    @property
    def hint(self) -> str:
        """The next thing to try."""
        return self._hint or self.reason.hint

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def __repr__(self) -> str:
        facts = "".join(f", {name}={value!r}" for name, value in self.facts.items())
        return f"{type(self).__name__}({self.code!r}, {self.message!r}{facts})"


class PeerError(NzError):
    """They broke the specification or asked for what they may not: drop, count, carry on."""


class UsageError(NzError):
    """Our caller broke the contract: a bug or a wrong argument; let it climb."""


class UnavailableError(NzError):
    """Disk, network or a service failed or is not there: retry by policy."""
