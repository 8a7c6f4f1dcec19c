"""What a proof says when it is done."""

import json
from typing import NamedTuple


class Report(NamedTuple):
    """The outcome of one proof: its name, whether it held, and its figures."""

    proof: str
    ok: bool
    facts: dict[str, object]

    def line(self, *, as_json: bool) -> str:
        if as_json:
            return json.dumps({"proof": self.proof, "ok": self.ok, **self.facts}, default=str)
        figures = " ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.proof:<22} {figures}"
