"""The fuzz targets in tools/fuzz, and the inputs to begin with: every byte string that a vector holds."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_SEED_BYTES = 1 << 16

Target = Callable[[bytes], None]


def names() -> list[str]:
    """Modules of tools/fuzz that hold a target, sorted."""
    files = sorted((ROOT / "tools" / "fuzz").glob("*.py"))
    return [file.stem for file in files if not file.stem.startswith("_") and "def target(" in file.read_text()]


def load(name: str) -> Target:
    """The target `name`: it swallows PeerError and nothing else. *Raises* ImportError where there is none."""
    target: Target = importlib.import_module(f"tools.fuzz.{name}").target
    return target


def seeds() -> list[bytes]:
    """Each distinct byte string and text of vectors/*.json, smallest first, always the same."""
    found: set[bytes] = {b""}
    for file in sorted((ROOT / "vectors").glob("*.json")):
        for text in _strings(json.loads(file.read_text())):
            found.add(text.encode())
            try:
                found.add(bytes.fromhex(text))
            except ValueError:
                continue  # prose or another text form: kept as text above
    return sorted((seed for seed in found if len(seed) <= MAX_SEED_BYTES), key=lambda seed: (len(seed), seed))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
