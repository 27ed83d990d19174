"""The folders of local volumes.

volumes/<volume id>/volume.json   what the volume is; written once its disk stands
                    creation.json the work that makes it, and may yet undo it
                    disk.raw      a sparse file
                    lock          one actor at a time
snapshots/, operations/, work/, trash/
"""

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc_drivers.client import operation_book, record

FOLDERS = ("volumes", "snapshots", "operations", "work", "trash")


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRecord:
    """What a volume is; `server_id` is the server that has it."""

    volume_id: str
    project_id: str
    name: str
    size_bytes: int
    created_at: str
    image_id: str | None = None
    server_id: str | None = None


class VolumeFolder:
    """Paths and record of one volume."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.volume_id = path.name
        self.disk_path = path / "disk.raw"

    def read(self) -> VolumeRecord | None:
        """The record, or None if the volume is gone or not made yet."""
        body = record.read(self.path / "volume.json")
        return None if body is None else VolumeRecord(**body)

    def write(self, volume: VolumeRecord) -> None:
        """Store the record durably."""
        record.write(self.path / "volume.json", dataclasses.asdict(volume))

    def lock(self, *, wait_s: float) -> contextlib.AbstractContextManager[None]:
        """Be the only actor on this volume. Raises Busy, NotFound."""
        return record.lock(self.path / "lock", wait_s=wait_s)


class VolumeFolders:
    """All volumes of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "volumes"
        self._trash = state_dir / "trash"
        self._book = operation_book.OperationBook(state_dir / "operations")

    def open(self) -> None:
        """Make the folders and clear what was being deleted. Raises OSError."""
        for name in FOLDERS:
            (self._root.parent / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for doomed in self._trash.iterdir():
            shutil.rmtree(doomed, ignore_errors=True)

    def make(self, volume_id: str, handle: Handle) -> VolumeFolder:
        """The folder of a volume that this work makes, created if missing."""
        path = self._root / volume_id
        path.mkdir(mode=0o700, exist_ok=True)
        record.sync_folder(self._root)
        record.write(path / "creation.json", {"handle": handle})
        return VolumeFolder(path)

    def is_made(self, folder: VolumeFolder) -> bool:
        """Whether the work that makes the volume is through; until then it may be undone."""
        noted = record.read(folder.path / "creation.json")
        try:
            return noted is None or self._book.read(noted["handle"])["state"] == ProgressState.DONE
        except errors.NotFound:
            return True  # forgotten, which only work is that ended long ago

    def find(self, volume_id: str, project_id: str) -> tuple[VolumeFolder, VolumeRecord]:
        """The folder and record of a project's volume. Raises NotFound, also until it is made."""
        try:
            plain = str(uuid.UUID(volume_id)) == volume_id
        except ValueError:
            plain = False
        folder = VolumeFolder(self._root / volume_id) if plain else None
        volume = folder.read() if folder else None
        if folder is None or volume is None or volume.project_id != project_id:
            raise errors.NotFound(f"No volume {volume_id} was found.")
        if not self.is_made(folder):
            raise errors.NotFound(f"Volume {volume_id} is still being made.")
        return folder, volume

    def __iter__(self) -> Iterator[VolumeFolder]:
        """All folders ordered by volume id."""
        for path in sorted(self._root.iterdir()):
            yield VolumeFolder(path)

    def remove(self, volume_id: str) -> None:
        """Remove a folder: out of sight in one step, then for good. One that is gone is success."""
        doomed = self._trash / f"{volume_id}.{uuid.uuid4().hex}"
        try:
            (self._root / volume_id).rename(doomed)
        except FileNotFoundError:
            return
        record.sync_folder(self._root)
        shutil.rmtree(doomed, ignore_errors=True)
