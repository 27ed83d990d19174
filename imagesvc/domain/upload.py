"""A resumable upload, and the parts in which its bytes came."""

import dataclasses
import datetime

from imagesvc.domain import upload_metadata

# Hash algorithms by which a client may prove one request's bytes (tus 1.0, Checksum).
CHECKSUMS = ("md5", "sha1", "sha256")


@dataclasses.dataclass(frozen=True, slots=True)
class NewUpload:
    """What a client asks for; `size_bytes` None is told later, `store_id` None is the default.

    `source_format` is "ova" for a machine that is to be taken apart, None for bytes of the image's
    own format. `client_metadata` is Upload-Metadata as it was sent, to be given back.
    """

    image_id: str
    disk_index: int = 0
    size_bytes: int | None = None
    sha256: str | None = None
    store_id: str | None = None
    source_format: str | None = None
    client_metadata: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """An upload whose first `offset_bytes` bytes are safe.

    `lease_token` rises with each request that sends bytes, and fences what it writes until
    `lease_until`. `storage_key` is what the keys of its parts begin with. Once all bytes are
    there `job_id` names the job that makes them the image's.
    """

    id: str
    image_id: str
    disk_index: int
    project_id: str
    user_id: str | None
    store_id: str
    storage_key: str
    offset_bytes: int
    size_bytes: int | None
    expected_sha256: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime
    lease_token: int = 0
    lease_until: datetime.datetime | None = None
    job_id: str | None = None
    client_metadata: str = ""

    @property
    def source_format(self) -> str | None:
        """What the client said that the bytes are, as in NewUpload."""
        return upload_metadata.read(self.client_metadata).get("source_format")


@dataclasses.dataclass(frozen=True, slots=True)
class UploadPart:
    """One object with `size_bytes` bytes of the upload, from `offset_bytes` on."""

    offset_bytes: int
    size_bytes: int
    store_id: str
    storage_key: str

    @property
    def end(self) -> int:
        """Where the next part begins."""
        return self.offset_bytes + self.size_bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Checksum:
    """The digest that the bytes of one request must have."""

    algorithm: str
    value: bytes
