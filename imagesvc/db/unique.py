"""What a unique constraint says of a change, in the service's words."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors


@contextlib.contextmanager
def guard(text: str) -> Iterator[None]:
    """Raises Conflict with `text` if a statement within meets a constraint.

    The transaction is of no more use then. No other reference may be broken within: a lock on
    what the rows belong to sees to that.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:  # nothing but the constraint decides a race
        raise errors.Conflict(text) from error


def put(conn: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> sa.Executable:
    """Adds a row, or sets all of it where its primary key is there."""
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(table)
    named = [column.name for column in table.primary_key]
    changed = {name: value for name, value in values.items() if name not in named}
    statement: sa.Executable = insert.values(values).on_conflict_do_update(
        index_elements=named, set_=changed
    )
    return statement
