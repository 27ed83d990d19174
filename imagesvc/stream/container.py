"""Which inspector judges an upload: the disk's own, or one that looks into its container."""

import dataclasses
from typing import Protocol

from imagesvc import errors
from imagesvc.domain import disk_format as disk_formats
from imagesvc.stream import archive, descriptor, inspect, unpack
from imagesvc.stream.format import refusal, table

# Bytes that may come out of one upload. Installations set their own.
UNPACKED_CAP_BYTES = 1 << 37


class Judge(Protocol):
    """Takes the bytes of an upload in order and judges them; one thread."""

    def feed(self, block: bytes) -> None:
        """Take the next bytes. Raises UnsupportedImage, TooLarge."""
        ...

    def finish(self, total: int) -> inspect.Facts:
        """Judge the whole after its last byte. Raises UnsupportedImage, InvalidRequest."""
        ...


def inspector(
    disk_format: str, container_format: str | None, virtual_cap_bytes: int, unpacked_cap_bytes: int
) -> Judge:
    """The judge of an upload. Raises UnsupportedImage for what cannot be judged at all."""
    if container_format == "compressed":
        return PackedInspector(disk_format, virtual_cap_bytes, unpacked_cap_bytes)
    if container_format == "ova":
        return ArchiveInspector(disk_format, virtual_cap_bytes, unpacked_cap_bytes)
    check_container(container_format)
    return inspect.Inspector(disk_format, virtual_cap_bytes=virtual_cap_bytes)


def check_container(container_format: str | None) -> None:
    """Raise UnsupportedImage for a container whose bytes cannot be judged."""
    if container_format in disk_formats.WRAPPING_CONTAINERS - disk_formats.JUDGED_CONTAINERS:
        raise refusal.mismatch(
            f"bytes in a container of format {container_format} cannot be judged; unpack them "
            "and send the disk as bare."
        )


class _Outside:
    """What the bytes are as they came: no disk format may show in them."""

    def __init__(self, container_format: str) -> None:
        self._container = container_format
        self._head = bytearray()
        self._tail = b""
        self._count = 0

    def feed(self, block: bytes) -> None:
        self._count += len(block)
        self._head += block[: table.HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + block[-table.TAIL_BYTES :])[-table.TAIL_BYTES :]

    def finish(self, total: int) -> None:
        inspect.check_count(self._count, total)
        found = sorted(table.detect(bytes(self._head), self._tail))
        if found:
            raise refusal.mismatch(
                f"it was declared as {self._container} but is {' and '.join(found)}."
            )


class PackedInspector:
    """Unpacks in passing and judges the disk; one layer, and no image of no bytes."""

    def __init__(self, disk_format: str, virtual_cap_bytes: int, unpacked_cap_bytes: int) -> None:
        self._outside = _Outside("compressed")
        self._unpacker = unpack.Unpacker(unpacked_cap_bytes)
        self._disk = inspect.Inspector(disk_format, virtual_cap_bytes=virtual_cap_bytes)
        self._head = b""
        self._count = 0

    def feed(self, block: bytes) -> None:
        """Take the next packed bytes. Raises UnsupportedImage, TooLarge."""
        self._outside.feed(block)
        for piece in self._unpacker.feed(block):
            if len(self._head) < unpack.SIGNATURE_BYTES:
                self._head += piece[: unpack.SIGNATURE_BYTES]
                if unpack.packer(self._head):
                    raise refusal.unsafe("it is packed more than once.")
            self._count += len(piece)
            self._disk.feed(piece)

    def finish(self, total: int) -> inspect.Facts:
        """Judge the disk. Raises UnsupportedImage, InvalidRequest."""
        self._outside.finish(total)
        if not self._unpacker.ended:
            raise refusal.unsafe("the packed bytes end too early.")
        return dataclasses.replace(self._disk.finish(self._count), wrapped=True)


class ArchiveInspector:
    """Walks an OVA in passing and judges each disk in it; the virtual size is their sum."""

    def __init__(self, disk_format: str, virtual_cap_bytes: int, unpacked_cap_bytes: int) -> None:
        self._outside = _Outside("ova")

        # A format without rules is refused at once.
        inspect.Inspector(disk_format, virtual_cap_bytes=virtual_cap_bytes)
        self._format = disk_format
        self._cap = virtual_cap_bytes
        self._disks: list[_Judged] = []
        self._archive = archive.Archive(self._open, cap_bytes=unpacked_cap_bytes)

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the archive. Raises UnsupportedImage, TooLarge."""
        self._outside.feed(block)
        self._archive.feed(block)

    def finish(self, total: int) -> inspect.Facts:
        """Judge the whole. Raises UnsupportedImage, InvalidRequest, TooLarge."""
        self._outside.finish(total)
        self._archive.finish()
        size = sum(one.virtual_size_bytes for one in self._disks)
        if size > self._cap:
            raise errors.TooLarge(
                what="The virtual size of the image",
                limit=self._cap,
                unit="bytes",
                reason=errors.Reason.SIZE_CAP,
            )
        return inspect.Facts(self._format, size, wrapped=True)

    def _open(self, file: descriptor.File, size_bytes: int) -> "_Judged":
        if file.packer or file.chunk_bytes:
            raise refusal.unsafe("files of the OVF descriptor are packed or split.")
        found = _Judged(inspect.Inspector(self._format, virtual_cap_bytes=self._cap))
        self._disks.append(found)
        return found


class _Judged:
    """A disk of an archive, judged as it passes."""

    def __init__(self, inspector: inspect.Inspector) -> None:
        self._inspector = inspector
        self.virtual_size_bytes = 0

    def feed(self, block: bytes) -> None:
        self._inspector.feed(block)

    def end(self, size_bytes: int) -> None:
        self.virtual_size_bytes = self._inspector.finish(size_bytes).virtual_size_bytes
