"""Families, and images that are named by them."""

from collections.abc import Callable
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import family_view, image_view, query
from imagesvc.context import RequestContext
from imagesvc.domain.image_property import Change
from imagesvc.manager import family as families
from imagesvc.manager import image
from imagesvc.manager.image_detail import ImageDetailManager

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewAlias(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of an alias; with `former_image_id`, only if that is the newest image now."""

    image_id: Text
    former_image_id: Text | None = None


class FamiliesResource:
    """The families that the caller sees."""

    def __init__(self, manager: families.FamilyManager) -> None:
        self._families = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by name."""
        page = query.page(req, set())
        found = self._families.list(req.context.caller, page.marker, page.limit)
        resp.media = query.answer("families", found, page, family_view.family, lambda f: f.name)


class FamilyResource:
    """One family."""

    def __init__(self, manager: families.FamilyManager) -> None:
        self._families = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Show it with its images."""
        query.known(req, set())
        resp.media = {"family": family_view.detail(self._families.get(req.context.caller, family))}

    def on_put(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Say which image is the newest."""
        query.known(req, set())
        body = validate.body(req, NewAlias)
        found = self._families.set(
            req.context.caller, family, body.image_id, body.former_image_id
        )  # fmt: skip
        resp.media = {"family": family_view.family(found)}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Let versions say it again."""
        query.known(req, set())
        self._families.unset(req.context.caller, family)
        resp.status = falcon.HTTP_204


class FamilyRollbackResource:
    """Going back in one family."""

    def __init__(self, manager: families.FamilyManager) -> None:
        self._families = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Make the image before it the newest again."""
        query.known(req, set())
        found = self._families.rollback(req.context.caller, family)
        resp.media = {"family": family_view.family(found)}


class FamilyChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Body of what an image is a version of: what it leaves out stays, null takes away.

    `deprecated_at` is a date or time of ISO 8601.
    """

    family: Text | msgspec.UnsetType | None = msgspec.UNSET
    family_version: Text | msgspec.UnsetType | None = msgspec.UNSET
    deprecated_at: Text | msgspec.UnsetType | None = msgspec.UNSET


class ImageFamilyResource:
    """What one image is a version of."""

    def __init__(self, images: image.ImageManager, details: ImageDetailManager) -> None:
        self._images = images
        self._details = details

    def on_patch(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Set it, and when it is deprecated; show the image."""
        query.known(req, set())
        body = validate.body(req, FamilyChange)
        given = ((name, getattr(body, name)) for name in FamilyChange.__struct_fields__)
        changes = tuple(
            Change("replace", (name,), value) for name, value in given if value is not msgspec.UNSET
        )
        self._images.patch(req.context.caller, image_id, changes)
        found = self._details.get(req.context.caller, image_id)
        resp.media = {"image": image_view.image(found)}


Find = Callable[[RequestContext, str], families.Named]


def image_id(find: Find, req: falcon.Request, resp: falcon.Response, text: str) -> str:
    """The id of an image that a body names by id or as `family/NAME`.

    Of a deprecated one the answer says since when (RFC 9745) and what replaces it. Raises
    FamilyNotFound.
    """
    named = find(req.context.caller, text)
    if named.deprecated_at is not None:
        resp.set_header("Deprecation", f"@{int(named.deprecated_at.timestamp())}")
        if named.replacement_id is not None:
            path = f"/imagesvc/v1/images/{named.replacement_id}"
            resp.append_link(path, "successor-version")
    return named.image_id
