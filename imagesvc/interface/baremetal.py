"""Bare-metal drivers: machines whose own disk takes an image, and is made into one."""

import abc
import dataclasses
import enum
from typing import BinaryIO

from imagesvc.interface import base, errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, Progress

VERSION = base.Version(1, 1)


class BaremetalCapability(base.Capability):
    """What a bare-metal driver may offer beyond the required methods."""

    CAPTURE = "capture"


class NodeState(enum.StrEnum):
    """State of a node as images care for it."""

    AVAILABLE = "available"
    DEPLOYING = "deploying"
    ACTIVE = "active"
    ERASING = "erasing"
    ERROR = "error"


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A machine. `project_id` is the project that has it, None while it is free."""

    node_id: str
    state: NodeState
    size_bytes: int
    project_id: str | None = None
    image_id: str | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DeploySpec:
    """What is written to the node's disk, and for whom."""

    project_id: str
    source: ImageSource
    image_id: str | None = None


class BaremetalDriver(base.Driver):
    """Nodes. One that the project may not use, or that another project has, is NotFound."""

    @abc.abstractmethod
    def get_node(self, node_id: str, *, project_id: str) -> Node:
        """Describe one node. Raises NotFound."""

    @abc.abstractmethod
    def list_nodes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Node]:
        """List the nodes that a project may use or has, by id, those after the id `after`."""

    @abc.abstractmethod
    def start_deploy(self, node_id: str, spec: DeploySpec, token: str) -> Handle:
        """Write an image to the node's disk and read it back. Result: the node's id.

        The project has the node from then on, until it is undeployed. A disk whose writing ended
        early, or that reads other than the image, does not boot, and the node is in ERROR.
        Raises NotFound, InvalidArgument if the disk is too small, Busy if the node has other work.
        """

    @abc.abstractmethod
    def start_undeploy(self, node_id: str, token: str, *, project_id: str) -> Handle:
        """Erase the whole disk, then free the node; a free one is success. Result: its id.

        Raises NotFound, Busy if the node has other work.
        """

    def forestall(self, token: str) -> Handle | None:
        """Find the work that `start_deploy` or `start_undeploy` began with a token, None if none.

        It is for taking back a call whose answer is not known: it touches no disk. After None
        nothing ever begins with that token: either call with it gives a handle of CANCELLED work.
        """
        raise errors.NotSupported("This bare-metal backend cannot find work by its token.")

    def start_snapshot(self, node_id: str, token: str, *, project_id: str) -> Handle:
        """Hold the disk as it is (CAPTURE), until `delete_snapshot`. Result: the snapshot id.

        Only of a node that the project has. Meanwhile deploying and undeploying it is Busy.
        """
        raise errors.NotSupported("This bare-metal backend cannot read a node's disk.")

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size in bytes of the raw disk that `open_snapshot` yields. Raises NotFound."""
        raise errors.NotSupported("This bare-metal backend cannot read a node's disk.")

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a disk from `offset`. Raises NotFound, InvalidArgument, Busy."""
        raise errors.NotSupported("This bare-metal backend cannot read a node's disk.")

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Let go of the disk; one that is gone is success."""
        raise errors.NotSupported("This bare-metal backend cannot read a node's disk.")

    @abc.abstractmethod
    def poll(self, handle: Handle) -> Progress:
        """Say how far long work is. Raises NotFound for an unknown handle."""

    @abc.abstractmethod
    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it; ended work is left as it is. Raises NotFound."""
