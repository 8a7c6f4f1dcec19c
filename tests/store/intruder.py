"""Changes a database behind the store's back."""

import sqlite3
from pathlib import Path


def change(path: Path, *statements: str) -> None:
    """What somebody does to a database who has the file and not the key."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
