"""Backup jobs inside a running QEMU: started in one transaction, watched, cleared away.

Commands: blockdev-backup, transaction, query-jobs of the QEMU QMP reference. The jobs and their
targets have names made of the snapshot's id, so that any process finds them again.
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagesvc_drivers.compute.qemu import command_line, monitor

_CANCEL_POLL_S = 0.05
_ENDING = frozenset({"concluded", "null"})


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """One disk to copy into the qcow2 file `target`.

    Over the same `base` as the disk itself, the target takes only what the server has written.
    """

    disk_id: str
    snapshot_id: str
    target: Path
    base: Path | None = None
    base_format: str = "raw"

    def add_target(self) -> dict[str, Any]:
        """Arguments of blockdev-add for the target."""
        base = command_line.base_node(self.base, self.base_format) if self.base else None
        node = command_line.overlay_node(self.target, base)
        return node | {"node_name": self.node}

    def action(self) -> dict[str, Any]:
        """The copy as an action of a transaction."""
        data = {
            "job-id": self.job, "device": self.disk_id, "target": self.node,
            "sync": "top" if self.base else "full", "auto-dismiss": False,
        }  # fmt: skip
        return {"type": "blockdev-backup", "data": data}

    @property
    def job(self) -> str:
        """Id of the job."""
        return f"j-{self.snapshot_id}"

    @property
    def node(self) -> str:
        """Name of the target's node, under QEMU's 31 characters."""
        return f"n-{self.snapshot_id.replace('-', '')[:28]}"


def jobs(socket: Path, backups: Sequence[Backup]) -> dict[str, dict[str, Any]]:
    """The jobs of these backups that QEMU knows, by id."""
    wanted = {backup.job for backup in backups}
    found = monitor.command(socket, "query-jobs")
    return {job["id"]: job for job in found if job["id"] in wanted}


def start(socket: Path, backups: Sequence[Backup]) -> None:
    """Fix the instant: all disks in one transaction. The targets exist and are empty."""

    async def act(execute: monitor.Execute) -> None:
        await _drop_nodes(execute, backups)
        for backup in backups:
            await execute("blockdev-add", **backup.add_target())
        actions = [backup.action() for backup in backups]
        # `grouped`: one failure cancels all.
        mode = "grouped" if len(backups) > 1 else "individual"
        await execute("transaction", actions=actions, properties={"completion-mode": mode})

    monitor.visit(socket, act)


def clear(socket: Path, backups: Sequence[Backup]) -> None:
    """End the jobs that run, dismiss all and close their targets; safe to repeat."""

    async def act(execute: monitor.Execute) -> None:
        wanted = {backup.job for backup in backups}
        asked: set[str] = set()
        while True:
            known = [job for job in await execute("query-jobs") if job["id"] in wanted]
            for job in known:
                if job["status"] == "concluded":
                    await execute("job-dismiss", id=job["id"])
                elif job["id"] not in asked and job["status"] not in _ENDING:
                    asked.add(job["id"])
                    await execute("job-cancel", id=job["id"])
            if not known:
                break
            await asyncio.sleep(_CANCEL_POLL_S)
        await _drop_nodes(execute, backups)

    monitor.visit(socket, act)


async def _drop_nodes(execute: monitor.Execute, backups: Sequence[Backup]) -> None:
    known = {node["node-name"] for node in await execute("query-named-block-nodes", flat=True)}
    for backup in backups:
        if backup.node in known:
            await execute("blockdev-del", node_name=backup.node)
