"""Bodies: how they are read, and the hardened JSON decoder.

JSON is refused with one 400 or 413 if it is too long, nested deeper than `DEPTH_MAX`, names a
key twice, or holds what cannot be kept: NaN, infinities, integers beyond 64 bits, lone
surrogates, NUL. The decoder of the standard library lets all of these through, and ends in
RecursionError on deep nesting.
"""

import contextlib
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import falcon
import msgspec
from falcon import media

from imagesvc import errors
from imagesvc.api import direct_body, pace
from imagesvc.errors import Reason

BODY_BYTES_DEFAULT = 64 * 1024
BODY_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
_INTEGER_DIGITS_MAX = 20  # a 64-bit integer with its sign

_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|([\[{])|([\]}])', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Request(falcon.Request):
    """A request whose `bounded_stream` also reads chunked bodies.

    Falcon bounds by Content-Length, so a chunked body reads as empty. A server that ends
    bodies itself says so in `wsgi.input_terminated`; then its own stream is the bounded one.
    """

    @property
    def bounded_stream(self) -> Any:
        """The body, ending where the body ends."""
        if self.env.get("wsgi.input_terminated"):
            return self.env["wsgi.input"]
        return super().bounded_stream


class BodyReader:
    """The bytes of a request; whatever breaks while reading means that the client is gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._watch = pace.current.get()
        self.count_bytes = 0

    def read(self, size: int) -> bytes | bytearray:
        """Read at most `size` bytes; empty at the end.

        Raises InvalidRequest: CLIENT_GONE, or CLIENT_SLOW for one that was cut off.
        """
        try:
            with self._watch.receive() if self._watch else contextlib.nullcontext():
                data: bytes | bytearray = self._stream.read(size)
        except Exception as error:  # servers raise classes of their own for broken bodies
            raise self._broken() from error
        if self._watch and self._watch.too_slow:
            raise self._broken()
        self.count_bytes += len(data)
        return data

    def _broken(self) -> errors.InvalidRequest:
        if self._watch and self._watch.too_slow:
            return errors.InvalidRequest(
                "The request body came too slowly.", reason=Reason.CLIENT_SLOW
            )
        return errors.InvalidRequest("The request body broke off.", reason=Reason.CLIENT_GONE)


def body(req: falcon.Request) -> BodyReader:
    """The body of a request, plain or chunked."""
    stream = req.bounded_stream
    reader = BodyReader(direct_body.of(stream) or stream)
    req.context.body_reader = reader
    return reader


def content_type(req: falcon.Request) -> str:
    """The media type of the body in lower case without parameters; empty if none is named."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def load(req: falcon.Request, *, types: tuple[str, ...] = ("application/json",)) -> Any:
    """Decode the JSON body of a request. Raises InvalidRequest, TooLarge."""
    found = content_type(req)
    if found and found not in types:
        raise errors.InvalidRequest(
            f"The body must be {' or '.join(types)}.", reason=Reason.MEDIA_TYPE, types=types
        )
    limit = getattr(req.context, "body_bytes_max", None) or BODY_BYTES_MAX
    return decode(read(body(req), limit))


def read(reader: BodyReader, limit: int) -> bytes:
    """Read a whole small body. Raises TooLarge beyond `limit` bytes."""
    parts: list[bytes | bytearray] = []
    left = limit + 1
    while left > 0 and (part := reader.read(left)):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> errors.TooLarge:
    """The error for a body above `limit` bytes."""
    return errors.TooLarge(
        what="The request body", limit=limit, unit="bytes", reason=Reason.BODY_TOO_LARGE
    )


def decode(data: bytes) -> Any:
    """Decode hostile JSON. Raises InvalidRequest."""
    if not data.strip():
        raise errors.InvalidRequest("The request needs a JSON body.", reason=Reason.MALFORMED)
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except ValueError as error:
        raise errors.InvalidRequest(
            "The body is not valid JSON.", reason=Reason.MALFORMED
        ) from error
    for string in _strings(value):
        _check_string(string)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for match in _NESTING.finditer(text):
        depth += (match[1] is not None) - (match[2] is not None)
        if depth > DEPTH_MAX:
            raise errors.InvalidRequest(
                f"The body is nested deeper than {DEPTH_MAX} levels.", reason=Reason.MALFORMED
            )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise errors.InvalidRequest("The body names a key twice.", reason=Reason.MALFORMED)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise errors.InvalidRequest(f"{name} is not JSON.", reason=Reason.MALFORMED)


def _integer(digits: str) -> int:
    if len(digits) <= _INTEGER_DIGITS_MAX and INTEGER_MIN <= (number := int(digits)) <= INTEGER_MAX:
        return number
    raise errors.InvalidRequest("An integer has more than 64 bits.", reason=Reason.MALFORMED)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise errors.InvalidRequest("A number is out of range.", reason=Reason.MALFORMED)
    return number


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def _check_string(string: str) -> None:
    if "\0" in string or (not string.isascii() and _SURROGATE.search(string)):
        raise errors.InvalidRequest(
            "A string holds NUL or half a surrogate pair.", reason=Reason.MALFORMED
        )


class JsonHandler(media.BaseHandler):
    """Falcon's door to the same decoder and to msgspec's encoder."""

    def deserialize(self, stream: Any, content_type: str | None, content_length: int | None) -> Any:
        """Decode a body of at most `BODY_BYTES_MAX` bytes."""
        return decode(read(BodyReader(stream), BODY_BYTES_MAX))

    def serialize(self, media: Any, content_type: str | None = None) -> bytes:
        """Encode an answer as UTF-8."""
        return msgspec.json.encode(media)
