"""Holes: blocks of zeros that a file need not hold."""

import errno
import fcntl
import os
from collections.abc import Iterator

_BLOCK = 64 * 1024  # the unit of holes; a multiple of every common file system's block
_ZEROS = bytes(_BLOCK)
_FICLONE = 0x40049409  # linux/fs.h
_COPY_BYTES = 1 << 30
_READ_BYTES = 1 << 20
_CANNOT = frozenset((errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL))


def filled(data: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of `data`, to stand at `offset`, that are not whole blocks of zeros."""
    begin = 0
    place = min(-offset % _BLOCK, len(data))
    while place + _BLOCK <= len(data):
        if data.startswith(_ZEROS, place):
            if begin < place:
                yield begin, place
            begin = place + _BLOCK
        place += _BLOCK
    if begin < len(data):
        yield begin, len(data)


def copy(source: int, target: int, size: int) -> None:
    """Copy `size` bytes between files: blocks shared if possible, else without the holes."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # this file system cannot share blocks
        for begin, end in _extents(source, size):
            _copy_range(source, target, begin, end)


def _extents(source: int, size: int) -> Iterator[tuple[int, int]]:
    place = 0
    while place < size:
        try:
            begin = os.lseek(source, place, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        place = os.lseek(source, begin, os.SEEK_HOLE)
        yield begin, place


def _copy_range(source: int, target: int, begin: int, end: int) -> None:
    while begin < end:
        count = _copy_some(source, target, begin, end - begin)
        if count == 0:
            raise OSError(errno.EIO, "the source ended early")
        begin += count


def _copy_some(source: int, target: int, place: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, min(length, _COPY_BYTES), place, place)
    except OSError as exc:
        if exc.errno not in _CANNOT:
            raise
    return os.pwrite(target, os.pread(source, min(length, _READ_BYTES), place), place)
