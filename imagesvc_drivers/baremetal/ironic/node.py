"""What Ironic knows of a node, read for images; and the mark that this driver leaves on one.

The mark stands in the node's `extra`, which outlives an instance, under the name `imagesvc`.
"""

import dataclasses

from imagesvc.interface import baremetal
from imagesvc.interface.baremetal import NodeState
from imagesvc_drivers.baremetal.ironic.client import Node

MARK = "imagesvc"
AVAILABLE, ACTIVE, DEPLOY_FAILED = "available", "active", "deploy failed"
WAITING = "wait call-back"
DEPLOYING = frozenset({"deploying", WAITING, "deploy hold"})
ERASING = frozenset({"deleting", "cleaning", "clean wait", "clean hold"})
MOVING = DEPLOYING | ERASING
# States in which a node has been given to nobody yet: it is not for images.
_ABSENT = frozenset(
    {"enroll", "verifying", "manageable", "inspecting", "inspect wait", "inspect failed"}
    | {"adopting", "adopt failed"}
)
_RUNS = frozenset(
    {ACTIVE, "rescue", "rescuing", "rescue wait", "rescue failed", "unrescuing"}
    | {"unrescue failed", "servicing", "service wait", "service hold"}
)
_ENDED_MAX = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """The newest work on a node, and how those before it ended.

    `before` is `provision_updated_at` before it was asked for: once it is another, Ironic has
    begun. `fresh` says that the node was free then. `error` is why a deployment is taken back;
    `withdrawn` that it was cancelled before it began. `ended` has state and error by work.
    """

    work: str = ""
    kind: str = ""
    project_id: str = ""
    image_id: str | None = None
    instance: str | None = None
    before: str | None = None
    fresh: bool = False
    error: str = ""
    withdrawn: bool = False
    ended: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def after(self, work: str, state: str, error: str) -> dict[str, list[str]]:
        """What has ended, once `work` has as well; only the newest are kept."""
        known = {**self.ended, work: [state, error]} if work else dict(self.ended)
        return dict(list(known.items())[-_ENDED_MAX:])


def mark_of(found: Node) -> Mark:
    """The mark on a node; an empty one where there is none."""
    kept = (found.get("extra") or {}).get(MARK) or {}
    names = {field.name for field in dataclasses.fields(Mark)}
    return Mark(**{name: value for name, value in kept.items() if name in names})


def is_ours(found: Node) -> bool:
    """Whether what is on the node was put there by this driver."""
    instance = found.get("instance_uuid")
    return bool(instance) and instance == mark_of(found).instance


def is_foreign(found: Node) -> bool:
    """Whether somebody else has the node, Nova for one."""
    return bool(found.get("instance_uuid")) and not is_ours(found)


def has(found: Node) -> str | None:
    """The project that has it; None while it is free."""
    if is_ours(found):
        return mark_of(found).project_id
    return found.get("lessee") or found.get("owner")


def is_open_to(found: Node, project_id: str, shared_classes: frozenset[str]) -> bool:
    """Whether the project may use the node, or has it."""
    if found["provision_state"] in _ABSENT or found.get("retired"):
        return False
    holder = has(found)
    if holder is None:
        return not is_foreign(found) and found.get("resource_class") in shared_classes
    return holder == project_id


def size_bytes(found: Node) -> int:
    """The disk by the node's property `local_gb`; 0 where it is not set."""
    try:
        return int((found.get("properties") or {}).get("local_gb") or 0) << 30
    except ValueError:
        return 0


def describe(found: Node) -> baremetal.Node:
    """A node as images see it."""
    state = _state(found)
    mark = mark_of(found)
    return baremetal.Node(
        node_id=found["uuid"],
        state=state,
        size_bytes=size_bytes(found),
        project_id=has(found),
        image_id=mark.image_id if is_ours(found) else None,
        detail=_detail(found) if state is NodeState.ERROR else "",
    )


def _state(found: Node) -> NodeState:
    state = found["provision_state"]
    if state in DEPLOYING:
        return NodeState.DEPLOYING
    if state in ERASING:
        return NodeState.ERASING
    if state in _RUNS:
        return NodeState.ACTIVE
    if state == AVAILABLE and not found.get("maintenance"):
        return NodeState.AVAILABLE
    return NodeState.ERROR


def _detail(found: Node) -> str:
    """Why it is of no use as it is."""
    if found.get("maintenance"):
        reason = found.get("maintenance_reason") or found.get("last_error") or "no reason given"
        return f"In maintenance: {reason}"
    return f"{found['provision_state']}: {found.get('last_error') or 'Ironic gives no reason'}"
