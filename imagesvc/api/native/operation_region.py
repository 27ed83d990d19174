"""What the routes of other regions take and give."""

from imagesvc import errors
from imagesvc.api.native import agency, region, region_image
from imagesvc.api.native import answer as answers
from imagesvc.api.native.operation_shape import DRIVER, GIVEN, PAGE, Operation, Raised
from imagesvc.domain.agency import HEADERS
from imagesvc.errors import Reason

_MEDIA: Raised = (errors.InvalidRequest, Reason.MEDIA_TYPE)
_AGENCY: tuple[Raised, ...] = (errors.AgencyNotFound,)
_COMING: tuple[Raised, ...] = (errors.RegionImageNotFound,)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/regions": {"GET": Operation(region.RegionList)},
    "/images/{image_id}/region-copy": {
        "POST": Operation(
            answers.OneJob, 202, body=region.NewRegionCopy, headers=("Idempotency-Key",),
            raises=(errors.ImageNotFound, errors.NoContent, errors.Conflict, _MEDIA), gives=GIVEN,
        ),
    },
    "/agencies": {
        "GET": Operation(agency.AgencyPage, query=PAGE),
        "POST": Operation(
            agency.OneAgency, 201, body=agency.NewAgency, raises=(errors.Conflict, _MEDIA)
        ),
    },
    "/agencies/{agency_id}": {
        "GET": Operation(agency.OneAgency, raises=_AGENCY),
        "DELETE": Operation(status=204, raises=_AGENCY),
    },
    "/region-images/{request_token}": {
        "GET": Operation(region_image.OneRegionImage, headers=HEADERS, raises=_COMING),
        "PUT": Operation(
            region_image.OneRegionImage, body=region_image.NewRegionImage, headers=HEADERS,
            raises=(
                errors.Conflict, errors.TooLarge, errors.QuotaExceeded, errors.StoreReadOnly,
                errors.UnsupportedImage, (errors.InvalidRequest, Reason.SIZE_CAP), _MEDIA, *_COMING,
                *DRIVER,
            ),
        ),
        "DELETE": Operation(status=204, headers=HEADERS, raises=(*_COMING, *DRIVER)),
    },
}  # fmt: skip
