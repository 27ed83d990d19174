"""The catalog's rows: the state of each family, and every release that was published."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from imagesvc.db import image_table, metadata, unique
from imagesvc.domain.catalog import Evidence, FamilyState, Published, Release, Signature

_word = metadata.word

FAMILY = sa.Table(
    "catalog_family",
    metadata.METADATA,
    sa.Column("family", _word(), primary_key=True),
    sa.Column("image_id", _word(), sa.ForeignKey("image.id")),
    sa.Column("checked_at", metadata.UtcDateTime()),
    # The newest time of a signature that was believed: an older list is a replay.
    sa.Column("signed_at", metadata.UtcDateTime()),
    sa.Column("job_id", _word()),
    sa.Column("failed_at", metadata.UtcDateTime()),
    sa.Column("cause", _word()),
)

RELEASE = sa.Table(
    "catalog_release",
    metadata.METADATA,
    sa.Column("image_id", _word(), sa.ForeignKey("image.id"), primary_key=True),
    sa.Column("family", _word(), nullable=False),
    sa.Column("build", _word(), nullable=False),
    sa.Column("build_order", metadata.Json(), nullable=False),
    sa.Column("url", _word(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger()),
    sa.Column("digest_algorithm", _word(), nullable=False),
    sa.Column("digest_value", _word(), nullable=False),
    sa.Column("trust", _word(), nullable=False),
    sa.Column("list_url", _word(), nullable=False),
    sa.Column("list_bytes", sa.LargeBinary()),
    sa.Column("signature_bytes", sa.LargeBinary()),
    sa.Column("signature_sha256", _word()),
    sa.Column("fingerprint", _word()),
    sa.Column("signed_at", metadata.UtcDateTime()),
    sa.Column("resolved_at", metadata.UtcDateTime(), nullable=False),
    # These are of a release that was published: its image was active in the same transaction.
    sa.Column("stored_algorithm", _word()),
    sa.Column("stored_value", _word()),
    sa.Column("published_at", metadata.UtcDateTime()),
    sa.Column("withdrawn_at", metadata.UtcDateTime()),
)
sa.Index("ix_catalog_release_family", RELEASE.c.family, RELEASE.c.published_at.desc())

# What is read over and over; the list and its signature are read for a verification alone.
_FACTS = tuple(
    column for column in RELEASE.c if column.name not in ("list_bytes", "signature_bytes")
)
_PUBLISHED = RELEASE.c.published_at.is_not(None)


def state(conn: sa.Connection, family: str, *, lock: bool = False) -> FamilyState:
    """What is known of a family; empty if nothing is. With `lock` nobody else changes it until the
    transaction ends, if it is there."""
    statement = sa.select(FAMILY).where(FAMILY.c.family == family)
    row = conn.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
    return FamilyState(family) if row is None else FamilyState(**row)


def states(conn: sa.Connection) -> dict[str, FamilyState]:
    """All families of which something is known."""
    rows = conn.execute(sa.select(FAMILY).order_by(FAMILY.c.family)).mappings()
    return {row["family"]: FamilyState(**row) for row in rows}


def keep(conn: sa.Connection, family: str, **values: Any) -> None:
    """Set what is known of a family; what is not named stays."""
    conn.execute(unique.put(conn, FAMILY, {"family": family, **values}))


def claim(conn: sa.Connection, family: str, job_id: str, former_id: str | None) -> bool:
    """Let a job be the one of a family after `former_id`; False if another came first."""
    insert = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(FAMILY)
    conn.execute(insert.values(family=family).on_conflict_do_nothing(index_elements=["family"]))
    statement = (
        sa.update(FAMILY)
        .where(FAMILY.c.family == family, FAMILY.c.job_id.is_not_distinct_from(former_id))
        .values(job_id=job_id)
    )
    return conn.execute(statement).rowcount == 1


def insert(
    conn: sa.Connection,
    image_id: str,
    release: Release,
    moment: datetime.datetime,
    evidence: Evidence,
) -> None:
    """Keep where an image comes from, before its bytes do; nobody is told of it yet."""
    signed = release.signature
    values = {
        "image_id": image_id,
        "family": release.family,
        "build": release.build,
        "build_order": list(release.order),
        "url": release.url,
        "size_bytes": release.size_bytes,
        "digest_algorithm": release.digest[0],
        "digest_value": release.digest[1],
        "trust": release.trust,
        "list_url": release.list_url,
        "list_bytes": evidence.list_bytes,
        "signature_bytes": evidence.signature_bytes,
        "signature_sha256": signed and signed.sha256,
        "fingerprint": signed and signed.fingerprint,
        "signed_at": signed and signed.made_at,
        "resolved_at": moment,
    }
    conn.execute(sa.insert(RELEASE).values(values))


def coming(conn: sa.Connection, image_id: str) -> Release | None:
    """The release that an image is made of, published or not; None for no image of the catalog."""
    row = _row(conn, RELEASE.c.image_id == image_id)
    return None if row is None else _release(row)


def publish(
    conn: sa.Connection, image_id: str, stored: tuple[str, str], moment: datetime.datetime
) -> None:
    """A release is published, with bytes of this digest in the stores."""
    statement = sa.update(RELEASE).where(RELEASE.c.image_id == image_id)
    values = {"stored_algorithm": stored[0], "stored_value": stored[1], "published_at": moment}
    conn.execute(statement.values(values))


def forget(conn: sa.Connection, image_id: str) -> None:
    """Nothing came of a release that was to be published; called twice is no error."""
    unpublished = sa.and_(RELEASE.c.image_id == image_id, RELEASE.c.published_at.is_(None))
    conn.execute(sa.delete(RELEASE).where(unpublished))


def get(conn: sa.Connection, image_id: str) -> Published | None:
    """Where an image came from; None for one that is not of the catalog. Of deleted images too."""
    row = _row(conn, sa.and_(RELEASE.c.image_id == image_id, _PUBLISHED))
    return None if row is None else _entity(row)


def releases(conn: sa.Connection, family: str | None = None) -> tuple[Published, ...]:
    """The releases whose images are there, of one family or all, newest first."""
    statement = (
        sa.select(*_FACTS)
        .join(image_table.TABLE, image_table.TABLE.c.id == RELEASE.c.image_id)
        .where(image_table.ALIVE, _PUBLISHED)
        .order_by(RELEASE.c.family, RELEASE.c.published_at.desc(), RELEASE.c.image_id)
    )
    if family is not None:
        statement = statement.where(RELEASE.c.family == family)
    return tuple(_entity(row) for row in conn.execute(statement).mappings())


def current(conn: sa.Connection, family: str) -> Published | None:
    """The published release of a family, if its image is there."""
    return next(iter(_current(conn, FAMILY.c.family == family)), None)


def locked(conn: sa.Connection) -> tuple[Published, ...]:
    """The published release of every family that has one, by family."""
    return _current(conn, sa.true())


def withdrawn(conn: sa.Connection, family: str) -> frozenset[str]:
    """The digests of a family's releases that were rolled back."""
    statement = sa.select(RELEASE.c.digest_algorithm, RELEASE.c.digest_value).where(
        RELEASE.c.family == family, RELEASE.c.withdrawn_at.is_not(None)
    )
    return frozenset(":".join(row) for row in conn.execute(statement))


def withdraw(conn: sa.Connection, image_id: str, moment: datetime.datetime | None) -> None:
    """A release was rolled back at that moment; None: it is taken back into use."""
    statement = sa.update(RELEASE).where(RELEASE.c.image_id == image_id)
    conn.execute(statement.values(withdrawn_at=moment))


def evidence(conn: sa.Connection, image_id: str) -> Evidence:
    """The list that named a release, and its signature, as they were kept."""
    statement = sa.select(RELEASE.c.list_bytes, RELEASE.c.signature_bytes)
    row = conn.execute(statement.where(RELEASE.c.image_id == image_id)).one_or_none()
    return Evidence() if row is None else Evidence(row.list_bytes, row.signature_bytes)


def _row(conn: sa.Connection, wanted: sa.ColumnElement[bool]) -> sa.RowMapping | None:
    return conn.execute(sa.select(*_FACTS).where(wanted)).mappings().one_or_none()


def _current(conn: sa.Connection, wanted: sa.ColumnElement[bool]) -> tuple[Published, ...]:
    statement = (
        sa.select(*_FACTS)
        .join(FAMILY, FAMILY.c.image_id == RELEASE.c.image_id)
        .join(image_table.TABLE, image_table.TABLE.c.id == RELEASE.c.image_id)
        .where(wanted, image_table.ALIVE, _PUBLISHED)
        .order_by(RELEASE.c.family)
    )
    return tuple(_entity(row) for row in conn.execute(statement).mappings())


def _entity(row: sa.RowMapping) -> Published:
    return Published(
        image_id=row["image_id"],
        release=_release(row),
        stored=(row["stored_algorithm"], row["stored_value"]),
        resolved_at=row["resolved_at"],
        published_at=row["published_at"],
        withdrawn_at=row["withdrawn_at"],
    )


def _release(row: sa.RowMapping) -> Release:
    signature = None
    if row["fingerprint"] is not None:
        signature = Signature(row["fingerprint"], row["signed_at"], row["signature_sha256"])
    return Release(
        family=row["family"],
        build=row["build"],
        url=row["url"],
        digest=(row["digest_algorithm"], row["digest_value"]),
        size_bytes=row["size_bytes"],
        trust=row["trust"],
        order=tuple(row["build_order"]),
        list_url=row["list_url"],
        signature=signature,
    )
