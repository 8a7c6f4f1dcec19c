"""`tools/prove vectors`: every file of vectors/ comes out the same when its tool makes it again."""

import importlib
import json

from tools.proofs.report import Report
from tools.proofs.targets import ROOT


def prove() -> list[Report]:
    """One report a file; a file without a tool, and a tool without a file, are failures."""
    sources = [file for file in (ROOT / "tools" / "vectors").glob("*.py") if not file.stem.startswith("_")]
    tools = {file.stem for file in sources if "def generate(" in file.read_text()}
    files = {file.stem for file in (ROOT / "vectors").glob("*.json")}
    return [_compare(name, name in tools, name in files) for name in sorted(tools | files)]


def _compare(name: str, has_tool: bool, has_file: bool) -> Report:
    if not (has_tool and has_file):
        return Report(f"vectors {name}", False, {"error": "no file in vectors/" if has_tool else "no tool makes it"})
    made = json.loads(json.dumps(importlib.import_module(f"tools.vectors.{name}").generate()))
    kept = json.loads((ROOT / "vectors" / f"{name}.json").read_text())
    return Report(f"vectors {name}", made == kept, {"cases": len(kept.get("cases", kept)), "same": made == kept})
