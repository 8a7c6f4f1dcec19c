"""How deep a value is nested, for tests that stay within the limit."""


def depth(value: object) -> int:
    """0 for what is no container, else one more than its deepest element."""
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0
