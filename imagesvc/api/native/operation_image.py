"""What the routes of an image's promise, its end and the bin take and give."""

from imagesvc import errors
from imagesvc.api.native import answer, bin_view, image, image_answer
from imagesvc.api.native.operation_shape import PAGE, TEXT, Operation, Raised
from imagesvc.errors import Reason

_BINNED: tuple[Raised, ...] = (errors.BinnedImageNotFound, errors.Forbidden)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/images/{image_id}": {
        "GET": Operation(image_answer.OneImage, raises=(errors.ImageNotFound, errors.ImageDeleted)),
        "DELETE": Operation(
            status=204, query={"break_promise": TEXT},
            raises=(
                errors.ImageNotFound, errors.Forbidden,
                (errors.Forbidden, Reason.IMAGE_PROTECTED), errors.ImagePromised,
            ),
        ),
    },
    "/images/{image_id}/promise": {
        "PATCH": Operation(
            image_answer.OneImage, body=image.NewPromise,
            raises=(
                errors.ImageNotFound, errors.Forbidden, errors.ImagePromised, errors.Conflict,
                errors.TooLarge, (errors.InvalidRequest, Reason.MEDIA_TYPE),
            ),
        ),
    },
    "/bin": {"GET": Operation(bin_view.DeletedImagePage, query=PAGE)},
    "/bin/{image_id}": {"GET": Operation(bin_view.OneDeletedImage, raises=_BINNED)},
    "/bin/{image_id}/undo": {
        "POST": Operation(bin_view.OneRestored, raises=(*_BINNED, errors.QuotaExceeded)),
    },
    "/bin/{image_id}/purge": {"POST": Operation(answer.OneJob, 202, raises=_BINNED)},
}  # fmt: skip
