"""THE writer of an image's status: one conditional update an event."""

import datetime
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import (
    foreign_location,
    image_disk,
    image_property,
    image_table,
    member,
    metadata,
    tag,
    upload,
)
from imagesvc.domain import state

TABLE = image_table.TABLE

# While bytes come in, somebody must be seen alive.
_BEATING = frozenset({state.ImageStatus.SAVING, state.ImageStatus.UPLOADING})
_GONE = frozenset({state.ImageStatus.DELETED, state.ImageStatus.PENDING_DELETE})

# Each guard of domain/state.py as a condition of the same statement.
GUARDS: Mapping[str, sa.ColumnElement[bool]] = {
    "has_formats": sa.and_(TABLE.c.disk_format.is_not(None), TABLE.c.container_format.is_not(None)),
    "has_location": sa.exists(
        sa.select(image_disk.LOCATION.c.image_id)
        .where(image_disk.LOCATION.c.image_id == TABLE.c.id)
        .correlate(TABLE)
    ),
    "has_foreign": sa.exists(
        sa.select(foreign_location.TABLE.c.image_id)
        .where(foreign_location.TABLE.c.image_id == TABLE.c.id)
        .correlate(TABLE)
    ),
    "not_protected": TABLE.c.protected.is_(sa.false()),
    "not_promised": sa.or_(
        TABLE.c.provided_until.is_(None),
        TABLE.c.provided_until <= sa.bindparam("guard_now", callable_=metadata.now),
    ),
}


def transition(
    conn: sa.Connection,
    image_id: str,
    event: str,
    values: Mapping[str, Any] | None = None,
    *,
    upload_token: str | None = None,
    silent_since: datetime.datetime | None = None,
    action: str = "",
) -> str | None:
    """Take the image through `event`, and set `values` in the same statement; returns its owner.

    With `upload_token`, only if the row still has it: the bytes are the caller's. With
    `silent_since`, only if the upload gave no sign of life from then on, and still has to.
    The events `delete` and `purge` leave a tombstone and remove tags, properties, members and
    foreign locations.

    Raises ImageNotFound (missing, deleted), StateConflict (not from this status),
    InvalidRequest (FORMAT_MISSING), Forbidden (IMAGE_PROTECTED), ImagePromised, NoContent (no
    location), Conflict (IMAGE_BUSY: the bytes are another's).
    """
    row = state.IMAGE.of(event)
    back = row.sources <= _GONE
    there = image_table.KEPT if back else image_table.ALIVE
    statement = sa.update(TABLE).where(
        TABLE.c.id == image_id, there, TABLE.c.status.in_(sorted(row.sources))
    )
    statement = statement.where(*(GUARDS[one] for one in row.guards))
    if upload_token is not None:
        statement = statement.where(TABLE.c.upload_token == upload_token)
    if silent_since is not None:
        statement = statement.where(TABLE.c.heartbeat_at < silent_since)
    statement = statement.values(
        {**_entering(row.target, back), **(values or {}), "status": row.target}
    )
    changed = conn.execute(statement.returning(TABLE.c.owner)).one_or_none()
    if changed is None:
        raise _refusal(conn, image_id, row, action or f"image:{event}")
    if row.target == state.ImageStatus.DELETED:
        for rows in (tag, image_property, member, foreign_location):
            rows.clear(conn, image_id)
    owner: str | None = changed.owner
    return owner


def heartbeat(conn: sa.Connection, image_id: str, upload_token: str) -> bool:
    """Say that the upload is alive; False if the image is no longer this upload's."""
    statement = (
        sa.update(TABLE)
        .where(
            TABLE.c.id == image_id,
            TABLE.c.upload_token == upload_token,
            TABLE.c.status.in_(sorted(_BEATING)),
        )
        .values(heartbeat_at=metadata.now())
    )
    return conn.execute(statement).rowcount == 1


def rest(conn: sa.Connection, image_id: str, upload_token: str, size_bytes: int) -> bool:
    """Say that all bytes are staged, so that nobody beats for them any more.

    False if the image is no longer this upload's.
    """
    statement = (
        sa.update(TABLE)
        .where(
            TABLE.c.id == image_id,
            TABLE.c.upload_token == upload_token,
            TABLE.c.status == state.ImageStatus.UPLOADING,
        )
        .values(
            heartbeat_at=None,
            size_bytes=size_bytes,
            updated_at=metadata.now(),
            revision=TABLE.c.revision + 1,
        )
    )
    return conn.execute(statement).rowcount == 1


def resting(conn: sa.Connection, image_id: str) -> str | None:
    """The token of an image's staged bytes; None if there are none, or they still come."""
    resumable = sa.exists().where(upload.TABLE.c.id == TABLE.c.upload_token)
    statement = sa.select(TABLE.c.upload_token).where(
        TABLE.c.id == image_id,
        TABLE.c.status == state.ImageStatus.UPLOADING,
        TABLE.c.heartbeat_at.is_(None),
        ~resumable,
    )
    return conn.scalar(statement)


def stale_saving(conn: sa.Connection, before: datetime.datetime) -> list[tuple[str, str, str]]:
    """(id, status, upload token) of images whose upload was last alive before this moment."""
    statement = (
        sa.select(TABLE.c.id, TABLE.c.status, TABLE.c.upload_token)
        .where(TABLE.c.heartbeat_at < before, TABLE.c.status.in_(sorted(_BEATING)))
        .order_by(TABLE.c.heartbeat_at)
    )
    return [(row.id, row.status, row.upload_token) for row in conn.execute(statement)]


def _entering(target: str, back: bool) -> dict[str, Any]:
    """What changes with the status; `back`: it comes from the bin."""
    moment = metadata.now()
    values: dict[str, Any] = {"updated_at": moment, "revision": TABLE.c.revision + 1}
    if target in _BEATING:
        return values | {"heartbeat_at": moment}
    values |= {"heartbeat_at": None, "upload_token": None}
    if back:
        kept = {} if target in _GONE else {"deleted_at": None}
        return values | kept | dict.fromkeys(("bin_until", "bin_status", "purge_job_id"))
    return values | {"deleted_at": moment} if target in _GONE else values


def _refusal(
    conn: sa.Connection, image_id: str, row: state.Transition, action: str
) -> errors.ImagesvcError:
    """Why no row was changed: look at it afterwards, for the message alone."""
    guards = [GUARDS[one].label(one) for one in row.guards]
    present = conn.execute(
        sa.select(TABLE.c.status, TABLE.c.provided_until, *guards).where(
            TABLE.c.id == image_id, image_table.ALIVE
        )
    ).one_or_none()
    if present is None:
        return errors.ImageNotFound(image_id=image_id)
    if present.status not in row.sources:
        return errors.StateConflict(
            noun="image",
            id=image_id,
            status=present.status,
            event=row.event,
            allowed=", ".join(sorted(row.sources)),
        )
    for one in row.guards:
        if not getattr(present, one):
            return _guard_failure(one, image_id, action, present.provided_until)
    return errors.Conflict(
        "The data of image {image_id} is being written by another request.",
        reason=errors.Reason.IMAGE_BUSY,
        image_id=image_id,
    )


def _guard_failure(
    guard: str, image_id: str, action: str, until: datetime.datetime | None
) -> errors.ImagesvcError:
    if guard == "not_promised" and until is not None:
        return errors.ImagePromised(image_id=image_id, until=until.isoformat())
    if guard == "has_formats":
        return errors.InvalidRequest(
            "Set disk_format and container_format of image {image_id} first.",
            reason=errors.Reason.FORMAT_MISSING,
            image_id=image_id,
        )
    if guard == "not_protected":
        return errors.Forbidden(
            "Image {image_id} is protected and cannot be deleted.",
            reason=errors.Reason.IMAGE_PROTECTED,
            image_id=image_id,
            action=action,
        )
    return errors.NoContent(image_id=image_id)
