"""Keys of images: which key of the KMS wraps an image's data key, for which project."""

import dataclasses
import datetime

KEY_ID_LENGTH_MAX = 255
DEFAULT = "default"  # what a caller says instead of an id to mean the default key of the project


@dataclasses.dataclass(frozen=True, slots=True)
class ImageKey:
    """The data key of an image as one project can open it; `version` is that of the KMS's key."""

    image_id: str
    project_id: str
    backend_id: str
    key_id: str
    version: int
    wrapped: bytes = dataclasses.field(repr=False)

    @property
    def context(self) -> dict[str, str]:
        """What is bound to the wrapping: an opened key is that of this image, for this project."""
        return {"image_id": self.image_id, "project_id": self.project_id}


@dataclasses.dataclass(frozen=True, slots=True)
class DefaultKey:
    """The key of the KMS that a project uses when none is named, and under which it is offered
    the keys of others' images."""

    project_id: str
    backend_id: str
    key_id: str
    updated_at: datetime.datetime
