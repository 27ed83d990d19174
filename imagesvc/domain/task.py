"""What may be asked of the list of tasks."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

SORT_KEYS = frozenset({"created_at", "updated_at", "expires_at", "id", "status", "type"})


class TaskStatus(enum.StrEnum):
    """How far a task is, in Glance's words."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


class TaskType(enum.StrEnum):
    """Of which kind a task is; all that this service does are imports of images."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"
    LOCATION_IMPORT = "location_import"


@dataclasses.dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks, and in which order; `marker` is the last one seen."""

    status: TaskStatus | None = None
    type: TaskType | None = None
    owner: str | None = None
    marker: str | None = None
    sort_key: str = "created_at"
    descending: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class TaskRequest:
    """An import that makes its image: from which URL, of what format, and what was said of it."""

    import_from: str
    import_from_format: str
    image_properties: Mapping[str, Any]
