"""Where the bytes of an image are: who is told, and which place is read first."""

from collections.abc import Iterable, Mapping

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.backend.store import Store
from imagesvc.context import RequestContext
from imagesvc.db import image_disk
from imagesvc.domain.image import Image
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

Location = tuple[str, str]  # store id, storage key


class LocationManager:
    """Tells where the bytes of images are."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

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

    def of(self, images: Iterable[Image]) -> Mapping[str, tuple[Location, ...]]:
        """Image id -> places, as `list`, of images that the caller was shown already."""
        wanted = [image.id for image in images if image.stores]
        if not wanted:
            return {}
        with self._operation.database.read() as conn:
            return image_disk.places_of(conn, wanted)


def ordered(
    backends: Backends, locations: Iterable[Location], preferred: tuple[str, ...] = ()
) -> tuple[Location, ...]:
    """The places in the order in which they are read: the preferred stores, then by weight."""
    found = dict(locations)
    return tuple((store, found[store]) for store in backends.stores.order(found, preferred))


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
