"""build(conf) -> Service: where managers receive their collaborators.

Those of machines, of places outside and of bytes do so in `service_machine`, `service_foreign` and
`service_bytes`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imagesvc import service_bytes, service_foreign, service_life, service_machine, service_region
from imagesvc.backend.registry import Backends
from imagesvc.db.engine import Database, check_schema
from imagesvc.db.health import DatabaseProbe
from imagesvc.domain.guest import Detect
from imagesvc.domain.image_import import Plugin
from imagesvc.domain.image_property import Limits
from imagesvc.domain.quota import Resource
from imagesvc.interface.identity import IdentityDriver
from imagesvc.manager import (
    import_option,
    installation_key,
    signed_url,
)
from imagesvc.manager.attachment import AttachmentManager
from imagesvc.manager.audit import AuditManager
from imagesvc.manager.backend import BackendManager
from imagesvc.manager.backup import BackupManager
from imagesvc.manager.backup_capture import BackupCaptureManager
from imagesvc.manager.backup_file import BackupFileManager
from imagesvc.manager.baremetal import BaremetalManager
from imagesvc.manager.bin import BinManager
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.capture import CaptureManager
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.copy import CopyManager
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.disk_capture import DiskCaptureManager
from imagesvc.manager.export import ExportManager
from imagesvc.manager.family import FamilyManager
from imagesvc.manager.foreign_bytes import ForeignBytes
from imagesvc.manager.foreign_link import ForeignLinkManager
from imagesvc.manager.foreign_location import ForeignLocationManager
from imagesvc.manager.guest import GuestManager
from imagesvc.manager.health import HealthManager
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_bytes import Rules
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.image_detail import ImageDetailManager
from imagesvc.manager.image_explain import ExplainManager
from imagesvc.manager.image_file import ImageFileManager
from imagesvc.manager.image_impact import ImpactManager
from imagesvc.manager.image_import import ImportManager
from imagesvc.manager.image_origin import OriginManager
from imagesvc.manager.image_stage import StageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.job_token import JobTokens
from imagesvc.manager.key import KeyManager
from imagesvc.manager.last_use import LastUses
from imagesvc.manager.location import LocationManager
from imagesvc.manager.login import LoginManager
from imagesvc.manager.member import MemberManager
from imagesvc.manager.metadef_access import NamespaceAccess
from imagesvc.manager.metadef_namespace import MetadefNamespaceManager
from imagesvc.manager.metadef_object import MetadefObjectManager
from imagesvc.manager.metadef_property import MetadefPropertyManager
from imagesvc.manager.metadef_resource_type import MetadefResourceTypeManager
from imagesvc.manager.metadef_tag import MetadefTagManager
from imagesvc.manager.metric import MetricManager
from imagesvc.manager.object_store import ObjectStoreManager
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.rebuild import RebuildManager
from imagesvc.manager.remote_image import RemoteImages
from imagesvc.manager.server import ServerManager
from imagesvc.manager.store import StoreManager
from imagesvc.manager.tag import TagManager
from imagesvc.manager.task import TaskManager
from imagesvc.manager.upload import UploadManager
from imagesvc.manager.upload_write import UploadWriter
from imagesvc.manager.volume import VolumeManager
from imagesvc.policy.check import Enforcer
from imagesvc.service_catalog import CatalogManagers
from imagesvc.stream.source import UrlSource


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """Everything a door needs, wired once a process."""

    conf: cfg.ConfigOpts
    database: Database
    backends: Backends
    identity: IdentityDriver
    operation: Operation
    enforcer: Enforcer
    audit_key: bytes = dataclasses.field(repr=False)
    rules: Rules
    limits: Limits
    unpacks: bool
    quotas: QuotaManager
    guests: GuestManager
    images: ImageManager
    deletions: DeletionManager
    bins: BinManager
    families: FamilyManager
    image_details: ImageDetailManager
    explanations: ExplainManager
    impacts: ImpactManager
    image_files: ImageFileManager
    last_uses: LastUses
    stages: StageManager
    imports: ImportManager
    uploads: UploadManager
    upload_writer: UploadWriter
    region: service_region.RegionManagers
    catalog: CatalogManagers
    remotes: RemoteImages
    members: MemberManager
    keys: KeyManager
    data_keys: DataKeys
    tags: TagManager
    metadef_namespaces: MetadefNamespaceManager
    metadef_objects: MetadefObjectManager
    metadef_properties: MetadefPropertyManager
    metadef_tags: MetadefTagManager
    metadef_resource_types: MetadefResourceTypeManager
    stores: StoreManager
    locations: LocationManager
    foreign_bytes: ForeignBytes
    foreign_locations: ForeignLocationManager
    foreign_links: ForeignLinkManager
    jobs: JobManager
    tasks: TaskManager
    captures: CaptureManager
    origins: OriginManager
    exports: ExportManager
    buckets: Buckets
    object_stores: ObjectStoreManager
    servers: ServerManager
    rebuilds: RebuildManager
    volumes: VolumeManager
    attachments: AttachmentManager
    nodes: BaremetalManager
    backups: BackupManager
    backup_files: BackupFileManager
    backup_captures: BackupCaptureManager
    disk_captures: DiskCaptureManager
    copies: CopyManager
    audits: AuditManager
    logins: LoginManager
    backend_manager: BackendManager
    health: HealthManager
    metrics: MetricManager
    urls: UrlSource

    def close(self) -> None:
        """Let go of backends and connections."""
        self.last_uses.close()
        self.operation.close()
        self.backends.close()
        self.database.dispose()


def build(
    conf: cfg.ConfigOpts,
    *,
    monitor: bool = True,
    urls: UrlSource | None = None,
    source: CatalogSource | None = None,
) -> Service:
    """Wire the service, by `urls` and `source` or else as configured. Raises ConfigurationError."""
    key = installation_key.read(conf)
    database = Database(conf.database.url)
    check_schema(database)
    probe = DatabaseProbe(database)
    backends = Backends(conf)
    backends.open(monitor=monitor)
    enforcer, audit_key = Enforcer(conf), installation_key.derive(key, b"audit")
    operation = Operation(database, audit_key)
    core = service_foreign.Core(operation, enforcer, backends)
    limits, signer = _limits(conf), _signer(conf, database, key)
    rules = service_bytes.rules(conf)
    urls, _, foreign = outside = service_foreign.outside(conf, key, core, rules, urls)
    quotas = QuotaManager(operation, enforcer, {one: conf.quota[one] for one in Resource})
    data_keys = DataKeys.attached(database, backends)
    images = ImageManager(operation, enforcer, limits, quotas, data_keys)
    jobs = JobManager(operation, enforcer, quotas)
    life = service_life.build(conf, core, images, jobs, quotas, urls, source)
    guests = GuestManager(backends, Detect(conf.image.detect), limits)
    remotes = _remotes(conf, key, backends.identity(), urls)
    imports = ImportManager(
        operation, enforcer, backends, jobs, quotas, urls=urls, remotes=remotes,
        methods=import_option.methods(conf, backends.identity()),
        treatment=import_option.treatment(conf, backends),
    )  # fmt: skip
    return Service(
        conf=conf,
        database=database,
        backends=backends,
        identity=backends.identity(),
        operation=operation,
        enforcer=enforcer,
        audit_key=audit_key,
        rules=rules,
        limits=limits,
        unpacks=Plugin.UNPACK in import_option.plugins(conf),
        quotas=quotas,
        guests=guests,
        images=images,
        **life,
        imports=imports,
        **service_bytes.build(conf, core, jobs, quotas, signer, guests, foreign, data_keys),
        **service_region.build(conf, core, images, life["deletions"], jobs, quotas, data_keys),
        remotes=remotes,
        **_parts(core, limits, data_keys),
        **_metadefs(operation, enforcer),
        jobs=jobs,
        tasks=TaskManager(operation, enforcer, images, imports),
        **service_machine.build(conf, core, images, jobs, signer, data_keys),
        **service_foreign.build(conf, key, core, images, jobs, quotas, outside, data_keys),
        **_watching(conf, core, probe, life["catalog"]),
        urls=urls,
    )


def _parts(core: service_foreign.Core, limits: Limits, data_keys: DataKeys) -> dict[str, Any]:
    operation, enforcer, _ = core
    return {
        "members": MemberManager(operation, enforcer, limits, data_keys),
        "tags": TagManager(operation, enforcer, limits),
    }


def _watching(
    conf: cfg.ConfigOpts,
    core: service_foreign.Core,
    probe: DatabaseProbe,
    catalog: CatalogManagers,
) -> dict[str, Any]:
    operation, enforcer, backends = core
    drain_file = Path(conf.service.drain_file)
    return {
        "audits": AuditManager(operation, enforcer),
        "logins": LoginManager(operation, backends.identity()),
        "backend_manager": BackendManager(operation, enforcer, backends),
        "health": HealthManager(operation, enforcer, backends, probe, drain_file, catalog.late),
        "metrics": MetricManager(operation.database, probe, backends, catalog.late),
    }


def _metadefs(operation: Operation, enforcer: Enforcer) -> dict[str, Any]:
    access = NamespaceAccess(operation, enforcer)
    return {
        "metadef_namespaces": MetadefNamespaceManager(operation, enforcer, access),
        "metadef_objects": MetadefObjectManager(access),
        "metadef_properties": MetadefPropertyManager(access),
        "metadef_tags": MetadefTagManager(access),
        "metadef_resource_types": MetadefResourceTypeManager(operation, enforcer, access),
    }


def _remotes(
    conf: cfg.ConfigOpts, key: bytes, identity: IdentityDriver, urls: UrlSource
) -> RemoteImages:
    return RemoteImages(
        identity,
        urls,
        JobTokens(installation_key.derive(key, b"job-token")),
        regions=conf["import"].remote_regions,
        prefixes=conf["import"].remote_properties,
    )


def _signer(conf: cfg.ConfigOpts, database: Database, key: bytes) -> signed_url.Signer:
    derived = installation_key.derive(key, b"signed-url")
    return signed_url.Signer(database, derived, internal_endpoint(conf))


def _limits(conf: cfg.ConfigOpts) -> Limits:
    return Limits(
        conf.limit.image_properties,
        conf.limit.image_tags,
        conf.limit.image_members,
        frozenset(conf.image.disk_formats),
    )


def internal_endpoint(conf: cfg.ConfigOpts) -> str:
    """URL by which backends of this installation reach the API."""
    given: str = conf.service.internal_endpoint
    return given or f"http://{conf.service.bind_host}:{conf.service.bind_port}"
