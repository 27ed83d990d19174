"""Tags of images."""

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt
from imagesvc.db import image as image_rows
from imagesvc.db import tag as tag_rows
from imagesvc.domain import image_property
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class TagManager:
    """One tag at a time; the whole set is a patch of the image."""

    def __init__(
        self, operation: Operation, enforcer: Enforcer, limits: image_property.Limits
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._limits = limits

    @attempt.again
    def add(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        """Add a tag; one that is there is success.

        Raises ImageNotFound, Forbidden, InvalidRequest, TooLarge.
        """
        with self._operation.write(ctx, "tag:add", "image", image_id, {"tag": tag}) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "tag:add", image)
            image_property.check_tag(tag)
            if tag not in image.tags:
                image_property.check_limit("tags", len(image.tags) + 1, self._limits.tags)
                tag_rows.add(op.conn, image_id, tag)
                image_rows.update(op.conn, image_id, {})

    @attempt.again
    def remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        """Remove a tag. Raises ImageNotFound, Forbidden, TagNotFound."""
        with self._operation.write(ctx, "tag:remove", "image", image_id, {"tag": tag}) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "tag:remove", image)
            if tag not in image.tags:
                raise errors.TagNotFound(image_id=image_id, tag=tag)
            tag_rows.remove(op.conn, image_id, tag)
            image_rows.update(op.conn, image_id, {})
