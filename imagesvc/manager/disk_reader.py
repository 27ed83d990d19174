"""The bytes of a disk, from the first of its copies that gives them."""

import logging
import os
from collections.abc import Iterable
from typing import BinaryIO, Self, cast

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface.errors import DriverError, IntegrityError, InvalidArgument
from imagesvc.manager import image_copy
from imagesvc.stream.pipe import BLOCK_BYTES

LOG = logging.getLogger(__name__)

_FAILURES = (DriverError, errors.BackendFailed, errors.BackendNotFound, OSError)


class DiskReader:
    """`length` bytes from `offset`, or all that follow; for one thread. No file: has no fileno.

    A copy that cannot be opened, that is a file of another size, or that fails or ends in the
    middle, is left, the log says so, and the next copy goes on at the same byte. When none is
    left, what the last one raised is raised: DriverError, BackendFailed, BackendNotFound.
    """

    def __init__(
        self,
        backends: Backends,
        copies: Iterable[image_copy.Copy],
        size_bytes: int,
        offset: int = 0,
        length: int | None = None,
    ) -> None:
        self._source: BinaryIO | None = None
        self._is_file = False
        if not 0 <= offset <= size_bytes or (length is not None and length < 0):
            raise InvalidArgument(f"There are {size_bytes} bytes, none at {offset}.")
        self._backends = backends
        self._copies = list(copies)
        self._size_bytes = size_bytes
        self._at = offset
        rest = size_bytes - offset
        self._left = rest if length is None else min(length, rest)
        self._open(errors.NotFound("The image has no place that could be read."))

    def give_file(self) -> BinaryIO | None:
        """Hand over the file if it is one of this host, at the first byte: the kernel can send
        it. It does not end after `length`, and there is no other copy after it. None: read here.
        """
        if not self._is_file:
            return None
        file, self._source = self._source, None
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, perhaps fewer; all that follow if it is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        wanted = min(size, self._left)
        data = self._piece(wanted) if wanted else b""
        self._at += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Let go of what is open; safe to repeat."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _piece(self, wanted: int) -> bytes:
        while True:
            if self._source is None:
                raise ValueError("The reader is closed.")
            try:
                if data := self._source.read(wanted):
                    return data
                raise _not_whole(f"it ends at byte {self._at}")
            except _FAILURES as exc:  # another copy may have the bytes
                self._leave(self._copy, exc)
                self._open(exc)

    def _open(self, failure: Exception) -> None:
        """Open the next copy at the byte that comes next; `failure` is raised if there is none."""
        while self._copies:
            self._copy = self._copies.pop(0)
            try:
                self._source = image_copy.open_copy(
                    self._backends, self._copy, self._at, self._left
                )
                self._is_file = image_copy.is_local(self._backends, self._copy)
                if self._is_file:
                    self._require_size(self._source)
            except _FAILURES as exc:  # another copy may have the bytes
                self._leave(self._copy, exc)
                failure = exc
            else:
                return
        if isinstance(failure, OSError):
            raise IntegrityError("The stored bytes cannot be read.", str(failure)) from failure
        raise failure

    def _require_size(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        if size != self._size_bytes:
            raise _not_whole(f"it has {size} bytes of {self._size_bytes}")

    def _leave(self, copy: image_copy.Copy, exc: Exception) -> None:
        LOG.warning(
            "bytes not read from a store store=%s key=%s copy=%s offset=%s: %s",
            copy.store_id,
            copy.key,
            copy.number,
            self._at,
            getattr(exc, "operator_message", exc),
        )
        source, self._source = self._source, None
        if source is not None:
            source.close()


def open_disk(
    backends: Backends,
    copies: Iterable[image_copy.Copy],
    size_bytes: int,
    offset: int = 0,
    length: int | None = None,
) -> BinaryIO:
    """The same for who sends it on: the file itself if there is one, see `give_file`."""
    reader = DiskReader(backends, copies, size_bytes, offset, length)
    return reader.give_file() or cast(BinaryIO, reader)


def _not_whole(detail: str) -> IntegrityError:
    return IntegrityError("The stored bytes are not whole.", f"a copy is not whole: {detail}")
