"""The marker of a list: the row behind which a page begins."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from imagesvc import errors


def find(
    conn: sa.Connection,
    noun: str,
    marker: str,
    key: sa.ColumnElement[Any],
    seen: Iterable[sa.ColumnElement[bool]],
    columns: Iterable[sa.ColumnElement[Any]],
) -> sa.RowMapping:
    """`columns` of the row whose `key` is `marker`, if the conditions `seen` hold of it.

    Raises InvalidRequest (MARKER); unknown and foreign markers look alike.
    """
    statement = sa.select(*columns).where(key == marker, *seen)
    row = conn.execute(statement).mappings().one_or_none()
    if row is None:
        raise errors.InvalidRequest(
            "The marker {marker} is no {noun} that you can list from.",
            reason=errors.Reason.MARKER,
            marker=marker,
            noun=noun,
        )
    return row
