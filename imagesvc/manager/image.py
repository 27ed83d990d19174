"""Images: create, show, list, change, deactivate."""

import uuid
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_disk, image_key, metadata, tag
from imagesvc.db import family as family_rows
from imagesvc.db import image as image_rows
from imagesvc.domain import image_property, promise
from imagesvc.domain.image import Image, ImageDisk, NewImage, Visibility
from imagesvc.domain.image_property import Change, Limits, Update
from imagesvc.domain.image_query import ImageQuery, Page
from imagesvc.domain.quota import UNCOUNTED
from imagesvc.domain.state import IMAGE, ImageStatus
from imagesvc.manager import image_promise
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.operation import Operation, Step
from imagesvc.manager.quota import QuotaManager
from imagesvc.policy import visibility
from imagesvc.policy.check import Enforcer


class ImageManager:
    """The records of images."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        limits: Limits,
        quotas: QuotaManager,
        keys: DataKeys,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._limits = limits
        self._quotas = quotas
        self._keys = keys

    def create(self, ctx: RequestContext, new: NewImage) -> Image:
        """Make a record without bytes, `queued`; with `new.key_id` they will be encrypted.

        Raises Forbidden for an owner or visibility that the caller may not give, Conflict
        (ID_TAKEN), InvalidRequest, TooLarge for too many properties or tags, QuotaExceeded, and
        what `prepare` raises.
        """
        with self._operation.attempt(ctx, "image:create", "image", new.id or ""):
            prepared = self.prepare(ctx, new)
        return self._create(ctx, prepared)

    def prepare(self, ctx: RequestContext, new: NewImage) -> NewImage:
        """The image with its data key, if it is to be encrypted; before the transaction of `insert`.

        Raises Forbidden, KeyNotFound, KeyUnavailable, InvalidRequest (KEY_MISSING), and what the KMS raises.
        """
        if new.key_id is None:
            return new
        self._enforcer.authorize(ctx, "image:create", {"owner": new.owner or ctx.project_id})
        if new.owner is not None and new.owner != ctx.project_id:
            raise errors.InvalidRequest("An encrypted image is made by the project that has it.")
        image_id = _image_id(new.id)
        return new.with_key(image_id, self._keys.make(ctx, image_id, new.key_id))

    @attempt.again
    def _create(self, ctx: RequestContext, new: NewImage) -> Image:
        with self._operation.write(ctx, "image:create", "image", new.id or "") as op:
            image = self.insert(op, ctx, new)
            op.target_id = image.id
            return image

    def insert(self, op: Step, ctx: RequestContext, new: NewImage) -> Image:
        """`create` of what was prepared inside the caller's operation, for jobs that make images."""
        if new.key_id is not None and new.image_key is None:
            raise ValueError("an image under a key is prepared before it is made")
        image = self._born(ctx, new)
        self._enforcer.authorize(ctx, "image:create", image)
        if image.owner != ctx.project_id:
            self._enforcer.authorize(ctx, "image:set_owner", image)
        # Only now: a stranger who names a project does not write into its trail.
        op.owner = image.owner
        self._authorize_visibility(ctx, image, image.visibility)
        if promise.PROVIDED_UNTIL in image.properties:
            self._enforcer.authorize(ctx, "image:promise", image)
        image_rows.insert(op.conn, image)
        if new.image_key is not None:
            image_key.put(op.conn, new.image_key)
        self._quotas.count(op.conn, image.owner, images=1)
        return image

    def _born(self, ctx: RequestContext, new: NewImage) -> Image:
        new = new.own(by_service=ctx.service_user_id is not None)
        for field in image_property.VALUE_RULES:
            image_property.check_field(field, getattr(new, field))
        image_property.check_disk_format(new.disk_format, self._limits)
        properties = {
            name: image_property.check_property(name, value)
            for name, value in new.properties.items()
        }
        tags = image_property.check_tags(new.tags)
        image_property.check_limit("properties", len(properties), self._limits.properties)
        image_property.check_limit("tags", len(tags), self._limits.tags)
        facts = {name: properties.pop(name, getattr(new, name)) for name in image_property.FACTS}
        now = metadata.now()
        return Image(
            id=_image_id(new.id),
            owner=new.owner or ctx.project_id,
            name=new.name,
            status=ImageStatus(IMAGE.initial),
            visibility=Visibility(new.visibility),
            created_at=now,
            updated_at=now,
            protected=new.protected,
            hidden=new.hidden,
            disk_format=new.disk_format,
            container_format=new.container_format,
            min_disk_gib=new.min_disk_gib,
            min_ram_mib=new.min_ram_mib,
            kind=new.kind,
            tags=tuple(sorted(tags)),
            properties=properties,
            key_id=new.image_key.key_id if new.image_key else None,
            family=new.family,
            family_version=new.family_version,
            deprecated_at=new.deprecated_at,
            provided_until=promise.moment(properties.get(promise.PROVIDED_UNTIL)),
            **facts,
        )

    def get(self, ctx: RequestContext, image_id: str) -> Image:
        """Show an image. Raises ImageNotFound if it is absent or not visible."""
        with self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
        if not self._enforcer.allows(ctx, "image:get", image):
            raise errors.ImageNotFound(image_id=image_id)
        return image

    def list(self, ctx: RequestContext, query: ImageQuery) -> Page:
        """List images. Raises InvalidRequest (MARKER) for an unknown or invisible marker."""
        self._enforcer.authorize(ctx, "image:list")
        with self._operation.database.read() as conn:
            if query.newest_of:
                query = family_rows.narrow(conn, query, ctx.project_id)
            return image_rows.list_page(conn, query, visibility.scope(ctx, query))

    def disks(self, ctx: RequestContext, image_id: str) -> tuple[ImageDisk, ...]:
        """The disks of an image that the caller sees, by index."""
        with self._operation.database.read() as conn:
            visible_image(conn, ctx, image_id)
            return image_disk.list_for(conn, image_id)

    @attempt.again
    def patch(
        self, ctx: RequestContext, image_id: str, changes: tuple[Change, ...], *, broken: str = ""
    ) -> Image:
        """Change attributes, properties and tags, all or nothing.

        `broken` says why a promise is broken, if it is. Raises ImageNotFound, Forbidden,
        InvalidRequest, Conflict, ImagePromised for a promise made shorter, TooLarge, QuotaExceeded
        for a new owner who has no room.
        """
        with self._operation.write(ctx, "image:update", "image", image_id) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "image:update", image)
            update = image_property.apply(image, changes, self._limits)
            self._authorize_values(ctx, image, update.values)
            if promise.PROVIDED_UNTIL in update.values:
                self._authorize_promise(op, ctx, image, update.values, broken)
            op.detail["fields"] = sorted(
                {*update.values, *update.set_properties, *update.remove_properties}
                | ({"tags"} if update.tags is not None else set())
            )
            if not changes:
                return image
            changed = write_update(op.conn, image_id, update)
            if changed.owner != image.owner:
                self._move(op, image, changed)
            return changed

    def _move(self, op: Step, before: Image, after: Image) -> None:
        """What is on its way into the image stays reserved for the old owner until it ends."""
        self._quotas.move(
            op.conn,
            before.owner,
            after.owner,
            images=0 if after.status in UNCOUNTED else 1,
            stored_bytes=image_disk.size_of(op.conn, after.id),
        )

    def _authorize_values(self, ctx: RequestContext, image: Image, values: dict[str, Any]) -> None:
        if image.encrypted and values.get("owner", image.owner) != image.owner:
            raise errors.InvalidRequest(
                "An encrypted image stays with its project; share it, or copy it without a key."
            )
        if "visibility" in values and values["visibility"] != image.visibility:
            self._authorize_visibility(ctx, image, values["visibility"])
        if "owner" in values and values["owner"] != image.owner:
            self._enforcer.authorize(ctx, "image:set_owner", image)

    def _authorize_promise(
        self, op: Step, ctx: RequestContext, image: Image, values: dict[str, Any], broken: str
    ) -> None:
        self._enforcer.authorize(ctx, "image:promise", image)
        if broken:
            image_promise.break_it(op, self._enforcer, ctx, image, broken)
            return
        wanted = values[promise.PROVIDED_UNTIL]
        promise.require_kept(image.id, image.provided_until, wanted, metadata.now())

    def _authorize_visibility(self, ctx: RequestContext, image: Image, wanted: str) -> None:
        if image.encrypted and wanted in (Visibility.PUBLIC, Visibility.COMMUNITY):
            raise errors.InvalidRequest(
                "An encrypted image is open to projects that are offered its key, not to all: share it."
            )
        if wanted == Visibility.PUBLIC:
            self._enforcer.authorize(ctx, "image:publicize", image)
        elif wanted == Visibility.COMMUNITY:
            self._enforcer.authorize(ctx, "image:communitize", image)

    def deactivate(self, ctx: RequestContext, image_id: str) -> None:
        """Stop the use of the bytes; of a deactivated image: nothing. Raises StateConflict."""
        self._toggle(ctx, image_id, "deactivate", ImageStatus.DEACTIVATED)

    def reactivate(self, ctx: RequestContext, image_id: str) -> None:
        """Allow the use of the bytes; of an active image: nothing. Raises StateConflict."""
        self._toggle(ctx, image_id, "reactivate", ImageStatus.ACTIVE)

    @attempt.again
    def _toggle(self, ctx: RequestContext, image_id: str, event: str, target: ImageStatus) -> None:
        with self._operation.write(ctx, f"image:{event}", "image", image_id) as op:
            image = visible_image(op.conn, ctx, image_id)
            op.owner = image.owner
            self._enforcer.authorize(ctx, f"image:{event}", image)
            if image.status != target:
                image_rows.transition(op.conn, image_id, event)


def visible_image(conn: Any, ctx: RequestContext, image_id: str, *, lock: bool = False) -> Image:
    """The image, if the caller sees it; with `lock` it stays as it is until the transaction ends.

    Raises ImageNotFound.
    """
    image = image_rows.get(conn, image_id, visibility.predicate(ctx), lock=lock)
    if image is None:
        raise errors.ImageNotFound(image_id=image_id)
    return image


def write_update(conn: Any, image_id: str, update: Update) -> Image:
    """Write what changes come to, in the caller's transaction; the image as it is then."""
    image_rows.set_properties(conn, image_id, update.set_properties, update.remove_properties)
    if update.tags is not None:
        tag.replace(conn, image_id, update.tags)
    return image_rows.update(conn, image_id, update.values)


def _image_id(wanted: str | None) -> str:
    if wanted is None:
        return str(uuid.uuid4())
    try:
        parsed = str(uuid.UUID(wanted))
    except ValueError as exc:
        raise errors.InvalidRequest("id must be a UUID.") from exc
    if parsed != wanted.lower():
        raise errors.InvalidRequest("id must be a UUID.")
    return parsed
