"""Who requires whom: any graph has a start order, or a refusal that names what is wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nzcore.base.errors import UsageError
from nzcore.kernel.registry import Registry
from nzcore.kernel.service import ServiceSpec

SIZE = 8
edges = st.sets(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), max_size=14)


def specs_of(pairs) -> list[ServiceSpec]:
    return [
        ServiceSpec(f"s{one}", requires=tuple(f"s{below}" for upper, below in sorted(pairs) if upper == one))
        for one in range(SIZE)
    ]


def has_cycle(pairs) -> bool:
    """By taking away what requires nothing that is left: nothing to do with how the registry finds it."""
    left = set(range(SIZE))
    while free := {one for one in left if not any((one, below) in pairs for below in left)}:
        left -= free
    return bool(left)


@given(edges)
def test_the_order_has_each_dependency_first_or_a_true_cycle_is_named(pairs):
    registry = Registry()
    if has_cycle(pairs):
        with pytest.raises(UsageError) as refused:
            registry.add(*specs_of(pairs))
        refusal = refused.value
        assert refusal.code == "kernel.dependency-cycle"
        cycle = refusal.facts["cycle"]
        assert cycle[0] == cycle[-1]
        assert len(registry) == 0
        for upper, below in pairwise(cycle):
            assert (int(upper[1:]), int(below[1:])) in pairs
            assert upper in refusal.message
        return
    registry.add(*specs_of(pairs))
    order = list(registry)
    assert sorted(order) == sorted(f"s{one}" for one in range(SIZE))
    for upper, below in pairs:
        assert order.index(f"s{below}") < order.index(f"s{upper}")
        assert f"s{upper}" in registry.all_dependants(f"s{below}")
        assert f"s{below}" in registry.all_requirements(f"s{upper}")
        assert f"s{upper}" in registry.after(f"s{below}")


def test_an_unknown_dependency_is_refused_with_both_names():
    registry = Registry()
    with pytest.raises(UsageError) as refusal:
        registry.add(ServiceSpec("chat", requires=("store",)))
    assert refusal.value.code == "kernel.unknown-dependency"
    assert "chat" in refusal.value.message
    assert "store" in refusal.value.message
    assert "chat" not in registry


def test_a_second_service_of_one_name_is_refused():
    registry = Registry()
    registry.add(ServiceSpec("chat"))
    with pytest.raises(UsageError) as refusal:
        registry.add(ServiceSpec("chat"))
    assert refusal.value.code == "kernel.duplicate-name"


def test_a_required_service_is_not_removed():
    registry = Registry()
    registry.add(ServiceSpec("store"), ServiceSpec("chat", requires=("store",)))
    with pytest.raises(UsageError) as refusal:
        registry.remove("store")
    assert refusal.value.code == "kernel.has-dependants"
    registry.remove("chat")
    registry.remove("store")
    assert len(registry) == 0
    with pytest.raises(UsageError) as unknown:
        registry.remove("store")
    assert unknown.value.code == "kernel.unknown-service"


def test_a_chain_longer_than_pythons_stack_is_ordered():
    registry = Registry()
    chain = [ServiceSpec(f"s{one}", requires=(f"s{one + 1}",)) for one in range(5000)]
    registry.add(*chain, ServiceSpec("s5000"))
    assert next(iter(registry)) == "s5000"
    assert len(registry.all_dependants("s5000")) == 5000
