"""Gate two: a tool in a sandbox reads the whole structure and must agree with gate one."""

import io
import threading
from pathlib import Path
from typing import BinaryIO

from imagesvc import errors
from imagesvc.domain import disk_format
from imagesvc.interface import converter as converters
from imagesvc.interface import errors as driver_errors
from imagesvc.interface import storage
from imagesvc.stream import inspect, nbd
from imagesvc.stream.format import refusal

_VMDK_KINDS = ("monolithicSparse", "streamOptimized")


def check_file(
    converter: converters.ConverterDriver,
    facts: inspect.Facts,
    path: Path,
    *,
    limits: converters.Limits | None = None,
) -> None:
    """Judge the local file `path`, committed or not. Raises UnsupportedImage.

    Formats without structure, containers, and images of no bytes, pass: gate one has said all
    of them.
    """
    if _needs_tool(facts) and path.stat().st_size > 0:
        _compare(converter, facts, converters.Source(facts.disk_format, path=path), limits)


def check_object(
    converter: converters.ConverterDriver,
    facts: inspect.Facts,
    open_read: nbd.OpenRead,
    size_bytes: int,
    *,
    limits: converters.Limits | None = None,
) -> None:
    """Judge bytes that are in no local file, read through `open_read(offset, length)`.

    Raises UnsupportedImage, or what `open_read` raised.
    """
    if not _needs_tool(facts) or size_bytes == 0:
        return
    with nbd.NbdServer(open_read, size_bytes) as server:
        source = converters.Source(facts.disk_format, nbd_socket=server.path)
        try:
            _compare(converter, facts, source, limits)
        finally:
            # A store that failed is no fault of the image, so it is told instead.
            if server.failure is not None:
                raise server.failure


def check_writer(
    converter: converters.ConverterDriver,
    facts: inspect.Facts,
    writer: storage.ObjectWriter,
    size_bytes: int,
) -> None:
    """Judge what was written to `writer` and is not committed yet.

    Raises UnsupportedImage; NotSupported if the store shows nothing before the commit.
    """
    if not _needs_tool(facts):
        return
    path = writer.uncommitted_path()
    if path is not None:
        check_file(converter, facts, path)
        return
    lock = threading.Lock()  # the NBD server reads from one thread a connection
    with writer.open_uncommitted() as source:

        def read(offset: int, length: int) -> io.BytesIO:
            with lock:
                source.seek(offset)
                return io.BytesIO(source.read(length))

        check_object(converter, facts, read, size_bytes)


def commit(
    converter: converters.ConverterDriver,
    facts: inspect.Facts,
    writer: storage.ObjectWriter,
    driver: storage.StorageDriver,
    key: str,
    size_bytes: int,
) -> None:
    """Judge what was written and commit it, in that order if the store shows it before.

    Raises UnsupportedImage, and whatever the store raises. The object may be committed even so:
    the caller removes it.
    """
    before = not _needs_tool(facts) or _is_shown(writer)
    if before:
        check_writer(converter, facts, writer, size_bytes)
    writer.commit()
    if not before:

        def read(offset: int, length: int) -> BinaryIO:
            try:
                return driver.open_read(key, offset=offset, length=length)
            except driver_errors.NotFound as exc:  # here it is not the caller who asks for it
                raise driver_errors.Discarded(
                    "What was uploaded was removed before it was looked at.", exc.operator_message
                ) from exc

        check_object(converter, facts, read, size_bytes)


def _is_shown(writer: storage.ObjectWriter) -> bool:
    if writer.uncommitted_path() is not None:
        return True
    try:
        writer.open_uncommitted().close()
    except driver_errors.NotSupported:  # an object store; no capability says so
        return False
    return True


def _needs_tool(facts: inspect.Facts) -> bool:
    return facts.disk_format in disk_format.STRUCTURED_FORMATS and not facts.wrapped


def _compare(
    converter: converters.ConverterDriver,
    facts: inspect.Facts,
    source: converters.Source,
    limits: converters.Limits | None,
) -> None:
    try:
        seen = converter.check(source, limits=limits)
    except (converters.UnsafeImage, driver_errors.Timeout) as exc:
        raise refusal.unsafe(exc.user_message) from exc
    if seen.backing_file or seen.data_file or seen.encrypted:
        raise refusal.unsafe("it refers to other files or is encrypted.")
    if seen.disk_format != facts.disk_format:
        raise refusal.mismatch(f"it was declared as {facts.disk_format} but is {seen.disk_format}.")
    if facts.disk_format == "vmdk" and seen.sub_format not in _VMDK_KINDS:
        raise refusal.unsafe("only VMDK images in one sparse file are taken.")
    short = _sectors(facts.virtual_size_bytes) - seen.virtual_size_bytes
    if not 0 <= short <= facts.slack_bytes:
        raise errors.UnsupportedImage(
            cause="its virtual size is read differently by different tools.",
            reason=errors.Reason.FORMAT_UNSAFE,
        )


def _sectors(size_bytes: int) -> int:
    """Round up as tools do, which count in sectors of 512 bytes."""
    return -(-size_bytes // 512) * 512
