"""What an object store of somebody else's answers, in the service's words.

Only codes that S3 documents are told on: what else such a host says goes to nobody.
"""

import contextlib
import re
from collections.abc import Iterator

from imagesvc import errors

_CODE = re.compile(rb"<Code>\s*([A-Za-z]{1,64})\s*</Code>")
_CAUSES = {
    "NoSuchBucket": "there is no bucket {bucket}.",
    "NoSuchKey": "there is no object {key} in bucket {bucket}.",
    "NoSuchUpload": "the upload was ended by somebody else.",
    "AccessDenied": "the key may not do that in bucket {bucket}.",
    "InvalidAccessKeyId": "the object store does not know the access key.",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key.",
    "RequestTimeTooSkewed": "its clock and the service's differ.",
    "AuthorizationHeaderMalformed": "the region is not that of bucket {bucket}.",
    "PermanentRedirect": "the endpoint or region is not that of bucket {bucket}.",
    "TemporaryRedirect": "the endpoint or region is not that of bucket {bucket}.",
    "PreconditionFailed": "there is an object {key} in bucket {bucket} already.",
    "EntityTooLarge": "the object is larger than the object store takes.",
    "QuotaExceeded": "the object store is full.",
    "InvalidBucketName": "the object store does not take the name of bucket {bucket}.",
}
_STATUSES = {
    301: "PermanentRedirect", 307: "TemporaryRedirect", 401: "AccessDenied", 403: "AccessDenied",
    412: "PreconditionFailed",
}  # fmt: skip
_PASSING = frozenset(
    {"SlowDown", "RequestTimeout", "Throttling", "InternalError", "ServiceUnavailable"}
)


def code(body: bytes) -> str:
    """The error code in the body of an answer; empty if there is none."""
    found = _CODE.search(body)
    return found[1].decode() if found else ""


def is_passing(status: int, body: bytes) -> bool:
    """Whether the same request may go through a little later."""
    if status == 501:
        return False
    return status == 429 or status >= 500 or (status >= 400 and code(body) in _PASSING)


def refused(bucket: str, key: str, status: int, body: bytes) -> errors.BucketRefused:
    """The error for an answer that is no success."""
    known = code(body)
    cause = _CAUSES.get(known) or _CAUSES.get(_STATUSES.get(status, ""))
    if cause is None:
        return errors.BucketRefused(cause=f"the object store answered {status}.")
    return errors.BucketRefused(cause=cause.format(bucket=bucket, key=key))


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Turn the failure of a fetch into BucketAway, which may pass."""
    try:
        yield
    except errors.BucketAway:
        raise
    except errors.FetchFailed as exc:
        raise errors.BucketAway(operator_message=exc.operator_message) from exc
