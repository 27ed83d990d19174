"""Which copies are known to be damaged: such a copy is given to nobody."""

from collections.abc import Callable
from typing import Any

from imagesvc.context import service_context
from imagesvc.db import damage
from imagesvc.db import image as image_rows
from imagesvc.db import location as location_rows
from imagesvc.manager.image_copy import Copy
from imagesvc.manager.operation import SUCCESS, Operation, Step


class CopyMarks:
    """Marks and unmarks copies; each change stands in the audit trail."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def mark(self, image_id: str, disk_index: int, copy: Copy, fault: str) -> bool:
        """Note what is wrong with a copy; False if that was known, or the disk has left it."""

        def change(conn: Any) -> bool:
            if not location_rows.page(conn, copy.store_id, "", 1, key=copy.key):
                return False
            return damage.mark(conn, *copy.place, copy.number, fault)

        detail = {**_detail(disk_index, copy), "fault": fault}
        return self._note("location:mark_damaged", image_id, detail, change)

    def unmark(self, image_id: str, disk_index: int, copy: Copy) -> bool:
        """The copy was read and is whole; False if it had no mark."""

        def change(conn: Any) -> bool:
            return damage.unmark(conn, *copy.place, copy.number)

        return self._note("location:mark_whole", image_id, _detail(disk_index, copy), change)

    def _note(
        self, action: str, image_id: str, detail: dict[str, Any], change: Callable[[Any], bool]
    ) -> bool:
        with self._operation.database.write() as conn:
            image = image_rows.get(conn, image_id, lock=True, binned=True)
            if image is None or not change(conn):
                return False
            location_rows.changed(conn, image_id)
            step = Step(conn, image_id, owner=image.owner, detail=detail)
            self._operation.record(conn, service_context(), action, "image", step, SUCCESS)
        return True


def _detail(disk_index: int, copy: Copy) -> dict[str, Any]:
    return {"store": copy.store_id, "disk": disk_index, "copy": copy.number}
