"""All modules of a node: what was found, what was allowed, what runs (spec/module.md §5).

The one place that changes any of that. One change at a time; looking never waits for a change.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trio
from msgspec import structs

from nzcore.base.errors import NzError, UnavailableError, UsageError
from nzcore.control.module_ops import ModuleDetails, ModuleInfo, ModuleRemoved, ModuleState
from nzcore.control.verdict import Principal
from nzcore.ipc.connection import Dispatch, SendItem
from nzcore.kernel import State, Supervisor
from nzcore.node.modules.folder import Snapshot, read_folder
from nzcore.node.modules.host import SERVICE_PREFIX, ModuleService, Table
from nzcore.node.modules.installing import install_folder, remove_folder
from nzcore.node.modules.loading import Loaded, load, unload
from nzcore.node.modules.manifest import Manifest, satisfies
from nzcore.node.modules.pins import Pin, Pins, pin_of
from nzcore.node.modules.saying import details_of, info_of
from nzcore.node.modules.search import Found, find, names, survey
from nzcore.node.modules.surroundings import Surroundings
from nzcore.node.offload import Offload, in_spare_thread
from nzcore.store.kv import Delete

LOAD_S = 10.0
"""Seconds that a module's code may take while it is loaded."""

END_S = 25.0
"""Seconds in which a module must have ended and begun again: its own limits are 5 s to stop and 10 s to start."""

SERVICE = "modules"

NAMED = 16
"""Modules that are named to whoever asks for one that is not there."""


class Modules:
    """Made with the node; `begin` when its service starts."""

    def __init__(self, parts: Surroundings, folder: Path, supervisor: Callable[[], Supervisor]) -> None:
        """`folder` is the home's, where modules are dropped."""
        self.table = Table()
        self.folder = folder
        self.offload: Offload = in_spare_thread
        self.held = False
        """Set before `begin`, no code of a module is loaded in this run; all that needs none works."""
        self.dispatch: Dispatch = _not_up
        """Carries out what modules call; whoever runs the service `modules` puts the node's in this place."""
        self._parts = parts
        self._supervisor = supervisor
        self._pins = Pins(parts.kv)
        self._services: dict[str, ModuleService] = {}
        self._failures: dict[str, str] = {}
        self._changing = trio.Lock()

    @property
    def problems(self) -> tuple[str, ...]:
        """Enabled modules that do not run because of what they are; those that crash the supervisor tells of."""
        return tuple(f"the module {name} failed: {why}" for name, why in sorted(self._failures.items()))

    @property
    def enabled(self) -> list[str]:
        """Names of those that are to run."""
        return [name for name, pin in sorted(self._pins.all().items()) if pin.enabled]

    @property
    def suspects(self) -> list[str]:
        """Enabled modules in whose beginning an earlier process was when it ended; of use while modules are held."""
        return [name for name in self._parts.beginnings.left() if name in self.enabled]

    @property
    def running(self) -> Mapping[str, ModuleService]:
        """Modules that were loaded, by name."""
        return self._services

    async def begin(self) -> None:
        """Loads and starts every enabled module; what fails is remembered and harms nobody else."""
        async with self._changing:
            await self._pins.load()
            if self.held:
                return
            self._parts.beginnings.clear()
            order = self._in_order()
            found = await self.offload(survey, self.folder) if order else {}
            for name in order:
                if name not in self._services:
                    try:
                        loaded = await self._load(self._unchanged(name, found.get(name)))
                        self._add(loaded)
                        self._failures.pop(name, None)
                    except NzError as error:
                        self._failures[name] = error.message

    def forget(self) -> None:
        """Takes all code of modules out of the interpreter; only once none of it runs."""
        for service in self._services.values():
            unload(service.loaded.root)
        self._services.clear()

    # Looking.

    async def all(self) -> list[ModuleInfo]:
        """Everything that was found, and what was enabled and is gone."""
        found = await self.offload(survey, self.folder)
        every = sorted({*found, *(name for name, pin in self._pins.all().items() if pin.enabled)})
        return [self._info(name, found.get(name)) for name in every]

    async def show(self, name: str) -> ModuleDetails:
        """*Raises* UsageError `module.unknown`, or why its folder is none."""
        found = await self.offload(find, self.folder, name)
        if found is None and self._pins.get(name) is None:
            raise await self._unknown(name)
        if found is not None and found.error is not None and self._pins.get(name) is None:
            raise found.error
        return details_of(self._info(name, found), found, self._pins.get(name), self._services.get(name))

    # Changing.

    async def enable(self, name: str, digest: str | None) -> ModuleDetails:
        """Pins and runs a module as it is now; one that runs is replaced.

        Where the new code fails to load, what runs goes on as before; where nothing runs, the module is pinned, and
        failed. *Raises* UsageError `module.held`, `module.unknown`, `module.not-shown`, `module.requires`,
        as `load`, and UnavailableError `kernel.not-started` where its start failed.
        """
        async with self._changing:
            self._require_loading()
            found = await self.offload(find, self.folder, name)
            if found is None:
                raise await self._unknown(name)
            snapshot = _readable(name, found)
            if digest is not None and snapshot.digest != digest:
                raise UsageError("module.not-shown", f"{name} changed after it was shown")
            self._require(snapshot)
            self._check_replaceable(snapshot)
            try:
                loaded = await self._load(snapshot)
            except NzError as error:
                if name not in self._services:
                    await self._pins.put(name, pin_of(snapshot, self._parts.clock()))
                    self._failures[name] = error.message
                raise
            await self._pins.put(name, pin_of(snapshot, self._parts.clock()))
            await self._run(loaded)
        return await self.show(name)

    async def reload(self, name: str) -> ModuleDetails:
        """Reads an enabled module anew and restarts it. *Raises* as `enable`; UsageError `module.not-enabled`,
        `module.changed`."""
        async with self._changing:
            await self._known(name)
            self._require_loading()
            loaded = await self._load(self._unchanged(name, await self.offload(find, self.folder, name)))
            await self._run(loaded)
        return await self.show(name)

    async def disable(self, name: str) -> ModuleDetails:
        """*Raises* UsageError `module.unknown`, `module.not-enabled`, `module.required`."""
        async with self._changing:
            pin = await self._known(name, hint="`nzcore module list` shows which are")
            self._check_unneeded(name)
            await self._pins.put(name, structs.replace(pin, enabled=False))
            await self._halt(name)
        return await self.show(name)

    async def install(self, path: Path, *, replace: bool) -> ModuleDetails:
        """Copies a folder into the home. *Raises* as `read_folder`; UsageError `module.exists`."""
        async with self._changing:
            snapshot = await self.offload(read_folder, path)
            await self.offload(install_folder, snapshot, self.folder, replace)
        return await self.show(snapshot.manifest.name)

    async def remove(self, name: str, *, data: bool) -> ModuleRemoved:
        """Disables a module and deletes its folder, where that is in the home. *Raises* as `disable`;
        `module.unknown`, `module.not-removable`."""
        async with self._changing:
            found, pin = await self.offload(find, self.folder, name), self._pins.get(name)
            if found is None and pin is None:
                raise await self._unknown(name)
            if found is not None and found.source != "home" and pin is None and not data:
                raise UsageError("module.not-removable", f"{name} is {found.source}")
            self._check_unneeded(name)
            await self._halt(name)
            if pin is not None:
                await self._pins.drop(name)
            in_home = found is not None and found.source == "home"
            if in_home:
                await self.offload(remove_folder, self.folder / name)
            if data:
                await self._remove_data(name)
        return ModuleRemoved(name=name, folder_removed=in_home, data_removed=data)

    # How.

    async def _load(self, snapshot: Snapshot) -> Loaded:
        """Executes a module's code where it can't stop the node. *Raises* as `load`; `module.load-hung`."""
        with trio.move_on_after(LOAD_S), self._parts.beginnings.noted(snapshot.manifest.name):
            try:
                return await self.offload(load, snapshot)
            except NzError as error:
                trace = getattr(error, "trace", "")
                name = snapshot.manifest.name
                self._parts.bus.emit(f"module.{name}.failed", (error.message, trace))
                raise
        raise UnavailableError("module.load-hung", f"its code did not end within {LOAD_S:g} s")

    async def _run(self, loaded: Loaded) -> None:
        """Makes `loaded` what runs. *Raises* UnavailableError `kernel.not-started`."""
        name = loaded.manifest.name
        self._failures.pop(name, None)
        service = self._services.get(name)
        if service is not None and service.requires == self._needs(loaded.manifest):
            old = service.loaded
            service.replace(loaded)
            try:
                with self._patience(name):
                    await self._supervisor().restart_service(service.name)
            finally:
                unload(old.root)
            return
        await self._halt(name)
        self._add(loaded)
        await self._supervisor().start_service(SERVICE_PREFIX + name)

    def _add(self, loaded: Loaded) -> None:
        service = ModuleService(loaded, self._parts, self.table, self._needs(loaded.manifest))
        try:
            self._supervisor().add(service)
        except BaseException:
            unload(loaded.root)
            raise
        self._services[loaded.manifest.name] = service

    async def _halt(self, name: str) -> None:
        self._failures.pop(name, None)
        self._parts.beginnings.settled(name)
        service = self._services.get(name)
        if service is not None:
            with self._patience(name):
                await self._supervisor().remove(service.name)
            del self._services[name]
            unload(service.loaded.root)

    @contextmanager
    def _patience(self, name: str) -> Iterator[None]:
        """*Raises* UnavailableError `module.stuck` where a module shields itself from being stopped."""
        with trio.move_on_after(END_S) as patience:
            yield
        if patience.cancelled_caught:
            raise UnavailableError("module.stuck", f"{name} does not end although it was cancelled")

    def _needs(self, manifest: Manifest) -> tuple[str, ...]:
        return (SERVICE, *(SERVICE_PREFIX + name for name, _ in manifest.requires))

    def _check_replaceable(self, snapshot: Snapshot) -> None:
        """A module that others need can be replaced by one that itself needs the same: else they would stop with it."""
        service = self._services.get(snapshot.manifest.name)
        if service is not None and service.requires != self._needs(snapshot.manifest):
            self._check_unneeded(snapshot.manifest.name)

    def _unchanged(self, name: str, found: Found | None) -> Snapshot:
        """What was found, if it is what was pinned. *Raises* UsageError `module.changed`, as `_require`."""
        snapshot = _readable(name, found)
        pin = self._pins.get(name)
        if pin is None or (why := pin.differs(snapshot)):
            raise UsageError("module.changed", f"{name} is not as it was enabled: {why if pin else 'not pinned'}")
        self._require(snapshot)
        return snapshot

    def _require(self, snapshot: Snapshot) -> None:
        """*Raises* UsageError `module.requires` unless all that it requires is enabled, and new enough."""
        for name, demand in snapshot.manifest.requires:
            pin = self._pins.get(name)
            if pin is None or not pin.enabled or name not in self._services:
                raise UsageError("module.requires", f"it needs {name} {demand}, which does not run", needs=name)
            if not satisfies(pin.version, demand):
                raise UsageError("module.requires", f"it needs {name} {demand}, not {pin.version}", needs=name)

    def _check_unneeded(self, name: str) -> None:
        users = [other for other, one in self._services.items() if name in dict(one.loaded.manifest.requires)]
        if users:
            raise UsageError("module.required", f"{name} is needed by {', '.join(sorted(users))}", users=sorted(users))

    async def _known(self, name: str, *, hint: str = "") -> Pin:
        """*Raises* UsageError `module.unknown`, `module.not-enabled` unless it is enabled."""
        pin = self._pins.get(name)
        if pin is not None and pin.enabled:
            return pin
        if pin is None and await self.offload(find, self.folder, name) is None:
            raise await self._unknown(name)
        raise UsageError("module.not-enabled", f"{name[:64]} is not enabled", hint=hint)

    async def _unknown(self, name: str) -> UsageError:
        there = sorted({*await self.offload(names, self.folder), *self._pins.all()})
        more = ["…"] if len(there) > NAMED else []
        hint = f"there are {', '.join([*there[:NAMED], *more])}; `nzcore module install` adds one" if there else ""
        return UsageError("module.unknown", f"there is no module {name[:64]!r}", hint=hint)

    def _require_loading(self) -> None:
        if self.held:
            raise UsageError("module.held")

    def _in_order(self) -> list[str]:
        """Names of enabled modules, each behind those that it requires; cycles last, to be refused."""
        waiting = {name: set(pin.requires) for name, pin in sorted(self._pins.all().items()) if pin.enabled}
        ordered: list[str] = []
        while ready := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
            ordered += ready
            for name in ready:
                del waiting[name]
        return [*ordered, *waiting]

    async def _remove_data(self, name: str) -> None:
        kv = self._parts.kv()
        for namespace in await kv.namespaces():
            if namespace.startswith(f"module.{name}:"):
                stored = await kv.list(namespace)
                for start in range(0, len(stored), 1000):
                    await kv.write([Delete(namespace, one) for one in stored[start : start + 1000]])
        await self.offload(shutil.rmtree, self._parts.files / name, True)

    # Saying.

    def _info(self, name: str, found: Found | None) -> ModuleInfo:
        return info_of(name, found, self._pins.get(name), *self._state(name, found))

    def _state(self, name: str, found: Found | None) -> tuple[ModuleState, str]:
        pin = self._pins.get(name)
        if pin is None:
            return "found", found.problem if found else ""
        if not pin.enabled:
            return "disabled", found.problem if found else ""
        if found is None or found.snapshot is None:
            return "changed", found.problem if found else "its folder is gone"
        if why := pin.differs(found.snapshot):
            return "changed", why
        if self.held:
            return "enabled", "not started: the node runs without modules"
        if name in self._failures:
            return "failed", self._failures[name]
        if name not in self._services:
            return "enabled", ""
        info = self._supervisor().info(SERVICE_PREFIX + name)
        if info.state is State.RUNNING:
            return "running", ""
        return ("failed" if info.state is State.FAILED else "enabled"), info.last_error


def _not_up(principal: Principal, operation: str, args: object, send_item: SendItem) -> object:
    raise UnavailableError("node.not-up")


def _readable(name: str, found: Found | None) -> Snapshot:
    if found is None:
        raise UsageError("module.unknown", f"there is no module {name[:64]!r}")
    if found.snapshot is None:
        raise found.error or UsageError("module.unknown")
    return found.snapshot
