"""Makes the vectors of vectors/: one module a file, with `generate() -> dict` that gives the same result each time.

`python -m tools.vectors` writes all files, `python -m tools.vectors crypto` one of them, `--check` compares instead.
A module whose name is also that of a file `vectors/<name>.json` holds `generate`; the others help them.
"""
