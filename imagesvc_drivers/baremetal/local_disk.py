"""The disk of a node: a block device or a file that nothing else uses.

A block device is opened with O_EXCL, which the kernel refuses while it, or a part of it, is
mounted, swapped to, or held by another driver (open(2)). A file must be no disk of a loop device,
and is locked against other processes of ours (flock) and against QEMU, whose locks are bytes 100
and up for what it does and 200 and up for what it lets nobody do (QEMU, block/file-posix.c).
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from imagesvc.interface import errors

_BLKZEROOUT = 0x127F  # linux/fs.h
_FS_IOC_UNRESVSP64 = 0x4030582B  # linux/falloc.h; fallocate(2): PUNCH_HOLE, KEEP_SIZE
_ZERO_BYTES = 64 << 20
_QEMU_WRITES = 101
_QEMU_NO_WRITER = 201


class Disk:
    """An open disk that nobody else uses; made by `hold`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.is_device = stat.S_ISBLK(os.fstat(fd).st_mode)
        self.size_bytes = os.lseek(fd, 0, os.SEEK_END)
        self._fd = fd

    def zero(self, offset: int, size_bytes: int) -> None:
        """Make zeros of a piece, durably; the kernel knows the quick way."""
        end = offset + size_bytes
        while offset < end:
            step = min(_ZERO_BYTES, end - offset)
            if self.is_device:
                fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("QQ", offset, step))
            else:
                _zero_file(self._fd, offset, step)
            offset += step
        os.fsync(self._fd)

    def settle(self) -> None:
        """Make durable what was written, and forget it, so that it is read from the disk."""
        os.fsync(self._fd)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)


def size_of(path: Path) -> int:
    """Bytes of a disk. Raises Unavailable if it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise errors.Unavailable("The node's disk is not there.", str(exc)) from exc
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Disk]:
    """Be the only one who uses the disk. Raises Busy, Unavailable."""
    fd = _take(path, os.O_RDWR)
    try:
        yield Disk(path, fd)
    finally:
        os.close(fd)


def read(path: Path, offset: int) -> BinaryIO:
    """Read the disk, held until the stream is closed. Raises Busy, Unavailable."""
    fd = _take(path, os.O_RDONLY)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            _lock_out_qemu(fd, path)
        stream = os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise
    stream.seek(offset)
    return stream


def _take(path: Path, mode: int) -> int:
    """A descriptor of the disk, exclusive."""
    try:
        is_device = stat.S_ISBLK(path.stat().st_mode)
        fd = os.open(path, mode | os.O_CLOEXEC | (os.O_EXCL if is_device else 0))
    except OSError as exc:
        if exc.errno == errno.EBUSY:
            raise errors.Busy("The node's disk is mounted, or in use.", str(exc)) from exc
        raise errors.Unavailable("The node's disk cannot be opened.", str(exc)) from exc
    try:
        facts = os.fstat(fd)
        if not (stat.S_ISBLK(facts.st_mode) or stat.S_ISREG(facts.st_mode)):
            raise errors.InvalidConfiguration(f"{path} is neither a block device nor a file.")
        if not is_device:
            _lock_file(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock_file(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise errors.Busy("The node's disk is in use.", f"{path} is locked") from exc
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if os.path.samefile(backing.read_text().rstrip("\n"), path):
                raise errors.Busy("The node's disk is in use.", f"{path} is at {backing}")
    if _qemu_lock(fd, _QEMU_WRITES):
        raise errors.Busy("The node's disk is in use.", f"{path} is written to by QEMU")


def _lock_out_qemu(fd: int, path: Path) -> None:
    """As long as `fd` is open, QEMU cannot write to the file."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK, _QEMU_NO_WRITER))
    except BlockingIOError as exc:
        raise errors.Busy("The node's disk is in use.", f"{path} is locked by QEMU") from exc
    if _qemu_lock(fd, _QEMU_WRITES):
        raise errors.Busy("The node's disk is in use.", f"{path} is written to by QEMU")


def _qemu_lock(fd: int, byte: int) -> bool:
    """Whether another opener has a lock on this byte."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, byte))
    return bool(struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK)


def _lock(kind: int, byte: int) -> bytes:
    """struct flock of one byte (fcntl(2)), of the open file description."""
    return struct.pack("hh4xqqi4x", kind, os.SEEK_SET, byte, 1, 0)


def _zero_file(fd: int, offset: int, size_bytes: int) -> None:
    """Zeros in a file: a hole where its file system makes them. It is never cut short, since a
    kill would leave it so."""
    hole = struct.pack("hhqqiI4i", 0, os.SEEK_SET, offset, size_bytes, 0, 0, 0, 0, 0, 0)
    try:
        fcntl.ioctl(fd, _FS_IOC_UNRESVSP64, hole)
        return
    except OSError as exc:
        if exc.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
            raise
    block = bytes(min(1 << 20, size_bytes))
    done = 0
    while done < size_bytes:
        done += os.pwrite(fd, block[: size_bytes - done], offset + done)
