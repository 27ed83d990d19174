"""What projects use and have reserved, and how much they may."""

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata

UNLIMITED = -1

USAGE = sa.Table(
    "quota_usage",
    metadata.METADATA,
    sa.Column("project_id", metadata.word(), primary_key=True),
    sa.Column("resource", metadata.word(), primary_key=True),
    sa.Column("used", sa.BigInteger(), nullable=False),
    sa.Column("reserved", sa.BigInteger(), nullable=False),
)
LIMIT = sa.Table(
    "quota_limit",
    metadata.METADATA,
    sa.Column("project_id", metadata.word(), primary_key=True),
    sa.Column("resource", metadata.word(), primary_key=True),
    sa.Column("maximum", sa.BigInteger(), nullable=False),
)
RESERVATION = sa.Table(
    "quota_reservation",
    metadata.METADATA,
    sa.Column("token", metadata.word(), primary_key=True),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("resource", metadata.word(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
)
sa.Index("ix_quota_reservation_created_at", RESERVATION.c.created_at)


def reserve(
    conn: sa.Connection,
    project_id: str,
    resource: str,
    amount: int,
    token: str,
    unit: str = "bytes",
) -> None:
    """Set `amount` aside under `token`, in one conditional statement.

    Raises QuotaExceeded. A token that is reserved already changes nothing.
    """
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    noted = conn.execute(
        dialect.insert(RESERVATION)
        .values(
            token=token,
            project_id=project_id,
            resource=resource,
            amount=amount,
            created_at=metadata.now(),
        )
        .on_conflict_do_nothing()
        .returning(RESERVATION.c.token)
    )
    if noted.one_or_none() is None:
        return
    allowed = _limit(project_id, resource)
    fits = sa.or_(
        allowed == UNLIMITED, USAGE.c.used + USAGE.c.reserved + sa.literal(amount) <= allowed
    )
    first = sa.select(
        sa.literal(project_id), sa.literal(resource), sa.literal(0), sa.literal(amount)
    ).where(sa.or_(allowed == UNLIMITED, allowed >= amount))
    insert = dialect.insert(USAGE).from_select(
        ["project_id", "resource", "used", "reserved"], first
    )
    done = conn.execute(
        insert.on_conflict_do_update(
            index_elements=[USAGE.c.project_id, USAGE.c.resource],
            set_={"reserved": USAGE.c.reserved + amount},
            where=fits,
        ).returning(USAGE.c.used)
    )
    if done.one_or_none() is None:
        used, reserved, maximum = usage(conn, project_id, resource)
        raise errors.QuotaExceeded(
            resource=resource, used=used + reserved, limit=maximum, unit=unit, asked=amount
        )


def settle(conn: sa.Connection, token: str, amount: int) -> None:
    """Turn the reservation into `amount` used; an unknown token changes nothing."""
    _end(conn, token, amount)


def release(conn: sa.Connection, token: str) -> None:
    """Give the reservation back; an unknown token changes nothing."""
    _end(conn, token, 0)


def give_back(conn: sa.Connection, project_id: str, resource: str, amount: int) -> None:
    """What was used is used no more."""
    left = USAGE.c.used - amount
    conn.execute(
        sa.update(USAGE)
        .where(USAGE.c.project_id == project_id, USAGE.c.resource == resource)
        .values(used=sa.case((left > 0, left), else_=0))
    )


def usage(conn: sa.Connection, project_id: str, resource: str) -> tuple[int, int, int]:
    """(used, reserved, limit); the limit is -1 where there is none."""
    row = conn.execute(
        sa.select(USAGE.c.used, USAGE.c.reserved).where(
            USAGE.c.project_id == project_id, USAGE.c.resource == resource
        )
    ).one_or_none()
    maximum = conn.execute(sa.select(_limit(project_id, resource))).scalar_one()
    return (0, 0, maximum) if row is None else (row.used, row.reserved, maximum)


def set_limit(conn: sa.Connection, project_id: str, resource: str, maximum: int) -> None:
    """Let the project have at most `maximum`; -1 lifts the limit."""
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(LIMIT)
    conn.execute(
        insert.values(
            project_id=project_id, resource=resource, maximum=maximum
        ).on_conflict_do_update(
            index_elements=[LIMIT.c.project_id, LIMIT.c.resource],
            set_={"maximum": insert.excluded.maximum},
        )
    )


def stale(conn: sa.Connection, before: datetime.datetime) -> tuple[str, ...]:
    """Tokens of reservations older than this moment."""
    statement = sa.select(RESERVATION.c.token).where(RESERVATION.c.created_at < before)
    return tuple(conn.scalars(statement))


def _limit(project_id: str, resource: str) -> sa.ColumnElement[int]:
    own = (
        sa.select(LIMIT.c.maximum)
        .where(LIMIT.c.project_id == project_id, LIMIT.c.resource == resource)
        .scalar_subquery()
    )
    return sa.func.coalesce(own, UNLIMITED)


def _end(conn: sa.Connection, token: str, amount: int) -> None:
    ended = conn.execute(
        sa.delete(RESERVATION)
        .where(RESERVATION.c.token == token)
        .returning(RESERVATION.c.project_id, RESERVATION.c.resource, RESERVATION.c.amount)
    ).one_or_none()
    if ended is not None:
        conn.execute(
            sa.update(USAGE)
            .where(USAGE.c.project_id == ended.project_id, USAGE.c.resource == ended.resource)
            .values(used=USAGE.c.used + amount, reserved=USAGE.c.reserved - ended.amount)
        )
