"""A page of images: disjoint branches, each read in order from an index, then merged.

A page costs one statement, and one more when it follows a marker.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import Join

from imagesvc.db import image_filter, image_table, member
from imagesvc.db import marker as markers
from imagesvc.domain import image_query

TABLE = image_table.TABLE
_NULLABLE = frozenset({"name", "container_format", "disk_format", "size_bytes"})
_STATEMENTS_MAX = 128  # some 100 KiB each
# The sort values of a marker: parameters, or None for null.
_Edge = Mapping[str, sa.BindParameter[Any] | None]
_TIES = ("created_at", "id")


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """Images that meet `where`; with `member_id`, those offered to that project.

    No image may be in two branches of one scope.
    """

    where: sa.ColumnElement[bool]
    member_id: str | None = None
    member_status: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """What a caller's list is made of, and which images may serve as marker."""

    marker: sa.ColumnElement[bool]
    branches: tuple[Branch, ...]


class _LeftFirst(Join):
    """A join to the image table that SQLite must be told to begin at its few left rows."""

    inherit_cache = True


@compiles(_LeftFirst, "sqlite")
def _cross_join(element: _LeftFirst, compiler: SQLCompiler, **kw: Any) -> str:
    kw["asfrom"] = True
    left = compiler.process(element.left, **kw)
    right = compiler.process(element.right, **kw)
    onclause: Any = element.onclause
    return f"{left} CROSS JOIN {right} ON {compiler.process(onclause, **(kw | {'asfrom': False}))}"


def list_page(
    conn: sa.Connection, query: image_query.ImageQuery, visibility: Scope
) -> image_query.Page:
    """The images that `query` asks for within `visibility`, in order.

    Raises InvalidRequest (MARKER) if the marker is unknown, deleted or not visible.
    """
    keys = _keys(query.sort)
    marker = None if query.marker is None else _marker(conn, query.marker, visibility.marker)
    if query.impossible or query.limit == 0 or not visibility.branches:
        return image_query.Page((), full=False)
    values, absent = {}, None
    if marker is not None:
        absent = frozenset(field for field in _fields(keys) if marker[field] is None)
        values = {f"marker_{field}": marker[field] for field in _fields(keys)}
    # Filters hold words of callers, of which there is no end.
    filtered = query.fields or query.tags or query.properties or query.owner
    make = _statement if filtered else _kept_statement
    plain = dataclasses.replace(query, marker=None)
    statement = make(conn.dialect.name, plain, visibility.branches, absent)
    rows = conn.execute(statement, values).all()
    return image_query.Page(
        tuple(image_table.entity(row) for row in rows), full=len(rows) == query.limit
    )


def _statement(
    dialect: str,
    query: image_query.ImageQuery,
    branches: tuple[Branch, ...],
    absent: frozenset[str] | None,
) -> sa.Select[Any]:
    """The statement of a page; the sort values of its marker are given with it as marker_FIELD.

    `absent` names those that are null; None: no marker.
    """
    keys = _keys(query.sort)
    edge = None
    if absent is not None:
        edge = {
            field: None if field in absent else sa.bindparam(f"marker_{field}", None, column.type)
            for field, column in TABLE.c.items()
            if field in _fields(keys)
        }
    wanted = image_filter.conditions(query)
    parts = [_branch(branch, wanted, keys, edge, query.limit, dialect) for branch in branches]
    merged = parts[0] if len(parts) == 1 else _merge(parts, keys, query.limit, dialect)
    page = merged.subquery("page")
    return (
        sa.select(*image_table.columns(dialect))
        .select_from(_LeftFirst(page, TABLE, page.c.id == TABLE.c.id))
        .order_by(*_order(page.c, keys, dialect))
    )


# To make one takes longer than all else that a page of 25 costs.
_kept_statement = functools.lru_cache(maxsize=_STATEMENTS_MAX)(_statement)


def _keys(sort: tuple[image_query.SortKey, ...]) -> tuple[image_query.SortKey, ...]:
    """The sort keys, each once, with created_at and id as last resort.

    Ties follow the direction of a single key, and are newest first after several.
    """
    keys = {key.field: key for key in reversed(sort)}
    given = [keys[field] for field in dict.fromkeys(key.field for key in sort)]
    descending = given[0].descending if len(given) == 1 else True
    for field in _TIES:
        if "id" not in keys and field not in keys:
            given.append(image_query.SortKey(field, descending))
    return tuple(given)


def _marker(conn: sa.Connection, image_id: str, visible: sa.ColumnElement[bool]) -> sa.RowMapping:
    columns = (TABLE.c[field] for field in image_query.SORT_KEYS)
    return markers.find(conn, "image", image_id, TABLE.c.id, (image_table.ALIVE, visible), columns)


def _branch(
    branch: Branch,
    wanted: tuple[sa.ColumnElement[bool], ...],
    keys: tuple[image_query.SortKey, ...],
    edge: _Edge | None,
    limit: int,
    dialect: str,
) -> sa.Select[Any]:
    columns: Any = TABLE.c
    conditions = [image_table.ALIVE, branch.where, *wanted]
    source: sa.FromClause = TABLE
    if branch.member_id is not None:
        members = member.TABLE
        source = _LeftFirst(members, TABLE, members.c.image_id == TABLE.c.id)
        conditions.append(members.c.member_id == branch.member_id)
        if branch.member_status is not None:
            conditions.append(members.c.status == branch.member_status)
        # The copies in the member's index stand for the same columns of the image.
        columns = {field: TABLE.c[field] for field in image_query.SORT_KEYS}
        columns |= {"created_at": members.c.image_created_at, "id": members.c.image_id}
    if edge is not None:
        conditions.append(_after(columns, keys, edge))
    # The sort columns alone: whole rows are joined to the page when it is known.
    return (
        sa.select(*(columns[field].label(field) for field in _fields(keys)))
        .select_from(source)
        .where(*conditions)
        .order_by(*_order(columns, keys, dialect))
        .limit(limit)
    )


def _fields(keys: tuple[image_query.SortKey, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(key.field for key in keys), "id")))


def _merge(
    parts: list[sa.Select[Any]],
    keys: tuple[image_query.SortKey, ...],
    limit: int,
    dialect: str,
) -> sa.Select[Any]:
    # SQLite takes ORDER BY and LIMIT of a branch only inside a sub-select.
    wrapped = [sa.select(part.subquery(f"branch_{n}")) for n, part in enumerate(parts)]
    union = sa.union_all(*wrapped).subquery("merged")
    return sa.select(union).order_by(*_order(union.c, keys, dialect)).limit(limit)


def _order(
    columns: Any, keys: tuple[image_query.SortKey, ...], dialect: str
) -> list[sa.ColumnElement[Any]]:
    """Nulls are last going up and first going down: PostgreSQL's own order, told to SQLite."""
    order: list[sa.ColumnElement[Any]] = []
    for key in keys:
        column = columns[key.field]
        term = column.desc() if key.descending else column.asc()
        if dialect == "sqlite" and key.field in _NULLABLE:
            term = term.nulls_first() if key.descending else term.nulls_last()
        order.append(term)
    return order


def _after(
    columns: Any, keys: tuple[image_query.SortKey, ...], edge: _Edge
) -> sa.ColumnElement[bool]:
    """Rows that stand behind the marker in the order of `keys`."""
    fields = [key.field for key in keys]
    if not _NULLABLE.intersection(fields) and len({key.descending for key in keys}) == 1:
        # One comparison of row values is what an index can begin at.
        row = sa.tuple_(*(columns[field] for field in fields))
        values: Any = sa.tuple_(*(edge[field] for field in fields))
        beyond: sa.ColumnElement[bool] = row < values if keys[0].descending else row > values
        return beyond
    choices = []
    same: list[sa.ColumnElement[bool]] = []
    for key in keys:
        column, value = columns[key.field], edge[key.field]
        choices.append(sa.and_(*same, _beyond(column, key, value)))
        same.append(column.is_(None) if value is None else column == value)
    return sa.or_(*choices)


def _beyond(
    column: sa.ColumnElement[Any], key: image_query.SortKey, value: Any
) -> sa.ColumnElement[bool]:
    if value is None:
        return column.is_not(None) if key.descending else sa.false()
    behind: sa.ColumnElement[bool] = column < value if key.descending else column > value
    if key.field in _NULLABLE and not key.descending:
        return sa.or_(behind, column.is_(None))
    return behind
