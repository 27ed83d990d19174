"""The managers of uploads and of what other regions send and get, wired for the service."""

import dataclasses
from typing import Any

from oslo_config import cfg

from imagesvc.manager import import_option, upload_option
from imagesvc.manager.agency import AgencyManager
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.region import RegionManager, Regions
from imagesvc.manager.region_copy import RegionCopyManager
from imagesvc.manager.region_image import RegionImageManager
from imagesvc.manager.upload import UploadManager
from imagesvc.manager.upload_write import UploadWriter
from imagesvc.service_foreign import Core
from imagesvc.stream import peer_option


@dataclasses.dataclass(frozen=True, slots=True)
class RegionManagers:
    """What there is of other regions."""

    known: Regions
    regions: RegionManager
    copies: RegionCopyManager
    images: RegionImageManager
    agencies: AgencyManager


def build(
    conf: cfg.ConfigOpts,
    core: Core,
    images: ImageManager,
    deletions: DeletionManager,
    jobs: JobManager,
    quotas: QuotaManager,
    keys: DataKeys,
) -> dict[str, Any]:
    """Uploads and regions, by the names of the service."""
    operation, enforcer, _ = core
    limits, treatment = upload_option.limits(conf), import_option.treatment(conf, core.backends)
    uploads = UploadManager(*core, jobs, quotas, limits, treatment)
    known = Regions(conf.service.region, peer_option.read(conf))
    coming = RegionImageManager(*core, images, deletions, jobs, quotas, uploads)
    regions = RegionManagers(
        known=known,
        regions=RegionManager(operation, enforcer, known),
        copies=RegionCopyManager(operation, enforcer, jobs, known, keys),
        images=coming,
        agencies=AgencyManager(operation, enforcer, known, coming),
    )
    writer = UploadWriter(*core, uploads)
    return {"uploads": uploads, "upload_writer": writer, "region": regions}
