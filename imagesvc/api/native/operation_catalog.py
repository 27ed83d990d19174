"""What the routes of the catalog take and give."""

from imagesvc import errors
from imagesvc.api.native import catalog, os_version
from imagesvc.api.native import catalog_answer as answers
from imagesvc.api.native.operation_shape import DRIVER, Operation, Raised
from imagesvc.domain.catalog_lock import LockFile
from imagesvc.errors import Reason

_MEDIA: Raised = (errors.InvalidRequest, Reason.MEDIA_TYPE)
_FAMILY: tuple[Raised, ...] = (errors.FamilyNotFound,)

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/catalog/families": {"GET": Operation(answers.CatalogFamilyList)},
    "/catalog/families/{family}": {"GET": Operation(answers.OneCatalogFamily, raises=_FAMILY)},
    "/catalog/families/{family}/plan": {"GET": Operation(answers.OneCatalogPlan, raises=_FAMILY)},
    "/catalog/families/{family}/rollback": {
        "POST": Operation(answers.OneCatalogFamily, raises=(errors.Conflict, errors.CatalogRefused, *_FAMILY)),
    },
    "/catalog/os-versions": {"GET": Operation(os_version.OsVersionList)},
    "/catalog/lock": {"GET": Operation(LockFile)},
    "/catalog/sync": {
        "POST": Operation(
            answers.JobList, 202, body=catalog.NewSync, raises=(errors.Conflict, _MEDIA, *_FAMILY)
        ),
    },
    "/catalog/verify": {
        "POST": Operation(
            answers.JobList, 202, body=catalog.NewVerification,
            raises=(errors.ImageNotFound, _MEDIA),
        ),
    },
    "/catalog/prune": {
        "GET": Operation(answers.CatalogPruning),
        "POST": Operation(
            answers.CatalogPruning, body=catalog.NewPruning, raises=(_MEDIA, *_FAMILY, *DRIVER)
        ),
    },
}  # fmt: skip
