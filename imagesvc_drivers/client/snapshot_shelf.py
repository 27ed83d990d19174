"""Snapshots that can be read.

snapshots/<snapshot id>/disk.qcow2     target of the backup job of a running server
                        disk.raw       what `open_snapshot` reads
                        snapshot.json  written last: the snapshot is whole

"""

import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

from imagesvc.interface import errors
from imagesvc.interface.compute import Consistency
from imagesvc_drivers.client import record


class SnapshotShelf:
    """The snapshots that are whole."""

    def __init__(self, folder: Path, trash: Path) -> None:
        self._folder = folder
        self._trash = trash

    def path(self, snapshot_id: str) -> Path:
        """The folder of a snapshot. Raises NotFound for what is no snapshot id."""
        try:
            plain = str(uuid.UUID(snapshot_id)) == snapshot_id
        except ValueError:
            plain = False
        if not plain:
            raise errors.NotFound(f"No snapshot {snapshot_id} was found.")
        return self._folder / snapshot_id

    def size(self, snapshot_id: str) -> int:
        """Bytes of the raw disk. Raises NotFound."""
        body = record.read(self.path(snapshot_id) / "snapshot.json")
        if body is None:
            raise errors.NotFound(f"No snapshot {snapshot_id} was found.")
        return int(body["size_bytes"])

    def consistency(self, snapshot_id: str) -> Consistency:
        """What it holds. Raises NotFound."""
        body = record.read(self.path(snapshot_id) / "snapshot.json")
        if body is None:
            raise errors.NotFound(f"No snapshot {snapshot_id} was found.")
        return Consistency(body.get("consistency", Consistency.CRASH))

    def open(self, snapshot_id: str, offset: int) -> BinaryIO:
        """The raw bytes from `offset`. Raises NotFound, InvalidArgument."""
        size_bytes = self.size(snapshot_id)
        if not 0 <= offset <= size_bytes:
            raise errors.InvalidArgument(f"Offset {offset} is outside of the snapshot.")
        try:
            stream = (self.path(snapshot_id) / "disk.raw").open("rb")
        except FileNotFoundError as exc:
            raise errors.NotFound(f"No snapshot {snapshot_id} was found.") from exc
        stream.seek(offset)
        return stream

    def seal(
        self, snapshot_id: str, size_bytes: int, consistency: Consistency = Consistency.CRASH
    ) -> None:
        """Say that a snapshot is whole."""
        folder = self.path(snapshot_id)
        body = {"size_bytes": size_bytes, "consistency": str(consistency)}
        record.write(folder / "snapshot.json", body)
        (folder / "disk.qcow2").unlink(missing_ok=True)

    def remove(self, snapshot_id: str) -> None:
        """Remove a snapshot, whole or not; one that is gone is success."""
        doomed = self._trash / f"{snapshot_id}.{uuid.uuid4().hex}"
        try:
            self.path(snapshot_id).rename(doomed)
        except FileNotFoundError:
            return
        record.sync_folder(self._folder)
        shutil.rmtree(doomed)
