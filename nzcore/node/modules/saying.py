"""What is said of a module: its line in a list, and everything about it. Decides nothing."""

from msgspec import structs

from nzcore.control.module_ops import CapabilityInfo, ModuleDetails, ModuleInfo, ModuleState
from nzcore.node.modules.host import ModuleService
from nzcore.node.modules.pins import Pin
from nzcore.node.modules.search import Found
from nzcore.node.plain import plain, plain_path


def info_of(name: str, found: Found | None, pin: Pin | None, state: ModuleState, problem: str) -> ModuleInfo:
    """One module in a list; of one whose folder is gone, what its pin kept."""
    manifest = found.snapshot.manifest if found and found.snapshot else None
    return ModuleInfo(
        name=name,
        version=manifest.version if manifest else pin.version if pin else "",
        state=state,
        source=found.source if found else "gone",
        capabilities=[str(one) for one in manifest.capabilities] if manifest else list(pin.capabilities if pin else ()),
        summary=manifest.summary if manifest else "",
        problem=problem,
    )


def details_of(info: ModuleInfo, found: Found | None, pin: Pin | None, service: ModuleService | None) -> ModuleDetails:
    """The same with all that an owner may want to know; `service` where it was loaded."""
    snapshot = found.snapshot if found else None
    manifest = snapshot.manifest if snapshot else None
    granted = frozenset(pin.capabilities) if pin else frozenset()
    return ModuleDetails(
        **structs.asdict(info),
        digest=snapshot.digest if snapshot else "",
        path=plain_path(found.folder) if found else "",
        files=len(snapshot.files) if snapshot else 0,
        asks=[
            CapabilityInfo(capability=str(one), meaning=one.meaning, new=str(one) not in granted)
            for one in (manifest.capabilities if manifest else ())
        ],
        operations=[f"{info.name}.{one}" for one in (manifest.provides.operations if manifest else ())],
        commands=list(manifest.provides.commands) if manifest else [],
        services=list(manifest.provides.services) if manifest else [],
        requires=dict(manifest.requires) if manifest else {},
        difference=pin.differs(snapshot) if pin and snapshot else "",
        enabled_at=pin.enabled_at if pin else None,
        facts=_facts(service),
    )


def _facts(service: ModuleService | None) -> dict[str, object]:
    facts = plain(dict(service.status())) if service else {}
    assert isinstance(facts, dict)
    return facts
