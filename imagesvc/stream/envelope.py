"""The format of encrypted bytes: Tink's streaming AEAD, AES-256-GCM with HKDF-SHA256, 1 MiB segments.

https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming describes it. An object is
a header (its own length, a salt, a prefix of nonces) and sealed segments, of which only the last may
be short; a segment is opened without its neighbours. Each object has a key of its own, derived from
the data key, the salt and the `associated` data. Sizes in bytes.
"""

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from imagesvc.interface.errors import IntegrityError

SEGMENT_BYTES = 1 << 20
KEY_BYTES = 32
TAG_BYTES = 16
_PREFIX_BYTES = 7
HEADER_BYTES = 1 + KEY_BYTES + _PREFIX_BYTES
SEGMENTS_MAX = 1 << 32


class Layout(NamedTuple):
    """Where plain bytes lie in a sealed object of so many bytes a segment."""

    segment_bytes: int = SEGMENT_BYTES

    @property
    def first_bytes(self) -> int:
        """Plain bytes of the first segment, which shares its room with the header."""
        return self.segment_bytes - HEADER_BYTES - TAG_BYTES

    @property
    def rest_bytes(self) -> int:
        """Plain bytes of each further segment."""
        return self.segment_bytes - TAG_BYTES

    def segments(self, plain_bytes: int) -> int:
        """How many segments so many plain bytes make; one even if there are none."""
        over = max(0, plain_bytes - self.first_bytes)
        return 1 + -(-over // self.rest_bytes)

    def sealed_bytes(self, plain_bytes: int) -> int:
        """Size of the object that holds so many plain bytes."""
        return plain_bytes + HEADER_BYTES + TAG_BYTES * self.segments(plain_bytes)

    def plain_bytes(self, sealed_bytes: int) -> int:
        """Plain bytes in an object of that size. Raises IntegrityError for a size none can have."""
        count = max(1, -(-sealed_bytes // self.segment_bytes))
        plain = sealed_bytes - HEADER_BYTES - TAG_BYTES * count
        if plain < 0 or self.segments(plain) != count:
            raise _damaged(f"no sealed object has {sealed_bytes} bytes")
        return plain

    def segment_of(self, offset: int) -> int:
        """The segment that holds the plain byte at `offset`."""
        over = offset - self.first_bytes
        return 0 if over < 0 else 1 + over // self.rest_bytes

    def plain_start(self, segment: int) -> int:
        """Offset of a segment's first plain byte."""
        return 0 if segment == 0 else self.first_bytes + (segment - 1) * self.rest_bytes

    def sealed_start(self, segment: int) -> int:
        """Offset of a segment's first byte in the object."""
        return HEADER_BYTES if segment == 0 else segment * self.segment_bytes


LAYOUT = Layout()


class _Cipher:
    """Seals and opens the segments of one object."""

    def __init__(self, data_key: bytes, header: bytes, associated: bytes) -> None:
        salt, self._prefix = header[1 : 1 + KEY_BYTES], header[1 + KEY_BYTES :]
        derived = HKDF(SHA256(), KEY_BYTES, salt, associated).derive(data_key)
        self._aead = AESGCM(derived)

    def nonce(self, segment: int, last: bool) -> bytes:
        """Never the same twice under the key of an object."""
        if segment >= SEGMENTS_MAX:
            raise OverflowError("An object has at most 2^32 segments.")
        return self._prefix + segment.to_bytes(4, "big") + bytes([last])

    def seal(self, segment: int, plain: bytes | memoryview, last: bool) -> bytes:
        return self._aead.encrypt(self.nonce(segment, last), plain, None)

    def open(self, segment: int, sealed: bytes, last: bool) -> bytes:
        try:
            return self._aead.decrypt(self.nonce(segment, last), sealed, None)
        except InvalidTag as exc:
            raise _damaged(f"segment {segment} is not what was sealed") from exc


class Encryptor:
    """Turns plain bytes into those of one object, in order; holds one segment. One thread.

    With the `header` of an object that was begun it goes on at the first byte of `segment`. Whoever
    does that gives the bytes that were given before: other ones would be sealed under a nonce that
    was used.
    """

    def __init__(
        self,
        data_key: bytes,
        associated: bytes,
        layout: Layout = LAYOUT,
        *,
        header: bytes = b"",
        segment: int = 0,
    ) -> None:
        self.header = header or bytes([HEADER_BYTES]) + os.urandom(KEY_BYTES + _PREFIX_BYTES)
        self._cipher = _Cipher(data_key, self.header, associated)
        self._layout = layout
        self._held = bytearray()
        self._segment = segment
        self.plain_bytes = layout.plain_start(segment)

    def feed(self, data: bytes) -> list[bytes]:
        """What can be written now: a segment goes out when it is known that more follows."""
        self.plain_bytes += len(data)
        self._held += data
        return [*self._ready()]

    def _ready(self) -> list[bytes]:
        found = []
        while len(self._held) > (room := self._room()):
            found.append(self._seal(room, last=False))
        return found

    def finish(self) -> list[bytes]:
        """The last segment, be it empty."""
        return [self._seal(len(self._held), last=True)]

    def _room(self) -> int:
        return self._layout.rest_bytes if self._segment else self._layout.first_bytes

    def _seal(self, size: int, *, last: bool) -> bytes:
        with memoryview(self._held) as held:
            sealed = self._cipher.seal(self._segment, held[:size], last)
        del self._held[:size]
        self._segment += 1
        return self.header + sealed if self._segment == 1 else sealed


class Decryptor:
    """Opens segments of one object of `sealed_bytes`, in any order; any threads.

    Raises IntegrityError for a header or size that no sealed object has.
    """

    def __init__(
        self,
        data_key: bytes,
        associated: bytes,
        header: bytes,
        sealed_bytes: int,
        layout: Layout = LAYOUT,
    ) -> None:
        if len(header) != HEADER_BYTES or header[0] != HEADER_BYTES:
            raise _damaged("it does not begin as a sealed object does")
        self.layout = layout
        self.plain_bytes = layout.plain_bytes(sealed_bytes)
        self.last = layout.segments(self.plain_bytes) - 1
        self._sealed_bytes = sealed_bytes
        self._cipher = _Cipher(data_key, header, associated)

    def sealed_size(self, segment: int) -> int:
        """Bytes of a sealed segment."""
        end = self._sealed_bytes
        if segment < self.last:
            end = self.layout.sealed_start(segment + 1)
        return end - self.layout.sealed_start(segment)

    def open(self, segment: int, sealed: bytes) -> bytes:
        """The plain bytes of one segment. Raises IntegrityError."""
        return self._cipher.open(segment, sealed, segment == self.last)


class Damaged(IntegrityError):
    """The bytes of an object are not those that were encrypted."""


def _damaged(what: str) -> Damaged:
    return Damaged("The encrypted bytes are not what was stored.", what)
