"""Types of resources, and which namespaces of metadata definitions are meant for them."""

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc import errors
from imagesvc.db import metadata, unique
from imagesvc.domain import metadef

_word = metadata.word

TABLE = sa.Table(
    "metadef_resource_type",
    metadata.METADATA,
    sa.Column("name", _word(), primary_key=True),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
ASSOCIATION = sa.Table(
    "metadef_association",
    metadata.METADATA,
    sa.Column(
        "namespace_id",
        _word(),
        sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column(
        "name", _word(), sa.ForeignKey("metadef_resource_type.name"), primary_key=True, index=True
    ),
    sa.Column("prefix", _word()),
    sa.Column("properties_target", _word()),
    sa.Column("created_at", metadata.UtcDateTime(), nullable=False),
    sa.Column("updated_at", metadata.UtcDateTime(), nullable=False),
)
_a = ASSOCIATION.c
_FIELDS = (_a.name, _a.prefix, _a.properties_target, _a.created_at, _a.updated_at)


def list(conn: sa.Connection) -> tuple[metadef.ResourceType, ...]:
    """All types by name."""
    rows = conn.execute(sa.select(TABLE).order_by(TABLE.c.name))
    return tuple(metadef.ResourceType(**row._mapping) for row in rows)


def associate(
    conn: sa.Connection, namespace_id: str, associations: Sequence[metadef.Association]
) -> None:
    """Add associations; types that are not known come to be. Raises Conflict for one that is there.

    The types are made in the order of their names, so that two callers do not wait for each other.
    """
    if not associations:
        return
    born = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(TABLE)
    conn.execute(
        born.on_conflict_do_nothing(),
        [
            {"name": one.name, "created_at": one.created_at, "updated_at": one.updated_at}
            for one in sorted(associations, key=lambda one: one.name)
        ],
    )
    with unique.guard("The namespace is associated with this resource type already."):
        conn.execute(
            sa.insert(ASSOCIATION),
            [
                {
                    "namespace_id": namespace_id,
                    **{field.name: getattr(one, field.name) for field in _FIELDS},
                }
                for one in associations
            ],
        )


def associations(conn: sa.Connection, namespace_id: str) -> tuple[metadef.Association, ...]:
    """The associations of a namespace by the name of the type."""
    return associations_of(conn, [namespace_id]).get(namespace_id, ())


def associations_of(
    conn: sa.Connection, namespace_ids: Sequence[str]
) -> dict[str, tuple[metadef.Association, ...]]:
    """The associations of several namespaces, in one statement."""
    if not namespace_ids:
        return {}
    statement = (
        sa.select(_a.namespace_id, *_FIELDS)
        .where(_a.namespace_id.in_(namespace_ids))
        .order_by(_a.namespace_id, _a.name)
    )
    found: dict[str, tuple[metadef.Association, ...]] = defaultdict(tuple)
    for namespace_id, *values in conn.execute(statement):
        found[namespace_id] += (metadef.Association(*values),)
    return found


def associated_with(names: Sequence[str]) -> sa.Select[str]:
    """Ids of the namespaces that are associated with any of these types."""
    return sa.select(_a.namespace_id).where(_a.name.in_(names))


def dissociate(conn: sa.Connection, namespace_id: str, name: str) -> None:
    """Remove an association; the type stays. Raises MetadefNotFound."""
    key = sa.and_(_a.namespace_id == namespace_id, _a.name == name)
    if conn.execute(sa.delete(ASSOCIATION).where(key)).rowcount == 0:
        raise errors.MetadefNotFound(noun="resource type association", name=name)
