"""What the routes of keys take and give."""

from imagesvc import errors
from imagesvc.api.native import answer as answers
from imagesvc.api.native import key
from imagesvc.api.native.operation_shape import TEXT, Operation, Raised
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver

_KMS: tuple[Raised, ...] = (
    errors.BackendNotFound, errors.BackendFailed, driver.Unavailable, driver.AccessDenied,
    driver.DriverError,
)  # fmt: skip
_KEY: tuple[Raised, ...] = (errors.KeyNotFound, *_KMS)
_BODY = (errors.InvalidRequest, Reason.MEDIA_TYPE)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/key": {
        "GET": Operation(answers.Keys, query={"backend_id": TEXT}, raises=_KMS),
        "POST": Operation(
            answers.OneKey, 201, body=key.NewKey, headers=("Idempotency-Key",),
            raises=(*_KMS, driver.NotSupported, errors.TooLarge, _BODY),
        ),
    },
    "/key/{key_id}": {
        "GET": Operation(answers.OneKey, raises=_KEY),
        "PATCH": Operation(
            answers.OneKey, body=key.KeyChange,
            raises=(*_KEY, driver.NotSupported, driver.KeyUnavailable, _BODY),
        ),
    },
    "/key/{key_id}/rotate": {
        "POST": Operation(
            answers.RotatedKey, 202,
            raises=(*_KEY, driver.NotSupported, driver.KeyUnavailable),
        ),
    },
}  # fmt: skip
