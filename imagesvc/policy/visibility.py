"""Who sees which image: the same truth as Python test, as SQL for one, and as SQL for a list.

Visible by id: one's own, public, community, those without owner, and shared ones that were
offered to the caller's project, whatever it answered. A caller without a project, as with a
token for a domain or the system, sees none, as in Glance; an administrator sees all. A list
shows less: community images only when asked for, and offered ones only with the answer asked for.
"""

import functools

import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import image_list, image_table
from imagesvc.db import member as member_rows
from imagesvc.domain.image import Image, Visibility
from imagesvc.domain.image_query import ImageQuery
from imagesvc.domain.state import ImageStatus, MemberStatus

Branch = image_list.Branch
Scope = image_list.Scope

# Neighbouring services reach every image by its id.
SERVICE_ROLE = "service"
# Conditions that are kept; a few KiB each.
_PROJECTS_MAX = 1024
_GONE = frozenset({ImageStatus.DELETED, ImageStatus.PENDING_DELETE})
_OPEN = (Visibility.PUBLIC, Visibility.COMMUNITY)
_LISTED_UNASKED = (Visibility.PUBLIC, Visibility.SHARED, Visibility.PRIVATE)
_image = image_table.TABLE.c
_member = member_rows.TABLE.c


def visible(ctx: RequestContext, image: Image, member_status: MemberStatus | None) -> bool:
    """May the caller know of the image? `member_status` is the answer of the caller's project
    to the offer of this image, None if it was not offered."""
    if image.status in _GONE:
        return False
    if _sees_all(ctx):
        return True
    if ctx.project_id is None:
        return False
    if image.owner in (None, ctx.project_id) or image.visibility in _OPEN:
        return True
    return image.visibility == Visibility.SHARED and member_status is not None


def remembers(ctx: RequestContext, owner: str | None, visibility: str) -> bool:
    """May the caller know of a deleted image? Its members are forgotten with it."""
    if _sees_all(ctx):
        return True
    if ctx.project_id is None:
        return False
    return owner in (None, ctx.project_id) or visibility in _OPEN


def _sees_all(ctx: RequestContext) -> bool:
    return ctx.is_admin or SERVICE_ROLE in ctx.roles


def predicate(ctx: RequestContext) -> sa.ColumnElement[bool]:
    """`visible` as an SQL condition on the image table; the same object for the same answer."""
    return image_table.ALIVE if _sees_all(ctx) else _visible_to(ctx.project_id)


@functools.lru_cache(maxsize=_PROJECTS_MAX)
def _visible_to(project_id: str | None) -> sa.ColumnElement[bool]:
    alive = image_table.ALIVE
    if project_id is None:
        return sa.false()
    offered = sa.exists(
        sa.select(_member.image_id)
        .where(_member.image_id == _image.id, _member.member_id == project_id)
        .correlate(image_table.TABLE)
    )
    return sa.and_(
        alive,
        sa.or_(
            _image.owner == project_id,
            _image.owner.is_(None),
            _image.visibility.in_(_OPEN),
            sa.and_(_image.visibility == Visibility.SHARED, offered),
        ),
    )


def scope(ctx: RequestContext, query: ImageQuery) -> Scope:
    """What `db.image.list_page` needs to know of the caller."""
    marker = sa.false() if query.marker is None else predicate(ctx)
    return Scope(marker=marker, branches=branches(ctx, query))


def branches(ctx: RequestContext, query: ImageQuery) -> tuple[Branch, ...]:
    """The list of the caller as disjoint branches, each of which an index gives in order.

    The same objects for the same caller and the same wishes.
    """
    wishes = ImageQuery(
        visibility=query.visibility, member_status=query.member_status, owner=query.owner,
        hidden=query.hidden,
    )  # fmt: skip
    return _branches(ctx.is_admin, ctx.project_id, wishes)


@functools.lru_cache(maxsize=_PROJECTS_MAX)
def _branches(is_admin: bool, project_id: str | None, query: ImageQuery) -> tuple[Branch, ...]:
    if is_admin:
        return _administrator(project_id, query)
    if project_id is None:
        return ()
    return _project(project_id, query)


def _administrator(project_id: str | None, query: ImageQuery) -> tuple[Branch, ...]:
    """All projects' images; others' community images only when asked for, or when hidden."""
    if query.visibility == "all" or (query.visibility is None and query.hidden):
        return (Branch(sa.true()),)
    if query.visibility is not None:
        return (_of(query.visibility),)
    found = tuple(_of(visibility) for visibility in _LISTED_UNASKED)
    if project_id is not None and query.owner in (None, project_id):
        found += (_own(project_id, Visibility.COMMUNITY),)
    return found


def _project(project_id: str, query: ImageQuery) -> tuple[Branch, ...]:
    """Own, public and offered images, and all community images when asked for.

    `all` adds others' community images, but not those that their owners hide.
    """
    asked = tuple(Visibility) if query.visibility in (None, "all") else (query.visibility,)
    everyone = query.visibility == Visibility.COMMUNITY or (
        query.visibility == "all" and not query.hidden
    )
    found: list[Branch] = []
    for visibility in asked:
        if visibility == Visibility.PUBLIC or (visibility == Visibility.COMMUNITY and everyone):
            found.append(_of(visibility))
        elif query.owner in (None, project_id):
            found.append(_own(project_id, visibility))
    if Visibility.SHARED in asked and query.owner != project_id:
        found.append(_offered(project_id, query.member_status))
    return tuple(found)


def _of(visibility: str) -> Branch:
    return Branch(_image.visibility == visibility)


def _own(project_id: str, visibility: str) -> Branch:
    return Branch(sa.and_(_image.owner == project_id, _image.visibility == visibility))


def _offered(project_id: str, answer: MemberStatus | None) -> Branch:
    where = sa.and_(
        _image.visibility == Visibility.SHARED, _image.owner.is_distinct_from(project_id)
    )
    return Branch(where, member_id=project_id, member_status=answer)
