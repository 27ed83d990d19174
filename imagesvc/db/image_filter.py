"""The filters of an ImageQuery as SQL conditions."""

import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from imagesvc.db import image_property, image_table, metadata, tag
from imagesvc.domain import image, image_query
from imagesvc.domain import image_property as property_domain
from imagesvc.domain.image_query import Operator

TABLE = image_table.TABLE

_COMPARISON: dict[Operator, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    Operator.EQ: operator.eq,
    Operator.NEQ: lambda column, value: column.is_distinct_from(value),
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.IN: lambda column, values: column.in_(values),
}
_UPWARD = frozenset({Operator.GT, Operator.GTE})
_DOWNWARD = frozenset({Operator.LT, Operator.LTE})


def conditions(query: image_query.ImageQuery) -> tuple[sa.ColumnElement[bool], ...]:
    """One condition for each thing the query asks for, visibility and marker apart."""
    wanted: list[sa.ColumnElement[bool]] = [TABLE.c.hidden == query.hidden]
    if query.owner is not None:
        wanted.append(TABLE.c.owner == query.owner)
    wanted += [_compare(field) for field in query.fields]
    wanted += [TABLE.c.id.in_(tag.having(name)) for name in query.tags]
    wanted += [_property(name, value) for name, value in query.properties]
    return tuple(wanted)


def _property(name: str, value: str) -> sa.ColumnElement[bool]:
    if name in property_domain.FACTS:
        return metadata.equal(TABLE.c[name], value)
    return TABLE.c.id.in_(image_property.having(name, value))


def _compare(wanted: image_query.FieldFilter) -> sa.ColumnElement[bool]:
    if wanted.field not in image_table.FIELDS:
        raise ValueError(f"not a field of images: {wanted.field}")
    column = TABLE.c[wanted.field]
    value = wanted.value
    if type(value) is int and abs(value) > image.BYTES_MAX:
        return _compare_outside(column, wanted.operator, value)
    return _COMPARISON[wanted.operator](column, value)


def _compare_outside(
    column: sa.ColumnElement[Any], comparison: Operator, value: int
) -> sa.ColumnElement[bool]:
    """Compare with a number that no column can hold: true for all or none."""
    if comparison is Operator.NEQ:
        return sa.true()
    if comparison in (_DOWNWARD if value > 0 else _UPWARD):
        return column.is_not(None)
    return sa.false()
