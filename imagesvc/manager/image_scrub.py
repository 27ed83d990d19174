"""Whether the stored bytes of images are still those that were stored, and their repair.

Every copy is read to its end and hashed, one after the other, while the service runs. One that is
bad is marked, so that nobody is given its bytes, until it is repaired or found whole again.
"""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.db import location as location_rows
from imagesvc.db.engine import Database
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.errors import DriverError, NotFound
from imagesvc.manager import disk_copy, image_copy
from imagesvc.manager.copy_mark import CopyMarks
from imagesvc.manager.image_copy import Copy
from imagesvc.manager.location import Location
from imagesvc.stream.envelope import Damaged

PAGE = 100


class Fault(enum.StrEnum):
    """What may be wrong with a copy."""

    CORRUPT = "corrupt"  # other bytes than those of the row
    MISSING = "missing"  # no bytes
    UNREADABLE = "unreadable"  # the disk under a local store gives an error
    UNKNOWN = "unknown"  # the store could not be asked: neither good nor bad


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One copy that is not good; `remedy` says what was done, or why nothing was."""

    fault: Fault
    image_id: str
    disk_index: int
    copy: Copy
    text: str
    repaired: bool = False
    remedy: str = ""


@dataclasses.dataclass(slots=True)
class Verdict:
    """What was read, and how many copies are repaired, remain bad, or could not be judged."""

    images: int = 0
    copies: int = 0
    size_bytes: int = 0
    repaired: int = 0
    bad: int = 0
    unknown: int = 0


class ImageScrub:
    """Reads copies and compares them with their rows; `repair` mends those that it can.

    `found` gets each finding at once, `progress` the verdict so far with every block.
    """

    def __init__(
        self,
        database: Database,
        backends: Backends,
        marks: CopyMarks,
        found: Callable[[Finding], None],
        progress: Callable[[Verdict], None] = lambda so_far: None,
        repair: disk_copy.CopyRepair | None = None,
    ) -> None:
        self._database = database
        self._backends = backends
        self._marks = marks
        self._found = found
        self._progress = progress
        self._repair = repair
        self._store_id: str | None = None
        self._verdict = Verdict()

    def run(self, *, store_id: str | None = None, image_id: str | None = None) -> Verdict:
        """Look at all images with bytes, or at one; at their copies in all stores, or in one.

        Raises InvalidRequest (STORE_UNKNOWN), ImageNotFound.
        """
        if store_id is not None and self._backends.stores.find(store_id) is None:
            raise errors.InvalidRequest(
                "There is no store {store}.", store=store_id, reason=errors.Reason.STORE_UNKNOWN
            )
        self._store_id = store_id
        self._verdict = Verdict()
        for one in self._image_ids(image_id):
            with self._database.read() as conn:
                disks = image_disk.list_for(conn, one)
            self._verdict.images += 1
            for disk in disks:
                self._scrub(one, disk)
        return self._verdict

    def _image_ids(self, image_id: str | None) -> Iterator[str]:
        after = ""
        if image_id is not None:
            with self._database.read() as conn:
                if image_rows.get(conn, image_id, binned=True) is None:
                    raise errors.ImageNotFound(image_id=image_id)
        while True:
            with self._database.read() as conn:
                page = location_rows.image_ids(
                    conn, after, PAGE, store_id=self._store_id, image_id=image_id
                )
            if not page:
                return
            yield from page
            after = page[-1]

    def _scrub(self, image_id: str, disk: ImageDisk) -> None:
        """All copies first, so that a bad one finds its remedy among those that are good."""
        findings: list[Finding] = []
        good: list[Copy] = []
        unread: list[Copy] = []
        for copy in image_copy.of(self._backends, disk):
            if self._store_id not in (None, copy.store_id):
                unread.append(copy)
                continue
            self._verdict.copies += 1
            fault, text = self._examine(disk, copy)
            if fault is None:
                good.append(copy)
            else:
                findings.append(Finding(fault, image_id, disk.index, copy, text))
        for copy in good:
            if any(Copy(one.store_id, one.storage_key, one.number) == copy for one in disk.damages):
                self._marks.unmark(image_id, disk.index, copy)
        # Before any repair, which takes its time.
        for one in findings:
            if one.fault != Fault.UNKNOWN:
                self._marks.mark(image_id, disk.index, one.copy, one.fault)
        for one in self._mended(disk, findings, (*good, *unread)):
            self._conclude(one)

    def _examine(self, disk: ImageDisk, copy: Copy) -> tuple[Fault | None, str]:
        try:
            with image_copy.open_copy(self._backends, copy) as source:
                text = disk_copy.difference(source, disk, self._count)
        except (NotFound, errors.ImageGone):  # or gone with its key, while it was read
            return Fault.MISSING, "the bytes are not there"
        except Damaged as exc:
            return Fault.CORRUPT, exc.operator_message
        except (DriverError, errors.BackendFailed, errors.BackendNotFound) as exc:
            # A store that is away is no reason to leave the others unread; the exit code tells.
            return Fault.UNKNOWN, f"not read: {_reason(exc)}"
        except OSError as exc:  # a real file, read without the driver between
            return Fault.UNREADABLE, f"not readable: {exc}"
        return (Fault.CORRUPT, text) if text else (None, "")

    def _count(self, block: bytes) -> None:
        self._verdict.size_bytes += len(block)
        self._progress(self._verdict)

    def _conclude(self, one: Finding) -> None:
        if not one.repaired:
            with self._database.read() as conn:
                if not location_rows.page(conn, one.copy.store_id, "", 1, key=one.copy.key):
                    return  # deleted or moved while it was read
        if one.fault == Fault.UNKNOWN:
            self._verdict.unknown += 1
        elif one.repaired:
            self._verdict.repaired += 1
        else:
            self._verdict.bad += 1
        self._found(one)

    def _mended(
        self, disk: ImageDisk, findings: Iterable[Finding], sources: Iterable[Copy]
    ) -> Iterator[Finding]:
        """The findings with what was done; two bad copies of one object are repaired at once."""
        done: dict[Location, Finding] = {}
        for one in findings:
            if self._repair is None or one.fault == Fault.UNKNOWN:
                yield one
                continue
            place = one.copy.place
            if place not in done:
                done[place] = self._mend(self._repair, disk, one, sources)
            told = done[place]
            yield dataclasses.replace(one, repaired=told.repaired, remedy=told.remedy)

    def _mend(
        self,
        repair: disk_copy.CopyRepair,
        disk: ImageDisk,
        one: Finding,
        sources: Iterable[Copy],
    ) -> Finding:
        if disk_copy.digest_of(disk) is None:
            return dataclasses.replace(one, remedy="not repaired: its row has no digest")
        why = "there is no good copy"
        for source in sources:
            try:
                repair.replace(one.image_id, disk, one.copy.place, source)
            except (DriverError, errors.ImagesvcError, OSError) as exc:
                # One copy is not the scrub: the next source may do, or its line says why not.
                why = _reason(exc)
                continue
            return dataclasses.replace(
                one, repaired=True, remedy=f"repaired from {source.store_id}"
            )
        return dataclasses.replace(one, remedy=f"not repaired: {why}")


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "operator_message", exc))
