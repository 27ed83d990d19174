"""How far deploying or erasing a node is, by what stands on the node alone."""

import enum
import hashlib
import re
import uuid

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.baremetal.ironic import node
from imagesvc_drivers.baremetal.ironic.client import Node
from imagesvc_drivers.baremetal.ironic.node import Mark

DEPLOY, UNDEPLOY = "deploy", "undeploy"
_TOKEN_CHARS_MAX = 1024
_HANDLE = re.compile(r"(deploy|undeploy):([0-9a-f-]{36}):([0-9a-f]{40})")
_NAMESPACE = uuid.UUID("5e0d55a8-3c1f-4b77-9d0c-3f6f0a1f7d52")


class Next(enum.Enum):
    """What is to be done for work that neither ended nor runs."""

    ASK = enum.auto()
    TAKE_BACK = enum.auto()


def name(kind: str, token: str) -> str:
    """The name of the work that a token stands for. Raises InvalidArgument."""
    if not 1 <= len(token) <= _TOKEN_CHARS_MAX:
        raise errors.InvalidArgument(f"A token has 1 to {_TOKEN_CHARS_MAX} characters.")
    return hashlib.sha256(f"{kind} {token}".encode()).hexdigest()[:40]


def handle(kind: str, node_id: str, work: str) -> Handle:
    """The handle of work on a node."""
    return f"{kind}:{node_id}:{work}"


def parse(text: Handle) -> tuple[str, str, str]:
    """Kind, node and work of a handle. Raises NotFound."""
    found = _HANDLE.fullmatch(text)
    if found is None:
        raise unknown(text)
    kind, node_id, work = found.groups()
    return kind, node_id, work


def unknown(text: Handle) -> errors.NotFound:
    """What is said of work that nobody began."""
    return errors.NotFound("No such work is known.", f"handle {text!r}")


def instance(work: str) -> str:
    """The id under which Ironic lets one alone have a node."""
    return str(uuid.uuid5(_NAMESPACE, work))


def judge(found: Node, mark: Mark) -> Progress | Next:
    """How far the work of the mark is, or what it needs."""
    state, begun = found["provision_state"], found["provision_updated_at"] != mark.before
    others = found.get("instance_uuid") not in (None, "", mark.instance)
    if state in node.MOVING and not others:
        return Progress(ProgressState.RUNNING)
    if mark.withdrawn:
        return Progress(ProgressState.CANCELLED)
    if mark.kind == UNDEPLOY and state == node.AVAILABLE:
        return Progress(ProgressState.DONE, result=found["uuid"])
    if others:  # what the node does now is not this work
        return Progress(ProgressState.FAILED, error="Somebody else has the node.")
    if not begun:
        return Next.ASK
    if mark.kind == DEPLOY:
        if state == node.ACTIVE:
            return Progress(ProgressState.DONE, result=found["uuid"])
        if state == node.DEPLOY_FAILED and mark.fresh:
            return Next.TAKE_BACK
        if state == node.AVAILABLE and not mark.error:
            return Progress(ProgressState.CANCELLED)
    return Progress(ProgressState.FAILED, error=mark.error or cause(found))


def cause(found: Node) -> str:
    """Why a node is in a state in which nothing goes on."""
    return str(found.get("last_error") or f"Ironic left the node {found['provision_state']}.")
