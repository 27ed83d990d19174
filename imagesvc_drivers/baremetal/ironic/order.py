"""Orders to Ironic that are given once: begun on a node, gone on with, and taken back."""

import dataclasses
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.baremetal.ironic import node, work
from imagesvc_drivers.baremetal.ironic.barred import Barred
from imagesvc_drivers.baremetal.ironic.client import IronicClient, Node
from imagesvc_drivers.baremetal.ironic.node import Mark
from imagesvc_drivers.baremetal.ironic.work import Next

# From these states Ironic takes an order to deploy, and to free the node.
_FROM = {
    work.DEPLOY: (node.AVAILABLE, node.ACTIVE, node.DEPLOY_FAILED, "error"),
    work.UNDEPLOY: (
        node.AVAILABLE, node.ACTIVE, node.DEPLOY_FAILED, "error",
        "rescue", "rescue failed", "unrescue failed",
    ),
}  # fmt: skip

Change = tuple[str, str, Any]


class Orders:
    """What stands on the nodes is all that is known, so any process goes on with it."""

    def __init__(self, ironic: IronicClient) -> None:
        self._ironic = ironic
        self.barred = Barred(ironic)

    def is_known(self, found: Node, wanted: Mark) -> bool:
        """Whether the work needs no beginning; if it was begun it is gone on with. Work that
        failed begins anew, and so does what Ironic was not asked for yet: its URL may be old.
        """
        mark = node.mark_of(found)
        if mark.work == wanted.work:
            if work.judge(found, mark) is Next.ASK:
                return False
            return self.go_on(found, mark).state is not ProgressState.FAILED
        if wanted.work in mark.ended:
            return mark.ended[wanted.work][0] != ProgressState.FAILED
        return self.barred.has(wanted.work)

    def begin(self, found: Node, wanted: Mark, changes: list[Change]) -> None:
        """Take the node for this work, and ask Ironic for it.

        Raises Busy if other work or anybody else has the node, or it is in no state for that.
        """
        node_id = found["uuid"]
        wanted = dataclasses.replace(
            wanted,
            before=found["provision_updated_at"],
            ended=_ended_before(found, wanted),
        )
        try:
            self._ironic.patch(node_id, [_mark(wanted), *changes])
        except errors.Busy:
            if node.mark_of(self._ironic.node(node_id)).work != wanted.work:
                raise  # else another process was quicker with the same token
        crashpoint("baremetal.ironic.claimed")
        found = self._ironic.node(node_id)
        mark = node.mark_of(found)
        if mark.work != wanted.work:
            raise errors.Busy(f"Node {node_id} has other work.")
        if self.barred.has(wanted.work):
            self._release(found, mark)
            return
        self.go_on(found, mark)
        crashpoint("baremetal.ironic.asked")

    def go_on(self, found: Node, mark: Mark) -> Progress:
        """Do what the work of the mark needs next, and say how far it is."""
        verdict = work.judge(found, mark)
        if isinstance(verdict, Progress):
            return verdict
        if verdict is Next.TAKE_BACK:
            noted = dataclasses.replace(mark, error=mark.error or work.cause(found))
            self._ironic.patch(found["uuid"], [_mark(noted)])
            return self._ask(found, "deleted")
        if mark.kind == work.UNDEPLOY:
            return self._ask(found, "deleted")
        return self._ask(found, "active" if mark.fresh else "rebuild")

    def take_back(self, found: Node, mark: Mark) -> None:
        """End a deployment of a free node as soon as Ironic lets go of it; other work goes on."""
        verdict = work.judge(found, mark)
        if verdict is Next.ASK:
            self._release(found, mark)
        elif isinstance(verdict, Progress) and verdict.done:
            return
        elif mark.kind == work.DEPLOY and mark.fresh and found["provision_state"] == node.WAITING:
            self._ask(found, "deleted")

    def search(self, names: dict[str, str]) -> Handle | None:
        """The handle of a work of these names (name: kind) that was begun on whatever node."""
        for found in self._ironic.nodes():
            mark = node.mark_of(found)
            for name, kind in names.items():
                if name == mark.work or name in mark.ended:
                    return work.handle(kind, found["uuid"], name)
        return None

    def _ask(self, found: Node, target: str) -> Progress:
        """Ask Ironic for it, unless somebody did since the node was looked at."""
        try:
            self._ironic.provision(found["uuid"], target)
        except (errors.Busy, errors.InvalidArgument):
            now = self._ironic.node(found["uuid"])
            if now["provision_updated_at"] == found["provision_updated_at"]:
                raise
        return Progress(ProgressState.RUNNING)

    def _release(self, found: Node, mark: Mark) -> None:
        """Give up what was claimed for work that has not begun."""
        changes = [_mark(dataclasses.replace(mark, withdrawn=True))]
        if mark.fresh and found.get("instance_uuid") == mark.instance:
            changes += [("remove", "/instance_uuid", None), ("add", "/instance_info", {})]
        self._ironic.patch(found["uuid"], changes)


def _mark(mark: Mark) -> Change:
    return ("add", f"/extra/{node.MARK}", dataclasses.asdict(mark))


def _ended_before(found: Node, wanted: Mark) -> dict[str, list[str]]:
    """How the works before ended. Raises Busy if the node cannot be taken for this one."""
    node_id, state, mark = found["uuid"], found["provision_state"], node.mark_of(found)
    if node.is_foreign(found):
        raise errors.Busy(f"Node {node_id} is in use by another service.")
    if state in node.MOVING:
        raise errors.Busy(f"Node {node_id} has other work: it is {state}.")
    if state not in _FROM[wanted.kind] or found.get("maintenance"):
        reason = node.describe(found).detail or state
        raise errors.Busy(f"Node {node_id} takes no orders. {reason}")
    if not mark.work:
        return {}
    last = work.judge(found, mark)
    if isinstance(last, Next):
        if mark.work == wanted.work:
            return mark.ended
        raise errors.Busy(f"Node {node_id} has other work that is about to begin.")
    return mark.after(mark.work, last.state, last.error)
