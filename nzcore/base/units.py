"""Amounts as people say them: one spelling wherever a person reads one.

Decimal units, as disks, networks and file managers of today count. Limits are powers of two and stay what they are: KiB
and MiB where a text names one.
"""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """A number of bytes in three digits or fewer: `999 B`, `1.0 kB`, `146 MB`. With `/s` behind it, a rate."""
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"
