"""Locations that stay URLs elsewhere: added, described anew, removed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, foreign_location
from imagesvc.db import image as image_rows
from imagesvc.db import location as location_rows
from imagesvc.domain import image_import
from imagesvc.domain.foreign_location import ForeignLocation, check_metadata
from imagesvc.domain.image import Image
from imagesvc.domain.image_import import ImportRequest
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason
from imagesvc.manager.foreign_bytes import ForeignBytes, Sight
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation, Step
from imagesvc.policy.check import Enforcer
from imagesvc.stream import source

_OPEN = (ImageStatus.QUEUED, ImageStatus.ACTIVE)


class ForeignLocationManager:
    """Images whose bytes are not ours. `most` locations each, -1: no limit."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        found: ForeignBytes,
        *,
        most: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._bytes = found
        self._most = most

    def takes(self, image: Image) -> bool:
        """Whether a change of the image's locations is one of URLs elsewhere."""
        if image.foreign_store is not None and image.status != ImageStatus.QUEUED:
            return True
        return self._bytes.store_id is not None and not image.stores

    def add(
        self, ctx: RequestContext, image_id: str, request: ImportRequest, position: int | None
    ) -> None:
        """Add a location at `position` (None: the end); a queued image is active by it.

        Digests are believed as they are given. Raises ImageNotFound, Forbidden, StateConflict,
        InvalidRequest (also FORMAT_MISSING, URL_REFUSED), TooLarge, Conflict for other digests
        than an active image has, FetchFailed, UnsupportedImage for a head that shows why.
        """
        url = request.uri or ""
        with self._operation.attempt(ctx, "location:add", "image", image_id) as step:
            with self._operation.database.read() as step.conn:
                image = self._visible(step, ctx, image_id)
                self._more(step.conn, image, request, position)
            sight = self._bytes.look(url, image)
        self._add(ctx, image_id, request, position, sight)

    @attempt.again
    def _add(
        self,
        ctx: RequestContext,
        image_id: str,
        request: ImportRequest,
        position: int | None,
        sight: Sight,
    ) -> None:
        detail = {"from": source.shown(request.uri or "")}
        with self._operation.write(ctx, "location:add", "image", image_id, detail) as op:
            image = self._visible(op, ctx, image_id, lock=True)
            more = self._more(op.conn, image, request, position)
            if image.status == ImageStatus.ACTIVE and sight.size_bytes != image.size_bytes:
                raise errors.Conflict(
                    "There are {size} bytes, the image has {own}.",
                    size=sight.size_bytes,
                    own=image.size_bytes,
                )
            foreign_location.put(op.conn, image_id, more)
            if image.status == ImageStatus.ACTIVE:
                location_rows.changed(op.conn, image_id)
            else:
                activate(op.conn, image, sight, request.md5, *(request.digest or (None, None)))

    def _more(
        self, conn: Any, image: Image, request: ImportRequest, position: int | None
    ) -> tuple[ForeignLocation, ...]:
        """The locations with one more. What a failed attempt left on a queued image goes."""
        require_status(image, _OPEN, "addition of a location")
        require_plain(image)
        store_id = require_store(self._bytes)
        there: tuple[ForeignLocation, ...] = ()
        if image.status == ImageStatus.ACTIVE:
            there = self._of(conn, image)
            image_import.of_image(image, request)
        if not (image.disk_format and image.container_format):
            raise errors.InvalidRequest(
                "Set disk_format and container_format of image {image_id} first.",
                image_id=image.id, reason=Reason.FORMAT_MISSING,
            )  # fmt: skip
        url = request.uri or ""
        if not is_web(url):
            raise errors.InvalidRequest("A location that is added must be an http or https URL.")
        self._bytes.check(url)
        if url in [one.url for one in there]:
            raise errors.InvalidRequest("The image has this location already.")
        at = len(there) if position is None else position
        if at > len(there):
            raise errors.InvalidRequest(f"There is no position {at} to add a location at.")
        if len(there) >= self._most >= 0:
            raise errors.TooLarge(what="The list of locations", limit=self._most, unit="locations")
        new = ForeignLocation(store_id, url, check_metadata(store_id, request.metadata))
        return (*there[:at], new, *there[at:])

    @attempt.again
    def replace(
        self, ctx: RequestContext, image_id: str, requests: Sequence[ImportRequest]
    ) -> None:
        """Put the same URLs in another order, with other metadata.

        Raises ImageNotFound, Forbidden, StateConflict, InvalidRequest for other URLs, Conflict
        for other digests.
        """
        with self._operation.write(ctx, "location:add", "image", image_id) as op:
            image = self._visible(op, ctx, image_id, lock=True)
            require_status(image, (ImageStatus.ACTIVE,), "change of locations")
            there = {one.url: one for one in self._of(op.conn, image)}
            if sorted(there) != sorted(one.uri or "" for one in requests):
                raise errors.InvalidRequest(
                    "The locations of an image are not exchanged for others; add or remove one."
                )
            for one in requests:
                image_import.of_image(image, one)
            foreign_location.put(
                op.conn, image_id, [_described(there[one.uri or ""], one) for one in requests]
            )
            location_rows.changed(op.conn, image_id)

    @attempt.again
    def remove(self, ctx: RequestContext, image_id: str, positions: Iterable[int]) -> None:
        """Remove locations, each counted in the list that the one before left.

        Raises ImageNotFound, Forbidden (also for the last one), StateConflict, InvalidRequest.
        """
        with self._operation.write(ctx, "location:remove", "image", image_id) as op:
            image = self._visible(op, ctx, image_id, "location:remove", lock=True)
            require_status(image, (ImageStatus.ACTIVE,), "removal of a location")
            places = list(self._of(op.conn, image))
            for position in positions:
                if position >= len(places):
                    raise errors.InvalidRequest(
                        f"The image has no location at position {position}."
                    )
                del places[position]
            if not places:
                raise errors.Forbidden("The only copy of an image cannot be removed.")
            foreign_location.put(op.conn, image_id, places)
            location_rows.changed(op.conn, image_id)

    def _visible(
        self,
        op: Step,
        ctx: RequestContext,
        image_id: str,
        action: str = "location:add",
        *,
        lock: bool = False,
    ) -> Image:
        image = visible_image(op.conn, ctx, image_id, lock=lock)
        op.owner = image.owner
        self._enforcer.authorize(ctx, action, image)
        return image

    def _of(self, conn: Any, image: Image) -> tuple[ForeignLocation, ...]:
        found: Mapping[str, tuple[ForeignLocation, ...]] = foreign_location.of(conn, (image.id,))
        if image.id not in found:  # it was copied into a store since
            raise errors.Conflict("The image has no foreign location any more.")
        return found[image.id]


def _described(place: ForeignLocation, request: ImportRequest) -> ForeignLocation:
    metadata = check_metadata(place.store_id, request.metadata)
    return ForeignLocation(place.store_id, place.url, metadata)


def require_plain(image: Image) -> None:
    """Raise Conflict for an encrypted image: what lies elsewhere lies there in plain."""
    if image.encrypted:
        raise errors.Conflict(
            "Image {image_id} is encrypted: its bytes come into a store of ours.",
            image_id=image.id,
        )


def require_store(found: ForeignBytes) -> str:
    """The id of the store of foreign URLs. Raises Forbidden where the operator wants none."""
    if found.store_id is None:
        raise errors.Forbidden("The operator lets no image stay at a foreign URL.")
    return found.store_id


def activate(
    conn: Any,
    image: Image,
    sight: Sight,
    md5: str | None,
    hash_algorithm: str | None,
    hash_value: str | None,
) -> None:
    """Make an image active whose location is there.

    Raises StateConflict, Conflict if its formats are others than it was looked at as.
    """
    if sight.formats != (image.disk_format, image.container_format):
        raise errors.Conflict("The formats of the image were changed meanwhile.")
    values = {
        "size_bytes": sight.size_bytes,
        "virtual_size_bytes": sight.virtual_size_bytes,
        "md5": md5,
        "hash_algorithm": hash_algorithm,
        "hash_value": hash_value,
    }
    image_rows.transition(conn, image.id, "link", values)


def require_status(image: Image, allowed: Sequence[ImageStatus], event: str) -> None:
    """Raise StateConflict for an image of another status."""
    if image.status not in allowed:
        raise errors.StateConflict(
            noun="image", id=image.id, status=image.status, event=event,
            allowed=" or ".join(allowed),
        )  # fmt: skip


def is_web(url: str) -> bool:
    """Whether it is a URL that can be fetched at all."""
    return url.lower().startswith(("http://", "https://"))
