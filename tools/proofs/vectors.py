"""`tools/prove vectors`: every file of vectors/ comes out the same, byte for byte, when its tool makes it again."""

import json

from tools.proofs.report import Report
from tools.vectors import __main__ as maker


def prove() -> list[Report]:
    """One report a file; a file without a tool, and a tool without a file, are failures."""
    tools = set(maker.names())
    files = {file.stem for file in maker.VECTORS.glob("*.json")}
    return [_compare(name, name in tools, name in files) for name in sorted(tools | files)]


def _compare(name: str, has_tool: bool, has_file: bool) -> Report:
    if not (has_tool and has_file):
        return Report(f"vectors {name}", False, {"error": "no file in vectors/" if has_tool else "no tool makes it"})
    kept = (maker.VECTORS / f"{name}.json").read_text(encoding="utf-8")
    same = kept == maker.made(name)
    return Report(f"vectors {name}", same, {"cases": len(json.loads(kept)["cases"]), "same": same})
