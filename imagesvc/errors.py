"""Every exception of the service; none knows HTTP. `api/error.py` gives them statuses."""

from typing import Any

from imagesvc.reason import Reason as Reason


class ImagesvcError(Exception):
    """Base of all; `message` is a template that the keyword arguments fill."""

    message = "The request could not be carried out."

    def __init__(
        self, message: str | None = None, *, reason: Reason = Reason.UNKNOWN, **facts: Any
    ) -> None:
        self.reason = reason
        self.facts = facts
        self.text = (message or self.message).format(**facts) if facts else message or self.message
        super().__init__(self.text)


class NotFound(ImagesvcError):
    """The thing does not exist, or the caller may not see it: the two look alike."""

    message = "Not found."


class ImageNotFound(NotFound):
    message = "No image {image_id} was found."


class ImageGone(ImagesvcError):
    message = "Image {image_id} was deleted meanwhile."


class BinnedImageNotFound(NotFound):
    message = "Image {image_id} is not in the bin."


class ImageDeleted(ImagesvcError):
    """The image was deleted before; `detail` says when, by whom, and what takes its place."""

    def __init__(self, message: str, *, detail: dict[str, Any], **facts: Any) -> None:
        super().__init__(message, **facts)
        self.detail = {"deleted": detail}


class MemberNotFound(NotFound):
    message = "Image {image_id} is not shared with {member_id}."


class TagNotFound(NotFound):
    message = "Image {image_id} has no tag {tag}."


class DiskNotFound(NotFound):
    message = "Image {image_id} has no disk {disk}."


class FamilyNotFound(NotFound):
    message = "No family {family} was found, or it has no image."


class JobNotFound(NotFound):
    message = "No job {job_id} was found."


class UploadNotFound(NotFound):
    message = "No upload {upload_id} was found."


class ServerNotFound(NotFound):
    message = "No server {server_id} was found."


class VolumeNotFound(NotFound):
    message = "No volume {volume_id} was found."


class BackupNotFound(NotFound):
    message = "No backup {backup_id} was found."


class NodeNotFound(NotFound):
    message = "No node {node_id} was found."


class AttachmentNotFound(NotFound):
    message = "Volume {volume_id} is not attached to server {server_id}."


class ObjectStoreNotFound(NotFound):
    message = "No object store {object_store_id} was found."


class KeyNotFound(NotFound):
    message = "No key {key_id} was found."


class AgencyNotFound(NotFound):
    message = "No agency {agency_id} was found."


class RegionImageNotFound(NotFound):
    message = "No image of another region was asked for under {request_token}, or it was deleted."


class ProjectNotFound(NotFound):
    message = "No project {project} was found."


class BackendNotFound(NotFound):
    message = "No {kind} backend {backend_id} is configured."


class MetadefNotFound(NotFound):
    message = "No metadata definition {noun} {name} was found."


class StoreReadOnly(ImagesvcError):
    """The operator lets nothing new be written to this store."""

    message = "The store {store} takes no new bytes."


class NoContent(ImagesvcError):
    message = "Image {image_id} has no data."


class ImageDamaged(ImagesvcError):
    """Every copy of the image's bytes was found to be other than what was stored."""

    message = (
        "All copies of image {image_id} are damaged, so its bytes are not given out. The operator "
        "can restore them from a backup; else delete the image and upload it again."
    )


class Unauthorized(ImagesvcError):
    """No or no valid credentials."""

    message = "The request needs a valid token."

    def __init__(self, message: str | None = None, *, challenge: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.challenge = challenge


class Forbidden(ImagesvcError):
    """Visible, but not allowed."""

    message = "You are not allowed to do {action}."


class InvalidRequest(ImagesvcError):
    """A value of the request is wrong; the text names it."""

    message = "The request is not valid."


class StateConflict(ImagesvcError):
    """The image, member or job may not take this step from its present status."""

    message = "{noun} {id} is {status}; {event} is possible only from: {allowed}."


class Conflict(ImagesvcError):
    """Something else stands in the way: a duplicate, a taken id, a concurrent change."""

    message = "The request conflicts with what is there."


class ImagePromised(Conflict):
    """The image is provided until a moment that has not come."""

    message = (
        "Image {image_id} is promised until {until}. An administrator breaks that with a reason: "
        "`imagesvc image delete --break-promise WHY`, DELETE /imagesvc/v1/images/ID?break_promise=WHY."
    )


class BackupInUse(Conflict):
    """A job reads the backup, or deletes it."""

    message = "Backup {backup_id} is in use by job {job_id} ({job_type})."


class AlreadySubmitted(Conflict):
    """The project handed a job in under this key before; `JobManager.once` answers with it."""

    message = "The idempotency key {key} was used for another job."


class UploadBusy(Conflict):
    """Another request sends bytes of this upload at the moment."""

    message = "Another request sends bytes of upload {upload_id}."


class QuotaExceeded(ImagesvcError):
    """The project would pass its limit: `used` and `limit` in `unit`."""

    message = "Quota for {resource} exceeded: {used} of {limit} {unit} used, {asked} more asked."


class TooLarge(ImagesvcError):
    """More bytes or items than one image or request may hold."""

    message = "{what} is larger than the {limit} {unit} allowed."


class UnsupportedImage(ImagesvcError):
    """The bytes are not what the format says, or are unsafe."""

    message = "The image was refused: {cause}"


class FetchFailed(ImagesvcError):
    """What is at a URL could not be read; only `operator_message` says why, lest hosts be probed."""

    message = "The service could not fetch the URL."

    def __init__(self, *, operator_message: str) -> None:
        super().__init__()
        self.operator_message = operator_message


class BucketRefused(ImagesvcError):
    """The other side's object store answered, and does not do what was asked; why is told."""

    message = "The bucket could not be used: {cause}"


class BucketAway(FetchFailed):
    """The other side's object store gives no answer, or none of its own; it may later."""

    message = "The service could not reach the object store."


class RegionRefused(ImagesvcError):
    """Another region answered, and does not do what was asked; why is told."""

    message = "Region {region} refused: {cause}"


class RegionGone(RegionRefused):
    """What was asked for is not in the other region, or no longer."""


class RegionAway(ImagesvcError):
    """Another region gives no answer, or none that helps; it may later."""

    message = "Region {region} {cause}"

    def __init__(self, *, region: str, cause: str, operator_message: str) -> None:
        super().__init__(region=region, cause=cause)
        self.operator_message = operator_message


class CatalogRefused(ImagesvcError):
    """A release of the catalog is not taken; why is told."""

    message = "Family {family} was refused: {cause}"


class Overloaded(ImagesvcError):
    """All threads for image bytes are taken; short calls still go."""

    message = "The service moves as many images as it can at a time. Try again later."


class BackendFailed(ImagesvcError):
    """A configured backend did not start; the operator's log has the cause."""

    message = "The {kind} backend {backend_id} is not available."


class ScratchFull(ImagesvcError):
    """Other conversions have the room on this worker's disk; they end."""

    message = "There is no room to convert the image just now."


class LeaseLost(ImagesvcError):
    """Another worker holds the job; what this one did after that has no effect."""

    message = "The lease of job {job_id} is held by another worker."


class Cancelled(ImagesvcError):
    """The job was asked to stop."""

    message = "Job {job_id} was cancelled."


class ConfigurationError(ImagesvcError):
    """The service cannot start so; the text says what to do."""

    message = "The configuration is not usable."
