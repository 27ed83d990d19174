"""What is told of an image that is not there."""

from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import bin as bin_rows
from imagesvc.domain.bin import Grave
from imagesvc.policy import visibility


def absence(conn: Any, ctx: RequestContext, image_id: str) -> errors.ImagesvcError:
    """ImageDeleted for a deleted image of which the caller may know, else ImageNotFound.

    By whom is told to its owner and to administrators.
    """
    grave = bin_rows.grave(conn, image_id)
    if grave is None or not visibility.remembers(ctx, grave.owner, grave.visibility):
        return errors.ImageNotFound(image_id=image_id)
    insider = ctx.is_admin or (grave.owner is not None and grave.owner == ctx.project_id)
    return errors.ImageDeleted(
        _sentence(grave, insider),
        detail={
            "deleted_at": grave.deleted_at.isoformat(),
            "deleted_by": grave.deleted_by if insider else None,
            "deleted_by_project": grave.deleted_by_project if insider else None,
            "bin_until": grave.bin_until.isoformat() if insider and grave.bin_until else None,
            "successor_id": grave.successor_id,
        },
        image_id=image_id,
        deleted_at=grave.deleted_at.isoformat(),
        user=grave.deleted_by,
        successor=grave.successor_id,
    )


def _sentence(grave: Grave, insider: bool) -> str:
    text = "Image {image_id} was deleted at {deleted_at}"
    if insider and grave.deleted_by is not None:
        text += " by user {user}"
    text += "."
    if grave.successor_id is not None:
        text += " The newest image of its family is {successor}."
    return text
