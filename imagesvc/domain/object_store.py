"""Object stores of callers: an S3 endpoint, and the key that a project gave for it."""

import dataclasses
import datetime
import re

from imagesvc import errors

NAME_LENGTH_MAX = 255
ACCESS_KEY_LENGTH_MAX = 255
SECRET_LENGTH_MAX = 1024
BUCKETS_MAX = 100
KEY_BYTES_MAX = 1024
# What is put behind a key for the digest beside an object.
DIGEST_SUFFIX = ".sha256"
# The part of Amazon's rules that every server keeps to.
BUCKET_PATTERN = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
REGION_PATTERN = "^[a-z0-9-]{1,64}$"
_BUCKET = re.compile(BUCKET_PATTERN)


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectStore:
    """One row. `buckets` are those that may be used, () for all that the key opens.

    `sealed_key` is the secret key, sealed for this row's id.
    """

    id: str
    project_id: str
    name: str
    endpoint: str
    region: str
    buckets: tuple[str, ...]
    access_key: str = dataclasses.field(repr=False)
    sealed_key: str = dataclasses.field(repr=False)
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class NewObjectStore:
    """What a caller gives."""

    name: str
    endpoint: str
    access_key: str = dataclasses.field(repr=False)
    secret_key: str = dataclasses.field(repr=False)
    region: str = "us-east-1"
    buckets: tuple[str, ...] = ()


def check_bucket(name: str) -> str:
    """Return the name of a bucket if it may be one. Raises InvalidRequest."""
    if not _BUCKET.fullmatch(name) or ".." in name:
        raise errors.InvalidRequest(
            "A bucket's name has 3 to 63 of a-z, 0-9, dot and hyphen, and begins and ends with "
            "a letter or digit."
        )
    return name


def check_key(key: str) -> str:
    """Return the key of an object if it is one that servers do not rewrite.

    No empty segment and none of dots alone: some servers take such keys for paths, and a path may
    lead into another bucket. Raises InvalidRequest.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        size = 0
    segments = key.split("/")
    if (
        not 1 <= size <= KEY_BYTES_MAX
        or any(segment in ("", ".", "..") for segment in segments)
        or not key.isprintable()
        or "\\" in key
    ):
        raise errors.InvalidRequest(
            f"The key of an object has 1 to {KEY_BYTES_MAX} bytes, all printable, no backslash, "
            "and no segment that is empty or of dots alone."
        )
    return key
