"""Bytes of one object; a stream that breaks goes on at its offset, at the next gateway."""

import contextlib
import io
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.storage.s3 import fault
from imagesvc_drivers.storage.s3.gateway import Gateways

_BLOCK = 1 << 20


class S3Reader(io.RawIOBase):
    """At most `length` bytes from `offset`; for one thread. Raises NotFound, InvalidArgument."""

    def __init__(
        self, gateways: Gateways, key: str, name: str, offset: int, length: int | None
    ) -> None:
        super().__init__()
        self._gateways = gateways
        self._key = key
        self._name = name
        self._at = offset
        self._etag = ""
        self._gateway = 0
        self._body: Any = None
        self._left = 0 if length is None else length
        self._open(None if length is None else offset + length)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, one block at most; all that follow if it is negative."""
        if self.closed:
            raise ValueError("The reader is closed.")
        if size is None or size < 0:
            return self.readall()
        wanted = min(size, self._left)
        return self._piece(wanted) if wanted else b""

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as view:
            data = self.read(min(len(view), _BLOCK))
            view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(_BLOCK), b""))

    def close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
        super().close()

    def _piece(self, wanted: int) -> bytes:
        patience = self._gateways.patience()
        while True:
            try:
                data: bytes = self._body.read(wanted)
                if not data:
                    raise ConnectionError("the body ended early")
            except fault.ALL as exc:
                self._leave()
                if self._gateways.leave(self._gateway, patience):
                    raise fault.translate(
                        exc, f"cannot read {self._key}", self._gateways.name(self._gateway)
                    ) from exc
                self._open(self._at + self._left)
            else:
                self._at += len(data)
                self._left -= len(data)
                return data

    def _leave(self) -> None:
        with contextlib.suppress(*fault.ALL):
            self._body.close()

    def _open(self, end: int | None) -> None:
        """Ask for the bytes from here to before `end`."""
        ranged = {}
        if self._at or end is not None:
            last = "" if end is None else str(end - 1)
            ranged = {"Range": f"bytes={self._at}-{last}"}
        answer = self._gateways.call(
            f"cannot read {self._key}", "get_object", Key=self._name, **ranged
        )
        self._body, self._gateway = answer["Body"], answer["Gateway"]
        self._check(answer)
        self._etag = answer["ETag"]
        given: int = answer["ContentLength"]
        self._left = given if end is None else min(given, end - self._at)

    def _check(self, answer: dict[str, Any]) -> None:
        if self._etag and answer["ETag"] != self._etag:
            self.close()
            raise errors.IntegrityError(
                "The object changed while it was read.", f"{self._key} has another ETag now"
            )
        if self._at and not answer.get("ContentRange", "").startswith(f"bytes {self._at}-"):
            self.close()
            raise errors.Unavailable(
                "The storage backend does not work just now.",
                f"cannot read {self._key}: the store ignores Range",
                retryable=False,
            )
