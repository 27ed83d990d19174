"""What is found by looking fills what callers left out, as far as the operator lets it."""

import threading
from typing import Any

from imagesvc.backend.registry import Backends
from imagesvc.db import image as image_rows
from imagesvc.domain import guest, image_property
from imagesvc.domain.guest import Detect, Guest
from imagesvc.domain.image import Image, ImageDisk
from imagesvc.domain.image_property import Change, Limits
from imagesvc.manager.image import write_update
from imagesvc.stream import guest as look_into
from imagesvc.stream.pipe import PipeResult

_GIB = 1 << 30
# Requests of this process whose disks are looked into at once: a hostile disk takes all the time
# that a look may take, and holds the thread of its request so long.
_LOOKS_MAX = 2


class GuestManager:
    """Looks into disks that were stored, and tells their image."""

    def __init__(self, backends: Backends, detect: Detect, limits: Limits) -> None:
        self._backends = backends
        self._detect = detect
        self._limits = limits
        self._slots = threading.BoundedSemaphore(_LOOKS_MAX)

    def look_if_free(self, result: PipeResult, place: tuple[str, str]) -> Guest | None:
        """Like `look`, for a request that waits; None too if others are looked into just now."""
        if not self._slots.acquire(blocking=False):
            return None
        try:
            return self.look(result, place)
        finally:
            self._slots.release()

    def look(self, result: PipeResult, place: tuple[str, str]) -> Guest | None:
        """What is found on the disk that came to `place` (store id, key); its bytes raise nothing."""
        if self._detect is Detect.OFF or result.facts.wrapped:
            return None
        converter, store = self._backends.converter(), self._backends.storage(place[0])
        return look_into.look(
            converter, result.facts.disk_format, store, place[1], result.size_bytes
        )

    def completed(self, found: Guest | None, told: Guest) -> Guest | None:
        """What was found on a disk, and what somebody told of its machine, if that is wanted."""
        return None if self._detect is Detect.OFF else guest.completed(found, told)

    def fill(self, conn: Any, image_id: str, disk: ImageDisk, *, own: bool) -> None:
        """Give an image what nobody said of it, in the caller's transaction.

        `own`: our own API makes it, so that no client of another API compares it with what it sent.
        """
        if self._detect is not Detect.ALL and not (own and self._detect is Detect.OWN):
            return
        image = image_rows.get(conn, image_id, lock=True)
        changes = proposed(image, disk, self._limits) if image is not None else ()
        if image is not None and changes:
            write_update(conn, image_id, image_property.apply(image, changes, self._limits))


def proposed(image: Image, disk: ImageDisk, limits: Limits) -> tuple[Change, ...]:
    """The attributes that were found and that nobody has given, as many as the image may have."""
    given = image.properties.keys() | image_property.facts_of(image).keys()
    found = disk.guest.attributes if disk.guest is not None else {}
    room = limits.properties - len(given) if limits.properties >= 0 else len(found)
    fresh = [name for name in found if name not in given][: max(0, room)]
    return tuple(Change("add", ("properties", name), found[name]) for name in fresh)


def min_disk_gib(disk: ImageDisk) -> int:
    """The smallest disk of whole GiB that takes this one; 0 if its size is not known.

    It is shown and never filled in: servers' disks would grow by the rounding, and with each
    capture of such a server again.
    """
    return -(-(disk.virtual_size_bytes or 0) // _GIB)


def differing(image: Image, guest: Guest) -> tuple[str, ...]:
    """The attributes of which the image says something else than was found."""
    said = {**image.properties, **image_property.facts_of(image)}
    return tuple(name for name, value in guest.attributes.items() if said.get(name, value) != value)
