"""Imports: how the bytes of an image come, what they need, and the marks that show them."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping

from imagesvc.domain.job import JobType
from imagesvc.domain.state import ImageStatus

# Properties that the service alone writes, and everybody who sees the image may read.
IMPORTING = "os_glance_importing_to_stores"
FAILED = "os_glance_failed_import"
TASK = "os_glance_import_task"


class Method(enum.StrEnum):
    """Ways of an import, in Glance's words."""

    GLANCE_DIRECT = "glance-direct"
    COPY_IMAGE = "copy-image"
    WEB_DOWNLOAD = "web-download"


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks of the image, whose permission it needs, and the job that does it."""

    status: ImageStatus
    action: str
    job_type: JobType


RULES: Mapping[Method, Rule] = {
    Method.GLANCE_DIRECT: Rule(ImageStatus.UPLOADING, "image_import:start", JobType.IMPORT_STAGED),
    Method.WEB_DOWNLOAD: Rule(ImageStatus.QUEUED, "image_import:start", JobType.IMPORT_URL),
    Method.COPY_IMAGE: Rule(ImageStatus.ACTIVE, "image_import:copy", JobType.COPY_IMAGE),
}


@dataclasses.dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a caller asks for. `stores` of () is the default store; `uri` is of web-download."""

    method: str
    stores: tuple[str, ...] = ()
    all_stores: bool = False
    all_must_succeed: bool = True
    uri: str | None = None


def marks(job_id: str, importing: Iterable[str], failed: Iterable[str] = ()) -> dict[str, str]:
    """The properties of an image while the import `job_id` runs."""
    return {TASK: job_id, IMPORTING: ",".join(importing), FAILED: ",".join(failed)}
