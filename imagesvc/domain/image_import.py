"""Imports: how the bytes of an image come, what they need, and the marks that show them."""

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any

from imagesvc import errors
from imagesvc.domain.image import Image
from imagesvc.domain.job import JobType
from imagesvc.domain.remote_image import RemoteRequest
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
    GLANCE_DOWNLOAD = "glance-download"


class Plugin(enum.StrEnum):
    """What is done to every import that brings bytes, in Glance's words."""

    INJECT = "inject_metadata_properties"
    UNPACK = "image_decompression"
    CONVERT = "image_conversion"


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """Properties that an import gives its image, unless the caller has one of the roles."""

    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    spared_roles: frozenset[str] = frozenset()

    def for_roles(self, roles: frozenset[str]) -> dict[str, str]:
        """What a caller with these roles gets."""
        return {} if roles & self.spared_roles else dict(self.properties)


@dataclasses.dataclass(frozen=True, slots=True)
class Treatment:
    """What the operator has done to imports that bring bytes; `output_format` of "" changes none."""

    injection: Injection = dataclasses.field(default_factory=Injection)
    output_format: str = ""

    def arguments(self, roles: frozenset[str]) -> dict[str, Any]:
        """What a job keeps of it, for a caller with these roles."""
        kept = {"output_format": self.output_format} if self.output_format else {}
        return {"properties": self.injection.for_roles(roles), **kept}


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks of the image, whose permission it needs, and the job that does it."""

    status: ImageStatus
    action: str
    job_type: JobType


RULES: Mapping[Method, Rule] = {
    Method.GLANCE_DIRECT: Rule(ImageStatus.UPLOADING, "image_import:start", JobType.IMPORT_STAGED),
    Method.WEB_DOWNLOAD: Rule(ImageStatus.QUEUED, "image_import:start", JobType.IMPORT_URL),
    Method.GLANCE_DOWNLOAD: Rule(ImageStatus.QUEUED, "image_import:start", JobType.IMPORT_REMOTE),
    Method.COPY_IMAGE: Rule(ImageStatus.ACTIVE, "image_import:copy", JobType.COPY_IMAGE),
}


# A location that is added: web-download by another permission, with a digest to compare.
LOCATION = Rule(ImageStatus.QUEUED, "location:add", JobType.IMPORT_LOCATION)
# An import that made its image just now, for administrators.
TASK_IMPORT = Rule(ImageStatus.QUEUED, "task:create", JobType.IMPORT_TASK)
# A location that stays a URL elsewhere, and is only read.
LOCATION_LINK = Rule(ImageStatus.QUEUED, "location:add", JobType.LINK_LOCATION)
# The bytes of such a location into stores.
COPY_FOREIGN = Rule(ImageStatus.ACTIVE, "image_import:copy", JobType.COPY_FOREIGN)
# A location for an image that is whole: one more copy of its very bytes, in another store.
LOCATION_COPY = Rule(ImageStatus.ACTIVE, "location:add", JobType.IMPORT_LOCATION)
# Algorithms that a caller may give a digest of, and the length of each in hex.
DIGESTS: Mapping[str, int] = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclasses.dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a caller asks for. `stores` of () is the default store; `uri` is of web-download.

    `digest` is the algorithm and the hex value that the bytes of the URL must have. `md5`
    is one more, in hex. `remote` is of glance-download, `metadata` of a location.
    """

    method: str
    stores: tuple[str, ...] = ()
    all_stores: bool = False
    all_must_succeed: bool = True
    uri: str | None = None
    digest: tuple[str, str] | None = None
    md5: str | None = None
    remote: RemoteRequest | None = None
    metadata: Mapping[str, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """What a job keeps of it, but for stores, and what is sealed."""
        named = {
            "uri": self.uri if self.method == Method.WEB_DOWNLOAD else None,
            "digest": list(self.digest) if self.digest else None,
            "md5": self.md5,
        }
        kept = {name: value for name, value in named.items() if value is not None}
        return {"method": self.method, "all_must_succeed": self.all_must_succeed, **kept}


def needs_conversion(output_format: str, found: str, container_format: str | None) -> str:
    """The format that an import's bytes of format `found` become; empty if they stay as they are.

    A disc stays one, and so does what is in a container or a part of a machine that boots from it.
    """
    stays = container_format != "bare" or found in ("iso", output_format)
    return "" if stays else output_format


def check_digest(algorithm: str | None, value: str | None) -> tuple[str, str] | None:
    """The digest in small letters; None without both. Raises InvalidRequest."""
    if algorithm is None and value is None:
        return None
    if algorithm is None or value is None:
        raise errors.InvalidRequest("A digest needs its algorithm and its value.")
    if algorithm not in DIGESTS:
        raise errors.InvalidRequest(f"The algorithm must be one of: {', '.join(DIGESTS)}.")
    if len(value) != DIGESTS[algorithm] or not _HEX.fullmatch(value):
        raise errors.InvalidRequest(f"A digest by {algorithm} has {DIGESTS[algorithm]} hex digits.")
    return algorithm, value.lower()


def of_image(image: Image, request: ImportRequest) -> ImportRequest:
    """The request with the image's own digest, which a copy must have.

    Raises Conflict if other digests were asked for.
    """
    own = (image.hash_algorithm or "", image.hash_value or "")
    if request.digest not in (None, own) or request.md5 not in (None, image.md5):
        raise errors.Conflict("The image has other digests than validation_data.")
    return dataclasses.replace(request, digest=own, md5=None)


def known(image: Image) -> dict[str, Any]:
    """What a job keeps of an image whose bytes are elsewhere, for they must not be others."""
    named = {"md5": image.md5, "size_bytes": image.size_bytes, "expected_bytes": image.size_bytes}
    kept: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if image.hash_algorithm and image.hash_value:
        kept["digest"] = [image.hash_algorithm, image.hash_value]
    return kept


def marks(job_id: str, importing: Iterable[str], failed: Iterable[str] = ()) -> dict[str, str]:
    """The properties of an image while the import `job_id` runs."""
    return {TASK: job_id, IMPORTING: ",".join(importing), FAILED: ",".join(failed)}
