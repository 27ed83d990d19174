"""Uploads as JSON of our own API."""

import datetime
from typing import Any

from imagesvc.api.native import views
from imagesvc.api.native.answer import Answer
from imagesvc.domain import upload as domain
from imagesvc.domain import upload_metadata


class Upload(Answer):
    """A resumable upload; `size_bytes` is null until it is told, `job_id` until all bytes came."""

    id: str
    image_id: str
    disk: int
    offset_bytes: int
    size_bytes: int | None
    filename: str | None
    job_id: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime


class UploadPage(Answer):
    """Uploads; `next` is the marker of the page after this one."""

    uploads: list[Upload]
    next: str | None


class OneUpload(Answer):
    """One upload."""

    upload: Upload


def render(upload: domain.Upload) -> dict[str, Any]:
    """One upload; `filename` is what its client called the file."""
    return {
        "id": upload.id,
        "image_id": upload.image_id,
        "disk": upload.disk_index,
        "offset_bytes": upload.offset_bytes,
        "size_bytes": upload.size_bytes,
        "filename": upload_metadata.read(upload.client_metadata).get("filename"),
        "job_id": upload.job_id,
        "created_at": views.time(upload.created_at),
        "expires_at": views.time(upload.expires_at),
    }
