"""Members: projects to which an image is offered, and their answers."""

from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, image_key, metadata
from imagesvc.db import member as member_rows
from imagesvc.domain import image_property, state
from imagesvc.domain.encryption_key import ImageKey
from imagesvc.domain.image import NAME_LENGTH_MAX, Image, Visibility
from imagesvc.domain.member import Member
from imagesvc.errors import Reason
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class MemberManager:
    """Offers, answers and withdrawals."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        limits: image_property.Limits,
        keys: DataKeys,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._limits = limits
        self._keys = keys

    def list(self, ctx: RequestContext, image_id: str) -> tuple[Member, ...]:
        """All members for the owner; for a member itself alone.

        Raises ImageNotFound, Forbidden (NOT_SHARED).
        """
        look = self._operation.look(ctx, "member:list", "image", image_id)
        with look as step, self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            step.owner = image.owner
            self._enforcer.authorize(ctx, "member:list", image)
            _require_shared(image)
            members = member_rows.list(conn, image_id)
        if _owns(ctx, image):
            return members
        return tuple(member for member in members if member.member_id == ctx.project_id)

    def get(self, ctx: RequestContext, image_id: str, member_id: str) -> Member:
        """One member, for the owner and that project. Raises ImageNotFound, MemberNotFound."""
        with self._operation.database.read() as conn:
            image = visible_image(conn, ctx, image_id)
            member = member_rows.get(conn, image_id, member_id)
        seen = _owns(ctx, image) or ctx.project_id == member_id
        if member is None or not seen or not self._enforcer.allows(ctx, "member:get", image):
            raise errors.MemberNotFound(image_id=image_id, member_id=member_id)
        return member

    def add(self, ctx: RequestContext, image_id: str, member_id: Any) -> Member:
        """Offer a shared image to a project, which stays pending until it answers.

        An encrypted one is offered with its data key wrapped under the project's default key: no
        byte of it moves. Raises ImageNotFound, Forbidden, InvalidRequest (KEY_MISSING if the
        project has no default key), Conflict, TooLarge, KeyUnavailable, and what the KMS raises.
        """
        named = isinstance(member_id, str) and 0 < len(member_id) <= NAME_LENGTH_MAX
        if not named or "/" in member_id:  # no path could name it to withdraw the offer
            raise errors.InvalidRequest("member must be the id of a project.")
        key = self._key(ctx, image_id, member_id)
        return self._add(ctx, image_id, member_id, key)

    def _key(self, ctx: RequestContext, image_id: str, member_id: str) -> ImageKey | None:
        """The data key of an encrypted image as another project will open it."""
        with self._operation.attempt(ctx, "member:add", "image", image_id):
            with self._operation.database.read() as conn:
                image = visible_image(conn, ctx, image_id)
            if not image.encrypted or member_id == image.owner:
                return None
            self._enforcer.authorize(ctx, "member:add", image)
            if ctx.project_id != image.owner:  # whoever else may add members has no key to give
                raise errors.Forbidden(
                    "Image {image_id} is encrypted: only its owner can offer it.",
                    image_id=image_id,
                    reason=Reason.KEY_MISSING,
                )
            self._keys.require(ctx, image)
            return self._keys.offer(image, member_id)

    @attempt.again
    def _add(
        self, ctx: RequestContext, image_id: str, member_id: str, key: ImageKey | None
    ) -> Member:
        with self._operation.write(
            ctx, "member:add", "image", image_id, {"member": member_id}
        ) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "member:add", image)
            _require_shared(image)
            now = metadata.now()
            member = Member(image_id, member_id, state.MemberStatus.PENDING, now, now)
            member_rows.insert(op.conn, member, image_created_at=image.created_at)
            count = member_rows.count(op.conn, image_id)
            image_property.check_limit("members", count, self._limits.members)
            if key is not None:
                image_key.put(op.conn, key)
            return member

    @attempt.again
    def set_status(self, ctx: RequestContext, image_id: str, member_id: str, status: Any) -> Member:
        """Accept or reject an offered image.

        Raises ImageNotFound, MemberNotFound, Forbidden, InvalidRequest for another status.
        """
        if not isinstance(status, str) or status not in state.MEMBER_EVENTS:
            raise errors.InvalidRequest("status must be one of: pending, accepted, rejected.")
        detail = {"member": member_id, "status": status}
        with self._operation.write(ctx, "member:set_status", "image", image_id, detail) as op:
            image = visible_image(op.conn, ctx, image_id)
            op.owner = image.owner
            if not _owns(ctx, image) and ctx.project_id != member_id:
                raise errors.MemberNotFound(image_id=image_id, member_id=member_id)
            self._enforcer.authorize(
                ctx, "member:set_status", {"owner": image.owner, "member_id": member_id}
            )
            return member_rows.transition(op.conn, image_id, member_id, state.MEMBER_EVENTS[status])

    @attempt.again
    def remove(self, ctx: RequestContext, image_id: str, member_id: str) -> None:
        """Withdraw an offer, and with it what opens an encrypted image. Raises ImageNotFound, Forbidden, MemberNotFound."""
        with self._operation.write(
            ctx, "member:remove", "image", image_id, {"member": member_id}
        ) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "member:remove", image)
            _require_shared(image)
            member_rows.delete(op.conn, image_id, member_id)
            if member_id != image.owner:
                image_key.remove(op.conn, image_id, member_id)


def _owns(ctx: RequestContext, image: Image) -> bool:
    return ctx.is_admin or (ctx.project_id is not None and ctx.project_id == image.owner)


def _require_shared(image: Image) -> None:
    if image.visibility != Visibility.SHARED:
        raise errors.Forbidden(
            f"The visibility of the image is {image.visibility}; only a shared image has members.",
            reason=Reason.NOT_SHARED,
        )
