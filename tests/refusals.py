"""How tests hear a refusal: its code, for errors of the kind that it must be of."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nzcore.base.errors import NzError


def code_of(kind: type[NzError], call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The code with which `call` is refused; whoever meets it is told what it means and what to try."""
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    assert caught.value.message
    assert caught.value.hint
    return caught.value.code


async def refused(awaitable: Awaitable[object]) -> NzError:
    """The error with which a call is refused."""
    with pytest.raises(NzError) as caught:
        await awaitable
    return caught.value
