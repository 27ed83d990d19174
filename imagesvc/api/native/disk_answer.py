"""Shapes of the answers on volumes and bare-metal nodes, for the API's description."""

import datetime

from imagesvc.api.native.answer import Answer
from imagesvc.interface.baremetal import NodeState
from imagesvc.interface.volume import VolumeState


class Volume(Answer):
    """A volume; `server_id` is the server that it is attached to."""

    id: str
    name: str
    state: VolumeState
    size_bytes: int
    image_id: str | None
    server_id: str | None
    created_at: datetime.datetime | None
    detail: str


class VolumePage(Answer):
    """Volumes; `next` is the marker of the page after this one."""

    volumes: list[Volume]
    next: str | None


class OneVolume(Answer):
    """One volume."""

    volume: Volume


class Node(Answer):
    """A bare-metal node; `project_id` is the project that has it."""

    id: str
    state: NodeState
    size_bytes: int
    project_id: str | None
    image_id: str | None
    detail: str


class NodePage(Answer):
    """Nodes; `next` is the marker of the page after this one."""

    nodes: list[Node]
    next: str | None


class OneNode(Answer):
    """One node."""

    node: Node
