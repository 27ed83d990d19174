"""One multipart upload: begun, parts in any order and at once, then one object or nothing."""

import base64
import dataclasses
import hashlib
import threading
import uuid
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.storage.s3.gateway import Gateways

MARK = "imagesvc-write"


def content_md5(data: bytes | bytearray) -> str:
    """The header Content-MD5: the one integrity check that nearly all servers make."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """An object to be: its key, its name in the bucket, and the mark of this write of it.

    The mark is kept with the object: so a writer whose answer was lost knows its own.
    """

    key: str
    name: str
    conditional: bool = True
    mark: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def conditions(self) -> dict[str, str]:
        """What makes the server refuse to replace."""
        return {"IfNoneMatch": "*"} if self.conditional else {}


def is_ours(gateways: Gateways, target: Target) -> bool:
    """Whether the object is there and this write made it. Raises AlreadyExists if another did."""
    try:
        found = gateways.call(f"cannot look at {target.key}", "head_object", Key=target.name)
    except errors.NotFound:
        return False
    if found.get("Metadata", {}).get(MARK) != target.mark:
        raise errors.AlreadyExists(f"The object {target.key} exists.")
    return True


class Multipart:
    """An upload that the store knows; parts may be sent from several threads."""

    def __init__(self, gateways: Gateways, target: Target, upload_id: str) -> None:
        self._gateways = gateways
        self._target = target
        self._lock = threading.Lock()
        self._etags: dict[int, str] = {}
        self.upload_id = upload_id

    @classmethod
    def begin(cls, gateways: Gateways, target: Target) -> "Multipart":
        """Begin an upload. One whose answer is lost stays behind for the reaper."""
        begun = gateways.call(
            f"cannot begin {target.key}",
            "create_multipart_upload",
            Key=target.name,
            Metadata={MARK: target.mark},
        )
        return cls(gateways, target, begun["UploadId"])

    def _call(self, what: str, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            return self._gateways.call(
                f"cannot {what} {self._target.key}",
                operation,
                Key=self._target.name,
                UploadId=self.upload_id,
                **arguments,
            )
        except errors.NotFound as exc:
            raise errors.Discarded(
                "What was uploaded was removed before it was whole.", exc.operator_message
            ) from exc

    def put(self, number: int, data: bytearray) -> None:
        """Send one part; again with the same number replaces it."""
        sent = self._call(
            "write", "upload_part", PartNumber=number, Body=data, ContentMD5=content_md5(data)
        )
        self.note(number, sent["ETag"])

    def copy(self, number: int, source: dict[str, str], byte_range: str | None) -> None:
        """Let the store take one part from another object."""
        # A store may refuse to name the range of a small object, even if it is the whole.
        ranged = {} if byte_range is None else {"CopySourceRange": byte_range}
        sent = self._call(
            "copy to", "upload_part_copy", PartNumber=number, CopySource=source, **ranged
        )
        self.note(number, sent["CopyPartResult"]["ETag"])

    def note(self, number: int, etag: str) -> None:
        """A part is there."""
        with self._lock:
            self._etags[number] = etag

    def complete(self) -> None:
        """Make the parts one object. Raises AlreadyExists."""
        parts = [
            {"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())
        ]
        if is_ours(self._gateways, self._target):  # some servers ignore the condition
            return
        try:
            self._call(
                "commit",
                "complete_multipart_upload",
                MultipartUpload={"Parts": parts},
                **self._target.conditions,
            )
        except errors.DriverError:
            # The answer of a try before may have been lost; then the upload is gone.
            if not is_ours(self._gateways, self._target):
                raise

    def abort(self) -> None:
        """Give up the parts; an upload that is gone is success."""
        abort(self._gateways, self._target.name, self.upload_id)


def abort(gateways: Gateways, name: str, upload_id: str) -> bool:
    """Give up the parts of an upload; False if it is gone."""
    try:
        gateways.call(
            "cannot discard an upload", "abort_multipart_upload", Key=name, UploadId=upload_id
        )
    except errors.NotFound:
        return False
    return True
