"""The nodes of the driver `local`: what the operator allows, and who has which.

nodes/<node id>.json   who has the node, and what is done with it
nodes/<node id>.lock   one actor at a time
captures/<id>.json     a disk that is held for reading
"""

import contextlib
import dataclasses
import re
import stat
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle
from imagesvc_drivers.client import record

BUSY_STATES = ("deploying", "erasing")
FOLDERS = ("nodes", "captures", "operations", "work")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SYNTAX = "NAME:PATH or NAME:PATH:PROJECT+PROJECT"


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """A node of the configuration; without projects it is for every project."""

    node_id: str
    path: Path
    projects: frozenset[str]

    @property
    def owner(self) -> str | None:
        """The project that has the node whatever is done with it: the only one that may."""
        return next(iter(self.projects)) if len(self.projects) == 1 else None


@dataclasses.dataclass(frozen=True, slots=True)
class NodeRecord:
    """What was done with a node; `handle` is the work that did it, or does it.

    While work has the node, `before` is the record that it took the place of.
    """

    state: str = "available"
    project_id: str | None = None
    image_id: str | None = None
    handle: str = ""
    before: dict[str, Any] | None = None


def parse(items: Iterable[str]) -> dict[str, Allowed]:
    """The nodes that the option `nodes` names. Raises InvalidConfiguration."""
    found: dict[str, Allowed] = {}
    for item in items:
        name, _, rest = item.strip().partition(":")
        path, for_some, projects = rest.partition(":")
        allowed = frozenset(projects.split("+")) if for_some else frozenset()
        named = _NAME.fullmatch(name) and name not in found
        if not named or not Path(path).is_absolute() or "" in allowed or ":" in projects:
            raise errors.InvalidConfiguration(
                f"Option nodes: {item!r} is not {_SYNTAX} with a name of its own: small letters, "
                "digits and hyphens; the path is absolute and has no colon; no project is empty."
            )
        found[name] = Allowed(name, Path(path), allowed)
    return dict(sorted(found.items()))


class Nodes:
    """Allowed nodes and their records; safe to share among threads and processes.

    `runs` tells whether the work of a handle was begun and has not ended.
    """

    def __init__(
        self, state_dir: Path, allowed: Mapping[str, Allowed], runs: Callable[[Handle], bool]
    ) -> None:
        self._state_dir = state_dir
        self.allowed = allowed
        self._runs = runs

    def open(self) -> None:
        """Make the folders. Raises OSError, InvalidConfiguration as `refuse_twins` does."""
        self.refuse_twins()
        for name in FOLDERS:
            (self._state_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def refuse_twins(self) -> None:
        """Raise InvalidConfiguration if the disks of two nodes are one, by whatever names."""
        known: dict[tuple[int, ...], str] = {}
        for one in self.allowed.values():
            with contextlib.suppress(OSError):  # a disk that is away is nobody's twin yet
                found = one.path.stat()
                is_device = stat.S_ISBLK(found.st_mode)
                disk = (found.st_rdev,) if is_device else (found.st_dev, found.st_ino)
                twin = known.setdefault(disk, one.node_id)
                if twin != one.node_id:
                    raise errors.InvalidConfiguration(
                        f"Option nodes: {twin} and {one.node_id} have the same disk."
                    )

    def find(self, node_id: str, project_id: str) -> tuple[Allowed, NodeRecord]:
        """A node that this project may use or has. Raises NotFound."""
        found = self.allowed.get(node_id)
        if found is not None and (not found.projects or project_id in found.projects):
            known = self.read(node_id)
            if known.project_id in (None, project_id):
                return found, known
        raise errors.NotFound(f"No node {node_id} was found.")

    def read(self, node_id: str) -> NodeRecord:
        """What was done with a node; work that took it and never began did nothing."""
        known = NodeRecord(**(record.read(self._state_dir / "nodes" / f"{node_id}.json") or {}))
        if known.before is not None and not self._runs(known.handle):
            return NodeRecord(**known.before)
        return known

    def write(self, node_id: str, known: NodeRecord) -> None:
        """Store it durably."""
        path = self._state_dir / "nodes" / f"{node_id}.json"
        body = dataclasses.asdict(known)
        if known.before is None:
            del body["before"]  # processes of the release before this one do not know it
        record.write(path, body)

    def lock(self, node_id: str, *, wait_s: float) -> contextlib.AbstractContextManager[None]:
        """Be the only actor on this node. Raises Busy."""
        return record.lock(self._state_dir / "nodes" / f"{node_id}.lock", wait_s=wait_s)

    def captured(self, node_id: str) -> bool:
        """Whether its disk is held for reading."""
        for path in (self._state_dir / "captures").glob("*.json"):
            body = record.read(path)
            if body is not None and body["node_id"] == node_id:
                return True
        return False

    def hold(self, capture_id: str, node_id: str, size_bytes: int) -> None:
        """Hold a disk for reading; safe to repeat."""
        body = {"node_id": node_id, "size_bytes": size_bytes}
        record.write(self._capture(capture_id), body)

    def held(self, capture_id: str) -> tuple[Allowed, int]:
        """The node whose disk is held, and its size. Raises NotFound."""
        body = record.read(self._capture(capture_id))
        if body is None or body["node_id"] not in self.allowed:
            raise errors.NotFound(f"No snapshot {capture_id} was found.")
        return self.allowed[body["node_id"]], int(body["size_bytes"])

    def let_go(self, capture_id: str) -> None:
        """Let go of a disk; one that is not held is success."""
        with contextlib.suppress(errors.NotFound):
            self._capture(capture_id).unlink(missing_ok=True)

    def _capture(self, capture_id: str) -> Path:
        try:
            plain = str(uuid.UUID(capture_id)) == capture_id
        except ValueError:
            plain = False
        if not plain:
            raise errors.NotFound(f"No snapshot {capture_id} was found.")
        return self._state_dir / "captures" / f"{capture_id}.json"
