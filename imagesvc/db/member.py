"""Members: projects to which an image is offered."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain import state
from imagesvc.domain.member import Member

TABLE = sa.Table(
    "image_member",
    metadata.METADATA,
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("member_id", metadata.word(), primary_key=True),
    sa.Column("status", metadata.word(), nullable=False),
    # A copy, which never changes: the list of a member is read in order from one index.
    sa.Column("image_created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_NEWEST = (TABLE.c.image_created_at.desc(), TABLE.c.image_id.desc())
sa.Index("ix_image_member_status", TABLE.c.member_id, TABLE.c.status, *_NEWEST)
sa.Index("ix_image_member_newest", TABLE.c.member_id, *_NEWEST)

_FIELDS = (
    TABLE.c.image_id,
    TABLE.c.member_id,
    TABLE.c.status,
    TABLE.c.created_at,
    TABLE.c.updated_at,
)


def insert(conn: sa.Connection, member: Member, *, image_created_at: datetime.datetime) -> None:
    """Add a member. Raises Conflict if the project is one already."""
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    made = conn.execute(
        statement.values(
            image_id=member.image_id,
            member_id=member.member_id,
            status=member.status,
            image_created_at=image_created_at,
            created_at=member.created_at,
            updated_at=member.updated_at,
        )
        .on_conflict_do_nothing()
        .returning(TABLE.c.member_id)
    )
    if made.one_or_none() is None:
        raise errors.Conflict(
            "Image {image_id} is already shared with {member_id}.",
            image_id=member.image_id,
            member_id=member.member_id,
        )


def get(conn: sa.Connection, image_id: str, member_id: str) -> Member | None:
    """The member, or None."""
    row = conn.execute(sa.select(*_FIELDS).where(_key(image_id, member_id))).one_or_none()
    return None if row is None else _entity(row)


def list(conn: sa.Connection, image_id: str) -> tuple[Member, ...]:
    """All members of an image, oldest first."""
    statement = (
        sa.select(*_FIELDS)
        .where(TABLE.c.image_id == image_id)
        .order_by(TABLE.c.created_at, TABLE.c.member_id)
    )
    return tuple(_entity(row) for row in conn.execute(statement))


def transition(conn: sa.Connection, image_id: str, member_id: str, event: str) -> Member:
    """Take the member through `event` of domain/state.py and return it.

    Raises MemberNotFound, StateConflict.
    """
    row = state.MEMBER.of(event)
    changed = conn.execute(
        sa.update(TABLE)
        .where(_key(image_id, member_id), TABLE.c.status.in_(sorted(row.sources)))
        .values(status=row.target, updated_at=metadata.now())
    ).rowcount
    member = get(conn, image_id, member_id)
    if member is None:
        raise errors.MemberNotFound(image_id=image_id, member_id=member_id)
    if changed == 0:
        raise errors.StateConflict(
            noun="member",
            id=member_id,
            status=member.status,
            event=event,
            allowed=", ".join(sorted(row.sources)),
        )
    return member


def delete(conn: sa.Connection, image_id: str, member_id: str) -> None:
    """Remove a member. Raises MemberNotFound if it is none."""
    if conn.execute(sa.delete(TABLE).where(_key(image_id, member_id))).rowcount == 0:
        raise errors.MemberNotFound(image_id=image_id, member_id=member_id)


def clear(conn: sa.Connection, image_id: str) -> None:
    """Remove all members of an image."""
    conn.execute(sa.delete(TABLE).where(TABLE.c.image_id == image_id))


def count(conn: sa.Connection, image_id: str) -> int:
    """How many members the image has."""
    counted = sa.select(sa.func.count()).where(TABLE.c.image_id == image_id)
    return conn.execute(counted).scalar_one()


def _key(image_id: str, member_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(TABLE.c.image_id == image_id, TABLE.c.member_id == member_id)


def _entity(row: sa.Row[str, str, str, datetime.datetime, datetime.datetime]) -> Member:
    return Member(
        image_id=row.image_id,
        member_id=row.member_id,
        status=state.MemberStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
