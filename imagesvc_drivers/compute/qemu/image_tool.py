"""qemu-img in the sandbox: every format is named, and no name inside a header is followed."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from imagesvc.interface import errors
from imagesvc_drivers.client import record, sandbox

_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2_HEADER_BYTES = 104
_INCOMPATIBLE_DATA_FILE = 1 << 2
_SECTOR_BYTES = 512


@dataclasses.dataclass(frozen=True, slots=True)
class _Bounds:
    output_bytes: int
    cpu_s: int = 7200
    wall_s: float = 14400.0
    memory_bytes: int = 1 << 30


class InUse(errors.Busy):
    """A running server holds the lock of the disk."""


class ImageTool:
    """What the driver asks of qemu-img; safe to share among threads."""

    def __init__(self) -> None:
        self._sandbox = sandbox.Sandbox()

    def check(self) -> None:
        """Raise NotSupported if there is no sandbox."""
        self._sandbox.level()

    def create_overlay(self, path: Path, base: Path, base_format: str, size_bytes: int) -> None:
        """Make an overlay; the finished file appears under its name in one step."""
        argv = ["create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format]
        self._make(argv, path, [base], size_bytes, size_bytes)

    def create_empty(self, path: Path, size_bytes: int) -> None:
        """Make an empty qcow2 disk."""
        self._make(["create", "-q", "-f", "qcow2"], path, [], size_bytes, size_bytes)

    def flatten(
        self, disk: Path, base: Path | None, base_format: str, target: Path, size_bytes: int
    ) -> None:
        """Copy a qcow2 disk, with the base under it, to a sparse raw file. Raises InUse."""
        options = f"driver=qcow2,file.driver=file,file.filename={_value(disk)}"
        if base is not None:
            options += f",backing.driver={base_format},backing.file.driver=file"
            options += f",backing.file.filename={_value(base)},backing.file.locking=off"
            if base_format == "qcow2":
                options += ",backing.backing="
        argv = ["convert", "-q", "--image-opts", options, "-O", "raw", "-S", "4k"]
        reads = [disk] if base is None else [disk, base]
        self._make(argv, target, reads, None, size_bytes)

    def _make(
        self,
        argv: list[str],
        target: Path,
        reads: Iterable[Path],
        size_bytes: int | None,
        largest_bytes: int,
    ) -> None:
        """Run `argv` on a partial file, make that durable, give it its name."""
        partial = target.with_name(f"{target.name}.partial")
        partial.unlink(missing_ok=True)
        size = [] if size_bytes is None else [str(size_bytes)]
        bounds = _Bounds(output_bytes=largest_bytes + (64 << 20))
        done = self._sandbox.run(
            ["qemu-img", *argv, f"/out/{partial.name}", *size],
            reads=reads, writes=target.parent, limits=bounds,
        )  # fmt: skip
        if done.returncode:
            partial.unlink(missing_ok=True)
            raise _translate(done.stderr.decode(errors="replace").strip())
        fd = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(target)
        record.sync_folder(target.parent)


def check_base(path: Path, disk_format: str) -> None:
    """Refuse a qcow2 that names other files. Raises InvalidArgument."""
    if disk_format != "qcow2":
        return
    with path.open("rb") as stream:
        header = stream.read(_QCOW2_HEADER_BYTES)
    if header[:4] != _QCOW2_MAGIC:
        raise errors.InvalidArgument("The image says qcow2, its bytes do not.")
    backing = int.from_bytes(header[8:16], "big")
    incompatible = int.from_bytes(header[72:80], "big") if header[4:8] != b"\0\0\0\2" else 0
    if backing or incompatible & _INCOMPATIBLE_DATA_FILE:
        raise errors.InvalidArgument("The image needs another file, which servers do not get.")


def round_up(size_bytes: int) -> int:
    """The size in whole sectors."""
    return -(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES


def _value(path: Path) -> str:
    return str(path).replace(",", ",,")


def _translate(text: str) -> errors.DriverError:
    if "No space left" in text:
        return errors.NoSpace("The compute backend's disk is full.", text)
    if '"write" lock' in text or 'shared "consistent read" lock' in text:
        return InUse("The disk is in use by a running server.", text)
    return errors.DriverError("The disk could not be written.", text, retryable=False)
