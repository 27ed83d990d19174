"""Members of shared images."""

from typing import Annotated, Any

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.glance import member_view
from imagesvc.domain.state import MemberStatus


class MemberAdd(msgspec.Struct):
    """Body of a create."""

    member: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class MemberUpdate(msgspec.Struct):
    """Body of an update."""

    status: MemberStatus


class MembersResource:
    """The projects that an image is offered to (Glance v2, "Sharing")."""

    def __init__(self, members: Any) -> None:
        self._members = members

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """List them: the owner sees all, a member itself."""
        found = self._members.list(req.context.caller, image_id)
        resp.media = {
            "members": [member_view.render(member) for member in found],
            "schema": "/v2/schemas/members",
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Offer the image to a project."""
        body = validate.body(req, MemberAdd)
        resp.media = member_view.render(
            self._members.add(req.context.caller, image_id, body.member)
        )


class MemberResource:
    """One of them."""

    def __init__(self, members: Any) -> None:
        self._members = members

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, image_id: str, member_id: str
    ) -> None:
        """Show it."""
        resp.media = member_view.render(self._members.get(req.context.caller, image_id, member_id))

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, image_id: str, member_id: str
    ) -> None:
        """Accept, reject or reconsider."""
        body = validate.body(req, MemberUpdate)
        member = self._members.set_status(req.context.caller, image_id, member_id, str(body.status))
        resp.media = member_view.render(member)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, image_id: str, member_id: str
    ) -> None:
        """Withdraw the offer."""
        self._members.remove(req.context.caller, image_id, member_id)
        resp.status = falcon.HTTP_204
