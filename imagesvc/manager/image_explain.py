"""Why a project can or cannot see, use or change an image: from the code that decides it."""

import dataclasses
from collections.abc import Callable, Sequence

from imagesvc import errors
from imagesvc.context import RequestContext, job_context
from imagesvc.db import image_key
from imagesvc.db import member as member_rows
from imagesvc.domain.image import Image, Visibility
from imagesvc.domain.member import Member
from imagesvc.domain.state import ImageStatus, MemberStatus
from imagesvc.manager import image_bytes
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.policy import visibility
from imagesvc.policy.check import Enforcer

ACTION = "image:explain"
# What is asked about, in the order in which it is told; those of the second kind need the bytes.
RECORD = ("image:get", "image:update", "image:delete", "member:add")
BYTES = ("image_file:download", "image:copy", "export:create", "server:create", "volume:create")


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a project may do `action`, and why; `rule` is that of the policy, if one decides."""

    action: str
    allowed: bool
    cause: str
    rule: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """What a user of a project with some roles can do with an image."""

    image_id: str
    project_id: str
    roles: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


class ExplainManager:
    """Answers for owners and administrators; nobody else learns that an image exists."""

    def __init__(self, operation: Operation, enforcer: Enforcer) -> None:
        self._operation = operation
        self._enforcer = enforcer

    def explain(
        self, ctx: RequestContext, image_id: str, project_id: str, roles: Sequence[str]
    ) -> Explanation:
        """What a user with these roles in a project can do. Raises ImageNotFound, Forbidden."""
        with self._operation.look(ctx, ACTION, "image", image_id) as step:
            with self._operation.database.read() as conn:
                image = visible_image(conn, ctx, image_id)
                member = member_rows.get(conn, image_id, project_id)
                has_key = not image.encrypted or bool(image_key.get(conn, image_id, project_id))
            step.owner = image.owner
            self._enforcer.authorize(ctx, ACTION, image)
        asked = job_context(None, project_id, roles)
        seen = _seen(asked, image, member)
        verdicts = [seen, _listed(asked, image, member)]
        verdicts += [self._verdict(asked, image, one, seen) for one in RECORD]
        lack = _lack(self._enforcer, asked, image, has_key)
        verdicts += [self._verdict(asked, image, one, seen, lack) for one in BYTES]
        return Explanation(image_id, project_id, tuple(roles), tuple(verdicts))

    def _verdict(
        self, asked: RequestContext, image: Image, action: str, seen: Verdict, lack: str = ""
    ) -> Verdict:
        rule = self._enforcer.rule(action)
        if not seen.allowed:
            return Verdict(action, False, "it does not see the image", rule)
        needed = (action,) if action in (*RECORD, BYTES[0]) else (action, BYTES[0])
        for one in needed:
            if not self._enforcer.allows(asked, one, image):
                return Verdict(
                    action, False, f"the policy {one} denies it", self._enforcer.rule(one)
                )
        if lack:
            return Verdict(action, False, lack, rule)
        if action == "image:delete" and image.protected:
            return Verdict(action, False, "the image is protected", rule)
        if action == "member:add" and image.visibility != Visibility.SHARED:
            return Verdict(action, False, f"the image is {image.visibility}, not shared", rule)
        return Verdict(action, True, f"the policy {action} allows it", rule)


def _seen(asked: RequestContext, image: Image, member: Member | None) -> Verdict:
    status = member.status if member else None
    allowed = visibility.visible(asked, image, status)
    return Verdict("see", allowed, _sight(asked, image, status))


def _sight(asked: RequestContext, image: Image, status: MemberStatus | None) -> str:
    if asked.is_admin or visibility.SERVICE_ROLE in asked.roles:
        return "administrators and services see all images"
    if image.owner == asked.project_id:
        return "the project owns it"
    if image.owner is None:
        return "it has no owner, and is seen by all"
    if image.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY):
        return f"it is {image.visibility}"
    if image.visibility == Visibility.PRIVATE:
        return "it is private: only its owner sees it"
    if status is None:
        return "it is shared, and was not offered to the project"
    return f"it was offered to the project, whose answer is {status}"


def _listed(asked: RequestContext, image: Image, member: Member | None) -> Verdict:
    """Whether a list that asks for nothing special shows it."""
    status = member.status if member else None
    own = image.owner == asked.project_id
    rows: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: not visibility.visible(asked, image, status), "it does not see the image"),
        (lambda: image.hidden, "it is hidden: ask with os_hidden=true"),
        (
            lambda: image.visibility == Visibility.COMMUNITY and not own,
            "it is community: ask with visibility=community, or by its id",
        ),
        (
            lambda: (
                not (own or asked.is_admin)
                and image.visibility == Visibility.SHARED
                and status != MemberStatus.ACCEPTED
            ),
            f"its offer is {status}: accept it, or ask with member_status={status}",
        ),
    )
    for holds, cause in rows:
        if holds():
            return Verdict("list", False, cause)
    return Verdict("list", True, "a list without filters shows it")


def _lack(enforcer: Enforcer, asked: RequestContext, image: Image, has_key: bool) -> str:
    """What stands against any use of the bytes, whoever asks."""
    if image.status == ImageStatus.DEACTIVATED:
        may = enforcer.allows(asked, "image_file:download_deactivated", image)
        return "" if may else "the image is deactivated"
    if image.status != ImageStatus.ACTIVE:
        return f"the image is {image.status}: it has no bytes"
    if not has_key:
        return "it is encrypted, and the project has no key that opens it"
    try:
        image_bytes.require_own(image)
    except errors.Conflict as exc:
        return str(exc)
    return ""
