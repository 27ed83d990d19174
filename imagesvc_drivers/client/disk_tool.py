"""qemu-img in the sandbox for raw disks: every format is named, no name in a header is followed."""

import dataclasses
import os
import threading
from pathlib import Path

from imagesvc.interface import errors
from imagesvc_drivers.client import record, sandbox

# Our words for disk formats, and those of qemu-img.
FORMATS = {
    "raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one run."""

    output_bytes: int
    cpu_s: int = 7200
    wall_s: float = 14400.0
    memory_bytes: int = 1 << 30


class InUse(errors.Busy):
    """Another program holds the lock of the disk."""


class DiskTool:
    """What drivers of disks ask of qemu-img; safe to share among threads."""

    def __init__(self) -> None:
        self._sandbox = sandbox.Sandbox()

    def check(self) -> None:
        """Raise NotSupported if there is no sandbox."""
        self._sandbox.level()

    def to_raw(
        self,
        source: Path,
        disk_format: str,
        target: Path,
        size_bytes: int,
        cancel: threading.Event | None = None,
    ) -> None:
        """Copy a disk of at most `size_bytes` to a sparse raw file of exactly that size.

        The file appears under its name in one step, durable. Raises InUse, NoSpace, Cancelled.
        """
        partial = target.with_name(f"{target.name}.partial")
        partial.unlink(missing_ok=True)
        argv = ["convert", "-q", "-f", FORMATS[disk_format], "-O", "raw", "-S", "4k"]
        done = self._sandbox.run(
            ["qemu-img", *argv, "/in/disk", f"/out/{partial.name}"], reads={"disk": source},
            writes=target.parent, limits=Bounds(size_bytes), cancel=cancel,
        )  # fmt: skip
        if done.returncode:
            partial.unlink(missing_ok=True)
            raise translate(done.stderr.decode(errors="replace").strip())
        finish(partial, target, size_bytes)


def finish(partial: Path, target: Path, size_bytes: int) -> None:
    """Give a written file its size and its name, durably. Raises InvalidArgument if it is larger."""
    if partial.stat().st_size > size_bytes:
        partial.unlink()
        raise errors.InvalidArgument("The image's disk is larger than what was asked for.")
    with partial.open("r+b") as stream:
        stream.truncate(size_bytes)
        os.fsync(stream.fileno())
    partial.replace(target)
    record.sync_folder(target.parent)


def check_format(disk_format: str, what: str) -> None:
    """Raise InvalidArgument for a format that cannot be read here."""
    if disk_format not in FORMATS:
        raise errors.InvalidArgument(
            f"{what} cannot be made of a {disk_format} image: convert it to one of "
            f"{', '.join(FORMATS)} first."
        )


def translate(text: str) -> errors.DriverError:
    """What qemu-img said, as an error of the contract."""
    if "No space left" in text:
        return errors.NoSpace("The backend's disk is full.", text)
    if '" lock' in text:
        return InUse("Another program uses the disk.", text)
    return errors.DriverError("The disk could not be written.", text)
