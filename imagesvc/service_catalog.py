"""The managers of the catalog of public images, wired for the service."""

import dataclasses
from collections.abc import Mapping

from oslo_config import cfg

from imagesvc.domain.image import Visibility
from imagesvc.manager import catalog_web, import_option
from imagesvc.manager.catalog import CatalogManager
from imagesvc.manager.catalog_bundle import CatalogBundler
from imagesvc.manager.catalog_entry import CatalogEntries
from imagesvc.manager.catalog_folder import FolderSource
from imagesvc.manager.catalog_key import CatalogKeys
from imagesvc.manager.catalog_prune import CatalogPruner
from imagesvc.manager.catalog_remote import RemoteSource
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.catalog_sync import CatalogSync
from imagesvc.manager.catalog_union import SourceUnion
from imagesvc.manager.catalog_verify import CatalogVerifier
from imagesvc.manager.catalog_web import CatalogWeb
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.image_impact import ImpactManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.os_version import OSVersionManager
from imagesvc.service_foreign import Core
from imagesvc.stream.source import UrlSource


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogManagers:
    """What the doors and the worker need of the catalog."""

    families: CatalogManager
    sync: CatalogSync
    pruner: CatalogPruner
    verifier: CatalogVerifier
    keys: CatalogKeys
    versions: OSVersionManager
    bundler: CatalogBundler

    def late(self) -> Mapping[str, str]:
        """Families that are overdue, and why; also those whose entries cannot be used."""
        return self.families.late()


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
    operation, enforcer, backends = core
    own = conf.catalog
    entries = CatalogEntries(
        backends.catalogs, allowed=own.families, minimum_trust=own.minimum_trust
    )
    source = source or configured(conf, entries, urls)
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
    keys = CatalogKeys(operation, enforcer, entries)
    versions = OSVersionManager(operation, enforcer, backends.catalogs)
    bundler = CatalogBundler(operation, enforcer, source)
    return CatalogManagers(families, sync, pruner, verifier, keys, versions, bundler)


def configured(conf: cfg.ConfigOpts, entries: CatalogEntries, urls: UrlSource) -> CatalogSource:
    """The sources that the configuration names, as one. Raises ConfigurationError."""
    own = conf.catalog
    web = CatalogWeb(urls, catalog_web.mirrors(own.mirror_map), own.image_max_bytes)
    return SourceUnion([FolderSource(own.directory), RemoteSource(entries, web)])
