"""The headers of tus 1.0 (tus.io, "Resumable upload protocol 1.0.x"), read without trust."""

import email.utils
import re

import falcon

from imagesvc import errors
from imagesvc.api import media
from imagesvc.domain import image_origin, upload_metadata
from imagesvc.domain import upload as domain
from imagesvc.domain.upload import Checksum, NewUpload, Upload
from imagesvc.errors import Reason

VERSION = "1.0.0"
EXTENSIONS = (
    "creation", "creation-defer-length", "creation-with-upload", "expiration", "checksum",
    "termination",
)  # fmt: skip
OCTETS = "application/offset+octet-stream"
_DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}
_NUMBER = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# Those that mean something here; any other is kept, and given back.
_DISK = re.compile(r"[0-9]{1,4}")


def begin(req: falcon.Request, resp: falcon.Response) -> None:
    """Say the version, and refuse another one. Raises InvalidRequest (TUS_VERSION)."""
    resp.set_header("Tus-Resumable", VERSION)
    if req.get_header("Tus-Resumable") != VERSION:
        resp.set_header("Tus-Version", VERSION)
        raise errors.InvalidRequest(
            f"The request needs the header Tus-Resumable: {VERSION}.", reason=Reason.TUS_VERSION
        )


def require_octets(req: falcon.Request) -> None:
    """Raise InvalidRequest (MEDIA_TYPE) for a body that is not said to be bytes of an upload."""
    if media.content_type(req) != OCTETS:
        raise errors.InvalidRequest(f"The body must be {OCTETS}.", reason=Reason.MEDIA_TYPE)


def number(req: falcon.Request, name: str) -> int | None:
    """A header that is a whole number; None without it. Raises InvalidRequest."""
    text = req.get_header(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise errors.InvalidRequest(f"{name} must be a whole number.")
    return int(text)


def offset(req: falcon.Request) -> int:
    """Upload-Offset. Raises InvalidRequest."""
    found = number(req, "Upload-Offset")
    if found is None:
        raise errors.InvalidRequest("The request needs the header Upload-Offset.")
    return found


def checksum(req: falcon.Request) -> Checksum | None:
    """Upload-Checksum: an algorithm and a digest in Base64. Raises InvalidRequest."""
    text = req.get_header("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in domain.CHECKSUMS:
        raise errors.InvalidRequest(
            f"Upload-Checksum may be by one of: {', '.join(domain.CHECKSUMS)}."
        )
    digest = upload_metadata.decoded(value)
    if digest is None or len(digest) != _DIGEST_BYTES[algorithm]:
        raise errors.InvalidRequest(f"Upload-Checksum must be {algorithm} and a digest in Base64.")
    return Checksum(algorithm, digest)


def new_upload(req: falcon.Request) -> NewUpload:
    """What a creation asks for. Raises InvalidRequest."""
    size, deferred = number(req, "Upload-Length"), req.get_header("Upload-Defer-Length")
    if (size is None) != (deferred == "1") or deferred not in (None, "1"):
        raise errors.InvalidRequest(
            "The request needs either Upload-Length or Upload-Defer-Length: 1."
        )
    text = req.get_header("Upload-Metadata") or ""
    found = upload_metadata.read(text)
    if not found.get("image_id"):
        raise errors.InvalidRequest("Upload-Metadata must name an image_id.")
    disk, sha256 = found.get("disk", "0"), found.get("sha256")
    if not _DISK.fullmatch(disk):
        raise errors.InvalidRequest("disk in Upload-Metadata must be the number of a disk.")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise errors.InvalidRequest("sha256 in Upload-Metadata must be 64 hex digits.")
    if found.get("source_format", image_origin.OVA) != image_origin.OVA:
        raise errors.InvalidRequest("source_format in Upload-Metadata must be ova, or left out.")
    return NewUpload(
        image_id=found["image_id"],
        disk_index=int(disk),
        size_bytes=size,
        sha256=sha256.lower() if sha256 else None,
        store_id=found.get("store") or None,
        source_format=found.get("source_format"),
        client_metadata=text,
    )


def answer(resp: falcon.Response, upload: Upload) -> None:
    """Say how far the upload is, until when it lives, and which job has it."""
    resp.set_header("Upload-Offset", str(upload.offset_bytes))
    resp.set_header("Upload-Expires", email.utils.format_datetime(upload.expires_at, usegmt=True))
    if upload.job_id is not None:
        resp.set_header("X-Job-Id", upload.job_id)
