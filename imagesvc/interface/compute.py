"""Compute drivers: servers as sources of images and as their product."""

import abc
import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from imagesvc.interface import base, errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, Progress

VERSION = base.Version(1, 4)


class ComputeCapability(base.Capability):
    """What a compute driver may offer beyond the required methods."""

    CONSISTENT_GROUP = "consistent-group"
    QUIESCE = "quiesce"
    CONSOLE_WRITE = "console-write"
    ATTACH = "attach"
    REBUILD = "rebuild"
    EMPTY_DISK = "empty-disk"
    DATA_DISK = "data-disk"
    SNAPSHOT_IMAGE = "snapshot-image"


class ServerState(enum.StrEnum):
    """State of a server as images care for it."""

    BUILDING = "building"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"


class Consistency(enum.StrEnum):
    """What a snapshot holds: file systems that were frozen, or what a power cut would leave."""

    APPLICATION = "application"
    CRASH = "crash"


@dataclasses.dataclass(frozen=True, slots=True)
class ServerDisk:
    """A disk of a server; `boot` marks the system disk.

    `serial` is the serial number by which the guest tells the disk from others, empty if it has
    none.
    """

    disk_id: str
    size_bytes: int
    boot: bool
    serial: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server; `detail` tells why it is in ERROR, or the accelerator that it runs with.

    `volumes` are the ids of the attached volumes, in the order in which they came. `memory_mib` is
    its memory in MiB, None where the backend does not tell.
    """

    server_id: str
    project_id: str
    name: str
    state: ServerState
    os_type: str
    architecture: str
    disks: tuple[ServerDisk, ...]
    image_id: str | None = None
    created_at: datetime.datetime | None = None
    detail: str = ""
    volumes: tuple[str, ...] = ()
    memory_mib: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class EmptyDisk:
    """A data disk without content; `index` is its place among all disks of the server."""

    index: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class ServerSpec:
    """What to create. `disks[0]` boots, the others are data disks, in this order; these only with
    DATA_DISK.

    `memory_mib` in MiB; `disk_bytes` is the least size of the system disk. `empty_disks`, by
    rising index from 1 on, stand between and after the others; only with EMPTY_DISK. `image_id` is
    None for disks of a backup. With a count above one the servers are named `name-1`, `name-2`, ...
    """

    name: str
    project_id: str
    disks: tuple[ImageSource, ...]
    memory_mib: int = 64
    vcpus: int = 1
    disk_bytes: int = 0
    os_type: str = "linux"
    architecture: str = "x86_64"
    image_id: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    empty_disks: tuple[EmptyDisk, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class CreatedServer:
    """One of the servers that a `start_create` made, or why it did not."""

    server_id: str | None
    error: str = ""


class ComputeDriver(base.Driver):
    """Servers. A server of another project is NotFound."""

    @abc.abstractmethod
    def get_server(self, server_id: str, *, project_id: str) -> Server:
        """Describe one server. Raises NotFound."""

    @abc.abstractmethod
    def list_servers(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Server]:
        """List a project's servers ordered by id, those after the id `after`."""

    @abc.abstractmethod
    def start_create(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Create and start `count` servers.

        Result: a list of `count` dicts with the fields of CreatedServer, in order. DONE if at
        least one was made, FAILED if none.
        """

    @abc.abstractmethod
    def start_server(self, server_id: str, *, project_id: str) -> None:
        """Boot a stopped server; a running one is success. Raises NotFound, Unavailable."""

    @abc.abstractmethod
    def stop_server(self, server_id: str, *, project_id: str) -> None:
        """Power a server off, its disks flushed; a stopped one is success. Raises NotFound."""

    @abc.abstractmethod
    def delete_server(self, server_id: str, *, project_id: str) -> None:
        """End a server and remove its disks; one that is gone is success."""

    @abc.abstractmethod
    def start_snapshot(
        self, server_id: str, disk_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Copy one disk as it is at this instant, the server running or not.

        Result: the snapshot id (str). `quiesce=True` only with QUIESCE: file systems are
        frozen inside the guest at that instant. A guest that does not answer is copied as it is;
        `snapshot_consistency` tells.
        """

    def start_group_snapshot(
        self, server_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Snapshot all disks at one instant (CONSISTENT_GROUP).

        Result: a dict disk id -> snapshot id.
        """
        raise errors.NotSupported("This compute backend cannot snapshot disks together.")

    def start_disks_snapshot(
        self,
        server_id: str,
        disk_ids: Sequence[str],
        token: str,
        *,
        project_id: str,
        quiesce: bool = False,
    ) -> Handle:
        """Snapshot several disks at one instant (CONSISTENT_GROUP).

        Result: a dict disk id -> snapshot id, of these disks at least; the caller deletes all of
        them. Raises NotFound for a disk that the server does not have.
        """
        server = self.get_server(server_id, project_id=project_id)
        for disk_id in set(disk_ids) - {disk.disk_id for disk in server.disks}:
            raise errors.NotFound(f"Server {server_id} has no disk {disk_id}.")
        return self.start_group_snapshot(server_id, token, project_id=project_id, quiesce=quiesce)

    def snapshot_consistency(self, snapshot_id: str) -> Consistency:
        """What the snapshot holds; APPLICATION only if the guest was frozen. Raises NotFound."""
        return Consistency.CRASH

    @abc.abstractmethod
    def snapshot_size(self, snapshot_id: str) -> int:
        """Size in bytes of the raw disk that `open_snapshot` yields. Raises NotFound."""

    @abc.abstractmethod
    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a snapshot from `offset`. Raises NotFound."""

    def snapshot_image(self, snapshot_id: str) -> str:
        """The id of the image that the backend wrote into its image service (SNAPSHOT_IMAGE).

        Where that service is the one that asks, it takes the bytes over with the record, whatever
        their format, and reads nothing. `open_snapshot` is for any other. Raises NotFound.
        """
        raise errors.NotSupported("Snapshots of this compute backend are no images.")

    @abc.abstractmethod
    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; one that is gone is success."""

    @abc.abstractmethod
    def read_console(self, server_id: str, *, project_id: str, offset: int = 0) -> bytes:
        """Read at most 1 MiB of the serial console's log from byte `offset`."""

    def write_console(self, server_id: str, data: bytes, *, project_id: str) -> None:
        """Type `data` on the serial console (CONSOLE_WRITE). Raises Busy, Unavailable."""
        raise errors.NotSupported("This compute backend has no console to write to.")

    def attach_volume(
        self, server_id: str, connection: Mapping[str, Any], *, project_id: str
    ) -> None:
        """Attach a volume by its connection (ATTACH), to a running server or a stopped one.

        It stays attached over restarts; attached already is success. Raises NotFound, Busy,
        NotSupported for a connection whose protocol is not known here.
        """
        raise errors.NotSupported("This compute backend cannot attach volumes.")

    def detach_volume(self, server_id: str, volume_id: str, *, project_id: str) -> None:
        """Detach a volume (ATTACH); when this returns, nothing of the server uses it any more.

        One that is not attached is success. Raises NotFound, Busy if the guest does not let go.
        """
        raise errors.NotSupported("This compute backend cannot detach volumes.")

    def start_rebuild(
        self, server_id: str, source: ImageSource, token: str, *, project_id: str
    ) -> Handle:
        """Give a server a new system disk, its id, name and data disks kept (REBUILD).

        A running server is powered off for it, and booted after. The new disk is as large as the
        image's, or as the old one if that is larger; the server's `os_type` becomes that of the
        source, if it says one. Until the work is DONE the server has the old
        system disk or the new one, whole, whatever dies. Result: the server id.
        """
        raise errors.NotSupported("This compute backend cannot rebuild servers.")

    def forestall_rebuild(self, token: str) -> Handle | None:
        """Find the work that `start_rebuild` began with a token, None if none (REBUILD).

        It is for taking back a call whose answer is not known: it touches no server. After None
        nothing ever begins with that token: a call with it gives a handle of CANCELLED work.
        """
        raise errors.NotSupported("This compute backend cannot find work by its token.")

    @abc.abstractmethod
    def poll(self, handle: Handle) -> Progress:
        """Say how far long work is. Raises NotFound for an unknown handle."""

    @abc.abstractmethod
    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it; ended work is left as it is. Raises NotFound."""


def makes_data_disks(driver: ComputeDriver) -> bool:
    """Whether servers get data disks from images: DATA_DISK, which every driver did before 1.4."""
    early = driver.contract < base.Version(1, 4)
    return early or ComputeCapability.DATA_DISK in driver.info().capabilities
