"""What is told of an error at a crash boundary: one line, which can be had of any exception."""

from nzcore.base.errors import NzError

ERROR_CHARACTERS = 500
"""Longest text of an error that is kept: an exception's message may be as long as what it choked on."""


def describe(error: BaseException) -> str:
    """One line for an error; a group that a nursery wrapped around one error is that error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(one) for one in error.exceptions[:3])[:ERROR_CHARACTERS]
    try:
        text = str(error)
        if isinstance(error, NzError):
            return text[:ERROR_CHARACTERS]
    except Exception as second:  # an exception's own __str__ is code of the service, too
        text = f"(its text raised {type(second).__name__})"
    return f"{type(error).__name__}: {text}"[:ERROR_CHARACTERS].removesuffix(": ")
