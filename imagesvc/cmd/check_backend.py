"""Checks of the backends: contracts, health, the sandbox that they found, and their space."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from imagesvc.backend import kind as kinds
from imagesvc.backend.backend import BackendState, BackendStatus
from imagesvc.backend.registry import Backends
from imagesvc.cmd import verdict
from imagesvc.interface import errors as driver_errors
from imagesvc.manager import image_copy

_SANDBOX = re.compile(r"sandbox: (\w+)")
_FREE_WARNING = 0.10
_FREE_FAILED = 0.01
_GIB = 1 << 30


def contracts(backends: Backends) -> Iterator[verdict.Verdict]:
    """Whether each driver loads and speaks the contract of this release; nothing is opened."""
    for one in backends.describe():
        speaks = kinds.find(one.kind).version
        name = f"contract {one.kind}:{one.id}"
        if one.state is BackendState.FAILED:
            yield verdict.failed(name, f"driver {one.driver}: {one.cause}")
            continue
        yield verdict.ok(
            name,
            f"driver {one.driver} {one.version} of {one.distribution} was written for "
            f"{one.contract}, the service speaks {speaks}",
        )


def health(backends: Backends) -> Iterator[verdict.Verdict]:
    """One probe of each backend, which must have been opened."""
    backends.check()
    for one in backends.describe():
        yield _health(one)


def _health(one: BackendStatus) -> verdict.Verdict:
    name = f"backend {one.kind}:{one.id}"
    text = f"{one.driver} is {one.state}, {one.latency_ms:.1f} ms" + (
        f", {one.cause}" if one.cause else ""
    )
    if one.state is BackendState.OK:
        return verdict.ok(name, text)
    if one.state is BackendState.DEGRADED:
        return verdict.warning(name, text)
    return verdict.failed(name, f"{text}: correct [{one.kind}_{one.id}] or what it points to")


def sandbox(backends: Backends) -> Iterator[verdict.Verdict]:
    """What holds the tools that read images, as the converters' probes found it."""
    for one in backends.describe():
        if one.kind != "converter":
            continue
        found = _SANDBOX.search(one.cause)
        name = f"sandbox {one.kind}:{one.id}"
        if found is None:
            yield verdict.failed(name, "none: structured images are refused; " + one.cause)
        elif found[1] == "bubblewrap":
            yield verdict.ok(name, found[1])
        else:
            yield verdict.warning(
                name,
                f"{found[1]}: unix sockets of this machine are open to some tools, and disks of "
                "guests are not looked into; install bubblewrap and allow user namespaces",
            )


def doubts(backends: Backends) -> Iterator[verdict.Verdict]:
    """What the drivers of stores say of a configuration that works, and yet wants a look."""
    for backend_id in backends.ids("storage"):
        for text in backends.storage(backend_id).warnings():
            yield verdict.warning(f"store {backend_id}", text)


def kept(backends: Backends) -> dict[str, int]:
    """Store id -> how many copies it keeps of each object."""
    return {one: image_copy.kept(backends, one) for one in backends.ids("storage")}


def space(conf: cfg.ConfigOpts, backends: Backends) -> Iterator[verdict.Verdict]:
    """Free space of the stores, of the service's own folder and of temporary files."""
    for backend_id in backends.ids("storage"):
        try:
            usage = backends.storage(backend_id).usage()
        except driver_errors.DriverError as exc:  # a finding
            yield verdict.failed(f"space storage:{backend_id}", exc.operator_message)
            continue
        if usage.total_bytes is None:
            yield verdict.ok(f"space storage:{backend_id}", "the backend names no limit")
        else:
            yield _space(f"storage:{backend_id}", usage.used_bytes, usage.total_bytes)
    for name, folder in (("state_dir", conf.service.state_dir), ("scratch", tempfile.gettempdir())):
        path = Path(folder)
        while not path.exists():
            path = path.parent
        found = shutil.disk_usage(path)
        yield _space(name, found.used, found.used + found.free)


def _space(name: str, used_bytes: int, total_bytes: int) -> verdict.Verdict:
    free = total_bytes - used_bytes
    share = free / total_bytes if total_bytes else 0.0
    text = f"{free / _GIB:.1f} GiB of {total_bytes / _GIB:.1f} GiB free"
    if share < _FREE_FAILED:
        return verdict.failed(f"space {name}", f"{text}: make room")
    if share < _FREE_WARNING:
        return verdict.warning(f"space {name}", f"{text}: make room soon")
    return verdict.ok(f"space {name}", text)
