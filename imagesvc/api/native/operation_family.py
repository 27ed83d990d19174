"""What the routes of families take and give."""

from imagesvc import errors
from imagesvc.api.native import family, family_answer, image_answer
from imagesvc.api.native.operation_shape import PAGE, Operation
from imagesvc.errors import Reason

_FAMILY = (errors.FamilyNotFound,)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/images/{image_id}/family": {
        "PATCH": Operation(
            image_answer.OneImage, body=family.FamilyChange,
            raises=(
                errors.ImageNotFound, errors.Conflict, errors.Forbidden,
                (errors.InvalidRequest, Reason.MEDIA_TYPE),
            ),
        ),
    },
    "/families": {"GET": Operation(family_answer.FamilyPage, query=PAGE)},
    "/families/{family}": {
        "GET": Operation(family_answer.OneFamilyDetail, raises=_FAMILY),
        "PUT": Operation(
            family_answer.OneFamily, body=family.NewAlias,
            raises=(
                errors.ImageNotFound, errors.StateConflict, errors.Conflict,
                (errors.InvalidRequest, Reason.MEDIA_TYPE),
            ),
        ),
        "DELETE": Operation(status=204, raises=_FAMILY),
    },
    "/families/{family}/rollback": {
        "POST": Operation(family_answer.OneFamily, raises=(*_FAMILY, errors.Conflict)),
    },
}  # fmt: skip
