"""MetaData of all tables, and the column types that mean the same on both engines."""

import datetime
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

# The newest revision of migration/versions; a start on any other is refused.
SCHEMA_VERSION = "0015"

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_INDEXED_CHARACTERS = 64
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


def now() -> datetime.datetime:
    """The present moment in UTC, to the microsecond."""
    return datetime.datetime.now(datetime.UTC)


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """A moment in UTC to the microsecond: timestamptz, or on SQLite microseconds since 1970.

    A datetime without a zone is refused.
    """

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        if dialect.name == "postgresql":
            return value
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            moment: datetime.datetime = value
            return moment.astimezone(datetime.UTC)
        return _EPOCH + datetime.timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """A JSON value as text in one canonical form, so that it can be signed and compared."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class JsonAsSent(Json):
    """A JSON value as text with its keys in the order in which they came."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))


def canonical(value: Any) -> str:
    """JSON with sorted keys, without white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def word() -> TypeEngine[str]:
    """Text that compares by code point on both engines, whatever the database's locale."""
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def start(text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The start of a text that may be longer than an index entry can be; this is indexed."""
    last: sa.ColumnElement[int] = sa.literal_column(str(_INDEXED_CHARACTERS))
    return sa.func.substr(text, sa.literal_column("1"), last)


def equal(text: sa.ColumnElement[Any], value: str) -> sa.ColumnElement[bool]:
    """Whether a text of which the start is indexed is `value`."""
    # With "=" SQLite would put the value into the indexed expression, away from the index.
    return sa.and_(start(text) == value[:_INDEXED_CHARACTERS], text.is_not_distinct_from(value))


def big_key() -> TypeEngine[int]:
    """A rising integer key; SQLite counts only in INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
