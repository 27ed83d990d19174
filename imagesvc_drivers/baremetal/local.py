"""Block devices and files of this machine as the disks of bare-metal nodes.

For machines whose disk is reached from here: iSCSI, a dual-ported shelf, a disk in a dock. The
operator names each disk; nothing else is ever opened.
"""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from oslo_config import cfg

from imagesvc.interface import baremetal, base, errors
from imagesvc.interface.baremetal import BaremetalCapability, DeploySpec, Node, NodeState
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.baremetal import local_disk, local_node, local_task
from imagesvc_drivers.client import disk_tool, image_fetch, sandbox, task

_CLOSE_S = 5.0
_SECTOR_BYTES = 512


class LocalBaremetal(baremetal.BaremetalDriver):
    """One disk a node."""

    contract = base.Version(1, 1)
    OPTS = (
        cfg.ListOpt(
            "nodes",
            default=[],
            help="The nodes, as NAME:PATH or NAME:PATH:PROJECT+PROJECT, separated by commas: a "
            "block device or a file whose path has no colon, and the ids of the projects that may "
            "use it (without :PROJECT every project). A node for one project alone is that project's always; others are "
            "had by who deploys them, until they are undeployed.",
        ),
        cfg.StrOpt(
            "state_dir",
            default="${service.state_dir}/baremetal",
            help="Folder of what is known of the nodes; needs room for the images that are being "
            "written. All processes of the service share it.",
        ),
        cfg.FloatOpt(
            "fetch_timeout_s",
            default=60.0,
            min=1.0,
            help="Seconds without a byte after which fetching an image is tried again.",
        ),
        cfg.FloatOpt(
            "lock_timeout_s",
            default=5.0,
            min=0.0,
            help="Seconds to wait for another action on the same node before saying busy.",
        ),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._state_dir = Path(options.state_dir)
        if not self._state_dir.is_absolute():
            raise errors.InvalidConfiguration("Option state_dir needs an absolute path.")
        self._nodes = local_node.Nodes(self._state_dir, local_node.parse(options.nodes), self._runs)
        self._box = sandbox.Sandbox()
        tasks = (
            local_task.Deploying(self._state_dir, self._nodes, self._box, options.fetch_timeout_s),
            local_task.Erasing(self._nodes),
            local_task.Holding(self._nodes),
        )
        self._desk = task.Desk(self._state_dir / "operations", tasks)

    def open(self) -> None:
        """Make the folders and tidy up. Raises Unavailable, InvalidConfiguration."""
        try:
            self._nodes.open()
            self._desk.open()
        except OSError as exc:
            raise errors.Unavailable("Nodes cannot be looked after here.", str(exc)) from exc

    def close(self) -> None:
        """Wait a little for work in the background."""
        self._desk.close(_CLOSE_S)

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({BaremetalCapability.CAPTURE}),
        )

    def health(self) -> base.Health:
        """Look for the sandbox, and for the disks; some that are away make it DEGRADED."""
        begun = time.perf_counter()
        try:
            self._box.level()
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        away = [
            str(one.path)
            for one in self._nodes.allowed.values()
            if not os.access(one.path, os.R_OK | os.W_OK)
        ]
        state = base.HealthState.DEGRADED if away else base.HealthState.OK
        detail = f"not there: {', '.join(away)}" if away else ""
        return base.Health(state, detail, (time.perf_counter() - begun) * 1000)

    def get_node(self, node_id: str, *, project_id: str) -> Node:
        """Describe one node."""
        return _describe(*self._nodes.find(node_id, project_id))

    def list_nodes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Node]:
        """List the nodes that a project may use or has."""
        found: list[Node] = []
        for node_id in self._nodes.allowed:
            if len(found) < limit and (after is None or node_id > after):
                try:
                    found.append(self.get_node(node_id, project_id=project_id))
                except errors.NotFound:
                    continue
        return found

    def start_deploy(self, node_id: str, spec: DeploySpec, token: str) -> Handle:
        """Write an image to the node's disk and read it back."""
        allowed, _ = self._nodes.find(node_id, spec.project_id)
        image_fetch.check(spec.source)
        disk_tool.check_format(spec.source.disk_format, "A node's disk")
        if spec.source.virtual_size_bytes % _SECTOR_BYTES:
            raise errors.InvalidArgument("The image's disk is not made of whole sectors.")
        if spec.source.virtual_size_bytes > local_disk.size_of(allowed.path):
            raise errors.InvalidArgument(
                f"The image's disk has {spec.source.virtual_size_bytes} bytes, the node's disk "
                "has less."
            )
        body = {
            "sources": [image_fetch.fields(spec.source)],
            "total_bytes": spec.source.virtual_size_bytes,
        }
        wanted = local_node.NodeRecord("deploying", spec.project_id, spec.image_id)
        return self._begin("deploy", node_id, token, wanted, body)

    def start_undeploy(self, node_id: str, token: str, *, project_id: str) -> Handle:
        """Erase the whole disk, then free the node."""
        allowed, known = self._nodes.find(node_id, project_id)
        body = {"total_bytes": local_disk.size_of(allowed.path)}
        wanted = dataclasses.replace(known, state="erasing", project_id=project_id)
        return self._begin("erase", node_id, token, wanted, body)

    def forestall(self, token: str) -> Handle | None:
        """Find deploying or erasing by its token, or see to it that it never begins."""
        return self._desk.forestall(("deploy", "erase"), token)

    def start_snapshot(self, node_id: str, token: str, *, project_id: str) -> Handle:
        """Hold the disk as it is."""
        allowed, known = self._nodes.find(node_id, project_id)
        if project_id not in (known.project_id, allowed.owner):
            raise errors.NotFound(f"The project does not have node {node_id}.")
        self._nodes.refuse_twins()
        self._refuse_other_work(node_id, known, "")
        body = {"node_id": node_id, "project_id": project_id, "known": known.handle}
        return self._desk.start("hold", token, body)

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size of the raw disk."""
        return self._nodes.held(snapshot_id)[1]

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of the disk itself, which nobody else may use meanwhile."""
        allowed, size_bytes = self._nodes.held(snapshot_id)
        if not 0 <= offset <= size_bytes:
            raise errors.InvalidArgument(f"Offset {offset} is outside of the disk.")
        return local_disk.read(allowed.path, offset)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Let go of the disk."""
        self._nodes.let_go(snapshot_id)

    def poll(self, handle: Handle) -> Progress:
        """Go on with the work where nobody does, and say how far it is."""
        return self._desk.poll(handle)

    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it."""
        self._desk.cancel(handle)

    def _begin(
        self,
        kind: str,
        node_id: str,
        token: str,
        wanted: local_node.NodeRecord,
        body: dict[str, Any],
    ) -> Handle:
        """Take the node for this work, then begin it; the same token again is the same work."""
        self._nodes.refuse_twins()
        body = body | {"node_id": node_id}
        handle = self._desk.handle(kind, token)
        before = self._nodes.read(node_id)
        if self._desk.state(handle) in (None, ProgressState.FAILED):
            try:
                with self._nodes.lock(node_id, wait_s=self.options.lock_timeout_s):
                    before = self._nodes.find(node_id, wanted.project_id or "")[1]
                    if self._desk.state(handle) in (None, ProgressState.FAILED):
                        self._refuse_other_work(node_id, before, handle)
                        if self._nodes.captured(node_id):
                            raise errors.Busy(f"The disk of node {node_id} is being read.")
                        kept = dataclasses.asdict(before)
                        wanted = dataclasses.replace(wanted, handle=handle, before=kept)
                        self._nodes.write(node_id, wanted)
                        return self._desk.start(kind, token, body | {"before": kept})
            except errors.Busy:
                if not self._runs(handle):
                    raise  # else another process was quicker with the same token
        return self._desk.start(kind, token, body | {"before": dataclasses.asdict(before)})

    def _refuse_other_work(self, node_id: str, known: local_node.NodeRecord, handle: str) -> None:
        """Raise Busy for a node that other work has; what was never begun, or ended, has none."""
        if known.handle == handle or known.state not in local_node.BUSY_STATES:
            return
        if self._runs(known.handle):
            raise errors.Busy(f"Node {node_id} has other work.")

    def _runs(self, handle: Handle) -> bool:
        return self._desk.state(handle) is ProgressState.RUNNING


def _describe(allowed: local_node.Allowed, known: local_node.NodeRecord) -> Node:
    try:
        size_bytes, detail = local_disk.size_of(allowed.path), ""
    except errors.Unavailable as exc:
        size_bytes, detail = 0, exc.user_message
    return Node(
        node_id=allowed.node_id,
        state=NodeState(known.state),
        size_bytes=size_bytes,
        project_id=known.project_id or allowed.owner,
        image_id=known.image_id,
        detail=detail,
    )
