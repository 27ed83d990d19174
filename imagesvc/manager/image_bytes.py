"""Bytes on their way into an image, the moment when they become part of it, and out of it."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import foreign_location, image_disk
from imagesvc.db import image as image_rows
from imagesvc.domain import disk_format, storage_key
from imagesvc.domain.guest import Guest
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.manager import disk_reader, image_copy
from imagesvc.stream import limit, pipe
from imagesvc.stream.digest import Digest
from imagesvc.stream.pipe import PipeResult


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What the bytes of an image must keep to; the caps in bytes."""

    size_cap_bytes: int
    virtual_cap_bytes: int
    unpacked_cap_bytes: int
    hash_algorithm: str
    md5: bool

    @property
    def algorithms(self) -> frozenset[str]:
        """The hashes that `pump` makes."""
        return frozenset({self.hash_algorithm, *(("md5",) if self.md5 else ())})

    def check_size(self, size_bytes: int) -> None:
        """Raise TooLarge (SIZE_CAP) for more bytes than an image may have."""
        if size_bytes > self.size_cap_bytes:
            raise errors.TooLarge(
                what="The image", limit=self.size_cap_bytes, unit="bytes",
                reason=errors.Reason.SIZE_CAP,
            )  # fmt: skip

    def pump(
        self,
        reader: limit.Reader,
        writer: pipe.Writer,
        *,
        disk_format: str,
        container_format: str | None,
        expected_bytes: int | None,
        progress: Callable[[int], None],
        begin: Callable[[Digest], None] | None = None,
    ) -> pipe.PipeResult:
        """Move all of `reader` into `writer`, judged and hashed; see `pipe.pump`.

        Whatever becomes an image comes through here, so that no way in forgets a bound.
        """
        return pipe.pump(
            reader,
            writer,
            disk_format=disk_format,
            cap_bytes=self.size_cap_bytes,
            expected_bytes=expected_bytes,
            container_format=container_format,
            virtual_cap_bytes=self.virtual_cap_bytes,
            unpacked_cap_bytes=self.unpacked_cap_bytes,
            hash_algorithm=self.hash_algorithm,
            md5=self.md5,
            progress=progress,
            begin=begin,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """One attempt to write an image: a fresh key in a store, and the token that owns it.

    `size_bytes` is what was announced and is reserved for `owner`. Without it, `room` says how
    much the owner could store at the start; None: no limit.
    """

    store_id: str
    key: str
    token: str
    size_bytes: int | None = None
    owner: str | None = None
    room: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Download:
    """The bytes of one disk, ready to be opened at the first of its copies that can.

    `etag` is strong: other bytes, another one. `use` is called when they are opened.
    """

    size_bytes: int
    md5: str | None
    etag: str
    backends: Backends
    copies: tuple[image_copy.Copy, ...]
    use: Callable[[], None]

    def open(self, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Open `length` bytes from `offset`, or all that follow; whoever calls closes.

        A store of local files gives the file itself, which does not end after `length`.
        Raises InvalidArgument, and what `DiskReader` raises.
        """
        found = disk_reader.open_disk(self.backends, self.copies, self.size_bytes, offset, length)
        self.use()
        return found


def require_bare(image: Image) -> None:
    """Raise InvalidRequest for bytes that are a container and no disk yet."""
    if image.container_format in disk_format.WRAPPING_CONTAINERS:
        raise errors.InvalidRequest(
            "The image is in a container of format {container}; upload its disk as bare.",
            container=image.container_format,
            reason=errors.Reason.FORMAT_MISMATCH,
        )


def require_own(image: Image) -> None:
    """Raise Conflict for bytes that are elsewhere, where nobody warrants that they stay what they are."""
    if image.foreign_store is not None:
        raise errors.Conflict(
            "The bytes of image {image_id} are at a foreign URL, unverified: copy them into a store "
            "first, by the import method copy-image.",
            image_id=image.id,
        )


def disk_of(
    image: Image,
    result: PipeResult,
    locations: tuple[tuple[str, str], ...],
    guest: Guest | None,
) -> ImageDisk:
    """The system disk that a pipe's result describes, and what was found on it."""
    return ImageDisk(
        index=0,
        role="system",
        disk_format=image.disk_format or result.facts.disk_format,
        size_bytes=result.size_bytes,
        virtual_size_bytes=result.facts.virtual_size_bytes,
        md5=result.md5,
        hash_algorithm=result.hash_algorithm,
        hash_value=result.hash_value,
        locations=locations,
        guest=guest,
    )


def facts_of(disk: ImageDisk) -> dict[str, Any]:
    """What the image says of its first disk."""
    return {
        "size_bytes": disk.size_bytes,
        "virtual_size_bytes": disk.virtual_size_bytes,
        "md5": disk.md5,
        "hash_algorithm": disk.hash_algorithm,
        "hash_value": disk.hash_value,
    }


def require_places(conn: Any, image_id: str, disks: Iterable[ImageDisk]) -> None:
    """Raise Conflict for plain bytes of an encrypted image, or encrypted ones of a plain image.

    A process of an older release may have written them, which knows of no encryption.
    """
    wanted = image_rows.is_encrypted(conn, image_id)
    for disk in disks:
        if any(storage_key.is_encrypted(key) != wanted for _, key in disk.locations):
            raise errors.Conflict(
                "The bytes of image {image_id} were written by a release that cannot encrypt.",
                image_id=image_id,
            )


def publish(
    conn: Any,
    image_id: str,
    disk: ImageDisk,
    event: str,
    *,
    upload_token: str | None = None,
    others: tuple[ImageDisk, ...] = (),
) -> str | None:
    """Make a stored disk the image's disk 0 and take the image through `event`, in one transaction.

    `others` become its further disks; foreign locations are forgotten. Returns the owner, whose
    quota the caller settles. Raises StateConflict, Conflict or ImageNotFound if the image is no
    longer the caller's.
    """
    foreign_location.clear(conn, image_id)
    require_places(conn, image_id, (disk, *others))
    for each in (disk, *others):
        image_disk.insert_disk(conn, image_id, each)
    values = facts_of(disk) | {
        # The format that the bytes were judged by, whatever was written there meanwhile.
        "disk_format": disk.disk_format,
    }
    return image_rows.transition(conn, image_id, event, values, upload_token=upload_token)
