"""A stored disk is looked into by the converter; its answer is judged as a stranger's words."""

import logging
from typing import Any

from imagesvc.domain import disk_format as formats
from imagesvc.domain.guest import Guest
from imagesvc.interface import converter as converters
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.converter import ConverterCapability
from imagesvc.interface.storage import StorageDriver
from imagesvc.stream import encrypted, nbd

LOG = logging.getLogger(__name__)
# Less holds no guest: the smallest that was seen has 300 KiB.
SIZE_BYTES_MIN = 64 << 10
_TEXT_LENGTH_MAX = 128
_HEAD_BYTES = 33 << 10
# (offset, bytes) by which a bare disk says that there is something to look into: a boot sector,
# ext, a disc, XFS. Reading them here saves a process for every upload of mere bytes.
_SIGNS = ((510, b"\x55\xaa"), (1080, b"\x53\xef"), (32769, b"CD001"), (0, b"XFSB"))
_WORDS = {
    "os_type": converters.OS_TYPES,
    "architecture": converters.ARCHITECTURES,
    "firmware": converters.FIRMWARES,
    "file_systems": converters.FILE_SYSTEMS,
}
_FLAGS = frozenset({"virtio", "cloud_init"})
_FIELDS = tuple(converters.GuestFacts.__dataclass_fields__)


def look(
    converter: converters.ConverterDriver,
    disk_format: str,
    store: StorageDriver,
    key: str,
    size_bytes: int,
) -> Guest | None:
    """What is found on a stored disk; None if nothing is, whatever the cause. Raises nothing."""
    try:
        if size_bytes < SIZE_BYTES_MIN or not _promised(converter):
            return None
        if disk_format not in formats.STRUCTURED_FORMATS and not _shows_something(store, key):
            return None
        return judge(_facts(converter, disk_format, store, key, size_bytes))
    except (driver_errors.DriverError, OSError, EOFError) as exc:
        # To look is a service: an image never fails for it, nor for a store that is away just now.
        LOG.warning("guest not looked into key=%s cause=%s", key, exc)
        return None


def judge(facts: converters.GuestFacts) -> Guest | None:
    """The good words of an answer; None if there are none."""
    found = {field: _judged(field, getattr(facts, field)) for field in _FIELDS}
    guest = Guest(**{field: value for field, value in found.items() if value is not None})
    return guest if guest != Guest() else None


def _judged(field: str, value: Any) -> Any:
    if field in _FLAGS:
        return value if isinstance(value, bool) else None
    if isinstance(value, tuple):
        return tuple(one for one in value if one in _WORDS.get(field, ()))
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LENGTH_MAX:
        return None
    known = _WORDS.get(field)
    return value if value.isprintable() and (known is None or value in known) else None


def _promised(converter: converters.ConverterDriver) -> bool:
    return ConverterCapability.GUEST_FACTS in converter.info().capabilities


def _shows_something(store: StorageDriver, key: str) -> bool:
    with store.open_read(key, offset=0, length=_HEAD_BYTES) as reader:
        head = bytearray()
        while len(head) < _HEAD_BYTES and (data := reader.read(_HEAD_BYTES - len(head))):
            head += data
    return any(head[at : at + len(sign)] == sign for at, sign in _SIGNS)


def _facts(
    converter: converters.ConverterDriver,
    disk_format: str,
    store: StorageDriver,
    key: str,
    size_bytes: int,
) -> converters.GuestFacts:
    if encrypted.is_local_file(store, key):
        return converter.facts(converters.Source(disk_format, path=store.path(key)))
    with nbd.NbdServer(
        lambda offset, length: store.open_read(key, offset=offset, length=length), size_bytes
    ) as server:
        return converter.facts(converters.Source(disk_format, nbd_socket=server.path))
