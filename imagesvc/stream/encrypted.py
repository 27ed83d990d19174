"""A store as the service sees it: objects of encrypted images are written and read as plain bytes.

What an object's key says decides; objects of plain images pass as they are. An object is bound to
its key: one that was put in the place of another does not open.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from imagesvc.domain import storage_key
from imagesvc.interface import base, errors, storage
from imagesvc.stream.envelope import HEADER_BYTES, LAYOUT, Damaged, Decryptor, Encryptor

_HEADER = re.compile(f"[0-9a-f]{{{2 * HEADER_BYTES}}}")

DataKeyOf = Callable[[str], bytes]  # image id -> data key


class _Open(Protocol):
    def __call__(self, *, offset: int = 0, length: int | None = None) -> BinaryIO: ...


def is_local_file(driver: storage.StorageDriver, key: str) -> bool:
    """Whether a file of this machine holds the plain bytes."""
    capable = storage.StorageCapability.LOCAL_FILE in driver.info().capabilities
    return capable and not storage_key.is_encrypted(key)


class EncryptedStorage(storage.StorageDriver):
    """Wraps a driver; `data_key` gives the key of an image, or raises why there is none.

    Sizes are those of plain bytes.
    """

    contract = storage.VERSION

    def __init__(self, driver: storage.StorageDriver, data_key: DataKeyOf) -> None:
        super().__init__(driver.options, backend_id=driver.backend_id)
        self._driver = driver
        self._data_key = data_key

    def open_write(self, key: str, *, size: int | None = None) -> storage.ObjectWriter:
        if not storage_key.is_encrypted(key):
            return self._driver.open_write(key, size=size)
        cipher = Encryptor(self._data_key(storage_key.image_of(key)), key.encode())
        hint = None if size is None else LAYOUT.sealed_bytes(size)
        return _Writer(self._driver.open_write(key, size=hint), cipher)

    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        if not storage_key.is_encrypted(key):
            return self._driver.open_read(key, offset=offset, length=length)

        def read(*, offset: int = 0, length: int | None = None) -> BinaryIO:
            return self._driver.open_read(key, offset=offset, length=length)

        return self._open(key, read, offset, length, self._driver.stat(key).size_bytes)

    def open_copy(
        self, key: str, number: int, *, offset: int = 0, length: int | None = None
    ) -> BinaryIO:
        if not storage_key.is_encrypted(key):
            return self._driver.open_copy(key, number, offset=offset, length=length)

        def read(*, offset: int = 0, length: int | None = None) -> BinaryIO:
            return self._driver.open_copy(key, number, offset=offset, length=length)

        with read() as source:  # that of another copy may be another one
            size = source.seek(0, io.SEEK_END) if source.seekable() else None
        if size is None:
            size = self._driver.stat(key).size_bytes
        return self._open(key, read, offset, length, size)

    def _open(
        self, key: str, read: _Open, offset: int, length: int | None, sealed_bytes: int
    ) -> BinaryIO:
        plain_bytes = LAYOUT.plain_bytes(sealed_bytes)
        if not 0 <= offset <= plain_bytes or (length or 0) < 0:
            raise errors.InvalidArgument("The range is outside of the object.")
        end = plain_bytes if length is None else min(plain_bytes, offset + length)
        data_key = self._data_key(storage_key.image_of(key))
        first, stop = LAYOUT.segment_of(offset), sealed_bytes
        if end < plain_bytes:
            stop = LAYOUT.sealed_start(LAYOUT.segment_of(max(offset, end - 1)) + 1)
        with contextlib.ExitStack() as stack:
            source: BinaryIO | None = None
            if first > 0 or (offset >= end and plain_bytes):
                with read(length=HEADER_BYTES) as head:
                    header = _full(head, HEADER_BYTES)
            else:  # it stands before the first segment
                source = stack.enter_context(read(length=stop))
                header = _full(source, HEADER_BYTES)
            cipher = Decryptor(data_key, key.encode(), header, sealed_bytes)
            # An empty object has a segment too, which proves that it is empty.
            if source is None and offset < end:
                start = LAYOUT.sealed_start(first)
                source = stack.enter_context(read(offset=start, length=stop - start))
            stack.pop_all()
        return io.BufferedReader(_Reader(cipher, source, offset, end), 1)

    def stat(self, key: str) -> storage.ObjectInfo:
        return _plain(self._driver.stat(key))

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[storage.ObjectInfo]":
        return [_plain(one) for one in self._driver.list(prefix, after=after, limit=limit)]

    def copy(self, source_key: str, key: str) -> storage.ObjectInfo:
        if storage_key.is_encrypted(source_key) or storage_key.is_encrypted(key):
            raise errors.NotSupported("Encrypted bytes are bound to their place.")
        return self._driver.copy(source_key, key)

    def presign(self, key: str, *, method: str = "GET", expires_s: float = 900.0) -> str:
        self._require_plain(key)
        return self._driver.presign(key, method=method, expires_s=expires_s)

    def path(self, key: str) -> Path:
        self._require_plain(key)
        return self._driver.path(key)

    def resume_write(self, key: str, upload_id: str) -> storage.ObjectWriter:
        if not storage_key.is_encrypted(key):
            return self._driver.resume_write(key, upload_id)
        known, _, inner = upload_id.partition(":")
        if not _HEADER.fullmatch(known):
            raise errors.NotFound(f"There is no such write of {key}.")
        data_key = self._data_key(storage_key.image_of(key))
        writer = self._driver.resume_write(key, inner)
        segment, surplus = divmod(writer.offset, LAYOUT.segment_bytes)
        cipher = Encryptor(data_key, key.encode(), header=bytes.fromhex(known), segment=segment)
        return _Writer(writer, cipher, surplus)

    def _require_plain(self, key: str) -> None:
        if storage_key.is_encrypted(key):
            raise errors.NotSupported("The bytes at this place are encrypted.")

    # ------------------------------------------------ the same whatever the bytes are

    def open(self) -> None:
        self._driver.open()

    def close(self) -> None:
        self._driver.close()

    def info(self) -> base.DriverInfo:
        return self._driver.info()

    def health(self) -> base.Health:
        return self._driver.health()

    def delete(self, key: str) -> None:
        self._driver.delete(key)

    def usage(self) -> storage.Usage:
        return self._driver.usage()

    def discard_stale(self, *, older_than_s: float) -> int:
        return self._driver.discard_stale(older_than_s=older_than_s)

    def copies(self) -> int:
        return self._driver.copies()

    def own_bucket(self) -> storage.OwnBucket | None:
        return self._driver.own_bucket()

    def warnings(self) -> tuple[str, ...]:
        return self._driver.warnings()


class _Writer(storage.ObjectWriter):
    """Encrypts on the way; nobody reads it before its commit.

    `surplus` sealed bytes of the segment to come are there already: they are the same again.
    """

    def __init__(self, writer: storage.ObjectWriter, cipher: Encryptor, surplus: int = 0) -> None:
        self._writer = writer
        self._cipher = cipher
        self._surplus = surplus

    @property
    def offset(self) -> int:
        return self._cipher.plain_bytes

    @property
    def upload_id(self) -> str:
        return f"{self._cipher.header.hex()}:{self._writer.upload_id}"

    def write(self, data: bytes) -> None:
        self._give(self._cipher.feed(data))

    def _give(self, segments: Iterable[bytes]) -> None:
        for sealed in segments:
            self._writer.write(sealed[self._surplus :] if self._surplus else sealed)
            self._surplus = max(0, self._surplus - len(sealed))

    def open_uncommitted(self) -> BinaryIO:
        raise errors.NotSupported("Encrypted bytes are read after their commit.")

    def commit(self) -> storage.ObjectInfo:
        self._give(self._cipher.finish())
        return _plain(self._writer.commit())

    def abort(self) -> None:
        self._writer.abort()

    def leave(self) -> None:
        self._writer.leave()


class _Reader(io.RawIOBase):
    """Plain bytes from `offset` to `end`, a segment at a time; none without a `source`, which gives
    sealed segments from that of `offset` on. Raises IntegrityError."""

    def __init__(self, cipher: Decryptor, source: BinaryIO | None, offset: int, end: int) -> None:
        super().__init__()
        self._cipher = cipher
        self._source = source
        self._at = offset
        self._end = end
        self._plain = memoryview(b"")
        self._segment = min(cipher.layout.segment_of(offset), cipher.last)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as view:
            count = 0
            while count < len(view) and self._fill():
                size = min(len(view) - count, len(self._plain))
                view[count : count + size] = self._plain[:size]
                self._plain = self._plain[size:]
                count += size
        return count

    def _fill(self) -> bool:
        """Have plain bytes at hand; False at the end."""
        while not self._plain and self._source is not None:
            number = self._segment
            sealed = _full(self._source, self._cipher.sealed_size(number))
            start = self._cipher.layout.plain_start(number)
            plain = memoryview(self._cipher.open(number, sealed))
            self._plain = plain[self._at - start : self._end - start]
            self._at += len(self._plain)
            self._segment += 1
            if self._at >= self._end:
                self._source.close()
                self._source = None
        return bool(self._plain)

    def close(self) -> None:
        if not self.closed and self._source is not None:
            self._source.close()
        super().close()


def _plain(info: storage.ObjectInfo) -> storage.ObjectInfo:
    """Facts of an object with the size of its plain bytes; one that no encrypted object has stays."""
    if not storage_key.is_encrypted(info.key):
        return info
    try:
        size = LAYOUT.plain_bytes(info.size_bytes)
    except errors.IntegrityError:
        return info
    return storage.ObjectInfo(info.key, size, info.modified_at, info.etag, info.copies)


def _full(source: BinaryIO, size: int) -> bytes:
    """Exactly so many bytes. Raises IntegrityError if there are fewer."""
    data = source.read(size)
    if len(data) == size:
        return data
    parts = bytearray(data)
    while data and len(parts) < size:
        data = source.read(size - len(parts))
        parts += data
    if len(parts) < size:
        raise Damaged("The encrypted bytes are not what was stored.", "an encrypted object is cut")
    return bytes(parts)
