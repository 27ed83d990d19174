"""Bytes of a foreign URL as they are given on: never to their end if they are not those known."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

from imagesvc.interface.errors import IntegrityError
from imagesvc.stream.pipe import BLOCK_BYTES


class Body(Protocol):
    """Bytes as they come; `at` is where in the whole of `size` bytes the next one stands."""

    size: int | None

    @property
    def at(self) -> int:
        """In bytes from the start."""
        ...

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        ...


class ForeignReader:
    """`length` bytes from `offset` of a body of `size_bytes`; for one thread. No file: has no fileno.

    Of the whole of them the last bytes are kept back until all came, none more, and `digests`
    (algorithm -> hex) are right. Raises IntegrityError, and what the body raises.
    """

    def __init__(
        self,
        body: Body,
        close: Callable[[], None],
        *,
        size_bytes: int,
        offset: int,
        length: int,
        digests: Mapping[str, str],
    ) -> None:
        self._body = body
        self.close = close
        self._left = length
        self._whole = length == size_bytes
        self._digests = digests if self._whole else {}
        self._hashes = {one: hashlib.new(one, usedforsecurity=False) for one in self._digests}
        self._buffer = bytearray()
        self._skip(offset - body.at)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; all that follow if it is negative."""
        while self._left and (size < 0 or len(self._buffer) < size):
            self._take()
        count = len(self._buffer) if size < 0 else size
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _skip(self, count: int) -> None:
        """Read over what was not asked for, of a server that sends no parts."""
        while count > 0:
            count -= len(self._next(count))

    def _take(self) -> None:
        block = self._next(self._left)
        for one in self._hashes.values():
            one.update(block)
        self._buffer += block
        self._left -= len(block)
        if not self._left and self._whole:
            self._end()

    def _next(self, wanted: int) -> bytes:
        block = self._body.read(min(wanted, BLOCK_BYTES))
        if not block:
            raise _other(f"the body ended at {self._body.at}")
        return block

    def _end(self) -> None:
        if self._body.read(1):
            raise _other("the body has more bytes")
        wrong = [
            name for name, one in self._hashes.items() if one.hexdigest() != self._digests[name]
        ]
        if wrong:
            raise _other(f"the body has another digest by {', '.join(wrong)}")


def _other(detail: str) -> IntegrityError:
    return IntegrityError("The bytes at the image's URL are not those that it had.", detail)
