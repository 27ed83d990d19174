"""Long work on local nodes: writing an image to the disk, erasing it, holding it for reading."""

import dataclasses
import shutil
import uuid
from pathlib import Path

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc_drivers.baremetal import local_disk, local_writer
from imagesvc_drivers.baremetal.local_node import BUSY_STATES, NodeRecord, Nodes
from imagesvc_drivers.client import image_fetch, sandbox
from imagesvc_drivers.client.task import Task, Work

_NAMESPACE = uuid.UUID("b1b2f0a4-7f57-4c0f-9a51-3c9d4f0a6e13")
_LOCK_S = 5.0
_ERASE_BYTES = 256 << 20


class Deploying(Task):
    """Writing an image; what goes wrong before the first byte leaves the node as it was."""

    kind = "deploy"

    def __init__(self, state_dir: Path, nodes: Nodes, box: sandbox.Sandbox, fetch_s: float) -> None:
        self._work = state_dir / "work"
        self._nodes = nodes
        self._box = box
        self._fetch_s = fetch_s

    def do(self, work: Work) -> str:
        """Fetch, hold the disk, write, read back."""
        crashpoint("baremetal.local.deploy_recorded")
        node_id: str = work.body["node_id"]
        source = image_fetch.from_fields(work.sources[0])
        folder = self._work / work.handle
        folder.mkdir(mode=0o700, exist_ok=True)
        image = image_fetch.bring(source, folder, self._fetch_s)
        with self._nodes.lock(node_id, wait_s=_LOCK_S):
            known = self._nodes.read(node_id)
            _require_own(work, known)
            if known.state != "active":
                _require_unread(self._nodes, node_id)
                self._write(work, image, source)
                self._nodes.write(node_id, dataclasses.replace(known, state="active", before=None))
        crashpoint("baremetal.local.deployed")
        shutil.rmtree(folder, ignore_errors=True)
        return node_id

    def _write(self, work: Work, image: Path, source: ImageSource) -> None:
        with local_disk.hold(self._nodes.allowed[work.body["node_id"]].path) as disk:
            work.heed()
            work.keep(begun=True)
            with work.cancelling() as cancel:
                writer = local_writer.Writer(self._box, image, source.disk_format, cancel)
                writer.write(disk, source.virtual_size_bytes)

    def undo(self, work: Work) -> None:
        """A disk that was begun does not boot; the project keeps the node until it is erased."""
        node_id = work.body["node_id"]
        shutil.rmtree(self._work / work.handle, ignore_errors=True)
        before = NodeRecord(**work.body["before"])
        with self._nodes.lock(node_id, wait_s=_LOCK_S):
            known = self._nodes.read(node_id)
            if known.handle != work.handle:
                return
            if work.body.get("begun"):
                _require_unread(self._nodes, node_id)
                with local_disk.hold(self._nodes.allowed[node_id].path) as disk:
                    disk.zero(0, min(local_writer.HEAD_BYTES, disk.size_bytes))
                before = dataclasses.replace(known, state="error", before=None)
            self._nodes.write(node_id, before)


class Erasing(Task):
    """Zeros on the whole disk, then the node is free."""

    kind = "erase"

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def do(self, work: Work) -> str:
        """Erase piece by piece; a second try begins anew."""
        crashpoint("baremetal.local.erase_recorded")
        node_id: str = work.body["node_id"]
        with self._nodes.lock(node_id, wait_s=_LOCK_S):
            known = self._nodes.read(node_id)
            if known.handle != work.handle and work.body.get("erased"):
                return node_id  # it was freed, and is the next project's
            _require_own(work, known)
            if known.state != "available":
                _require_unread(self._nodes, node_id)
                self._erase(work)
                work.keep(erased=True)
                self._nodes.write(node_id, NodeRecord(handle=work.handle))
        crashpoint("baremetal.local.erased")
        return node_id

    def _erase(self, work: Work) -> None:
        with local_disk.hold(self._nodes.allowed[work.body["node_id"]].path) as disk:
            for offset in range(0, disk.size_bytes, _ERASE_BYTES):
                work.progress(offset)
                disk.zero(offset, min(_ERASE_BYTES, disk.size_bytes - offset))

    def undo(self, work: Work) -> None:
        """What was erased stays so; the project keeps the node."""
        node_id = work.body["node_id"]
        with self._nodes.lock(node_id, wait_s=_LOCK_S):
            known = self._nodes.read(node_id)
            if known.handle == work.handle and known.state == "erasing":
                self._nodes.write(node_id, dataclasses.replace(known, state="error", before=None))


class Holding(Task):
    """Holding a disk for reading: nothing is copied."""

    kind = "hold"

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def do(self, work: Work) -> str:
        """Hold the disk, if it can be had just now and is still what was asked for."""
        crashpoint("baremetal.local.hold_recorded")
        node_id: str = work.body["node_id"]
        with self._nodes.lock(node_id, wait_s=_LOCK_S):
            allowed, known = self._nodes.find(node_id, work.body.get("project_id", ""))
            if known.handle != work.body.get("known") or known.state in BUSY_STATES:
                raise errors.DriverError("The node has other work meanwhile.", f"{known}")
            local_disk.read(allowed.path, 0).close()
            made = capture_id(work.handle)
            self._nodes.hold(made, node_id, local_disk.size_of(allowed.path))
        crashpoint("baremetal.local.held")
        return made

    def undo(self, work: Work) -> None:
        """Let go of it."""
        self._nodes.let_go(capture_id(work.handle))


def _require_own(work: Work, known: NodeRecord) -> None:
    """Raise DriverError for a node that other work took, whose disk is not to be touched.

    It may when a kill comes between freeing the node and telling that the work has ended.
    """
    if known.handle != work.handle:
        raise errors.DriverError("The node has other work meanwhile.", f"{known}")


def _require_unread(nodes: Nodes, node_id: str) -> None:
    """Raise Busy for a disk that is held for reading; call it under the node's lock."""
    if nodes.captured(node_id):
        raise errors.Busy(f"The disk of node {node_id} is being read.")


def capture_id(handle: Handle) -> str:
    """The id of the snapshot that this work makes."""
    return str(uuid.uuid5(_NAMESPACE, handle))
