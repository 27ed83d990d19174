"""Bytes that come from outside the stores, on their way into the first of them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain import disk_format
from imagesvc.domain.image import Image
from imagesvc.domain.state import ImageStatus
from imagesvc.stream import gate, limit, pipe
from imagesvc.stream.unpacked import UnpackedReader
from imagesvc.worker import intake
from imagesvc.worker.flow import StepContext


def unpacks(ctx: StepContext, image: Image) -> bool:
    """Whether packed bytes of this image are to be unpacked; in a container they stay as they are."""
    asked = ctx.service.unpacks or ctx.job.args.get("unpack", False)
    return asked and image.container_format not in disk_format.WRAPPING_CONTAINERS


def unpacked(ctx: StepContext, reader: limit.Reader, before_bytes: int = 0) -> UnpackedReader:
    """What the bytes hold, within the operator's bound; `before_bytes` of that are taken."""
    cap = ctx.service.rules.unpacked_cap_bytes - before_bytes
    return UnpackedReader(_Heeding(ctx, reader), cap)


def hashed(
    ctx: StepContext, body: limit.Reader, algorithms: Iterable[str], *, unpacking: bool
) -> tuple["Hashed", limit.Reader, bool]:
    """The bytes as they come, hashed by `algorithms`; what they hold; and whether they were packed."""
    # What the pipe hashes anyway is not hashed twice, unless it hashes other bytes.
    done = frozenset() if unpacking else frozenset(ctx.service.rules.algorithms)
    came = Hashed(body, set(algorithms) - done)
    if not unpacking:
        return came, came, False
    reader = unpacked(ctx, came)
    return came, reader, bool(reader.packed)


class _Heeding:
    """Gives the bytes of a reader, and heeds a cancellation though nothing may come out of them."""

    def __init__(self, ctx: StepContext, reader: limit.Reader) -> None:
        self._ctx = ctx
        self._reader = reader

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises what `StepContext.check` does."""
        self._ctx.check()
        return self._reader.read(size)


def land(
    ctx: StepContext,
    reader: limit.Reader,
    place: tuple[str, str],
    image: Image,
    size_bytes: int | None,
    check: Callable[[pipe.PipeResult], None] = lambda _: None,
    *,
    reserved: bool = False,
    disk_format: str | None = None,
    before_bytes: int = 0,
) -> pipe.PipeResult:
    """Write all of `reader` to an announced place, judged by both gates and by `check`.

    `reserved`: the job has room for these bytes set aside already. The bytes are of the image's
    format, unless `disk_format` says of which they are. `before_bytes` of the image are stored, and
    counted nowhere yet; if the job set less aside than all it stores, the quota bounds the rest.
    Raises UnsupportedImage, QuotaExceeded, and what the two ends and `check` raise.
    """
    store_id, key = place
    store = ctx.service.backends.storage(store_id)
    # Further copies of an image count no more bytes.
    if image.status == ImageStatus.IMPORTING and not reserved:
        # What the job set aside counts as reserved already, and is for these bytes.
        before_bytes -= ctx.job.args.get("size_bytes", 0)
        reader = Within(ctx, reader, image.owner, size_bytes or 0, before_bytes)
    with store.open_write(key, size=size_bytes) as writer:
        result = intake.pump(
            ctx,
            reader,
            writer,
            disk_format=disk_format or image.disk_format or "",
            container_format=image.container_format,
            total=size_bytes,
        )
        crashpoint("step.fetch.written")
        check(result)
        ctx.check()
        converter = ctx.service.backends.converter()
        gate.commit(converter, result.facts, writer, store, key, result.size_bytes)
    return result


class Hashed:
    """Gives the bytes of a reader, hashed by `algorithms` as they pass."""

    def __init__(self, reader: limit.Reader, algorithms: Iterable[str]) -> None:
        self._reader = reader
        self._hashes = {one: hashlib.new(one, usedforsecurity=False) for one in algorithms}
        self.count = 0

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        data = self._reader.read(size)
        self.count += len(data)
        for one in self._hashes.values():
            one.update(data)
        return data

    def digests(self) -> dict[str, str]:
        """The hashes of what was given so far."""
        return {algorithm: one.hexdigest() for algorithm, one in self._hashes.items()}


def digest_check(expected: Mapping[str, str], came: Hashed) -> Callable[[pipe.PipeResult], None]:
    """What raises InvalidRequest unless the bytes that `came` have these digests.

    Those of the pipe's result count where they are of the same bytes.
    """

    def check(result: pipe.PipeResult) -> None:
        check_digests(
            expected,
            {"md5": result.md5, result.hash_algorithm: result.hash_value, **came.digests()},
        )

    return check


def check_digests(expected: Mapping[str, str], found: Mapping[str, str | None]) -> None:
    """Raise InvalidRequest unless the bytes that came have the digests that were given."""
    if any(found[algorithm] != value for algorithm, value in expected.items()):
        raise errors.InvalidRequest("The bytes that came do not have the digest that was given.")


def said(args: Mapping[str, Any]) -> dict[str, str]:
    """Algorithm -> hex value that the bytes must have, as the job's caller said."""
    digest = args.get("digest")
    return {
        **({"md5": args["md5"]} if "md5" in args else {}),
        **({digest[0]: digest[1]} if digest else {}),
    }


class Within:
    """Gives the bytes of a reader as long as the owner has room for them. Raises QuotaExceeded.

    `before_bytes` need room too; they are negative while what was set aside is not used up.
    """

    def __init__(
        self,
        ctx: StepContext,
        reader: limit.Reader,
        owner: str | None,
        expected_bytes: int,
        before_bytes: int = 0,
    ) -> None:
        self._ctx = ctx
        self._reader = reader
        self._owner = owner
        self._count = before_bytes
        self._room = self._look(before_bytes + expected_bytes)

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""
        data = self._reader.read(size)
        self._count += len(data)
        if self._room is not None and self._count > self._room:
            self._room = self._look(self._count)
        return data

    def _look(self, wanted: int) -> int | None:
        with self._ctx.service.database.read() as conn:
            return self._ctx.service.quotas.room(conn, self._owner, wanted)
