"""A project to which an image is offered."""

import dataclasses
import datetime

from imagesvc.domain.state import MemberStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """The offer of one image to one project, and that project's answer."""

    image_id: str
    member_id: str
    status: MemberStatus
    created_at: datetime.datetime
    updated_at: datetime.datetime
