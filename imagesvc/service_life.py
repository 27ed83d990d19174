"""The managers of how images come to be public and how they end, wired for the service."""

from typing import Any

from oslo_config import cfg

from imagesvc import service_catalog
from imagesvc.manager.bin import BinManager
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.quota import QuotaManager
from imagesvc.service_foreign import Core
from imagesvc.stream.source import UrlSource


def build(
    conf: cfg.ConfigOpts,
    core: Core,
    images: ImageManager,
    jobs: JobManager,
    quotas: QuotaManager,
    urls: UrlSource,
    source: CatalogSource | None,
) -> dict[str, Any]:
    """What publishes images, deletes them and takes them back, by the names of the service."""
    deletions = DeletionManager(*core, quotas, term_s=conf.bin.term_s)
    return {
        "deletions": deletions,
        "bins": BinManager(*core, quotas, jobs),
        "catalog": service_catalog.build(conf, core, images, deletions, jobs, urls, source),
    }
