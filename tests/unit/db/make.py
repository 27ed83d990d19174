"""Makers of rows for the tests of this folder."""

import contextlib
import datetime
import uuid

import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.domain.image import Image, ImageDisk, Visibility
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import ImageStatus, JobState

START = datetime.datetime(2025, 1, 1, 12, 0, 0, 123456, tzinfo=datetime.UTC)


def caller(project_id, **facts):
    return RequestContext(user_id="user", project_id=project_id, **facts)


def image(**facts):
    values = {
        "id": str(uuid.uuid4()),
        "owner": "alpha",
        "name": "an image",
        "status": ImageStatus.QUEUED,
        "visibility": Visibility.SHARED,
        "created_at": START,
        "updated_at": START,
    }
    return Image(**(values | facts))


def disk(**facts):
    values = {
        "index": 0,
        "role": "system",
        "disk_format": "raw",
        "size_bytes": 10,
        "virtual_size_bytes": 10,
        "md5": "m",
        "hash_algorithm": "sha512",
        "hash_value": "h",
        "locations": (("local", uuid.uuid4().hex),),
    }
    return ImageDisk(**(values | facts))


def job(**facts):
    values = {
        "id": str(uuid.uuid4()),
        "type": JobType.CREATE_SERVERS,
        "args_version": 1,
        "args": {"count": 3},
        "project_id": "alpha",
        "state": JobState.READY,
        "created_at": metadata.now(),
    }
    return Job(**(values | facts))


@contextlib.contextmanager
def counted(database):
    """The statements that run on the engine meanwhile, transaction words left out."""
    seen = []

    def note(conn, cursor, statement, parameters, context, executemany):
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)
