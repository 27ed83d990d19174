"""Volume drivers: disks of their own, made empty or of an image, attached to servers."""

import abc
import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any, BinaryIO

from imagesvc.interface import base, errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, Progress

VERSION = base.Version(1, 1)

# What a compute driver needs to attach a volume: `volume_id`, `protocol`, and what the protocol
# says. `file`: `path` of a file on the same machine, and its `format`, which is never probed.
Connection = Mapping[str, Any]


class VolumeCapability(base.Capability):
    """What a volume driver may offer beyond the required methods."""

    SNAPSHOT = "snapshot"
    SNAPSHOT_IMAGE = "snapshot-image"


class VolumeState(enum.StrEnum):
    """State of a volume as images care for it."""

    CREATING = "creating"
    AVAILABLE = "available"
    IN_USE = "in-use"
    ERROR = "error"


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume; `server_id` names the server that it is attached to, which makes it IN_USE."""

    volume_id: str
    project_id: str
    name: str
    state: VolumeState
    size_bytes: int
    image_id: str | None = None
    server_id: str | None = None
    created_at: datetime.datetime | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeSpec:
    """What to create. Without `source` it is empty and reads as zeros; else it reads as the disk
    of the image, and as zeros behind it. A backend that fetches images itself does so by
    `source.image_id`, where this service is its image service. `size_bytes` is at least what the image's disk has.
    With a count above one the volumes are named `name-1`, `name-2`, ...
    """

    name: str
    project_id: str
    size_bytes: int
    source: ImageSource | None = None
    image_id: str | None = None


class VolumeDriver(base.Driver):
    """Volumes. A volume of another project is NotFound."""

    @abc.abstractmethod
    def get_volume(self, volume_id: str, *, project_id: str) -> Volume:
        """Describe one volume. Raises NotFound."""

    @abc.abstractmethod
    def list_volumes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Volume]:
        """List a project's volumes ordered by id, those after the id `after`."""

    @abc.abstractmethod
    def start_create(self, spec: VolumeSpec, count: int, token: str) -> Handle:
        """Create `count` volumes, all or none. Result: a list of their ids, in order.

        Raises InvalidArgument if the disk of the image is larger than `size_bytes`.
        """

    @abc.abstractmethod
    def delete_volume(self, volume_id: str, *, project_id: str) -> None:
        """Remove a volume; one that is gone is success. Raises Busy if it is attached."""

    @abc.abstractmethod
    def connect(self, volume_id: str, server_id: str, *, project_id: str) -> Connection:
        """Give the volume to one server, durably, and say how that server gets at it.

        Given to the same server already is success. Raises NotFound, Busy if another has it.
        """

    @abc.abstractmethod
    def disconnect(self, volume_id: str, server_id: str, *, project_id: str) -> None:
        """Take it back from that server, which does not use it any more.

        A volume that this server does not have stays as it is. Raises NotFound.
        """

    def start_snapshot(self, volume_id: str, token: str, *, project_id: str) -> Handle:
        """Copy the volume as it is at this instant (SNAPSHOT). Result: the snapshot id (str).

        Raises NotFound, and Busy or FAILED where something writes to the volume meanwhile.
        """
        raise errors.NotSupported("This volume backend cannot snapshot volumes.")

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size in bytes of the raw disk that `open_snapshot` yields. Raises NotFound."""
        raise errors.NotSupported("This volume backend cannot snapshot volumes.")

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a snapshot from `offset`. Raises NotFound, InvalidArgument."""
        raise errors.NotSupported("This volume backend cannot snapshot volumes.")

    def snapshot_image(self, snapshot_id: str) -> str:
        """The id of the image that the backend wrote into its image service (SNAPSHOT_IMAGE).

        Where that service is the one that asks, it takes the bytes over with the record, whatever
        their format, and reads nothing. `open_snapshot` is for any other. Raises NotFound.
        """
        raise errors.NotSupported("Snapshots of this volume backend are no images.")

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; one that is gone is success."""
        raise errors.NotSupported("This volume backend cannot snapshot volumes.")

    @abc.abstractmethod
    def poll(self, handle: Handle) -> Progress:
        """Say how far long work is. Raises NotFound for an unknown handle."""

    @abc.abstractmethod
    def cancel(self, handle: Handle) -> None:
        """Stop long work and undo it; ended work is left as it is. Raises NotFound."""
