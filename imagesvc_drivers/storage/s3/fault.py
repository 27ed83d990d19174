"""What boto3 says, in the errors of the contract. Keys and signatures are in none of them."""

from typing import Any

import botocore.exceptions
import urllib3.exceptions

from imagesvc.interface import errors

# All that a call of boto3, or reading the body of its answer, raises where the store is at fault.
ALL = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    urllib3.exceptions.HTTPError,
    OSError,
)
_TIMEOUT = (
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.ConnectTimeoutError,
    TimeoutError,
)
_SETTLED = (
    botocore.exceptions.SSLError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ParamValidationError,
    botocore.exceptions.InvalidRegionError,
)
_PASSING_CODES = frozenset(
    {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded",
     "InternalError", "ServiceUnavailable", "IncompleteBody", "BadDigest", "OperationAborted"}
)  # fmt: skip
_FULL_CODES = frozenset(
    {"InsufficientCapacity", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull",
     "XMinioAdminBucketQuotaExceeded", "ServiceQuotaExceededException"}
)  # fmt: skip
# Servers without a code of their own for it say so in an InternalError.
_FULL_WORDS = ("no space left", "no free volume", "no writable volume", "no more free space")
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404"})
_HINTS = {
    "NoSuchBucket": "the bucket does not exist: make it, or set create_bucket",
    "InvalidAccessKeyId": "the store does not know access_key",
    "SignatureDoesNotMatch": "secret_key does not belong to access_key",
    "RequestTimeTooSkewed": "the clocks of this host and of the store differ",
    "AccessDenied": "the key may not do that in this bucket",
    "AuthorizationHeaderMalformed": "region is not the bucket's",
    "PermanentRedirect": "region or endpoint_urls is not the bucket's",
}
_DENIED_STATUSES = frozenset({401, 403})


def code_of(exc: BaseException) -> str:
    """The error code of an answer of S3; empty if there was none."""
    return str(_error(exc).get("Code", ""))


def status_of(exc: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    facts = getattr(exc, "response", None)
    if not isinstance(facts, dict):
        return 0
    return int(facts.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_passing(exc: BaseException) -> bool:
    """Whether the same request may go through elsewhere, or a little later."""
    if not isinstance(exc, botocore.exceptions.ClientError):
        return not isinstance(exc, _SETTLED)
    if _is_full(exc):
        return False
    status = status_of(exc)
    return code_of(exc) in _PASSING_CODES or status == 429 or (status >= 500 and status != 501)


def translate(exc: BaseException, what: str, endpoint: str) -> errors.DriverError:
    """The error of the contract; `what` was tried at `endpoint`."""
    detail = f"{what}: {endpoint}: {_said(exc)}"
    if isinstance(exc, botocore.exceptions.ClientError):
        return _answered(exc, detail)
    if isinstance(exc, _TIMEOUT):
        return errors.Timeout("The storage backend does not answer in time.", detail)
    retryable = not isinstance(exc, _SETTLED)
    return errors.Unavailable(
        "The storage backend does not work just now.", detail, retryable=retryable
    )


def _answered(exc: botocore.exceptions.ClientError, detail: str) -> errors.DriverError:
    code, status = code_of(exc), status_of(exc)
    if code == "NoSuchBucket":
        return errors.Unavailable(
            "The storage backend does not work just now.", detail, retryable=False
        )
    if code in _GONE_CODES:
        return errors.NotFound("There is no such object.", detail)
    if status == 412:
        return errors.AlreadyExists("The object exists.", detail)
    if status == 416:
        return errors.InvalidArgument("The range is outside of the object.", detail)
    if _is_full(exc):
        return errors.NoSpace("The storage backend is full.", f"{detail}; make room there")
    if status in _DENIED_STATUSES:
        return errors.AccessDenied("The storage backend refuses access.", detail)
    return errors.Unavailable(
        "The storage backend does not work just now.", detail, retryable=is_passing(exc)
    )


def _is_full(exc: BaseException) -> bool:
    message = str(_error(exc).get("Message", "")).lower()
    return (
        code_of(exc) in _FULL_CODES
        or status_of(exc) == 507
        or any(word in message for word in _FULL_WORDS)
    )


def _error(exc: BaseException) -> dict[str, Any]:
    facts = getattr(exc, "response", None)
    return facts.get("Error", {}) if isinstance(facts, dict) else {}


def _said(exc: BaseException) -> str:
    if isinstance(exc, botocore.exceptions.ClientError):
        code, status = code_of(exc), status_of(exc)
        hint = _HINTS.get(code) or str(_error(exc).get("Message", ""))[:200]
        return f"{status} {code}: {hint}" if hint else f"{status} {code}"
    if isinstance(exc, botocore.exceptions.SSLError):
        return "its certificate is not trusted: see ca_file"
    if isinstance(exc, botocore.exceptions.NoCredentialsError):
        return "there is no key: set access_key and secret_key"
    return type(exc).__name__  # its text may hold a signed URL
