"""Agencies: insert, get, find, list, delete."""

import dataclasses

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata
from imagesvc.domain.agency import Agency, Claim

TABLE = sa.Table(
    "agency",
    metadata.METADATA,
    sa.Column("id", metadata.word(), primary_key=True),
    sa.Column("name", metadata.word(), nullable=False),
    sa.Column("source_region", metadata.word(), nullable=False),
    sa.Column("source_project_id", metadata.word(), nullable=False),
    sa.Column("project_id", metadata.word(), nullable=False),
    sa.Column("project_name", metadata.word(), nullable=False),
    sa.Column("user_id", metadata.word()),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    # Also the index by which the list of a project is read in order.
    sa.UniqueConstraint("project_id", "name"),
    sa.UniqueConstraint("source_region", "source_project_id", "project_id"),
)


def insert(conn: sa.Connection, agency: Agency) -> None:
    """Add a row. Raises Conflict if there is one for the same, or of that name in the project."""
    statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    values = dataclasses.asdict(agency)
    made = conn.execute(
        statement.values(values).on_conflict_do_nothing().returning(TABLE.c.id)
    )  # fmt: skip
    if made.one_or_none() is None:
        raise errors.Conflict(
            "The project has an agency {name}, or one for project {source} of region {region}.",
            name=agency.name,
            source=agency.source_project_id,
            region=agency.source_region,
        )


def get(conn: sa.Connection, agency_id: str, project_id: str) -> Agency:
    """The row of a project. Raises AgencyNotFound."""
    found = conn.execute(
        sa.select(TABLE).where(TABLE.c.id == agency_id, TABLE.c.project_id == project_id)
    )
    row = found.mappings().one_or_none()
    if row is None:
        raise errors.AgencyNotFound(agency_id=agency_id)
    return Agency(**row)


def find(conn: sa.Connection, claim: Claim) -> Agency | None:
    """The row that allows what is claimed; the project by its id, else by its name.

    None also if the name is that of several projects.
    """
    statement = sa.select(TABLE).where(
        TABLE.c.source_region == claim.source_region,
        TABLE.c.source_project_id == claim.source_project_id,
        sa.or_(TABLE.c.project_id == claim.project, TABLE.c.project_name == claim.project),
    )
    found = [Agency(**row) for row in conn.execute(statement).mappings()]
    by_id = [one for one in found if one.project_id == claim.project]
    chosen = by_id or found
    return chosen[0] if len(chosen) == 1 else None


def list_page(
    conn: sa.Connection, project_id: str, marker: str | None = None, limit: int = 25
) -> tuple[Agency, ...]:
    """Rows of a project by name, those whose name comes after `marker`."""
    statement = sa.select(TABLE).where(TABLE.c.project_id == project_id)
    if marker is not None:
        statement = statement.where(TABLE.c.name > marker)
    rows = conn.execute(statement.order_by(TABLE.c.name).limit(limit)).mappings()
    return tuple(Agency(**row) for row in rows)


def delete(conn: sa.Connection, agency_id: str, project_id: str) -> None:
    """Remove the row. Raises AgencyNotFound."""
    held = (TABLE.c.id == agency_id, TABLE.c.project_id == project_id)
    if conn.execute(sa.delete(TABLE).where(*held)).rowcount == 0:
        raise errors.AgencyNotFound(agency_id=agency_id)
