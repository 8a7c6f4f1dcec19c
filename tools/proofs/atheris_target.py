"""Runs one fuzz target under atheris (libFuzzer, guided by coverage), inside .venv-prove.

Usage: python -m tools.proofs.atheris_target NAME LIBFUZZER_ARGUMENT…
"""

import sys

import atheris

with atheris.instrument_imports(include=["nzcore"]):
    from tools.proofs import targets

    TARGET = targets.load(sys.argv[1])


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGET)
    atheris.Fuzz()
