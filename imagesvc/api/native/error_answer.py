"""What the API answers when it fails."""

import datetime

import msgspec

from imagesvc.api.native.answer import Answer


class Deleted(Answer):
    """The end of an image: `deleted_by` is told to its owner and to administrators. Until `bin_until`
    it can come back; `successor_id` is the newest image of its family."""

    deleted_at: datetime.datetime
    deleted_by: str | None
    deleted_by_project: str | None
    bin_until: datetime.datetime | None
    successor_id: str | None


class ErrorFacts(Answer):
    """`code` is the status, `reason` never changes, `message` is for people; `deleted` comes with the
    reason image-deleted alone."""

    code: int
    reason: str
    message: str
    request_id: str
    deleted: Deleted | msgspec.UnsetType = msgspec.UNSET


class Error(Answer):
    """Any failure."""

    error: ErrorFacts
