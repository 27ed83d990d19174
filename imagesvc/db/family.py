"""Families: their aliases, and their newest images by alias or version."""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import image_table, metadata
from imagesvc.domain.family import Family, Version
from imagesvc.domain.image import Visibility
from imagesvc.domain.image_query import FieldFilter, ImageQuery, Operator
from imagesvc.domain.state import ImageStatus

TABLE = sa.Table(
    "family",
    metadata.METADATA,
    sa.Column("owner", metadata.word(), primary_key=True),
    sa.Column("name", metadata.word(), primary_key=True),
    sa.Column("image_id", metadata.word(), sa.ForeignKey("image.id"), nullable=False),
    sa.Column("former_image_id", metadata.word(), sa.ForeignKey("image.id")),
    sa.Column("moved_at", metadata.UtcDateTime(), nullable=False),
)

VERSIONS_MAX = 1000
_image = image_table.TABLE.c
_alias = TABLE.c
_ORDER = (_image.family_order.desc(), _image.created_at.desc(), _image.id.desc())
_READY = sa.and_(image_table.ALIVE, _image.status == ImageStatus.ACTIVE)
_PUBLIC = _image.visibility == Visibility.PUBLIC
_ALIAS_FACTS = (_alias.image_id.label("alias"), _alias.former_image_id, _alias.moved_at)


def resolve(conn: sa.Connection, name: str, project_id: str | None) -> str | None:
    """The id of a family's newest image: of the project's own family, or else of a public one.

    At most four statements, each of which reads one row of an index; None if there is none.
    """
    scopes = [_PUBLIC] if project_id is None else [_image.owner == project_id, _PUBLIC]
    for scope in scopes:
        for statement in (_pinned(name, scope), _highest(name, scope)):
            found: str | None = conn.scalar(statement)
            if found is not None:
                return found
    return None


def newest(conn: sa.Connection, owner: str | None, name: str | None) -> str | None:
    """The id of the newest image of one project's family, whoever asks; None without a family."""
    if owner is None or name is None:
        return None
    scope = _image.owner == owner
    found: str | None = conn.scalar(_pinned(name, scope)) or conn.scalar(_highest(name, scope))
    return found


def shown(conn: sa.Connection, owner: str | None, name: str | None) -> str | None:
    """The id of the one public image of a project's family that is not hidden, in whatever status."""
    there = sa.and_(image_table.ALIVE, _PUBLIC, _image.hidden.is_(sa.false()))
    wanted = sa.select(_image.id).where(_image.owner == owner, _image.family == name, there)
    found: str | None = conn.scalar(wanted.limit(1))
    return found


def _pinned(name: str, scope: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(_image.id)
        .join(TABLE, _alias.image_id == _image.id)
        .where(_alias.name == name, _alias.owner == _image.owner, _READY, scope)
        .order_by(_alias.moved_at.desc(), _alias.owner)
        .limit(1)
    )


def _highest(name: str, scope: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(_image.id)
        .where(_image.family == name, _READY, _usable(), scope)
        .order_by(*_ORDER)
        .limit(1)
    )


def _usable() -> sa.ColumnElement[bool]:
    """Neither hidden nor deprecated by now."""
    fresh = sa.or_(_image.deprecated_at.is_(None), _image.deprecated_at > metadata.now())
    return sa.and_(_image.hidden.is_(sa.false()), fresh)


def narrow(conn: sa.Connection, query: ImageQuery, project_id: str | None) -> ImageQuery:
    """A query of a family's newest image as one of that image alone, hidden or not."""
    image_id = resolve(conn, query.newest_of or "", project_id)
    if image_id is None:
        return dataclasses.replace(query, impossible=True)
    hidden = bool(conn.scalar(sa.select(_image.hidden).where(_image.id == image_id)))
    only = FieldFilter("id", Operator.EQ, image_id)
    return dataclasses.replace(query, fields=(*query.fields, only), hidden=hidden)


def get(conn: sa.Connection, owner: str, name: str) -> Family:
    """A family of a project as it is; empty if it has no image and no alias."""
    image_id = newest(conn, owner, name)
    alias = conn.execute(sa.select(*_ALIAS_FACTS).where(*_row(owner, name))).one_or_none()
    version = conn.scalar(sa.select(_image.family_version).where(_image.id == image_id))
    if alias is None:
        return Family(name, owner, image_id, version)
    pinned = alias.alias == image_id
    return Family(name, owner, image_id, version, pinned, alias.former_image_id, alias.moved_at)


def list(
    conn: sa.Connection, project_id: str | None, after: str | None, limit: int
) -> tuple[Family, ...]:
    """The project's families and public ones that have a newest image, by name, in one statement.

    Where both have a name, the project's own is told.
    """
    seen = _PUBLIC if project_id is None else sa.or_(_image.owner == project_id, _PUBLIC)
    own = sa.case((_image.owner == project_id, 0), else_=1)
    place = sa.func.row_number().over(
        partition_by=_image.family, order_by=(own, _alias.image_id.is_(None), *_ORDER)
    )
    ranked = (
        sa.select(
            _image.family, _image.owner, _image.id, _image.family_version, place.label("place"),
            *_ALIAS_FACTS,
        )
        .outerjoin(
            TABLE,
            sa.and_(
                _alias.owner == _image.owner,
                _alias.name == _image.family,
                _alias.image_id == _image.id,
            ),
        )
        .where(_READY, seen, _image.family.is_not(None), _image.owner.is_not(None))
        .where(sa.or_(_alias.image_id.is_not(None), _usable()))
    )  # fmt: skip
    if after is not None:
        ranked = ranked.where(_image.family > after)
    rows = ranked.subquery("ranked")
    page = sa.select(rows).where(rows.c.place == 1).order_by(rows.c.family).limit(limit)
    return tuple(
        Family(
            row.family, row.owner, row.id, row.family_version, row.alias is not None,
            row.former_image_id, row.moved_at,
        )
        for row in conn.execute(page)
    )  # fmt: skip


def versions(conn: sa.Connection, owner: str, name: str, *, public: bool) -> tuple[Version, ...]:
    """Images of a family, highest version first, at most 1000; with `public` those alone that all see."""
    statement = (
        sa.select(
            _image.id, _image.name, _image.family_version, _image.status, _image.hidden,
            _image.created_at, _image.deprecated_at, _image.provided_until,
        )
        .where(_image.owner == owner, _image.family == name, image_table.ALIVE)
        .order_by(*_ORDER)
        .limit(VERSIONS_MAX)
    )  # fmt: skip
    if public:
        statement = statement.where(_PUBLIC)
    return tuple(Version(*row) for row in conn.execute(statement))


def move(
    conn: sa.Connection,
    owner: str,
    name: str,
    image_id: str,
    former_id: str | None,
    moment: datetime.datetime,
) -> bool:
    """Point an alias at another image, if it still names `former_id` (None: there is no alias).

    False if another moved it first: of two that race one loses.
    """
    values = {"image_id": image_id, "former_image_id": former_id, "moved_at": moment}
    if former_id is None:
        insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
        made = insert.values(owner=owner, name=name, **values).on_conflict_do_nothing()
        return conn.scalar(made.returning(_alias.name)) is not None
    changed = sa.update(TABLE).where(*_row(owner, name), _alias.image_id == former_id)
    return conn.execute(changed.values(values)).rowcount == 1


def alias(conn: sa.Connection, owner: str, name: str) -> tuple[str, str | None] | None:
    """The images that an alias names now and named before; None if there is no alias."""
    statement = sa.select(_alias.image_id, _alias.former_image_id).where(*_row(owner, name))
    row = conn.execute(statement).one_or_none()
    return None if row is None else (row.image_id, row.former_image_id)


def remove(conn: sa.Connection, owner: str, name: str) -> bool:
    """Take an alias away, so that versions decide again; False if there was none."""
    return conn.execute(sa.delete(TABLE).where(*_row(owner, name))).rowcount == 1


def _row(owner: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _alias.owner == owner, _alias.name == name
