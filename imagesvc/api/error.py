"""THE error table: exception and reason -> status in each dialect, code, retry hint.

Along the class order of an exception the nearest class that has rows decides; among its rows
the one that names the reason wins, then the one that names the event, then the plain one.
Nothing else in the door knows a status of failure.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import falcon

from imagesvc import errors
from imagesvc.db import engine
from imagesvc.errors import Reason
from imagesvc.interface import converter, identity
from imagesvc.interface import errors as driver

LOG = logging.getLogger(__name__)
RETRY_AFTER_S = 30
# A request whose client is gone is over soon, or loses its lease.
UPLOAD_RETRY_S = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What an exception comes to. `code` is the native one; it never changes."""

    exception: type[Exception]
    glance: int
    native: int
    code: str
    reason: Reason | None = None
    event: str | None = None
    retry_after_s: int | None = None


ERRORS = (
    #   exception                   Glance native code
    Row(errors.NotFound,               404, 404, "not-found"),
    Row(errors.ImageNotFound,          404, 404, "image-not-found"),
    Row(errors.BinnedImageNotFound,    404, 404, "binned-image-not-found"),
    Row(errors.MemberNotFound,         404, 404, "member-not-found"),
    Row(errors.TagNotFound,            404, 404, "tag-not-found"),
    Row(errors.DiskNotFound,           404, 404, "disk-not-found"),
    Row(errors.FamilyNotFound,         404, 404, "family-not-found"),
    Row(errors.JobNotFound,            404, 404, "job-not-found"),
    Row(errors.ServerNotFound,         404, 404, "server-not-found"),
    Row(errors.UploadNotFound,         404, 404, "upload-not-found"),
    Row(errors.VolumeNotFound,         404, 404, "volume-not-found"),
    Row(errors.BackupNotFound,         404, 404, "backup-not-found"),
    Row(errors.NodeNotFound,           404, 404, "node-not-found"),
    Row(errors.AttachmentNotFound,     404, 404, "attachment-not-found"),
    Row(errors.ProjectNotFound,        404, 404, "project-not-found"),
    Row(errors.ObjectStoreNotFound,    404, 404, "object-store-not-found"),
    Row(errors.KeyNotFound,            400, 404, "key-not-found"),
    Row(errors.AgencyNotFound,         404, 404, "agency-not-found"),
    Row(errors.RegionImageNotFound,    404, 404, "region-image-not-found"),
    Row(errors.MetadefNotFound,        404, 404, "metadef-not-found"),
    Row(errors.BackendNotFound,        400, 404, "backend-not-found"),
    Row(errors.ImageDeleted,           404, 410, "image-deleted"),
    Row(errors.ImageGone,              410, 410, "image-gone"),
    Row(errors.StoreReadOnly,          410, 409, "store-read-only"),
    Row(errors.NoContent,              204, 409, "no-content"),
    Row(errors.ImageDamaged,           500, 500, "image-damaged"),
    Row(errors.Unauthorized,           401, 401, "unauthorized"),
    Row(errors.Forbidden,              403, 403, "forbidden"),
    Row(errors.Forbidden,              403, 403, "image-protected", Reason.IMAGE_PROTECTED),
    Row(errors.Forbidden,              403, 403, "image-deactivated", Reason.IMAGE_DEACTIVATED),
    Row(errors.Forbidden,              403, 403, "key-missing", Reason.KEY_MISSING),
    Row(errors.InvalidRequest,         400, 400, "invalid-request"),
    Row(errors.InvalidRequest,         400, 400, "key-missing", Reason.KEY_MISSING),
    Row(errors.InvalidRequest,         400, 400, "format-missing", Reason.FORMAT_MISSING),
    Row(errors.InvalidRequest,         416, 416, "range", Reason.RANGE),
    Row(errors.InvalidRequest,         413, 413, "body-too-large", Reason.BODY_TOO_LARGE),
    Row(errors.InvalidRequest,         413, 413, "size-cap", Reason.SIZE_CAP),
    Row(errors.InvalidRequest,         408, 408, "client-slow", Reason.CLIENT_SLOW),
    Row(errors.InvalidRequest,         415, 415, "media-type", Reason.MEDIA_TYPE),
    Row(errors.InvalidRequest,         412, 412, "precondition", Reason.PRECONDITION),
    Row(errors.InvalidRequest,         400, 400, "url-refused", Reason.URL_REFUSED),
    Row(errors.InvalidRequest,         460, 460, "checksum", Reason.CHECKSUM),
    Row(errors.InvalidRequest,         412, 412, "tus-version", Reason.TUS_VERSION),
    Row(errors.StateConflict,          409, 409, "state-conflict"),
    Row(errors.StateConflict,          403, 409, "state-conflict", event="deactivate"),
    Row(errors.StateConflict,          403, 409, "state-conflict", event="reactivate"),
    Row(errors.Conflict,               409, 409, "conflict"),
    Row(errors.Conflict,               409, 409, "format-missing", Reason.FORMAT_MISSING),
    Row(errors.Conflict,               409, 409, "upload-offset", Reason.OFFSET),
    Row(errors.ImagePromised,          409, 409, "image-promised"),
    Row(errors.BackupInUse,            409, 409, "backup-in-use"),
    Row(errors.UploadBusy,             423, 423, "upload-busy", retry_after_s=UPLOAD_RETRY_S),
    Row(errors.AlreadySubmitted,       409, 409, "conflict"),
    Row(errors.QuotaExceeded,          413, 413, "quota-exceeded"),
    Row(errors.QuotaExceeded,          413, 507, "store-full", Reason.STORE_FULL),
    Row(errors.TooLarge,               413, 413, "too-large"),
    Row(errors.TooLarge,               413, 507, "store-full", Reason.STORE_FULL),
    Row(errors.UnsupportedImage,       415, 415, "unsupported-image"),
    Row(errors.FetchFailed,            400, 502, "fetch-failed"),
    Row(errors.BucketRefused,          400, 502, "bucket-refused"),
    Row(errors.BucketAway,             400, 502, "bucket-away"),
    Row(errors.RegionRefused,          400, 502, "region-refused"),
    Row(errors.RegionGone,             400, 502, "region-gone"),
    Row(errors.RegionAway,             503, 502, "region-away"),
    Row(errors.CatalogRefused,         409, 409, "catalog-refused"),
    Row(errors.Overloaded,             503, 503, "overloaded", retry_after_s=RETRY_AFTER_S),
    Row(errors.BackendFailed,          503, 503, "backend-failed", retry_after_s=RETRY_AFTER_S),
    Row(errors.ScratchFull,            503, 503, "scratch-full", retry_after_s=RETRY_AFTER_S),
    Row(errors.LeaseLost,              409, 409, "lease-lost"),
    Row(errors.Cancelled,              409, 409, "cancelled"),
    Row(errors.ConfigurationError,     500, 500, "configuration"),
    Row(errors.ImagesvcError,          500, 500, "internal"),
    Row(driver.DriverError,            500, 502, "backend-error"),
    Row(driver.NotFound,               404, 404, "not-found"),
    Row(driver.AlreadyExists,          409, 409, "conflict"),
    Row(driver.AccessDenied,           503, 503, "backend-denied"),
    Row(driver.NoSpace,                413, 507, "store-full"),
    Row(driver.Busy,                   409, 409, "busy", retry_after_s=RETRY_AFTER_S),
    Row(driver.Unavailable,            503, 503, "unavailable", retry_after_s=RETRY_AFTER_S),
    Row(driver.Timeout,                503, 504, "timeout", retry_after_s=RETRY_AFTER_S),
    Row(driver.Discarded,              409, 409, "upload-discarded"),
    Row(driver.IntegrityError,         500, 500, "integrity"),
    Row(driver.KeyUnavailable,         409, 409, "key-unavailable"),
    Row(driver.NotSupported,           400, 501, "not-supported"),
    Row(driver.InvalidConfiguration,   500, 500, "configuration"),
    Row(driver.InvalidArgument,        400, 400, "invalid-request"),
    Row(identity.Unauthenticated,      401, 401, "unauthorized"),
    Row(converter.UnsafeImage,         415, 415, "unsupported-image"),
    Row(Exception,                     500, 500, "internal"),
)  # fmt: skip

# What the database's engine raises is no class of ours; `find` asks the engine about it.
DATABASE = Row(Exception, 503, 503, "unavailable", retry_after_s=RETRY_AFTER_S)

DATABASE_TEXT = "The service's database is away or busy; ask again later."
INTERNAL_TEXT = "The service failed; the request id leads its operator to the cause."


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A failure as a dialect gets it to write its body."""

    row: Row
    status: int
    text: str
    request_id: str
    reason: str = ""
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Dialect(Protocol):
    """How one dialect writes a failure."""

    column: str

    def write(self, req: falcon.Request, resp: falcon.Response, failure: Failure) -> None:
        """Write body and content type; status and headers are set already."""


def _index() -> Mapping[type[Exception], tuple[Row, ...]]:
    found: dict[type[Exception], tuple[Row, ...]] = {}
    for row in ERRORS:
        found[row.exception] = (*found.get(row.exception, ()), row)
    return found


_ROWS = _index()


def find(error: Exception) -> Row:
    """The row of an exception."""
    if engine.is_transient(error):
        return DATABASE
    nearest = next(kind for kind in type(error).__mro__ if kind in _ROWS)
    rows = _ROWS[nearest]
    reason = getattr(error, "reason", None)
    event = getattr(error, "facts", {}).get("event")
    named = [row for row in rows if row.reason is not None and row.reason == reason]
    named += [row for row in rows if row.event is not None and row.event == event]
    named += [row for row in rows if row.reason is None and row.event is None]
    return named[0]


def text(error: Exception, row: Row) -> str:
    """What the caller may read of an exception; nothing of one that we do not know."""
    if row.code == "internal":
        return INTERNAL_TEXT
    if row is DATABASE:
        return DATABASE_TEXT
    if isinstance(error, driver.DriverError):
        return error.user_message
    return str(error)


class Door:
    """Falcon's error handlers, one for exceptions and one for Falcon's own errors."""

    def __init__(
        self, dialect_of: Callable[[falcon.Request], Dialect], challenge: Callable[[], str]
    ) -> None:
        self._dialect_of = dialect_of
        self._challenge = challenge

    def handle(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
    ) -> None:
        """Answer any exception by the table."""
        dialect = self._dialect_of(req)
        row = find(error)
        status = getattr(row, dialect.column)
        request_id = getattr(req.context, "request_id", "")
        if status >= 500:
            _log(error, status, request_id)
        for name, value in self._headers(error, row, status).items():
            resp.set_header(name, value)
        resp.status = falcon.code_to_http_status(status)
        resp.stream = None
        resp.content_length = None
        if status != falcon.http_status_to_code(falcon.HTTP_204):
            known = getattr(error, "reason", Reason.UNKNOWN)
            reason = "" if known == Reason.UNKNOWN else str(known)
            detail = getattr(error, "detail", {}) if isinstance(error, errors.ImagesvcError) else {}
            failure = Failure(row, status, text(error, row), request_id, reason, detail)
            dialect.write(req, resp, failure)

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        """Write the body of an error that Falcon itself found: unknown path, wrong method."""
        status = falcon.http_status_to_code(error.status)
        row = Row(Exception, status, status, str(error.title or "").lower().replace(" ", "-"))
        shown = error.description or error.title or ""
        request_id = getattr(req.context, "request_id", "")
        self._dialect_of(req).write(req, resp, Failure(row, status, shown, request_id))

    def _headers(self, error: Exception, row: Row, status: int) -> dict[str, str]:
        found: dict[str, str] = {}
        facts: Mapping[str, Any] = getattr(error, "facts", {})
        if status == 401:
            found["WWW-Authenticate"] = getattr(error, "challenge", "") or self._challenge()
        if row.retry_after_s is not None:
            found["Retry-After"] = str(row.retry_after_s)
        if row.reason == Reason.RANGE and "size" in facts:
            found["Content-Range"] = f"bytes */{facts['size']}"
        if "accept_patch" in facts:
            found["Accept-Patch"] = facts["accept_patch"]
        return found


def _log(error: Exception, status: int, request_id: str) -> None:
    operator_text = getattr(error, "operator_message", str(error))
    # Of what the service says itself the text is the whole story.
    told = isinstance(error, errors.ImagesvcError) and type(error) is not errors.ImagesvcError
    LOG.error(
        "request failed status=%s request_id=%s error=%s: %s",
        status,
        request_id,
        type(error).__name__,
        operator_text,
        exc_info=None if told else error,
    )
