"""The work area of one host, for tools that need a file: space is set aside before, and given back.

Each use has a folder, named by its job, and holds a lock in it. A folder whose lock is free is that
of a process that died: whoever comes next removes it. All processes of a host share the account.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from imagesvc import errors
from imagesvc import service as services

LOG = logging.getLogger(__name__)
_LOCK, _SIZE = "lock", "size"


class Scratch:
    """`cap_bytes` is the most that all uses take together; 0: what the disk has."""

    def __init__(self, root: Path, cap_bytes: int) -> None:
        self.root = root
        self._cap = cap_bytes

    @contextlib.contextmanager
    def reserve(self, name: str, size_bytes: int) -> Iterator[Path]:
        """A new folder with room for so many bytes, gone with the block.

        Raises ScratchFull while others have the room, TooLarge if there is never enough.
        """
        with contextlib.ExitStack() as stack:
            with self._locked():
                folder = self._take(name, size_bytes)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.enter_context(_held(folder))
            yield folder

    def sweep(self) -> int:
        """Remove what dead processes left; how many folders."""
        if not self.root.is_dir():
            return 0
        with self._locked():
            dead = [folder for folder in folders(self.root) if not _is_held(folder)]
            for folder in dead:
                LOG.info("scratch of a dead worker removed folder=%s", folder.name)
                shutil.rmtree(folder, ignore_errors=True)
        return len(dead)

    def _take(self, name: str, size_bytes: int) -> Path:
        taken = used = 0
        for folder in folders(self.root):
            if _is_held(folder):
                # A use ends without the lock of all, and its folder may go while it is looked at.
                with contextlib.suppress(FileNotFoundError):
                    taken += int((folder / _SIZE).read_text())
                    used += _used(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        disk = shutil.disk_usage(self.root)
        room = min(self._cap or disk.total, disk.free + used)
        if size_bytes > (self._cap or disk.total):
            raise errors.TooLarge(
                what="What the conversion needs", limit=self._cap or disk.total, unit="bytes"
            )
        if taken + size_bytes > room:
            raise errors.ScratchFull
        folder = self.root / name
        folder.mkdir(mode=0o700)
        (folder / _SIZE).write_text(str(size_bytes))
        return folder

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def of(service: services.Service, encrypted: bool = False) -> Scratch:
    """The work area as configured; for plain bytes of `encrypted` images one in memory.

    Raises ConfigurationError if that is none in memory.
    """
    own = service.conf.worker
    if not encrypted:
        return Scratch(Path(own.scratch_dir), own.scratch_bytes)
    root = Path(own.memory_scratch_dir)
    if not (in_memory(root) and _is_own(root)):
        raise errors.ConfigurationError(
            "An encrypted image cannot be converted: {folder} is not in a tmpfs, or not the "
            "service's alone. Set [worker] memory_scratch_dir to a folder that is, or remove that one.",
            folder=root,
        )
    return Scratch(root, 0)


def _is_own(root: Path) -> bool:
    """Whether nobody else made the folder, or looks into it; it is made if it is missing."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    )


def run(service: services.Service) -> int:
    """The chore of each worker on its own host."""
    own = service.conf.worker
    return of(service).sweep() + Scratch(Path(own.memory_scratch_dir), 0).sweep()


def in_memory(folder: Path) -> bool:
    """Whether the file system that holds a folder, or will, is memory (proc(5), mountinfo)."""
    found, kind = -1, ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        place = Path(mount.split()[4])
        if folder.is_relative_to(place) and len(place.parts) >= found:
            found, kind = len(place.parts), rest.split()[0]
    return kind in ("tmpfs", "ramfs")


def folders(root: Path) -> list[Path]:
    """Folders of uses, alive or dead."""
    return [one for one in root.iterdir() if one.is_dir()] if root.is_dir() else []


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_held(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # its maker died before the lock, since others wait until it is there
        return False
    return False


def _used(folder: Path) -> int:
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone since
                count += os.stat(os.path.join(place, name)).st_blocks * 512
    return count
