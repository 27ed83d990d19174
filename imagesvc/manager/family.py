"""Families: which image is the newest of one, and who says so."""

import dataclasses
import datetime
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import attempt, metadata
from imagesvc.db import family as family_rows
from imagesvc.db import image as image_rows
from imagesvc.domain import family as families
from imagesvc.domain.family import Family, Version
from imagesvc.domain.image import Image
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import project
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation, Step
from imagesvc.policy import visibility
from imagesvc.policy.check import Enforcer


@dataclasses.dataclass(frozen=True, slots=True)
class FamilyDetail:
    """A family, and its images that the caller sees, highest version first."""

    family: Family
    versions: tuple[Version, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """An image that a caller named; `replacement_id` is the newest of its family if it is deprecated."""

    image_id: str
    deprecated_at: datetime.datetime | None = None
    replacement_id: str | None = None


class FamilyManager:
    """An alias is a row of its own: who moves it says from which image, and of two one loses."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

    def list(self, ctx: RequestContext, after: str | None, limit: int) -> tuple[Family, ...]:
        """Families of the caller's project and public ones, by name. Raises Forbidden."""
        with self._operation.look(ctx, "family:list", "family"):
            self._enforcer.authorize(ctx, "family:list")
        with self._operation.database.read() as conn:
            return family_rows.list(conn, ctx.project_id, after, limit)

    def get(self, ctx: RequestContext, name: str) -> FamilyDetail:
        """A family: the project's own, or else a public one. Raises FamilyNotFound, Forbidden."""
        with self._operation.look(ctx, "family:get", "family", name):
            self._enforcer.authorize(ctx, "family:get")
            with self._operation.database.read() as conn:
                image_id = family_rows.resolve(conn, name, ctx.project_id)
                image = image_id and image_rows.get(conn, image_id, visibility.predicate(ctx))
                if not image or image.owner is None:
                    raise errors.FamilyNotFound(family=name)
                public = not ctx.is_admin and image.owner != ctx.project_id
                versions = family_rows.versions(conn, image.owner, name, public=public)
                return FamilyDetail(family_rows.get(conn, image.owner, name), versions)

    def named(self, ctx: RequestContext, text: str) -> Named:
        """The image that `family/NAME` or an id means to the caller.

        An id that the caller does not see is given back as it is: whoever uses it says so. Raises
        FamilyNotFound.
        """
        with self._operation.database.read() as conn:
            image_id: str | None = text
            if families.is_name(text):
                name = text.removeprefix(families.PREFIX)
                image_id = family_rows.resolve(conn, name, ctx.project_id)
                if image_id is None:
                    raise errors.FamilyNotFound(family=name)
            image = image_rows.get(conn, image_id or "", visibility.predicate(ctx))
            if image is None or image.deprecated_at is None:
                return Named(image_id or "")
            newest = replacement(conn, image)
            return Named(image.id, image.deprecated_at, newest)

    @attempt.again
    def set(
        self, ctx: RequestContext, name: str, image_id: str, former_id: str | None = None
    ) -> Family:
        """Make an active image of the family its newest one; it may be hidden or older than others.

        With `former_id`, only if that is the newest one now. What is so already is success. Raises
        ImageNotFound, Forbidden, InvalidRequest for an image of no or another family, StateConflict,
        Conflict if another moved the alias meanwhile.
        """
        with self._operation.write(ctx, "family:set", "family", name) as op:
            image = visible_image(op.conn, ctx, image_id, lock=True)
            op.owner = image.owner
            self._enforcer.authorize(ctx, "family:set", image)
            if image.owner is None or image.family != name:
                raise errors.InvalidRequest(
                    f"Image {image.id} is not of family {name:.80}: set its family first."
                )
            if image.status != ImageStatus.ACTIVE:
                raise errors.StateConflict(
                    noun="image", id=image.id, status=image.status, event="family:set",
                    allowed="active",
                )  # fmt: skip
            if former_id is not None:
                found = family_rows.newest(op.conn, image.owner, name)
                if found != former_id:
                    raise _moved(name)
            return self._move(op, image.owner, name, image.id)

    @attempt.again
    def rollback(self, ctx: RequestContext, name: str) -> Family:
        """Make the image that was the newest before the newest one again.

        That is the one that the alias named before, or else the next lower version; it may be
        hidden. Of the caller's own family alone. Raises FamilyNotFound, Forbidden, Conflict if there
        is none, or another moved the alias meanwhile.
        """
        with self._operation.write(ctx, "family:rollback", "family", name) as op:
            owner = op.owner = project.require(ctx, "families")
            self._enforcer.authorize(ctx, "family:rollback", {"owner": owner})
            present = family_rows.newest(op.conn, owner, name)
            if present is None:
                raise errors.FamilyNotFound(family=name)
            alias = family_rows.alias(op.conn, owner, name)
            order = family_rows.versions(op.conn, owner, name, public=False)
            active = [one.image_id for one in order if one.status == ImageStatus.ACTIVE]
            former = alias[1] if alias and alias[1] in active else None
            lower = active[active.index(present) + 1 :]
            target = former or next(iter(lower), None)
            if target is None:
                raise errors.Conflict("Family {family} has no image to go back to.", family=name)
            return self._move(op, owner, name, target)

    @attempt.again
    def unset(self, ctx: RequestContext, name: str) -> None:
        """Take the alias of the caller's own family away; versions decide again.

        Raises FamilyNotFound if it has none, Forbidden.
        """
        with self._operation.write(ctx, "family:unset", "family", name) as op:
            owner = op.owner = project.require(ctx, "families")
            self._enforcer.authorize(ctx, "family:unset", {"owner": owner})
            if not family_rows.remove(op.conn, owner, name):
                raise errors.FamilyNotFound(family=name)

    def _move(self, op: Step, owner: str, name: str, image_id: str) -> Family:
        alias = family_rows.alias(op.conn, owner, name)
        former = alias[0] if alias else None
        op.detail.update(image_id=image_id, former_image_id=former)
        if former != image_id and not family_rows.move(
            op.conn, owner, name, image_id, former, metadata.now()
        ):
            raise _moved(name)
        return family_rows.get(op.conn, owner, name)


def _moved(name: str) -> errors.Conflict:
    return errors.Conflict("Another image is the newest of family {family} by now.", family=name)


def replacement(conn: Any, image: Image) -> str | None:
    """What a deprecated image is to be replaced by: another image, the newest of its family."""
    if image.deprecated_at is None:
        return None
    newest = family_rows.newest(conn, image.owner, image.family)
    return None if newest == image.id else newest
