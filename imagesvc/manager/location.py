"""Where the bytes of an image are: who is told, and what is removed."""

from collections.abc import Iterable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.backend.store import Store
from imagesvc.context import RequestContext
from imagesvc.db import attempt, doomed, foreign_location, image_disk
from imagesvc.db import location as location_rows
from imagesvc.domain.foreign_location import ForeignLocation
from imagesvc.domain.image import Image
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import image_copy
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.manager.sweep import sweep
from imagesvc.policy.check import Enforcer

Location = tuple[str, str]  # store id, storage key
Place = Location | ForeignLocation


class LocationManager:
    """Tells where the bytes of images are."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def list(self, ctx: RequestContext, image_id: str) -> tuple[Place, ...]:
        """The places of the first disk, or where else the bytes are, in the order in which they came.

        Raises ImageNotFound, Forbidden.
        """
        look = self._operation.look(ctx, "location:list", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "location:list", image)
            return _places(conn, (image,)).get(image_id, ())

    def remove(self, ctx: RequestContext, image_id: str, positions: Iterable[int]) -> None:
        """Remove places of an active image, each counted in the list that the one before left.

        Raises ImageNotFound, Forbidden (also for the only copy), StateConflict, InvalidRequest
        for a position where no place is.
        """
        objects = self._forget(ctx, image_id, tuple(positions))
        sweep(self._operation.database, self._backends, objects)

    @attempt.again
    def _forget(
        self, ctx: RequestContext, image_id: str, positions: tuple[int, ...]
    ) -> tuple[Location, ...]:
        """Take the places from the image; the objects that are nobody's by that."""
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
            stores = [_pop(places, position)[0] for position in positions]
            disks = image_disk.list_for(op.conn, image_id)
            if any(image_copy.is_last(self._backends, disk, stores) for disk in disks):
                raise errors.Forbidden("The only copy of an image cannot be removed.")
            objects = tuple(
                (store_id, key)
                for store_id in stores
                for key in location_rows.take(op.conn, image_id, store_id)
            )
            for place in objects:
                doomed.add(op.conn, *place)
            op.detail["stores"] = stores
        return objects

    def of(self, images: Iterable[Image]) -> Mapping[str, tuple[Place, ...]]:
        """Image id -> places, as `list`, of images that the caller was shown already."""
        wanted = [image for image in images if image.stores or image.foreign_store]
        if not wanted:
            return {}
        with self._operation.database.read() as conn:
            return _places(conn, wanted)


def _places(conn: Any, images: Iterable[Image]) -> Mapping[str, tuple[Place, ...]]:
    own = [image.id for image in images if image.stores]
    foreign = [image.id for image in images if image.foreign_store]
    found: dict[str, tuple[Place, ...]] = {}
    if own:
        found.update(image_disk.places_of(conn, own))
    if foreign:
        found.update(foreign_location.of(conn, foreign))
    return found


def _pop(places: list[Location], position: int) -> Location:
    if position >= len(places):
        raise errors.InvalidRequest(f"The image has no location at position {position}.")
    return places.pop(position)


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
