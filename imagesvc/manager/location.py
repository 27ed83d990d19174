"""Where the bytes of an image are: who is told, which place is read first, and which next."""

import logging
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.backend.store import Store
from imagesvc.context import RequestContext
from imagesvc.db import doomed, image_disk
from imagesvc.db import location as location_rows
from imagesvc.domain.image import Image
from imagesvc.domain.state import ImageStatus
from imagesvc.interface import storage
from imagesvc.interface.errors import DriverError, InvalidArgument
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.manager.sweep import sweep
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)

Location = tuple[str, str]  # store id, storage key


class LocationManager:
    """Tells where the bytes of images are."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def list(self, ctx: RequestContext, image_id: str) -> tuple[Location, ...]:
        """The places of the first disk, in the order in which they came.

        Raises ImageNotFound, Forbidden.
        """
        look = self._operation.look(ctx, "location:list", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "location:list", image)
            return image_disk.places_of(conn, (image_id,)).get(image_id, ())

    def remove(self, ctx: RequestContext, image_id: str, positions: Iterable[int]) -> None:
        """Remove places of an active image, each counted in the list that the one before left.

        Raises ImageNotFound, Forbidden (also for the only copy), StateConflict, InvalidRequest
        for a position where no place is.
        """
        with self._operation.write(ctx, "location:remove", "image", image_id) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "location:remove", image)
            if image.status != ImageStatus.ACTIVE:
                raise errors.StateConflict(
                    noun="image", id=image_id, status=image.status, event="removal of a location",
                    allowed="active",
                )  # fmt: skip
            places = list(image_disk.places_of(op.conn, (image_id,)).get(image_id, ()))
            gone = [_pop(places, position) for position in positions]
            objects = [
                (store_id, key)
                for store_id, _ in gone
                for key in location_rows.take(op.conn, image_id, store_id)
            ]
            for place in objects:
                doomed.add(op.conn, *place)
            op.detail["stores"] = [store_id for store_id, _ in gone]
        sweep(self._operation.database, self._backends, objects)

    def of(self, images: Iterable[Image]) -> Mapping[str, tuple[Location, ...]]:
        """Image id -> places, as `list`, of images that the caller was shown already."""
        wanted = [image.id for image in images if image.stores]
        if not wanted:
            return {}
        with self._operation.database.read() as conn:
            return image_disk.places_of(conn, wanted)


def _pop(places: list[Location], position: int) -> Location:
    if position >= len(places):
        raise errors.InvalidRequest(f"The image has no location at position {position}.")
    if len(places) == 1:
        raise errors.Forbidden("The only copy of an image cannot be removed.")
    return places.pop(position)


def ordered(
    backends: Backends, locations: Iterable[Location], preferred: tuple[str, ...] = ()
) -> tuple[Location, ...]:
    """The places in the order in which they are read: the preferred stores, then by weight."""
    found = dict(locations)
    return tuple((store, found[store]) for store in backends.stores.order(found, preferred))


def open_first(
    backends: Backends, locations: tuple[Location, ...], offset: int = 0, length: int | None = None
) -> BinaryIO:
    """Open `length` bytes from `offset` at the first place that can; whoever calls closes.

    A store of local files gives the file itself, which does not end after `length`. Raises what
    the last place raised, InvalidArgument.
    """
    failure: Exception = errors.NotFound("The image has no place that could be read.")
    for store_id, key in locations:
        try:
            return _open(backends.storage(store_id), key, offset, length)
        except InvalidArgument:  # the caller's fault, the same at every place
            raise
        except (DriverError, errors.BackendFailed, errors.BackendNotFound) as exc:
            # Another place may have the bytes: that is what several stores are for.
            LOG.warning("bytes not read from a store store=%s key=%s: %s", store_id, key, exc)
            failure = exc
    raise failure


def require_store(backends: Backends, store_id: str) -> Store:
    """The store of an id, for writing. Raises InvalidRequest (STORE_UNKNOWN), StoreReadOnly."""
    found = backends.stores.find(store_id)
    if found is None:
        raise errors.InvalidRequest(
            "There is no store {store}.", store=store_id, reason=errors.Reason.STORE_UNKNOWN
        )
    if found.read_only:
        raise errors.StoreReadOnly(store=store_id)
    return found


def _open(driver: storage.StorageDriver, key: str, offset: int, length: int | None) -> BinaryIO:
    # A real file is sent by the kernel; the server stops at Content-Length.
    local = storage.StorageCapability.LOCAL_FILE in driver.info().capabilities
    return driver.open_read(key, offset=offset, length=None if local else length)
