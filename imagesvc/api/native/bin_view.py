"""Images in the bin as JSON of our own API; pure functions, and what they give."""

import datetime
from typing import Any

from imagesvc.api.native import views
from imagesvc.api.native.answer import Answer
from imagesvc.domain.bin import BinnedImage
from imagesvc.domain.image import Image


class DeletedImage(Answer):
    """An image in the bin until `bin_until`; `status` is the one that it had and will have."""

    id: str
    name: str | None
    project_id: str | None
    visibility: str
    status: str
    size_bytes: int | None
    deleted_at: datetime.datetime
    deleted_by: str | None
    deleted_by_project: str | None
    bin_until: datetime.datetime
    purge_job_id: str | None


class DeletedImagePage(Answer):
    """Images in the bin; `next` is the marker of the page after this one."""

    images: list[DeletedImage]
    next: str | None


class OneDeletedImage(Answer):
    """One image in the bin."""

    image: DeletedImage


class Restored(Answer):
    """An image that came back; `newest_id` is the newest of its family, if that is another by now. It is
    `hidden` if it was, or if its family shows another public image by now."""

    id: str
    name: str | None
    status: str
    hidden: bool
    newest_id: str | None


class OneRestored(Answer):
    """One image that came back."""

    image: Restored


def image(entity: BinnedImage) -> dict[str, Any]:
    """One image in the bin."""
    return {
        "id": entity.image.id,
        "name": entity.image.name,
        "project_id": entity.image.owner,
        "visibility": str(entity.image.visibility),
        "status": entity.status,
        "size_bytes": entity.image.size_bytes,
        "deleted_at": views.time(entity.grave.deleted_at),
        "deleted_by": entity.grave.deleted_by,
        "deleted_by_project": entity.grave.deleted_by_project,
        "bin_until": views.time(entity.grave.bin_until),
        "purge_job_id": entity.purge_job_id,
    }


def restored(entity: Image, newest_id: str | None) -> dict[str, Any]:
    """One image that came back."""
    return {
        "id": entity.id,
        "name": entity.name,
        "status": str(entity.status),
        "hidden": entity.hidden,
        "newest_id": newest_id,
    }
