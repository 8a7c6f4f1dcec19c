"""`python -m tools.vectors [--check] [NAME …]`: writes the vectors, or says which files differ from what tools make."""

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors"


def names() -> list[str]:
    """Modules beside this one that make a file, sorted."""
    return sorted(file.stem for file in HERE.glob("*.py") if "\ndef generate(" in file.read_text(encoding="utf-8"))


def made(name: str) -> str:
    """The text of `vectors/<name>.json` as its module makes it now."""
    document: dict[str, object] = importlib.import_module(f"tools.vectors.{name}").generate()
    return json.dumps(document, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Exit status 1 if a file differs under `--check`, 2 for a name without a module."""
    parser = argparse.ArgumentParser(prog="python -m tools.vectors", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these files (default: all)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(names())
    if unknown:
        parser.error(f"no module makes {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    differing = 0
    for name in options.names or names():
        path, text = VECTORS / f"{name}.json", made(name)
        same = path.exists() and path.read_text(encoding="utf-8") == text
        differing += not same
        if not (same or options.check):
            path.write_text(text, encoding="utf-8")
        print(f"{name}: {'same' if same else 'differs' if options.check else 'written'}")
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
