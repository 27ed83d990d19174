"""How compute and volume drivers get the bytes of an image."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class ImageSource:
    """One disk of an image, verified and immutable.

    `disk_format` is the stored format, to be named to every tool and never probed.
    `size_bytes` is the size of the stored bytes, `virtual_size_bytes` what a guest sees.
    `digest` is the SHA-512 of the stored bytes in hex. `url` is short-lived, takes Range
    and needs no token. `local_path` is set when this process may read the stored file; it
    may vanish once the image is deleted, so link or copy it before use. `os_type` is the
    operating system on it, None where nobody said and none was found.
    """

    image_id: str
    disk: int
    disk_format: str
    size_bytes: int
    virtual_size_bytes: int
    digest: str
    url: str = dataclasses.field(repr=False)
    local_path: Path | None = None
    os_type: str | None = None
