"""The bin: images that were deleted and can come back, and what is remembered of those that cannot."""

import dataclasses
import datetime

from imagesvc.domain.image import Image


@dataclasses.dataclass(frozen=True, slots=True)
class Grave:
    """What is remembered of a deleted image. `bin_until`: until when it can come back, None if it
    cannot; `successor_id`: the newest image of its family, if there is one."""

    image_id: str
    owner: str | None
    visibility: str
    deleted_at: datetime.datetime
    deleted_by: str | None
    deleted_by_project: str | None
    bin_until: datetime.datetime | None
    successor_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class BinnedImage:
    """An image in the bin; `status` is the one that it had."""

    image: Image
    grave: Grave
    status: str
    purge_job_id: str | None = None
