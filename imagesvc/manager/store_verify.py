"""Whether rows and bytes agree, both ways: no bytes without a row, no row without its bytes.

Both sides are read in the order of keys, a page at a time, while the service runs. What looks
wrong is looked at once more in the order that a right writer cannot deceive.
"""

import dataclasses
import datetime
import enum
from collections.abc import Iterator

from imagesvc.backend.registry import Backends
from imagesvc.db import doomed, location, metadata
from imagesvc.db.engine import Database
from imagesvc.interface import storage
from imagesvc.interface.errors import NotFound

PAGE = 1000
WITHOUT_MAX = 1000


class Fault(enum.StrEnum):
    """What may be wrong."""

    ORPHAN = "orphan"  # bytes that no row names
    MISSING = "missing"  # a row whose bytes are not there
    COPY = "copy"  # an object that lacks one of the copies that its store keeps
    SIZE = "size"  # bytes of another length than the row says
    STORE = "store"  # a row that names a store which is not configured
    NO_LOCATION = "no-location"  # an active image that names no bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `repaired` if the bytes were given to the reaper."""

    fault: Fault
    store_id: str
    key: str
    text: str
    repaired: bool = False


@dataclasses.dataclass(slots=True)
class Verdict:
    """How many objects and rows were compared, and where they differ."""

    objects: int = 0
    rows: int = 0
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def open_count(self) -> int:
        """Differences that remain."""
        return sum(not found.repaired for found in self.findings)


def verify(
    database: Database, backends: Backends, *, older_than_s: float, repair: bool = False
) -> Verdict:
    """Compare every store with its rows. Bytes younger than `older_than_s` seconds may be a
    writer's that was overtaken and cleans up by itself: they are passed over.

    With `repair`, orphans of images that this database knows, alive or deleted, are doomed: the
    reaper removes them. Nothing else can be mended without a person. Raises DriverError,
    BackendFailed.
    """
    verdict = Verdict()
    configured = backends.ids("storage")
    for store_id in configured:
        young = metadata.now() - datetime.timedelta(seconds=older_than_s)
        check = _StoreCheck(database, backends.storage(store_id), store_id, young, verdict)
        check.run(repair)
    with database.read() as conn:
        strange = [one for one in location.store_ids(conn) if one not in configured]
        bare = location.without(conn, WITHOUT_MAX)
    verdict.findings += [
        Finding(Fault.STORE, one, "", "disks name this store, which is not configured")
        for one in strange
    ]
    verdict.findings += [
        Finding(Fault.NO_LOCATION, "", "", f"image {image_id} is active and names no bytes")
        for image_id in bare
    ]
    return verdict


class _StoreCheck:
    """One store against its rows."""

    def __init__(
        self,
        database: Database,
        driver: storage.StorageDriver,
        store_id: str,
        young: datetime.datetime,
        verdict: Verdict,
    ) -> None:
        self._database = database
        self._driver = driver
        self._store_id = store_id
        self._young = young
        self._verdict = verdict

    def run(self, repair: bool) -> None:
        """Walk both sides together."""
        objects, rows = self._objects(), self._rows()
        item, row = next(objects, None), next(rows, None)
        while item or row:
            if item and (row is None or item.key < row.storage_key):
                self._bytes_alone(item, repair)
                item = next(objects, None)
            elif row and (item is None or row.storage_key < item.key):
                self._row_alone(row)
                row = next(rows, None)
            elif item and row:
                self._both(item, row)
                item, row = next(objects, None), next(rows, None)

    def _both(self, item: storage.ObjectInfo, row: location.Location) -> None:
        if item.size_bytes != row.size_bytes:
            text = f"{item.size_bytes} bytes, {_owner(row)} says {row.size_bytes}"
            self._note(Fault.SIZE, item.key, text)
        elif item.copies < self._driver.copies():
            text = f"{item.copies} of {self._driver.copies()} copies are there and as long as the first"
            self._note(Fault.COPY, item.key, text)

    def _objects(self) -> Iterator[storage.ObjectInfo]:
        after: str | None = None
        while page := self._driver.list(after=after, limit=PAGE):
            self._verdict.objects += len(page)
            yield from page
            after = page[-1].key

    def _rows(self) -> Iterator[location.Location]:
        after = ""
        while True:
            with self._database.read() as conn:
                page = location.page(conn, self._store_id, after, PAGE)
            if not page:
                return
            self._verdict.rows += len(page)
            yield from page
            after = page[-1].storage_key

    def _bytes_alone(self, item: storage.ObjectInfo, repair: bool) -> None:
        # Names first, then the bytes: an object is named from before its first byte to its end.
        with self._database.read() as conn:
            if location.is_named(conn, self._store_id, item.key):
                return
        try:
            found = self._driver.stat(item.key)
        except NotFound:
            return  # removed since it was listed
        if found.modified_at > self._young:
            return
        repaired = repair and self._doom(item.key)
        text = f"{found.size_bytes} bytes of {found.modified_at:%Y-%m-%d}, no row names them"
        self._note(Fault.ORPHAN, item.key, text, repaired=repaired)

    def _doom(self, key: str) -> bool:
        """Give the bytes to the reaper, if this database made them."""
        with self._database.write() as conn:
            if location.is_named(conn, self._store_id, key):
                return False
            # After a restore from an older backup these may be bytes of images that it lacks.
            if not location.knows_image(conn, key.partition("/")[0]):
                return False
            doomed.add(conn, self._store_id, key)
        return True

    def _row_alone(self, row: location.Location) -> None:
        # The bytes first, then the row: a deleted image loses its row before its bytes.
        try:
            self._driver.stat(row.storage_key)
        except NotFound:
            pass
        else:
            return  # written since the store was listed
        with self._database.read() as conn:
            if location.page(conn, self._store_id, "", 1, key=row.storage_key):
                text = f"{_owner(row)} names {row.size_bytes} bytes that are not there"
                self._note(Fault.MISSING, row.storage_key, text)

    def _note(self, fault: Fault, key: str, text: str, *, repaired: bool = False) -> None:
        self._verdict.findings.append(Finding(fault, self._store_id, key, text, repaired))


def _owner(row: location.Location) -> str:
    return f"disk {row.disk_index} of image {row.image_id}"
