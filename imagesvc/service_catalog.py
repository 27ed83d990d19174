"""The managers of the catalog of public images, wired for the service."""

import dataclasses
from collections.abc import Mapping

from oslo_config import cfg

from imagesvc import errors
from imagesvc.domain.image import Visibility
from imagesvc.manager import import_option
from imagesvc.manager.catalog import CatalogManager
from imagesvc.manager.catalog_folder import FolderSource
from imagesvc.manager.catalog_prune import CatalogPruner
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.catalog_sync import CatalogSync
from imagesvc.manager.catalog_verify import CatalogVerifier
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.image_impact import ImpactManager
from imagesvc.manager.job import JobManager
from imagesvc.service_foreign import Core
from imagesvc.stream.source import UrlSource


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogManagers:
    """What the doors and the worker need of the catalog."""

    families: CatalogManager
    sync: CatalogSync
    pruner: CatalogPruner
    verifier: CatalogVerifier

    def late(self) -> Mapping[str, str]:
        """Families that are overdue, and why; entries that cannot be read are one more of them."""
        try:
            return self.families.late()
        except errors.CatalogRefused as exc:  # whoever watches is told, and all else goes on
            return {"-": exc.text}


def build(
    conf: cfg.ConfigOpts,
    core: Core,
    images: ImageManager,
    deletions: DeletionManager,
    jobs: JobManager,
    urls: UrlSource,
    source: CatalogSource | None,
) -> CatalogManagers:
    """The catalog, of `source` or else as configured."""
    source = source or configured(conf, core, urls)
    operation, enforcer, backends = core
    own = conf.catalog
    sync = CatalogSync(
        operation, images, source,
        owner_project=own.owner_project, visibility=Visibility(own.visibility),
    )  # fmt: skip
    families = CatalogManager(
        operation, enforcer, jobs, source, sync,
        owner_project=own.owner_project,
        stores=(backends.default_id("storage") or "",),
        max_age_days=own.max_age_days,
        output_format=import_option.treatment(conf, backends).output_format,
        prunes=own.prune_after_sync,
    )  # fmt: skip
    pruner = CatalogPruner(
        operation, enforcer, deletions, ImpactManager(*core), source, unused_days=own.unused_days
    )
    verifier = CatalogVerifier(operation, backends, source)
    return CatalogManagers(families, sync, pruner, verifier)


def configured(conf: cfg.ConfigOpts, core: Core, urls: UrlSource) -> CatalogSource:
    """The source that the configuration names."""
    return FolderSource(conf.catalog.directory)
