"""Immutable copies of image files, by digest, under all servers that were made of them.

    cache/<digest>.<format>    verified, never written again
    cache/<digest>.lock        one fetch at a time

Deleting an image never touches servers: a hard link or a copy stays here. A base without a
server is dropped when the backend opens and nobody is creating servers.
"""

import os
import time
from pathlib import Path

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc_drivers.client import image_fetch, record
from imagesvc_drivers.compute.qemu import image_tool

FORMATS = frozenset({"raw", "qcow2"})
_FETCH_LOCK_S = 24 * 3600
# A base asked for within this time stays though no server has it: its server may be on the way.
_KEEP_S = 3600


class BaseCache:
    """Fetches bases; safe to share among threads and processes."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    def path(self, name: str) -> Path:
        """Where a base is."""
        return self._folder / name

    @staticmethod
    def check(source: ImageSource) -> None:
        """Refuse what cannot be a server's disk. Raises InvalidArgument."""
        if source.disk_format not in FORMATS:
            raise errors.InvalidArgument(
                f"A server's disk cannot be made of a {source.disk_format} image: "
                f"convert it to one of {', '.join(sorted(FORMATS))} first."
            )
        image_fetch.check(source)

    def fetch(self, source: ImageSource) -> str:
        """Bring the bytes of `source` here, verified; return the name of the base.

        Raises IntegrityError if they are not those of the digest, Unavailable, NoSpace.
        """
        name = f"{source.digest}.{source.disk_format}"
        with record.lock(self._folder / f"{source.digest}.lock", wait_s=_FETCH_LOCK_S):
            if not self.path(name).exists():
                partial = image_fetch.bring(source, self._folder, self._timeout_s)
                image_tool.check_base(partial, source.disk_format)
                crashpoint("compute.qemu.fetched")
                partial.replace(self.path(name))
                record.sync_folder(self._folder)
            os.utime(self._folder / f"{source.digest}.lock")
        return name

    def drop_unused(self, used: set[str]) -> None:
        """Remove the old bases that are not among `used`."""
        for lock in self._folder.glob("*.lock"):
            if time.time() - lock.stat().st_mtime < _KEEP_S:
                continue
            for path in self._folder.glob(f"{lock.stem}.*"):
                if path.name not in used and path != lock:
                    path.unlink(missing_ok=True)
