"""What objects, properties and tags of metadata definitions share: names within a namespace."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import metadata, unique


def table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of parts: they go with their namespace, and a name is there once."""
    return sa.Table(
        name,
        metadata.METADATA,
        sa.Column(
            "namespace_id",
            metadata.word(),
            sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("name", metadata.word(), primary_key=True),
        *columns,
    )


class Part:
    """The statements on one kind of part; `noun` is how errors call it."""

    def __init__(self, table: sa.Table, noun: str) -> None:
        self._table = table
        self._noun = noun
        self._fields = [column for column in table.c if column.name != "namespace_id"]

    def all(self, namespace_id: str) -> sa.Select[Any]:
        """All of a namespace, in no order."""
        return sa.select(*self._fields).where(self._table.c.namespace_id == namespace_id)

    def insert(
        self, conn: sa.Connection, namespace_id: str, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add some. Raises Conflict if one is there already, or is given twice."""
        if not rows:
            return
        with unique.guard(f"The namespace has a {self._noun} of this name already."):
            conn.execute(
                sa.insert(self._table), [{"namespace_id": namespace_id, **one} for one in rows]
            )

    def get(self, conn: sa.Connection, namespace_id: str, name: str) -> sa.Row[Any]:
        """One. Raises MetadefNotFound."""
        statement = sa.select(*self._fields).where(self._key(namespace_id, name))
        row: sa.Row[Any] = self._found(conn.execute(statement).one_or_none(), name)
        return row

    def update(
        self, conn: sa.Connection, namespace_id: str, name: str, values: Mapping[str, Any]
    ) -> sa.Row[Any]:
        """Change one, its name too. Raises MetadefNotFound, Conflict if the new name is taken."""
        statement: Any = (
            sa.update(self._table)
            .where(self._key(namespace_id, name))
            .values(**values)
            .returning(*self._fields)
        )
        with unique.guard(f"The namespace has a {self._noun} {values['name']} already."):
            row = conn.execute(statement).one_or_none()
        changed: sa.Row[Any] = self._found(row, name)
        return changed

    def delete(self, conn: sa.Connection, namespace_id: str, name: str) -> None:
        """Remove one. Raises MetadefNotFound."""
        gone = conn.execute(sa.delete(self._table).where(self._key(namespace_id, name))).rowcount
        self._found(gone or None, name)

    def clear(self, conn: sa.Connection, namespace_id: str) -> None:
        """Remove all of a namespace."""
        conn.execute(sa.delete(self._table).where(self._table.c.namespace_id == namespace_id))

    def _key(self, namespace_id: str, name: str) -> sa.ColumnElement[bool]:
        columns = self._table.c
        return sa.and_(columns.namespace_id == namespace_id, columns.name == name)

    def _found(self, row: Any, name: str) -> Any:
        if row is None:
            raise errors.MetadefNotFound(noun=self._noun, name=name)
        return row
