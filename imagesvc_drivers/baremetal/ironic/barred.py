"""Work that was taken back before it began, so that it never begins, in whatever process.

Ironic has to know it, for the processes of the service share nothing else that a driver may use. Each is a
chassis of Ironic with an id that follows from the work and no node in it; after a month it is removed.
"""

import contextlib
import datetime
import uuid

from imagesvc.interface import errors
from imagesvc_drivers.baremetal.ironic.client import IronicClient

_NAMESPACE = uuid.UUID("a3f0c9d4-7b1e-4f52-8d6e-0c2b9a5e4f11")
_NAME = "imagesvc_barred"
_KEEP = datetime.timedelta(days=30)


class Barred:
    """What never begins."""

    def __init__(self, ironic: IronicClient) -> None:
        self._ironic = ironic

    def has(self, work: str) -> bool:
        """Whether it was barred."""
        try:
            self._ironic.chassis(_id(work))
        except errors.NotFound:
            return False
        return True

    def add(self, work: str) -> None:
        """Bar it; safe to repeat. What was barred long ago is forgotten."""
        body = {
            "uuid": _id(work),
            "description": "imagesvc: work that was taken back before it began",
            "extra": {_NAME: work},
        }
        with contextlib.suppress(errors.Busy):
            self._ironic.create_chassis(body)
        oldest = datetime.datetime.now(datetime.UTC) - _KEEP
        for each in self._ironic.every_chassis():
            old = datetime.datetime.fromisoformat(each["created_at"]) < oldest
            if old and _NAME in (each.get("extra") or {}):
                self._remove(each["uuid"])

    def remove(self, work: str) -> None:
        """Let it be known as what it is: it had begun."""
        self._remove(_id(work))

    def _remove(self, chassis_id: str) -> None:
        with contextlib.suppress(errors.NotFound):
            self._ironic.delete_chassis(chassis_id)


def _id(work: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, work))
