"""An image on its way to a disk: the first MiB comes last, after the rest was read back.

So a disk whose writing ended early, or went wrong, does not boot. qemu-img runs in the sandbox,
with its formats named (`convert -n`, `compare`).
"""

import threading
from pathlib import Path

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc_drivers.baremetal.local_disk import Disk
from imagesvc_drivers.client import disk_tool, sandbox

HEAD_BYTES = 1 << 20
_DIFFERENT = 1


class Writer:
    """Writes one image to one disk."""

    def __init__(
        self, box: sandbox.Sandbox, image: Path, disk_format: str, cancel: threading.Event
    ) -> None:
        self._box = box
        self._image = image
        self._format = disk_tool.FORMATS[disk_format]
        self._cancel = cancel

    def write(self, disk: Disk, size_bytes: int) -> None:
        """Write and read back `size_bytes`. Raises IntegrityError, InUse, NoSpace, Cancelled."""
        head = min(HEAD_BYTES, size_bytes, disk.size_bytes)
        disk.zero(0, head)
        crashpoint("baremetal.local.head_erased")
        pieces = [(head, size_bytes - head)] if size_bytes > head else []
        for offset, length in [*pieces, (0, head)]:
            self._piece(disk, offset, length)
            crashpoint("baremetal.local.piece_written")

    def _piece(self, disk: Disk, offset: int, length: int) -> None:
        source = self._source(offset, length)
        target = self._target(disk, offset, length)
        argv = ["convert", "-q", "-n", "--image-opts", "--target-image-opts", source, target]
        done = self._run(argv, disk)
        if done.returncode:
            raise disk_tool.translate(done.stderr.decode(errors="replace").strip())
        disk.settle()
        done = self._run(["compare", "-q", "--image-opts", source, target], disk)
        if done.returncode == _DIFFERENT:
            raise errors.IntegrityError(
                "The node's disk does not give back what was written.",
                f"{disk.path} differs from the image behind byte {offset}",
            )
        if done.returncode:
            raise disk_tool.translate(done.stderr.decode(errors="replace").strip())

    def _run(self, argv: list[str], disk: Disk) -> sandbox.Result:
        return self._box.run(
            ["qemu-img", *argv], reads={"image": self._image}, disks={"node": disk.path},
            limits=disk_tool.Bounds(disk.size_bytes), cancel=self._cancel,
        )  # fmt: skip

    def _source(self, offset: int, length: int) -> str:
        words = f"driver=raw,offset={offset},size={length}"
        if self._format == "raw":
            return f"{words},file.driver=file,file.filename=/in/image"
        backing = ",file.backing=" if self._format == "qcow2" else ""
        return (
            f"{words},file.driver={self._format},file.file.driver=file,"
            f"file.file.filename=/in/image{backing}"
        )

    @staticmethod
    def _target(disk: Disk, offset: int, length: int) -> str:
        driver = "host_device" if disk.is_device else "file"
        words = f"driver=raw,offset={offset},size={length}"
        return f"{words},file.driver={driver},file.filename=/disk/node"
