"""What the routes of places that users name take and give: imports, exports, object stores."""

from imagesvc import errors
from imagesvc.api.native import answer as answers
from imagesvc.api.native import export, image_import, object_store
from imagesvc.api.native.operation_shape import DRIVER, GIVEN, PAGE, Operation, Raised
from imagesvc.errors import Reason
from imagesvc.interface import errors as driver

_OBJECT_STORE: tuple[Raised, ...] = (errors.ObjectStoreNotFound,)
_IMPORT: tuple[Raised, ...] = (
    errors.ObjectStoreNotFound, errors.ImageNotFound, errors.TooLarge, errors.QuotaExceeded,
    errors.UnsupportedImage, errors.StoreReadOnly, errors.Conflict,
    (errors.InvalidRequest, Reason.MEDIA_TYPE), (errors.InvalidRequest, Reason.URL_REFUSED),
    errors.BucketAway, (errors.InvalidRequest, Reason.KEY_MISSING), errors.KeyNotFound,
    driver.KeyUnavailable, *DRIVER,
)  # fmt: skip
_EXPORT: tuple[Raised, ...] = (
    errors.ObjectStoreNotFound, errors.ImageNotFound, errors.DiskNotFound, errors.NoContent,
    errors.Conflict, (errors.InvalidRequest, Reason.MEDIA_TYPE),
    (errors.InvalidRequest, Reason.URL_REFUSED), errors.BackendFailed, errors.BackendNotFound,
    errors.BucketAway, errors.Forbidden, driver.KeyUnavailable, *DRIVER,
)  # fmt: skip
_KEEP: tuple[Raised, ...] = (
    errors.Conflict, (errors.InvalidRequest, Reason.MEDIA_TYPE),
    (errors.InvalidRequest, Reason.URL_REFUSED),
)  # fmt: skip

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/imports": {
        "POST": Operation(
            answers.Import, 202, body=image_import.NewImport, headers=("Idempotency-Key",),
            raises=_IMPORT,
        ),
    },
    "/exports": {
        "POST": Operation(
            answers.OneJob, 202, body=export.NewExport, headers=("Idempotency-Key",),
            raises=(errors.FamilyNotFound, *_EXPORT), gives=GIVEN,
        ),
    },
    "/object-stores": {
        "GET": Operation(answers.ObjectStorePage, query=PAGE),
        "POST": Operation(
            answers.OneObjectStore, 201, body=object_store.NewObjectStore, raises=_KEEP
        ),
    },
    "/object-stores/{object_store_id}": {
        "GET": Operation(answers.OneObjectStore, raises=_OBJECT_STORE),
        "PATCH": Operation(
            answers.OneObjectStore, body=object_store.ObjectStoreChange,
            raises=(*_KEEP, *_OBJECT_STORE),
        ),
        "DELETE": Operation(status=204, raises=_OBJECT_STORE),
    },
}  # fmt: skip
