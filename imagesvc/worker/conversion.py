"""The bytes of a stored disk in the format that is wanted.

Raw disks and fixed VHD are read as a stream; every other format goes through a file of this host,
whose room is set aside before. Nothing of it is left when the block ends, however it ends.

What was stored has a digest, and what is read is held against it before its last byte is given. Of
what a tool read all is read once more for that, since a tool reads in an order of its own.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from imagesvc.domain import storage_key
from imagesvc.domain.image import ImageDisk
from imagesvc.interface import converter
from imagesvc.interface.converter import ConverterCapability
from imagesvc.manager import disk_reader, image_copy
from imagesvc.stream import fixed_vhd, limit, nbd
from imagesvc.worker import proof, scratch
from imagesvc.worker.flow import StepContext

Progress = Callable[[int, int], None]

# Formats whose bytes are those that the guest sees.
PLAIN = frozenset({"raw", "iso"})
_LOOK_S = 1.0
# A file of a format is longer than the disk by its tables, though it is mostly holes.
_TABLE_SHARE, _TABLE_BYTES = 64, 64 << 20
# A tool that is slower than this, or stands still for so long, is ended.
_CPU_S, _CPU_BYTES_S, _WALL_S, _WALL_BYTES_S = 600, 8 << 20, 3600, 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A format, and which kind of it; an empty `variant` is the tool's own choice."""

    disk_format: str
    variant: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """The bytes, how many they are, and whether they wait in a file of this host."""

    reader: limit.Reader
    size_bytes: int
    spooled: bool = False


@contextlib.contextmanager
def opened(
    ctx: StepContext, disk: ImageDisk, wanted: Wanted | None, progress: Progress | None = None
) -> Iterator[Opened]:
    """Open a disk as it is stored (None), or converted; `progress` is of a conversion to a file.

    Raises UnsafeImage, NotSupported, ScratchFull, TooLarge, NoSpace, what reading a store raises,
    and what `ctx.check` does; IntegrityError as late as at the last byte.
    """
    tell = progress or ctx.progress
    with contextlib.ExitStack() as stack:
        streamed = wanted in (Wanted("raw"), Wanted("vhd", "fixed"))
        if wanted is None or (wanted.disk_format == "raw" and disk.disk_format in PLAIN):
            yield stack.enter_context(_stored(ctx, disk))
        elif streamed:
            plain = stack.enter_context(_raw(ctx, disk, tell))
            if wanted.disk_format == "raw":
                yield plain
            else:
                made = fixed_vhd.FixedVhd(plain.reader, plain.size_bytes)
                yield Opened(made, made.size_bytes)
        else:
            yield stack.enter_context(_file(ctx, disk, wanted, tell))


@contextlib.contextmanager
def _stored(ctx: StepContext, disk: ImageDisk) -> Iterator[Opened]:
    backends = ctx.service.backends
    copies = image_copy.sound(backends, ctx.job.image_id or "", disk)
    with disk_reader.DiskReader(backends, copies, disk.size_bytes) as reader:
        seen = proof.Proof(ctx.job.image_id or "", disk)
        yield Opened(
            proof.Proved(reader, disk.size_bytes, seen.finish, seen.update), disk.size_bytes
        )


@contextlib.contextmanager
def _raw(ctx: StepContext, disk: ImageDisk, progress: Progress) -> Iterator[Opened]:
    if disk.disk_format in PLAIN:
        with _stored(ctx, disk) as found:
            yield found
        return
    tool = ctx.service.backends.converter()
    if ConverterCapability.RAW_STREAM not in tool.info().capabilities:
        with _file(ctx, disk, Wanted("raw"), progress) as found:
            yield found
        return
    with _source(ctx, disk) as source:
        size = tool.probe(source).virtual_size_bytes
        with tool.open_raw(source, limits=_limits(size)) as reader:
            yield Opened(proof.Proved(reader, size, lambda: _prove(ctx, disk, source)), size)


@contextlib.contextmanager
def _file(
    ctx: StepContext, disk: ImageDisk, wanted: Wanted, progress: Progress
) -> Iterator[Opened]:
    tool = ctx.service.backends.converter()
    with contextlib.ExitStack() as stack:
        with _source(ctx, disk) as source:
            size = tool.probe(source).virtual_size_bytes
            room = size + size // _TABLE_SHARE + _TABLE_BYTES
            more = {}
            if ConverterCapability.VARIANTS in tool.info().capabilities:
                room = tool.measure(source, wanted.disk_format)
                more = {"variant": wanted.variant} if wanted.variant else {}
            name = f"{ctx.job.id}-{ctx.lease_token}"
            encrypted = any(storage_key.is_encrypted(key) for _, key in disk.locations)
            folder = stack.enter_context(scratch.of(ctx.service, encrypted).reserve(name, room))
            with _Watch(ctx) as watch:
                tool.convert(
                    source, folder / "image", wanted.disk_format, progress=progress,
                    cancel=watch.cancel, limits=_limits(size), **more,
                )  # fmt: skip
            _prove(ctx, disk, source)
        file = stack.enter_context((folder / "image").open("rb"))
        yield Opened(file, (folder / "image").stat().st_size, spooled=True)


@contextlib.contextmanager
def _source(ctx: StepContext, disk: ImageDisk) -> Iterator[converter.Source]:
    """The disk as a tool reads it: a file of this host, or a socket over the store."""
    backends = ctx.service.backends
    copies = image_copy.sound(backends, ctx.job.image_id or "", disk)
    path = image_copy.local_path(backends, copies, disk)
    if path is not None:
        yield converter.Source(disk.disk_format, path=path)
        return

    def read(offset: int, length: int) -> BinaryIO:
        return disk_reader.open_disk(backends, copies, disk.size_bytes, offset, length)

    with nbd.NbdServer(read, disk.size_bytes) as server:
        try:
            yield converter.Source(disk.disk_format, nbd_socket=server.path)
        finally:
            # A store that failed is no fault of the image, so it is told instead.
            if server.failure is not None:
                raise server.failure


def _prove(ctx: StepContext, disk: ImageDisk, source: converter.Source) -> None:
    """Read what a tool has read, and hold it against its digest. Raises IntegrityError."""
    image_id = ctx.job.image_id or ""
    with contextlib.ExitStack() as stack:
        reader: limit.Reader
        if source.path is not None:
            reader = stack.enter_context(source.path.open("rb"))
        else:
            backends = ctx.service.backends
            copies = image_copy.sound(backends, image_id, disk)
            reader = stack.enter_context(disk_reader.DiskReader(backends, copies, disk.size_bytes))
        proof.Proof(image_id, disk).read(reader, ctx.check)


class _Watch:
    """Ends the tool when the job is to stop, though the tool tells of no progress."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._cause: Exception | None = None
        self.cancel = threading.Event()

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._cause is not None:
            raise self._cause

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                self._ctx.check()
            except Exception as exc:  # whatever it is, it is why the tool ends
                self._cause = exc
                self.cancel.set()
                return


def _limits(disk_bytes: int) -> converter.Limits:
    return converter.Limits(
        cpu_s=_CPU_S + disk_bytes // _CPU_BYTES_S,
        wall_s=_WALL_S + disk_bytes / _WALL_BYTES_S,
        output_bytes=disk_bytes + disk_bytes // _TABLE_SHARE + _TABLE_BYTES,
    )
