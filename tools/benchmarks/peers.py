"""The peers' own environment: never the one that the product runs in."""

import json
import os
import subprocess
from pathlib import Path

from tools.benchmarks.row import PeerMissing

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def install() -> None:
    """Makes or completes .venv-peers. *Raises* PeerMissing, having let pip's errors through to the terminal."""
    if subprocess.run([ROOT / "tools" / "ensure-venv", "peers"]).returncode != 0:
        raise PeerMissing("the peers could not be installed; the lines above say why")


def run(script: Path, *arguments: str) -> dict[str, float]:
    """Runs a script of ours with the peers' Python; it prints one JSON object. *Raises* PeerMissing."""
    if not PYTHON.exists():
        raise PeerMissing("not installed: tools/bench --with-peers")
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}  # for `tools.benchmarks.cpu`, which needs nothing of ours
    done = subprocess.run([PYTHON, script, *arguments], capture_output=True, text=True, env=surroundings)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise PeerMissing(f"does not run here: {reason}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
