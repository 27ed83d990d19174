"""Stores as callers see them, and the removal of an image from one of several."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.backend.store import Stores
from imagesvc.context import RequestContext
from imagesvc.db import attempt, doomed, image_disk
from imagesvc.db import location as location_rows
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager import image_copy
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.manager.sweep import sweep
from imagesvc.policy.check import Enforcer

# Options that say where a driver of ours keeps the bytes, and hold no secret.
_SHOWN: Mapping[str, tuple[str, ...]] = {"file": ("directory",)}


class StoreManager:
    """The storage backends of the installation."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def list(self, ctx: RequestContext) -> Stores:
        """All stores, best first. Raises Forbidden."""
        with self._operation.look(ctx, "store:list", "store"):
            self._enforcer.authorize(ctx, "store:list")
            return self._backends.stores

    def details(self, ctx: RequestContext) -> Mapping[str, Mapping[str, Any]]:
        """Store id -> options of its driver that operators look at. Raises Forbidden."""
        with self._operation.look(ctx, "store:list_details", "store"):
            self._enforcer.authorize(ctx, "store:list_details")
            return {
                store.id: {} if store.foreign else self._options(store.id)
                for store in self._backends.stores
            }

    def _options(self, store_id: str) -> Mapping[str, Any]:
        status = self._backends.status("storage", store_id)
        names = _SHOWN.get(status.driver, ())
        if not names or status.state == "failed":
            return {}
        options = vars(self._backends.storage(store_id).options)
        return {name: options[name] for name in names if name in options}

    def remove_image(self, ctx: RequestContext, store_id: str, image_id: str) -> None:
        """Remove an active image's bytes from one store; another store must hold them too.

        Raises NotFound with a single store or if the store has none of it, ImageNotFound,
        Forbidden (also for the only copy, wherever it is), Conflict (STORE_UNKNOWN),
        StateConflict.
        """
        objects = self._forget(ctx, store_id, image_id)
        sweep(self._operation.database, self._backends, objects)

    @attempt.again
    def _forget(
        self, ctx: RequestContext, store_id: str, image_id: str
    ) -> tuple[tuple[str, str], ...]:
        """Take the store from the image's places; the objects that are nobody's by that."""
        detail = {"store": store_id}
        with self._operation.write(ctx, "location:remove", "image", image_id, detail) as op:
            if not self._backends.stores.several:
                raise errors.NotFound("This service has one store.")
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "location:remove", image)
            if self._backends.stores.find(store_id) is None:
                raise errors.Conflict(
                    "There is no store {store}.", store=store_id, reason=Reason.STORE_UNKNOWN
                )
            if image.status != ImageStatus.ACTIVE:
                raise errors.StateConflict(
                    noun="image", id=image_id, status=image.status, event="removal from a store",
                    allowed="active",
                )  # fmt: skip
            disks = image_disk.list_for(op.conn, image_id)
            if not disks or any(
                len(one.locations) < 2 or image_copy.is_last(self._backends, one, (store_id,))
                for one in disks
            ):
                raise errors.Forbidden("The only copy of an image cannot be removed.")
            keys = location_rows.take(op.conn, image_id, store_id)
            if not keys:
                raise errors.NotFound(
                    "Image {image_id} is not in store {store}.", image_id=image_id, store=store_id
                )
            objects = [(store_id, key) for key in keys]
            for place in objects:
                doomed.add(op.conn, *place)
        return tuple(objects)
