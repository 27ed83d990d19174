"""Member -> Glance JSON."""

from typing import Any

from imagesvc.api.glance import image_view
from imagesvc.domain import member as member_domain


def render(member: member_domain.Member) -> dict[str, Any]:
    """One member."""
    return {
        "member_id": member.member_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": image_view.time(member.created_at),
        "updated_at": image_view.time(member.updated_at),
        "schema": "/v2/schemas/member",
    }
