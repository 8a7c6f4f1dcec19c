"""What a class declares is judged when it is loaded, and what cannot be served is refused in words."""

import pytest

from nzcore.base.errors import NzError
from nzcore.codec.types import schema
from nzcore.node.modules.folder import read_folder
from nzcore.node.modules.loading import load, unload

from .conftest import provides, write

HEAD = "from collections.abc import AsyncIterator\nfrom typing import Annotated, Any, Literal\nclass Main(Module):\n"


def loaded(tmp_path, body, *operations, commands=(), **more):
    body = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return load(
        read_folder(write(tmp_path / "m", HEAD + body, tables=provides(*operations, commands=commands), **more))
    )


@pytest.fixture
def refuse(tmp_path):
    def check(body, *operations, **more):
        with pytest.raises(NzError) as refused:
            loaded(tmp_path, body, *operations, **more)
        return refused.value

    return check


def test_a_signature_becomes_checked_arguments(tmp_path):
    body = """
@command
@operation(scope=Scope.FILES, risk="change", deadline_s=5)
async def f(
    self,
    a: Annotated[int, Meta(ge=1, description="how many")],
    who: Caller,
    *,
    b: Literal["x", "y"] = "x",
    c: list[str] = [],
) -> dict[str, int]:
    '''Do it
    and more.'''
"""
    module = loaded(tmp_path, body, "f", capabilities=["fabric:m.f"], commands=("f",))
    (one,) = module.declared.operations
    unload(module.root)
    assert (one.operation.name, one.operation.summary, one.operation.risk) == ("m.f", "Do it.", "change")
    assert (one.caller, one.command, one.deadline_s) == ("who", True, 5)
    shape = schema(one.operation.args)["$defs"]["FArgs"]
    assert shape["required"] == ["a"]
    assert shape["properties"]["a"] == {"type": "integer", "minimum": 1, "description": "how many"}
    assert shape["additionalProperties"] is False
    assert set(shape["properties"]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("@operation\nasync def f(self, a) -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self, a: object) -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self, a: 'Nowhere') -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self, a: 1 + 1) -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self, *a: int) -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self, **a: int) -> None: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self): 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self) -> object: 'Do.'", "module.bad-signature"),
        ("@operation\nasync def f(self) -> int:\n    'Do.'\n    yield 1", "module.bad-signature"),
        ("@operation\ndef f(self) -> int: 'Do.'", "module.bad-handler"),
        ("@operation\nasync def f(self) -> int: ...", "module.bad-handler"),
        ("@operation(deadline_s=0)\nasync def f(self) -> int: 'Do.'", "module.bad-handler"),
        ("@operation(risk='huge')\nasync def f(self) -> int: 'Do.'", "module.bad-handler"),
        ("@command\n@operation\nasync def f(self, json: bool) -> int: 'Do.'", "module.bad-signature"),
        ("@command\nasync def f(self) -> int: 'Do.'", "module.bad-handler"),
    ],
)
def test_an_operation_that_cannot_be_served_is_refused(refuse, body, code):
    error = refuse(body, "f")
    assert error.code == code
    assert "f" in error.message


@pytest.mark.parametrize(
    "body",
    [
        "@on('a.b')\nasync def f(self): ...",
        "@on('a.b')\ndef f(self, event): ...",
        "@on('a.b', capacity=0)\nasync def f(self, event): ...",
        "@on('a.b', overflow='error')\nasync def f(self, event): ...",
        "@service\nasync def f(self, more): ...",
        "@protocol('/x/1')\nasync def f(self, a, b): ...",
    ],
)
def test_a_handler_of_another_shape_is_refused(refuse, body):
    capabilities = ["bus:subscribe:a.b", "stream:/x/1"]
    assert refuse(body, capabilities=capabilities).code == "module.bad-handler"


def test_what_is_provided_and_what_is_declared_must_agree(refuse):
    missing = refuse("@operation\nasync def f(self) -> None: 'Do.'")
    assert (missing.code, missing.message) == ("module.not-provided", 'add to module.toml, provides, operations: "f"')
    assert refuse("pass", "f").message == "operations: there is no f in the code"


@pytest.mark.parametrize(
    ("entry", "code"),
    [("code:Nobody", "module.bad-entry"), ("nowhere:Main", "module.bad-entry"), ("code:trio", "module.bad-entry")],
)
def test_an_entry_must_be_a_class_of_modules(refuse, entry, code):
    assert refuse("pass", entry=entry).code == code


def test_marks_of_a_base_class_count_and_can_be_overridden(tmp_path):
    one = "    @operation\n    async def {}(self) -> int: 'Do.'\n"
    code = HEAD + one.format("f") + "class Second(Main):\n" + one.format("g")
    folder = write(tmp_path / "m", code, entry="code:Second", tables=provides("f", "g"))
    module = load(read_folder(folder))
    unload(module.root)
    assert [one.method for one in module.declared.operations] == ["f", "g"]
