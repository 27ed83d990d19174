"""What the routes of an image's promise and its end take and give."""

from imagesvc import errors
from imagesvc.api.native import image, image_answer
from imagesvc.api.native.operation_shape import TEXT, Operation
from imagesvc.errors import Reason

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/images/{image_id}": {
        "GET": Operation(image_answer.OneImage, raises=(errors.ImageNotFound,)),
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
}  # fmt: skip
