"""What projects use and have reserved, and how much they may.

Every change of use is one statement, the last of its transaction that waits for others: rows
of images and jobs are locked before it, and rows of several projects in the order of their
keys, so that no two transactions wait for each other.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain.quota import UNITS, UNLIMITED, Change, Quota, Resource

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
# What work that has not ended holds; `token` is that of an upload, or the id of a job.
RESERVATION = sa.Table(
    "quota_reservation",
    metadata.METADATA,
    sa.Column("token", metadata.word(), primary_key=True),
    sa.Column("resource", metadata.word(), primary_key=True),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
)
sa.Index("ix_quota_reservation_created_at", RESERVATION.c.created_at)
sa.Index("ix_quota_reservation_project_id", RESERVATION.c.project_id)

Defaults = Mapping[str, int]

# The row that was to be inserted. `insert.excluded` is taken for one more table to read from as
# soon as it stands in a sub-select.
_PROJECT_ID: sa.ColumnElement[str] = sa.literal_column("excluded.project_id", sa.Text)
_RESOURCE: sa.ColumnElement[str] = sa.literal_column("excluded.resource", sa.Text)


def change(conn: sa.Connection, changes: Iterable[Change], defaults: Defaults) -> None:
    """Apply all changes in one statement, or raise QuotaExceeded for the first that does not fit.

    What makes a sum smaller or leaves it always fits. `defaults` are the limits of projects
    that have none of their own.
    """
    sums = _sums(changes)
    if not sums:
        return
    values: dict[str, Any] = {f"default_{name}": value for name, value in defaults.items()}
    for n, one in enumerate(sums):
        values |= {
            f"asked_project_{n}": one.project_id,
            f"asked_resource_{n}": str(one.resource),
            f"asked_used_{n}": one.used,
            f"asked_reserved_{n}": one.reserved,
        }
    done = conn.execute(_change(conn.dialect.name, len(sums), tuple(sorted(defaults))), values)
    passed = {(row.project_id, row.resource) for row in done}
    for one in sums:
        if (one.project_id, one.resource) not in passed:
            raise _exceeded(conn, one, defaults)


def reserve(conn: sa.Connection, token: str, wanted: Iterable[Change], defaults: Defaults) -> None:
    """Set the `reserved` of each change aside under `token`. Raises QuotaExceeded.

    What the token holds already stays as it is.
    """
    changes = {one.resource: one for one in wanted}
    if not changes:
        return
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(RESERVATION)
    moment = metadata.now()
    noted = conn.execute(
        insert.values(
            [
                {
                    "token": token,
                    "resource": one.resource,
                    "project_id": one.project_id,
                    "amount": one.reserved,
                    "created_at": moment,
                }
                for one in changes.values()
            ]
        )
        .on_conflict_do_nothing()
        .returning(RESERVATION.c.resource)
    )
    change(conn, [changes[Resource(row.resource)] for row in noted], defaults)


def end(
    conn: sa.Connection, tokens: Collection[str], taken: Iterable[Change], defaults: Defaults
) -> None:
    """Give back what the tokens hold, and apply `taken` with it in the same statement.

    Raises QuotaExceeded if more is taken than was held, and does not fit. A token that holds
    nothing is no error.
    """
    freed = []
    if tokens:
        ended = conn.execute(
            sa.delete(RESERVATION)
            .where(RESERVATION.c.token.in_(tokens))
            .returning(RESERVATION.c.project_id, RESERVATION.c.resource, RESERVATION.c.amount)
        )
        freed = [Change(row.project_id, Resource(row.resource), 0, -row.amount) for row in ended]
    change(conn, [*freed, *taken], defaults)


def usage(conn: sa.Connection, project_id: str, defaults: Defaults) -> tuple[Quota, ...]:
    """Every resource of a project, in one statement."""
    used = conn.execute(
        sa.select(sa.literal("use").label("what"), USAGE.c.resource, USAGE.c.used, USAGE.c.reserved)
        .where(USAGE.c.project_id == project_id)
        .union_all(
            sa.select(sa.literal("limit"), LIMIT.c.resource, LIMIT.c.maximum, sa.literal(0)).where(
                LIMIT.c.project_id == project_id
            )
        )
    )
    found = {(row.what, row.resource): (row.used, row.reserved) for row in used}
    return tuple(
        Quota(
            resource,
            *found.get(("use", resource), (0, 0)),
            limit=found.get(("limit", resource), (defaults.get(resource, UNLIMITED), 0))[0],
            own=("limit", resource) in found,
        )
        for resource in Resource
    )


def set_limit(conn: sa.Connection, project_id: str, resource: str, maximum: int | None) -> None:
    """Let the project have at most `maximum`; -1 is no limit, None the installation's default."""
    if maximum is None:
        conn.execute(
            sa.delete(LIMIT).where(LIMIT.c.project_id == project_id, LIMIT.c.resource == resource)
        )
        return
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(LIMIT)
    conn.execute(
        insert.values(
            project_id=project_id, resource=resource, maximum=maximum
        ).on_conflict_do_update(
            index_elements=[LIMIT.c.project_id, LIMIT.c.resource],
            set_={"maximum": insert.excluded.maximum},
        )
    )


def _sums(changes: Iterable[Change]) -> list[Change]:
    sums: dict[tuple[str, Resource], tuple[int, int]] = {}
    for one in changes:
        used, reserved = sums.get((one.project_id, one.resource), (0, 0))
        sums[one.project_id, one.resource] = (used + one.used, reserved + one.reserved)
    return [Change(*key, *sums[key]) for key in sorted(sums)]


# Built once: making it anew took as long as all else that the creation of an image does.
@functools.cache
def _change(dialect: str, rows: int, defaults: tuple[str, ...]) -> sa.Executable:
    """The statement of `change` for so many rows, its values named as there.

    SQLAlchemy itself makes names such as `resource_1`; ours differ.
    """
    asked = sa.union_all(*(_row(n) for n in range(rows))).subquery("asked")
    more = asked.c.used + asked.c.reserved
    allowed = _allowed(asked.c.project_id, asked.c.resource, defaults)
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(USAGE)
    insert = insert.from_select(
        list(USAGE.columns),
        sa.select(asked)
        .where(sa.or_(more <= 0, allowed == UNLIMITED, more <= allowed))
        .order_by(asked.c.project_id, asked.c.resource),
    )
    new = insert.excluded
    allowed = _allowed(_PROJECT_ID, _RESOURCE, defaults)
    total = USAGE.c.used + USAGE.c.reserved + new.used + new.reserved
    statement: sa.Executable = insert.on_conflict_do_update(
        index_elements=[USAGE.c.project_id, USAGE.c.resource],
        set_={"used": USAGE.c.used + new.used, "reserved": USAGE.c.reserved + new.reserved},
        where=sa.or_(new.used + new.reserved <= 0, allowed == UNLIMITED, total <= allowed),
    ).returning(USAGE.c.project_id, USAGE.c.resource)
    return statement


def _row(n: int) -> sa.SelectBase:
    return sa.select(
        sa.bindparam(f"asked_project_{n}", type_=sa.Text).label("project_id"),
        sa.bindparam(f"asked_resource_{n}", type_=sa.Text).label("resource"),
        sa.bindparam(f"asked_used_{n}", type_=sa.BigInteger).label("used"),
        sa.bindparam(f"asked_reserved_{n}", type_=sa.BigInteger).label("reserved"),
    )


def _allowed(
    project_id: sa.ColumnElement[str],
    resource: sa.ColumnElement[str],
    defaults: tuple[str, ...],
) -> sa.ColumnElement[int]:
    own = (
        sa.select(LIMIT.c.maximum)
        .where(LIMIT.c.project_id == project_id, LIMIT.c.resource == resource)
        .scalar_subquery()
    )
    default: sa.ColumnElement[int] = sa.literal(UNLIMITED, sa.BigInteger)
    if defaults:
        default = sa.case(
            *(
                (resource == name, sa.bindparam(f"default_{name}", type_=sa.BigInteger))
                for name in defaults
            ),
            else_=default,
        )
    return sa.func.coalesce(own, default)


def _exceeded(conn: sa.Connection, one: Change, defaults: Defaults) -> errors.QuotaExceeded:
    found = {quota.resource: quota for quota in usage(conn, one.project_id, defaults)}
    return exceeded(found[one.resource], one.used + one.reserved)


def exceeded(present: Quota, asked: int) -> errors.QuotaExceeded:
    """The error that says that `asked` more does not fit."""
    return errors.QuotaExceeded(
        resource=str(present.resource),
        used=present.used + present.reserved,
        limit=present.limit,
        unit=UNITS[present.resource],
        asked=asked,
    )
